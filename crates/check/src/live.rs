//! A manifest against the live object that it would be applied to.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The annotation in which `kubectl apply` keeps what it applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object that applying `new` to the live object `old` gives: a field that the manifest does not
/// name stays as it is, unless the last apply named it. `None` if `old` is no live object, or `new`
/// is one, too. Items of lists that Kubernetes merges by a key keep the fields that they leave out, such
/// as the defaults of a container. Every other list counts as one value, claim templates included.
pub(crate) fn applied(old: &str, new: &str) -> Option<String> {
    // Cheap, and right for nearly every manifest of a repository.
    if !old.contains("\"uid\"") {
        return None;
    }
    let (old, mut new): (Value, Value) = (parse(old)?, parse(new)?);
    if !is_live(&old) || is_live(&new) {
        return None;
    }
    let last = old["metadata"]["annotations"][LAST_APPLIED].as_str().and_then(parse);
    let last = last.unwrap_or(Value::Null);
    keep(&old["spec"], member(&mut new, "spec")?, &last["spec"]);
    let metadata = member(&mut new, "metadata")?;
    for key in ["annotations", "finalizers", "labels", "ownerReferences"] {
        let (old, last) = (&old["metadata"][key], &last["metadata"][key]);
        match metadata.get_mut(key) {
            Some(new) => keep(old, new, last),
            None if last.is_null() && !old.is_null() => {
                metadata.as_object_mut()?.insert(key.to_owned(), old.clone());
            }
            None => {}
        }
    }
    serde_json::to_string(&new).ok()
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

fn is_live(object: &Value) -> bool {
    let metadata = &object["metadata"];
    metadata["uid"].is_string() && metadata["resourceVersion"].is_string()
}

fn member<'v>(object: &'v mut Value, key: &str) -> Option<&'v mut Value> {
    let members = object.as_object_mut()?;
    Some(members.entry(key).or_insert_with(|| Value::Object(Map::new())))
}

/// Takes members over that `new` lacks and the last apply did not name.
fn keep(old: &Value, new: &mut Value, last: &Value) {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return };
    for (key, value) in old {
        match new.get_mut(key) {
            Some(member) => match merge_key(key) {
                Some(by) => keep_items(value, member, &last[key], by),
                None => keep(value, member, &last[key]),
            },
            None if last[key].is_null() => {
                new.insert(key.clone(), value.clone());
            }
            None => {}
        }
    }
}

/// The field by which Kubernetes merges the items of a list (`patchMergeKey` of its API).
fn merge_key(list: &str) -> Option<&'static str> {
    Some(match list {
        "containers" | "initContainers" | "volumes" | "env" => "name",
        "ports" => "containerPort",
        _ => return None,
    })
}

/// The fields of list items that the API server fills in.
const FILLED_IN: [&str; 5] = [
    "imagePullPolicy",
    "protocol",
    "resources",
    "terminationMessagePath",
    "terminationMessagePolicy",
];

