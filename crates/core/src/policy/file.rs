//! The policy file as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::resize::ResizeSetting;
use super::settings::{NO_RULE, RuleSettings};
use super::{
    AntiAffinity, ClaimTemplateMetadata, Mode, OnError, PodDefaultSetting, Resize, SizeOnCreate,
};
use crate::object::{DecodeError, Pointer, json, serde_messages};
use crate::packs::Pack;
use crate::rules::{owner_added, reserved_annotation, voters};
use crate::yaml::InputError;
use crate::yaml::YamlDocument;

/// Why a policy file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PolicyError {
    /// from 1; 0 where no place is known
    pub line: usize,
    /// from 1; 0 where no place is known
    pub column: usize,
    /// what is wrong, with the nearest known name
    pub message: String,
}

/// `stateward.yaml`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "stateward.yaml", description = "Policy of stateward")]
pub struct PolicyFile {
    /// Version of this format: 1.
    pub version: Version,
    /// `enforce`, or `audit`: deny nothing and patch nothing, say what would have been done.
    #[serde(default)]
    pub mode: Mode,
    /// What becomes of an edit that grows a claim template: `reject` (default; `serve --dev`
    /// orchestrates), `orchestrate` or `ignore`; or a mapping with `mode` and `authorize`.
    #[serde(default)]
    pub resize: ResizeSetting,
    /// Which anti-affinity a new set is given when it has no answer of its own.
    #[serde(default)]
    pub anti_affinity: AntiAffinity,
    /// What else a new set is given when its manifest leaves it open. Default: nothing.
    #[serde(default, deserialize_with = "json::null_default")]
    pub pod_defaults: Vec<PodDefaultSetting>,
    /// The sizes of claim templates of a set that is created over larger claims.
    #[serde(default)]
    pub size_on_create: SizeOnCreate,
    /// What becomes of an edit to labels and annotations of claim templates.
    #[serde(default)]
    pub claim_template_metadata: ClaimTemplateMetadata,
    /// Whether annotations may relax the policy (`resize: ignore`, `allow`, `anti-affinity: none`,
    /// `pod-defaults: none`).
    /// Default: true.
    #[serde(default)]
    pub overrides: Option<bool>,
    /// What is answered where a review could not be judged.
    #[serde(default)]
    pub on_error: OnError,
    /// The namespace that stateward runs in, which is never judged. Default: stateward.
    #[serde(default)]
    pub own_namespace: Option<String>,
    /// Who may add or change annotations that relax the policy, such as `stateward.dev/allow`.
    /// Default: everybody.
    #[serde(default)]
    pub allow: Option<reserved_annotation::Params>,
    /// Who may edit objects that a controller owns without being judged.
    #[serde(default)]
    pub owners: Option<owner_added::Params>,
    /// Which sets are members of a quorum, for the rules about quorums, beside those whose pack says so and
    /// those with the annotation `stateward.dev/voters: all`. Default: none.
    #[serde(default)]
    pub voters: Option<voters::Params>,
    /// What is known about systems, by name, beside what comes with stateward (`stateward packs`). One of a
    /// name that stateward has takes its place.
    #[serde(default)]
    pub packs: BTreeMap<String, Pack>,
    /// Printed at the end of every denial.
    #[serde(default)]
    pub help: Option<Help>,
    /// Action and parameters per rule.
    #[serde(default)]
    pub rules: RuleSettings,
    /// Exceptions by namespace, labels and kind, in order: the last match wins per rule.
    #[serde(default, deserialize_with = "json::null_default")]
    pub scopes: Vec<Scope>,
}

/// The number 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Version(#[schemars(range(min = 1, max = 1))] u8);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self(1)),
            other => Err(de::Error::custom(format!("this stateward reads version 1, not {other}"))),
        }
    }
}

/// Where people get help.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Help {
    /// A page to read.
    #[serde(default)]
    pub url: Option<String>,
    /// A person or a channel to ask.
    #[serde(default)]
    pub contact: Option<String>,
}

/// Settings for a part of the cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scope {
    /// Which objects it is about; what is left out matches all.
    #[serde(default)]
    pub r#match: Match,
    /// Action and parameters per rule.
    #[serde(default)]
    pub rules: RuleSettings,
    /// As at the top.
    #[serde(default)]
    pub resize: Option<Resize>,
    /// As at the top.
    #[serde(default)]
    pub anti_affinity: Option<AntiAffinity>,
    /// As at the top.
    #[serde(default)]
    pub pod_defaults: Option<Vec<PodDefaultSetting>>,
    /// As at the top.
    #[serde(default)]
    pub size_on_create: Option<SizeOnCreate>,
    /// As at the top.
    #[serde(default)]
    pub claim_template_metadata: Option<ClaimTemplateMetadata>,
}

