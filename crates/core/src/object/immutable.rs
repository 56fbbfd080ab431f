//! The fields that the API server does not let an UPDATE change, each difference named.
//!
//! Source: `ValidateStatefulSetUpdate` and `ValidatePersistentVolumeClaimUpdate` of Kubernetes 1.36.

mod claim_templates;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compare::{
    CLAIM_SPEC_FIELDS, LABEL_SELECTOR, MOST, Members, differences, member_differences, members,
};
use super::{DecodeError, Object, Pointer, Quantity, Raw, StatefulSet, Text};

/// What kind of difference it is; each kind belongs to one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// `spec.serviceName`
    ServiceName,
    /// `spec.selector`
    Selector,
    /// `spec.podManagementPolicy`
    PodManagementPolicy,
    /// a claim template that was not there
    TemplateAdded,
    /// a claim template that is gone
    TemplateRemoved,
    /// labels, annotations and other metadata of a claim template
    TemplateMetadata,
    /// `resources.requests.storage` of a claim template
    TemplateStorage,
    /// `storageClassName` of a claim template
    TemplateStorageClass,
    /// `accessModes` of a claim template
    TemplateAccessModes,
    /// `volumeMode` of a claim template
    TemplateVolumeMode,
    /// anything else, the order of claim templates included
    Other,
}

/// A difference that the API server refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecDifference {
    /// its kind
    pub kind: DifferenceKind,
    /// the name of the claim template, if the field belongs to one; its differences share it
    pub template: Option<Arc<str>>,
    /// the field in the new object; in the old one where the new has none
    pub field: Pointer,
    /// the field in the old object
    pub old_field: Pointer,
    /// the old value as written
    pub old: Option<String>,
    /// the new value as written
    pub new: Option<String>,
}

impl SpecDifference {
    /// The claim template with its old and its new size, where both are sizes.
    pub fn sizes(&self) -> Option<(&str, Quantity, Quantity)> {
        let size = |text: &Option<String>| text.as_deref()?.parse().ok();
        Some((self.template.as_deref()?, size(&self.old)?, size(&self.new)?))
    }

    /// The place of the claim template in the old list.
    pub fn template_index(&self) -> Option<usize> {
        self.old_field.tokens().nth(2)?.parse().ok()
    }

    /// The pointer to the old claim template.
    pub fn old_template(&self) -> Pointer {
        self.old_field.tokens().take(3).fold(Pointer::default(), |at, token| at.key(&token))
    }
}

/// What differs between two objects outside the fields that may change.
#[derive(Debug, Default)]
pub struct Differences {
    /// at most [`MOST`] of each kind
    pub list: Vec<SpecDifference>,
    /// whether there are more
    pub truncated: bool,
    count: BTreeMap<DifferenceKind, usize>,
}

impl Differences {
    fn push(&mut self, difference: SpecDifference) {
        let count = self.count.entry(difference.kind).or_default();
        if *count == MOST {
            self.truncated = true;
        } else {
            *count += 1;
            self.list.push(difference);
        }
    }
}

/// The differences between two sets outside the fields that may change.
///
/// # Errors
/// The field that has the wrong type.
pub fn statefulset(
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
) -> Result<Differences, DecodeError> {
    let mut found = Differences::default();
    let mut simple = |kind, field: &str, old: &str, new: &str| {
        if old != new {
            found.push(SpecDifference {
                kind,
                template: None,
                field: field.into(),
                old_field: field.into(),
                old: Some(old.to_owned()),
                new: Some(new.to_owned()),
            });
        }
    };
    simple(
        DifferenceKind::ServiceName,
        "/spec/serviceName",
        &old.spec.service_name,
        &new.spec.service_name,
    );
    simple(
        DifferenceKind::PodManagementPolicy,
        "/spec/podManagementPolicy",
        old.spec.pod_management_policy(),
        new.spec.pod_management_policy(),
    );
    let (old_selector, new_selector) = (old.spec.selector.raw(), new.spec.selector.raw());
    for field in differences(old_selector, new_selector, &LABEL_SELECTOR, &"/spec/selector".into())?
    {
        found.push(SpecDifference {
            kind: DifferenceKind::Selector,
            template: None,
            old_field: field.field.clone(),
            field: field.field,
            old: field.old,
            new: field.new,
        });
    }
    if !old.spec.claim_templates.same_bytes(&new.spec.claim_templates) {
        claim_templates::compare(old, new, &mut found)?;
    }
    Ok(found)
}

