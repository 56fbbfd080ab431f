//! What of an answer must be the same on both sides.

use serde_json::{Value, json};

use super::Answer;

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

/// An answer without names, times and versions of its own; `before` is the object's version before
/// the request.
pub(super) fn shape(answer: &Answer, before: Option<&str>) -> Value {
    let body = &answer.body;
    if answer.code >= 300 {
        return json!({"code": answer.code, "reason": body["reason"]});
    }
    let metadata = &body["metadata"];
    let names = |list: &Value, key: Option<&str>| {
        let list = list.as_array().into_iter().flatten();
        let name = |value: &Value| key.map_or(value, |key| &value[key]).as_str().map(str::to_owned);
        sorted(list.filter_map(name).collect())
    };
    let own = metadata["managedFields"].as_array().into_iter().flatten();
    let managers: Vec<String> = own
        .filter(|entry| entry["subresource"].is_null())
        .filter_map(|entry| entry["manager"].as_str().map(str::to_owned))
        .collect();
    let is_set = body["kind"] == "StatefulSet";
    let templates = body["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
    let sizes: Vec<&Value> =
        templates.map(|one| &one["spec"]["resources"]["requests"]["storage"]).collect();
    json!({
        "code": answer.code,
        "kind": body["kind"],
        // The first write of a claim changes it on a real server even where it says nothing new.
        "changed": body["kind"] != "PersistentVolumeClaim" && before.is_some_and(|before| metadata["resourceVersion"] != before),
        "generation": if is_set { metadata["generation"].clone() } else { Value::Null },
        "going": !metadata["deletionTimestamp"].is_null(),
        "finalizers": names(&metadata["finalizers"], None),
        "owners": names(&metadata["ownerReferences"], Some("name")),
        "labels": metadata["labels"],
        "annotations": metadata["annotations"],
        "managers": if is_set { sorted(managers) } else { Vec::new() },
        "sizes": sizes,
        "replicas": body["spec"]["replicas"],
        "retention": body["spec"]["persistentVolumeClaimRetentionPolicy"],
        "strategy": body["spec"]["updateStrategy"],
        "request": body["spec"]["resources"],
        "targets": body["spec"]["targets"],
        "phase": body["status"]["phase"],
        "capacity": body["status"]["capacity"],
    })
}