/// What a scope matches.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Match {
    /// Names of namespaces; `*` stands for any text.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Labels that the object must carry.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Kinds: StatefulSet, PersistentVolumeClaim, Scale and the like.
    #[serde(default)]
    pub kinds: Vec<MatchKind>,
}

/// A kind that rules judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchKind {
    /// apps/v1 StatefulSet
    StatefulSet,
    /// v1 PersistentVolumeClaim
    PersistentVolumeClaim,
    /// autoscaling/v1 Scale of a StatefulSet
    Scale,
    /// v1 Namespace
    Namespace,
    /// v1 `PersistentVolume`; `namespaces` means the namespace of its claim
    PersistentVolume,
    /// storage.k8s.io/v1 StorageClass, which has no namespace
    StorageClass,
    /// snapshot.storage.k8s.io/v1 `VolumeSnapshot`
    VolumeSnapshot,
}

impl PolicyFile {
    /// Reads the fields; parameters of rules are bound when the policy is compiled.
    pub(super) fn decode(document: &YamlDocument) -> Result<Self, PolicyError> {
        json::decode(document.json(), "").map_err(|error| placed(document, &error))
    }

    /// Reads what can be read, and adds an error for each field that cannot. `None` if nothing can.
    pub(super) fn decode_rest(
        document: &YamlDocument,
        errors: &mut Vec<DecodeError>,
    ) -> Option<Self> {
        let mut rest: Value = serde_json::from_str(document.json()).unwrap_or_default();
        // Each field with an error is taken out, and the rest is read again.
        loop {
            match json::decode::<Self>(&rest.to_string(), "") {
                Ok(file) => return Some(file),
                Err(error) => {
                    let goes_on = take_away(&mut rest, &error.field);
                    errors.push(error);
                    if !goes_on {
                        return None;
                    }
                }
            }
        }
    }

    /// The JSON schema of the file.
    pub fn schema() -> Value {
        Value::from(schemars::schema_for!(Self))
    }
}

/// The document of a policy, which is a mapping.
pub(super) fn document(text: &str) -> Result<YamlDocument, PolicyError> {
    let document = YamlDocument::read(text).map_err(|error| {
        let InputError { line, column, message, .. } = error;
        PolicyError { line, column, message }
    })?;
    let message = match document.json().as_bytes().first() {
        Some(b'{') => return Ok(document),
        Some(b'n') => "this policy is empty; its first line is version: 1",
        _ => "a policy is a mapping that begins with version: 1",
    };
    let (line, column) = document.locate(&Pointer::default());
    Err(PolicyError { line, column, message: message.to_owned() })
}

/// An error with the line and column of its field.
pub(super) fn placed(document: &YamlDocument, error: &DecodeError) -> PolicyError {
    let about_key =
        serde_messages::is_about_key(&error.message) || error.message.starts_with(NO_RULE);
    let (line, column) =
        if about_key { document.locate_key(&error.field) } else { document.locate(&error.field) };
    PolicyError { line, column, message: said(error, about_key) }
}

/// Takes what is wrong out of a policy, so that the rest can be read; `false` where nothing can be
/// taken out.
fn take_away(policy: &mut Value, field: &Pointer) -> bool {
    if matches!(field.as_str(), "" | "/version") {
        // What is left is read as version 1, unless it is wrong all over.
        let known = policy.get("version") == Some(&Value::from(1));
        let Some(members) = policy.as_object_mut().filter(|_| !known) else { return false };
        members.insert("version".to_owned(), Value::from(1));
        return true;
    }
    let mut tokens: Vec<String> = field.tokens().collect();
    // A pack without the field that is wrong may be wrong for the lack of it.
    if tokens.first().is_some_and(|first| first == "packs") {
        tokens.truncate(2);
    }
    let Some((last, parents)) = tokens.split_last() else { return false };
    let parent = parents.iter().fold(Pointer::default(), |parent, token| parent.key(token));
    match policy.pointer_mut(parent.as_str()) {
        Some(Value::Object(members)) => members.remove(last).is_some(),
        Some(Value::Array(items)) => {
            // The places of the others stay as they are.
            let stand_in = match parents.last().map(String::as_str) {
                Some("scopes") => json!({}),
                Some("kinds") => json!("StatefulSet"),
                _ => json!(""),
            };
            let item = last.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            item.is_some_and(|item| std::mem::replace(item, stand_in.clone()) != stand_in)
        }
        _ => false,
    }
}

/// The reason, with the field where the reason does not name it.
fn said(error: &DecodeError, about_key: bool) -> String {
    if about_key || error.field.as_str().is_empty() {
        return error.message.clone();
    }
    if error.message == "expected value" {
        return format!("{}: this is none of the words that it takes", error.field.dotted());
    }
    error.to_string()
}