/// The differences between the specs of two claims, whatever the server says to each.
///
/// Data sources are compared as the server stores them (`EnforceDataSourceBackwardsCompatibility`
/// and `NormalizeDataSources`): if only one of `dataSource` and `dataSourceRef` is set, it is copied
/// to the other, and one that a claim without a source could not have had is dropped.
///
/// # Errors
/// The field that has the wrong type.
pub fn claim(old: &Object<'_>, new: &Object<'_>) -> Result<Differences, DecodeError> {
    let mut found = Differences::default();
    if old.spec == new.spec {
        return Ok(found);
    }
    let at = Pointer::from("/spec");
    let (mut old, mut new) = (members(old.spec, &at)?, members(new.spec, &at)?);
    let (old_source, old_reference) =
        (source(&old, "dataSource").is_some(), source(&old, "dataSourceRef").is_some());
    if let Some(reference) = source(&new, "dataSourceRef")
        && !old_reference
        && !text(reference, "namespace")?.is_empty()
    {
        new.remove("dataSourceRef");
    }
    if !old_source && !old_reference && source(&new, "dataSourceRef").is_none() {
        let known = match source(&new, "dataSource") {
            Some(source) => matches!(
                (text(source, "kind")?.as_str(), text(source, "apiGroup")?.as_str()),
                ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
            ),
            None => false,
        };
        if !known {
            new.remove("dataSource");
        }
    }
    normalise_sources(&mut old)?;
    normalise_sources(&mut new)?;
    for difference in member_differences(&old, &new, CLAIM_SPEC_FIELDS, &at)? {
        found.push(SpecDifference {
            kind: DifferenceKind::Other,
            template: None,
            old_field: difference.field.clone(),
            field: difference.field,
            old: difference.old,
            new: difference.new,
        });
    }
    Ok(found)
}

fn source<'a>(spec: &Members<'a>, key: &str) -> Option<Raw<'a>> {
    spec.get(key).copied().filter(|source| source.get() != "null")
}

/// A text of a data source; empty if it has none.
fn text<'a>(source: Raw<'a>, key: &str) -> Result<Text<'a>, DecodeError> {
    let at = Pointer::from("/spec/dataSource");
    Ok(members(Some(source), &at)?
        .get(key)
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default())
}

fn normalise_sources(spec: &mut Members<'_>) -> Result<(), DecodeError> {
    for (from, to) in [("dataSource", "dataSourceRef"), ("dataSourceRef", "dataSource")] {
        if source(spec, to).is_some() {
            continue;
        }
        if let Some(copy) = source(spec, from)
            && text(copy, "namespace")?.is_empty()
        {
            spec.insert(to.into(), copy);
        }
    }
    Ok(())
}

/// The longest value that [`arrow`] shows in full.
const SHOWN: usize = 24;

/// A difference's two values as `old → new`, `(none)` standing for an absent one. Long values are
/// cut: a sentence with both has to fit a line. What both begin with is cut first, so that the
/// difference is always shown.
pub fn arrow(old: Option<&str>, new: Option<&str>) -> String {
    let is_long = |value: Option<&str>| value.is_some_and(|text| text.chars().count() > SHOWN);
    let skipped = match (old, new) {
        (Some(old), Some(new)) if is_long(Some(old)) || is_long(Some(new)) => common(old, new),
        _ => 0,
    };
    let shown = |value: Option<&str>| match value {
        None => "(none)".to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(text) => {
            let rest = &text[skipped..];
            let lead = if skipped > 0 { "…" } else { "" };
            if rest.chars().count() > SHOWN {
                format!("{lead}{}…", rest.chars().take(SHOWN - 1).collect::<String>())
            } else {
                format!("{lead}{rest}")
            }
        }
    };
    format!("{} → {}", shown(old), shown(new))
}

