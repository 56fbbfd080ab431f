//! The body of the CREATE: the snapshot, less what the server writes, with what the re-creation window needs.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stateward_core::annotations::{RESIZE_ID, RESIZE_UNFINISHED};
use stateward_core::object::metadata::COLLECTOR_FINALIZERS;

/// Why a snapshot cannot be made into a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// the snapshot is no set
    #[error("the snapshot has no object \"{0}\"")]
    Missing(&'static str),
    /// a claim template that was asked for is not there
    #[error("the snapshot has no claim template \"{0}\"")]
    NoTemplate(String),
}

/// The set to create from `snapshot`.
///
/// The first sync of the StatefulSet controller may delete a pod before any check of ours could
/// act, so the partition is above every ordinal; [`Action::Unfreeze`](super::Action::Unfreeze) lowers it.
pub fn body(
    snapshot: &Value,
    sizes: &BTreeMap<String, String>,
    id: &str,
    frozen_partition: i64,
) -> Result<Value, BodyError> {
    let mut set = snapshot.clone();
    let root = set.as_object_mut().ok_or(BodyError::Missing("set"))?;
    root.remove("status");
    // Items of a list do not have them.
    root.insert("apiVersion".to_owned(), "apps/v1".into());
    root.insert("kind".to_owned(), "StatefulSet".into());
    let metadata = object(root, "metadata")?;
    for field in [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|finalizer| !COLLECTOR_FINALIZERS.iter().any(|one| finalizer == one));
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        }
    }
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    let annotations = annotations.as_object_mut().ok_or(BodyError::Missing("annotations"))?;
    annotations.insert(RESIZE_ID.to_owned(), Value::from(id));
    annotations.insert(RESIZE_UNFINISHED.to_owned(), Value::from(id));
    let spec = object(root, "spec")?;
    raise(spec, sizes)?;
    spec.insert(
        "persistentVolumeClaimRetentionPolicy".to_owned(),
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    let on_delete =
        spec.get("updateStrategy").and_then(|s| s.get("type")) == Some(&"OnDelete".into());
    if !on_delete {
        let strategy = spec.entry("updateStrategy").or_insert_with(|| json!({}));
        let strategy = strategy.as_object_mut().ok_or(BodyError::Missing("updateStrategy"))?;
        strategy.insert("type".to_owned(), "RollingUpdate".into());
        let rolling = strategy.entry("rollingUpdate").or_insert_with(|| json!({}));
        if rolling.is_null() {
            *rolling = json!({});
        }
        let rolling = rolling.as_object_mut().ok_or(BodyError::Missing("rollingUpdate"))?;
        rolling.insert("partition".to_owned(), frozen_partition.into());
    }
    Ok(set)
}

fn raise(spec: &mut Map<String, Value>, sizes: &BTreeMap<String, String>) -> Result<(), BodyError> {
    let templates = spec
        .get_mut("volumeClaimTemplates")
        .and_then(Value::as_array_mut)
        .ok_or(BodyError::Missing("volumeClaimTemplates"))?;
    for (name, size) in sizes {
        let template = templates
            .iter_mut()
            .find(|template| {
                template.pointer("/metadata/name").and_then(Value::as_str) == Some(name)
            })
            .ok_or_else(|| BodyError::NoTemplate(name.clone()))?;
        let storage = template
            .pointer_mut("/spec/resources/requests/storage")
            .ok_or(BodyError::Missing("requests"))?;
        if larger(size, storage) {
            *storage = Value::from(size.as_str());
        }
    }
    Ok(())
}

/// Whether `size` is more than what stands there; a template is never lowered.
fn larger(size: &str, storage: &Value) -> bool {
    let text = storage.as_str().map_or_else(|| storage.to_string(), str::to_owned);
    let parse = |text: &str| text.parse::<stateward_core::object::Quantity>().ok();
    matches!((parse(size), parse(&text)), (Some(asked), Some(have)) if asked > have)
}

fn object<'m>(
    map: &'m mut Map<String, Value>,
    key: &'static str,
) -> Result<&'m mut Map<String, Value>, BodyError> {
    map.get_mut(key).and_then(Value::as_object_mut).ok_or(BodyError::Missing(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {
                "name": "db", "namespace": "prod", "uid": "A", "resourceVersion": "7",
                "generation": 3, "creationTimestamp": "2026-01-01T00:00:00Z",
                "managedFields": [{"manager": "helm"}],
                "labels": {"app": "db"}, "annotations": {"team": "a"},
                "ownerReferences": [{"kind": "ConfigMap", "uid": "C"}],
                "finalizers": ["orphan", "example.com/keep"],
            },
            "spec": {
                "replicas": 3, "serviceName": "db",
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": []}},
                "volumeClaimTemplates": [
                    {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "10Gi"}}}},
                    {"metadata": {"name": "log"}, "spec": {"resources": {"requests": {"storage": "5Gi"}}}},
                ],
            },
            "status": {"replicas": 3},
        })
    }

    fn asked(sizes: &[(&str, &str)]) -> BTreeMap<String, String> {
        sizes.iter().map(|(name, size)| ((*name).to_owned(), (*size).to_owned())).collect()
    }

    #[test]
    fn what_is_created_is_the_snapshot_but_for_what_the_window_needs() {
        let set = body(&snapshot(), &asked(&[("data", "20Gi")]), "R/A", 4).unwrap();
        let mut expected = snapshot();
        expected.as_object_mut().unwrap().remove("status");
        let metadata = expected["metadata"].as_object_mut().unwrap();
        for field in ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"]
        {
            metadata.remove(field);
        }
        expected["metadata"]["annotations"][RESIZE_ID] = "R/A".into();
        expected["metadata"]["annotations"][RESIZE_UNFINISHED] = "R/A".into();
        expected["metadata"]["finalizers"] = json!(["example.com/keep"]);
        expected["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] = "Retain".into();
        expected["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 4.into();
        expected["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] =
            "20Gi".into();
        assert_eq!(set, expected);
    }

    #[test]
    fn no_sizes_keep_the_old_template() {
        let set = body(&snapshot(), &BTreeMap::new(), "R/A", 4).unwrap();
        assert_eq!(set["spec"]["volumeClaimTemplates"], snapshot()["spec"]["volumeClaimTemplates"]);
    }

    #[test]
    fn a_template_is_never_lowered() {
        let set = body(&snapshot(), &asked(&[("data", "1Gi")]), "R/A", 4).unwrap();
        let storage = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
        assert_eq!(set.pointer(storage).unwrap(), "10Gi");
    }

    #[test]
    fn an_on_delete_set_gets_no_partition() {
        let mut snapshot = snapshot();
        snapshot["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
        let set = body(&snapshot, &BTreeMap::new(), "R/A", 4).unwrap();
        assert_eq!(set["spec"]["updateStrategy"], json!({"type": "OnDelete"}));
    }

    #[test]
    fn what_is_no_set_is_refused_by_name() {
        let none = BTreeMap::new();
        assert_eq!(body(&json!(3), &none, "R/A", 4), Err(BodyError::Missing("set")));
        assert_eq!(body(&json!({}), &none, "R/A", 4), Err(BodyError::Missing("metadata")));
        let error = body(&snapshot(), &asked(&[("wal", "9Gi")]), "R/A", 4).unwrap_err();
        assert_eq!(error.to_string(), "the snapshot has no claim template \"wal\"");
    }
}
