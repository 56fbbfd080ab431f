//! The fields that the API server does not let an UPDATE change, each difference named.
//!
//! Source: `ValidateStatefulSetUpdate` and `ValidatePersistentVolumeClaimUpdate` of Kubernetes 1.36.

use serde_json::Value;

use super::compare::{CLAIM_SPEC, CLAIM_STATUS, LABEL_SELECTOR, OBJECT_META, differences};
use super::json::decode;
use super::{DecodeError, Object, Pointer, Quantity, Raw, StatefulSet};

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
    /// the claim template, where it is one's
    pub template: Option<String>,
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

/// The differences between two sets outside the fields that may change.
///
/// # Errors
/// The field that has the wrong type.
pub fn statefulset(
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
) -> Result<Vec<SpecDifference>, DecodeError> {
    let mut found = Vec::new();
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
    if !old.spec.selector.same_bytes(&new.spec.selector) {
        let at = "/spec/selector";
        let (old_value, new_value) =
            (value(old.spec.selector.raw(), at)?, value(new.spec.selector.raw(), at)?);
        for field in
            differences(old_value.as_ref(), new_value.as_ref(), &LABEL_SELECTOR, &at.into())
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
    }
    if !old.spec.claim_templates.same_bytes(&new.spec.claim_templates) {
        // Decoding first names a wrong type instead of calling it a difference.
        old.claim_templates()?;
        new.claim_templates()?;
        claim_templates(old, new, &mut found)?;
    }
    Ok(found)
}

fn claim_templates(
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    found: &mut Vec<SpecDifference>,
) -> Result<(), DecodeError> {
    let at = Pointer::from("/spec/volumeClaimTemplates");
    let list = |set: &StatefulSet<'_>| -> Result<Vec<Value>, DecodeError> {
        Ok(match value(set.spec.claim_templates.raw(), at.as_str())? {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        })
    };
    let (olds, news) = (list(old)?, list(new)?);
    let (old_names, new_names) = (names(&olds), names(&news));
    let same_names = {
        let sorted = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort_unstable();
            names
        };
        sorted(&old_names) == sorted(&new_names)
    };
    if same_names && old_names != new_names {
        found.push(SpecDifference {
            kind: DifferenceKind::Other,
            template: None,
            field: at.clone(),
            old_field: at.clone(),
            old: Some(old_names.join(", ")),
            new: Some(new_names.join(", ")),
        });
    }
    // Templates of one name cannot be told apart by it: the second pairs with the second.
    let nth = |names: &[&str], index: usize| {
        names[..index].iter().filter(|name| **name == names[index]).count()
    };
    for (index, template) in news.iter().enumerate() {
        let name = new_names[index];
        let partner = old_names
            .iter()
            .enumerate()
            .filter(|(_, old)| **old == name)
            .nth(nth(&new_names, index))
            .map(|(old_index, _)| old_index);
        let field = at.clone().index(index);
        match partner.and_then(|old_index| Some((old_index, olds.get(old_index)?))) {
            Some((old_index, old_template)) => {
                let old_at = at.clone().index(old_index);
                claim_template(name, old_template, template, &old_at, &field, found);
            }
            None => found.push(SpecDifference {
                kind: DifferenceKind::TemplateAdded,
                template: Some(name.to_owned()),
                field,
                old_field: at.clone(),
                old: None,
                new: Some(name.to_owned()),
            }),
        }
    }
    for (index, name) in old_names.iter().enumerate() {
        let kept = new_names.iter().filter(|new| *new == name).count();
        if nth(&old_names, index) >= kept {
            found.push(SpecDifference {
                kind: DifferenceKind::TemplateRemoved,
                template: Some((*name).to_owned()),
                field: at.clone(),
                old_field: at.clone().index(index),
                old: Some((*name).to_owned()),
                new: None,
            });
        }
    }
    Ok(())
}