/// Takes over what the API server filled in. Other fields of items, and items that the list does not
/// name, go: whoever applied them takes them back, whichever tool that was.
fn keep_items(old: &Value, new: &mut Value, last: &Value, by: &str) {
    let (Value::Array(old), Value::Array(new)) = (old, new) else { return };
    let keyed = |items: &[Value]| -> BTreeMap<String, usize> {
        let keys = items.iter().enumerate();
        keys.filter_map(|(at, item)| Some((item.get(by)?.to_string(), at))).collect()
    };
    let last = last.as_array().map_or(&[][..], Vec::as_slice);
    let (olds, lasts) = (keyed(old), keyed(last));
    for item in new {
        let Some(key) = item.get(by).map(Value::to_string) else { continue };
        if let Some(at) = olds.get(&key) {
            let last = lasts.get(&key).map_or(&Value::Null, |at| &last[*at]);
            let mut old = old[*at].clone();
            let is_kept = |key: &str| FILLED_IN.contains(&key) || item.get(key).is_some();
            if let Some(old) = old.as_object_mut() {
                old.retain(|key, _| is_kept(key));
            }
            keep(&old, item, last);
        }
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "a test builds what it passes")]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(old: Value, new: Value) -> Option<Value> {
        super::applied(&old.to_string(), &new.to_string()).map(|text| parse(&text).unwrap())
    }

    fn live(spec: Value, last: Option<Value>) -> Value {
        let mut metadata = json!({"name": "a", "uid": "1", "resourceVersion": "2"});
        if let Some(last) = last {
            metadata["annotations"] = json!({ LAST_APPLIED: last.to_string() });
        }
        json!({"metadata": metadata, "spec": spec, "status": {"phase": "Bound"}})
    }

    fn manifest(spec: Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn fields_that_nobody_applied_stay() {
        let old = live(json!({"volumeName": "v", "size": 1, "deep": {"a": 1, "b": [1]}}), None);
        let new = manifest(json!({"size": 2, "deep": {"b": []}}));
        let spec = json!({"volumeName": "v", "size": 2, "deep": {"a": 1, "b": []}});
        let applied = applied(old, new).unwrap();
        assert_eq!(applied["spec"], spec);
        assert_eq!(applied["metadata"], json!({"name": "a"}));
        assert_eq!(applied["status"], Value::Null);
    }

    #[test]
    fn a_field_of_the_last_apply_that_is_left_out_is_removed() {
        let old = live(
            json!({"replicas": 12, "class": "fast", "deep": {"a": 1, "b": 1}}),
            Some(manifest(json!({"class": "fast", "deep": {"a": 1}}))),
        );
        let applied = applied(old, manifest(json!({"deep": {}}))).unwrap();
        assert_eq!(applied["spec"], json!({"replicas": 12, "deep": {"b": 1}}));
    }

    #[test]
    fn labels_and_annotations_of_others_stay() {
        let mut old = live(json!({}), None);
        old["metadata"]["labels"] = json!({"a": "1", "b": "2"});
        old["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
        let mut new = manifest(json!({}));
        new["metadata"]["labels"] = json!({"a": "3"});
        let applied = applied(old, new).unwrap();
        assert_eq!(applied["metadata"]["labels"], json!({"a": "3", "b": "2"}));
        assert_eq!(applied["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    }

    #[test]
    fn two_manifests_or_two_live_objects_are_compared_as_they_are() {
        let old = live(json!({"volumeName": "v"}), None);
        assert_eq!(applied(old.clone(), old.clone()), None);
        assert_eq!(applied(manifest(json!({"uid": "x"})), manifest(json!({}))), None);
    }

    #[test]
    fn the_defaults_of_a_container_are_no_change() {
        let container = |more: Value| {
            let mut container =
                json!({"name": "db", "image": "db:1", "ports": [{"containerPort": 5432}]});
            container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            container
        };
        let spec = |containers: Value| json!({"template": {"spec": {"containers": containers}}});
        let defaults = json!({
            "imagePullPolicy": "IfNotPresent",
            "ports": [{"containerPort": 5432, "protocol": "TCP"}],
        });
        let mut before = defaults.clone();
        before["args"] = json!(["--data", "/data2"]);
        let helper = json!({"name": "helper", "image": "h"});
        let old = live(spec(json!([container(before), helper])), None);
        let new = json!({"metadata": {"name": "a"}, "spec": spec(json!([container(json!({}))]))});
        let applied = applied(old, new).unwrap();
        let containers = &applied["spec"]["template"]["spec"]["containers"];
        assert_eq!(*containers, json!([container(defaults)]), "args and the other container go");
    }

    #[test]
    fn claim_templates_count_as_one_value() {
        let spec = |templates: Value| json!({"volumeClaimTemplates": templates});
        let old = live(spec(json!([{"metadata": {"name": "data"}, "spec": {"x": 1}}])), None);
        let new = json!({"spec": spec(json!([{"metadata": {"name": "data"}}]))});
        let applied = applied(old, new).unwrap();
        assert_eq!(applied["spec"], spec(json!([{"metadata": {"name": "data"}}])));
    }
}
