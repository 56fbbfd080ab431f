//! Scopes, compiled.

use std::collections::BTreeMap;
use std::sync::Arc;

use wildmatch::WildMatch;

use super::file::{MatchKind, Scope};
use super::settings::RuleSettings;
use super::{
    AntiAffinity, ClaimTemplateMetadata, PodDefaultSetting, Resize, Setting, SizeOnCreate,
};
use crate::object::{DecodeError, Kind, Pointer, TextMap};
use crate::rules::{Entry, RULES};

pub(super) struct CompiledScope {
    namespaces: Vec<WildMatch>,
    labels: BTreeMap<String, String>,
    kinds: Vec<Kind>,
    /// one per rule, in the order of [`RULES`]
    pub(super) rules: Vec<Setting>,
    pub(super) resize: Option<Resize>,
    pub(super) anti_affinity: Option<AntiAffinity>,
    pub(super) pod_defaults: Option<Vec<PodDefaultSetting>>,
    pub(super) size_on_create: Option<SizeOnCreate>,
    pub(super) claim_template_metadata: Option<ClaimTemplateMetadata>,
}

impl CompiledScope {
    /// `at` is where the scope stands in the file.
    pub(super) fn new(scope: &Scope, at: &Pointer, errors: &mut Vec<DecodeError>) -> Self {
        Self {
            namespaces: scope.r#match.namespaces.iter().map(|name| WildMatch::new(name)).collect(),
            labels: scope.r#match.labels.clone(),
            kinds: scope
                .r#match
                .kinds
                .iter()
                .map(|kind| match kind {
                    MatchKind::StatefulSet => Kind::StatefulSet,
                    MatchKind::PersistentVolumeClaim => Kind::Claim,
                    MatchKind::Scale => Kind::Scale,
                    MatchKind::Namespace => Kind::Namespace,
                    MatchKind::PersistentVolume => Kind::Volume,
                    MatchKind::StorageClass => Kind::Class,
                    MatchKind::VolumeSnapshot => Kind::Snapshot,
                })
                .collect(),
            rules: settings(&scope.rules, at, errors),
            resize: scope.resize,
            anti_affinity: scope.anti_affinity,
            pod_defaults: scope.pod_defaults.clone(),
            size_on_create: scope.size_on_create,
            claim_template_metadata: scope.claim_template_metadata,
        }
    }

    pub(super) fn reads_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// A Scale carries no labels, so a label selector counts as matching it.
    pub(super) fn matches(
        &self,
        kind: Kind,
        namespace: &str,
        labels: Option<&TextMap<'_>>,
    ) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && (self.namespaces.is_empty()
                || self.namespaces.iter().any(|pattern| pattern.matches(namespace)))
            && (kind == Kind::Scale
                || self.labels.iter().all(|(key, value)| {
                    labels.and_then(|labels| labels.get(key)) == Some(value.as_str())
                }))
    }
}

/// What a part of the file says of each rule, in the order of [`RULES`]; `at` is where that part
/// stands. Parameters that a rule cannot read are added to `errors`.
pub(super) fn settings(
    settings: &RuleSettings,
    at: &Pointer,
    errors: &mut Vec<DecodeError>,
) -> Vec<Setting> {
    let compile = |entry: &Entry| {
        let Some(setting) = settings.0.get(entry.meta.id) else { return Setting::default() };
        let check = setting.params.as_ref().map(|params| (entry.compile)(params)).transpose();
        let check = check.unwrap_or_else(|error| {
            let at = at.clone().key("rules").key(entry.meta.id).key("params");
            let field = Pointer::from(format!("{at}{}", error.field));
            errors.push(DecodeError { field, message: error.message });
            None
        });
        Setting { action: setting.action, check, help: setting.help.clone().map(Arc::new) }
    };
    RULES.iter().map(compile).collect()
}