fn claim_template(
    name: &str,
    old: &Value,
    new: &Value,
    old_at: &Pointer,
    new_at: &Pointer,
    found: &mut Vec<SpecDifference>,
) {
    for (part, shape) in
        [("metadata", &OBJECT_META), ("spec", &CLAIM_SPEC), ("status", &CLAIM_STATUS)]
    {
        let below = Pointer::default().key(part);
        for difference in differences(old.get(part), new.get(part), shape, &below) {
            let path = difference.field.as_str();
            let kind = match path {
                "/spec/resources/requests/storage" => DifferenceKind::TemplateStorage,
                "/spec/storageClassName" => DifferenceKind::TemplateStorageClass,
                "/spec/volumeMode" => DifferenceKind::TemplateVolumeMode,
                _ if path.starts_with("/spec/accessModes") => DifferenceKind::TemplateAccessModes,
                _ if path.starts_with("/metadata/") => DifferenceKind::TemplateMetadata,
                _ => DifferenceKind::Other,
            };
            found.push(SpecDifference {
                kind,
                template: Some(name.to_owned()),
                field: Pointer::from(format!("{new_at}{path}")),
                old_field: Pointer::from(format!("{old_at}{path}")),
                old: difference.old,
                new: difference.new,
            });
        }
    }
}

/// The differences between the specs of two claims, whatever the server says to each.
///
/// Data sources are compared as the server stores them (`EnforceDataSourceBackwardsCompatibility`
/// and `NormalizeDataSources`): one that stands in only one of `dataSource` and `dataSourceRef`
/// stands in both, and one that a claim without a source could not have had is dropped.
///
/// # Errors
/// The field that has the wrong type.
pub fn claim(old: &Object<'_>, new: &Object<'_>) -> Result<Vec<SpecDifference>, DecodeError> {
    if old.spec == new.spec {
        return Ok(Vec::new());
    }
    let spec = |object: &Object<'_>| value(object.spec, "/spec");
    let (mut old, mut new) = (spec(old)?, spec(new)?);
    let has = |spec: &Option<Value>, key: &str| source(spec.as_ref(), key).is_some();
    let (old_source, old_reference) = (has(&old, "dataSource"), has(&old, "dataSourceRef"));
    if let Some(Value::Object(fields)) = &mut new {
        let drop_reference = !old_reference
            && fields.get("dataSourceRef").is_some_and(|source| !namespace(source).is_empty());
        if drop_reference {
            fields.remove("dataSourceRef");
        }
        let reference = fields.get("dataSourceRef").is_some_and(|source| !source.is_null());
        if !old_source && !old_reference && !reference {
            let known = fields.get("dataSource").is_some_and(|source| {
                let text = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or_default();
                matches!(
                    (text("kind"), text("apiGroup")),
                    ("PersistentVolumeClaim", "") | ("VolumeSnapshot", "snapshot.storage.k8s.io")
                )
            });
            if !known {
                fields.remove("dataSource");
            }
        }
    }
    normalise_sources(&mut old);
    normalise_sources(&mut new);
    Ok(differences(old.as_ref(), new.as_ref(), &CLAIM_SPEC, &"/spec".into())
        .into_iter()
        .map(|difference| SpecDifference {
            kind: DifferenceKind::Other,
            template: None,
            old_field: difference.field.clone(),
            field: difference.field,
            old: difference.old,
            new: difference.new,
        })
        .collect())
}

fn source<'v>(spec: Option<&'v Value>, key: &str) -> Option<&'v Value> {
    spec?.get(key).filter(|source| !source.is_null())
}

fn namespace(source: &Value) -> &str {
    source.get("namespace").and_then(Value::as_str).unwrap_or_default()
}

fn normalise_sources(spec: &mut Option<Value>) {
    for (from, to) in [("dataSource", "dataSourceRef"), ("dataSourceRef", "dataSource")] {
        let alone = source(spec.as_ref(), to).is_none();
        let copy =
            source(spec.as_ref(), from).filter(|source| alone && namespace(source).is_empty());
        if let (Some(copy), Some(Value::Object(fields))) = (copy.cloned(), spec.as_mut()) {
            fields.insert(to.to_owned(), copy);
        }
    }
}

fn names(templates: &[Value]) -> Vec<&str> {
    templates
        .iter()
        .map(|template| {
            template.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
        })
        .collect()
}

fn value(raw: Option<Raw<'_>>, at: &str) -> Result<Option<Value>, DecodeError> {
    raw.map(|raw| decode(raw.get(), at)).transpose()
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
    let part = old[..end].rfind([',', '/', '=', ' ']);
    let near = part.filter(|at| end - at < 2 * SHOWN / 3);
    let start = near.or_else(|| old[..end].rfind(|c: char| !c.is_alphanumeric())).unwrap_or(0);
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