/// How many bytes two values begin with alike, up to the start of the word in which they differ.
fn common(old: &str, new: &str) -> usize {
    let alike = old.char_indices().zip(new.chars()).take_while(|((_, a), b)| a == b);
    let end = alike.last().map_or(0, |((at, c), _)| at + c.len_utf8());
    let is_near = |at: &usize| end - at < 2 * SHOWN / 3;
    let part = old[..end].rfind([',', '/', '=', ' ']).filter(is_near);
    let word = || old[..end].rfind(|c: char| !c.is_alphanumeric()).filter(is_near);
    // A word may be longer than what is shown.
    let start = part.or_else(word).unwrap_or_else(|| {
        let before = old[..end].char_indices().rev().nth(SHOWN / 3);
        before.map_or(0, |(at, _)| at)
    });
    // A few characters are not worth an ellipsis.
    if start > 4 { start } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(old: &[(&str, &str)], new: &[(&str, &str)]) -> Vec<(DifferenceKind, String, String)> {
        let document = |templates: &[(&str, &str)]| {
            let list: Vec<String> = templates
                .iter()
                .map(|(name, size)| {
                    format!(
                        r#"{{"metadata":{{"name":"{name}"}},
                            "spec":{{"resources":{{"requests":{{"storage":"{size}"}}}}}}}}"#
                    )
                })
                .collect();
            format!(r#"{{"spec":{{"volumeClaimTemplates":[{}]}}}}"#, list.join(","))
        };
        let (old, new) = (document(old), document(new));
        let set = |document| StatefulSet::decode(&Object::decode(document).unwrap()).unwrap();
        statefulset(&set(&old), &set(&new))
            .unwrap()
            .list
            .into_iter()
            .map(|found| (found.kind, found.old_field.to_string(), found.field.to_string()))
            .collect()
    }

    #[test]
    fn a_template_is_found_again_in_another_place() {
        let at = "/spec/volumeClaimTemplates";
        let size = "spec/resources/requests/storage";
        assert_eq!(
            found(&[("a", "1Gi"), ("b", "1Gi")], &[("new", "1Gi"), ("b", "2Gi")]),
            [
                (DifferenceKind::TemplateAdded, at.to_owned(), format!("{at}/0")),
                (
                    DifferenceKind::TemplateStorage,
                    format!("{at}/1/{size}"),
                    format!("{at}/1/{size}")
                ),
                (DifferenceKind::TemplateRemoved, format!("{at}/0"), at.to_owned()),
            ]
        );
    }

    #[test]
    fn twins_are_told_apart_by_their_order() {
        let kinds = |old: &[(&str, &str)], new: &[(&str, &str)]| -> Vec<DifferenceKind> {
            found(old, new).into_iter().map(|(kind, ..)| kind).collect()
        };
        let (one, two) = ([("a", "1Gi")], [("a", "1Gi"), ("a", "1Gi")]);
        assert_eq!(kinds(&one, &two), [DifferenceKind::TemplateAdded]);
        assert_eq!(kinds(&two, &one), [DifferenceKind::TemplateRemoved]);
        assert_eq!(kinds(&two, &two), []);
        assert_eq!(kinds(&two, &[("a", "1Gi"), ("a", "2Gi")]), [DifferenceKind::TemplateStorage]);
    }

    #[test]
    fn long_values_are_cut_before_their_difference() {
        let arrow = |old, new| arrow(Some(old), Some(new));
        assert_eq!(arrow("10Gi", "5Gi"), "10Gi → 5Gi");
        assert_eq!(
            arrow("app=seaweedfs,chart=seaweedfs-3.59.4", "app=seaweedfs,chart=seaweedfs-3.60.0"),
            "…=seaweedfs-3.59.4 → …=seaweedfs-3.60.0"
        );
        assert_eq!(
            arrow("/var/lib/postgresql/data/pgdata", "/var/lib/postgresql/data/db"),
            "…/pgdata → …/db"
        );
        assert_eq!(
            arrow("/var/lib/postgresql/data/pgdata", "/srv"),
            "/var/lib/postgresql/dat… → /srv"
        );
        assert_eq!(arrow("äöüäöüäöüäöüäöüäöüäöüäöüäöü", "ä"), "äöüäöüäöüäöüäöüäöüäöüäö… → ä");
    }

    #[test]
    fn a_changed_order_is_a_difference() {
        let (ab, ba) = ([("a", "1Gi"), ("b", "1Gi")], [("b", "1Gi"), ("a", "1Gi")]);
        let at = "/spec/volumeClaimTemplates".to_owned();
        assert_eq!(found(&ab, &ba), [(DifferenceKind::Other, at.clone(), at)]);
    }
}
