//! The JSON patch from one value to another, no longer than it has to be.

use serde_json::{Value, json};

use crate::object::Pointer;

/// Appends the operations that turn `old`, which is at `at`, into `new`. An element of a list that is
/// changed is first tested for its name, because the live list may have another order.
pub(super) fn differences(at: &Pointer, old: &Value, new: &Value, operations: &mut Vec<Value>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                operations.push(json!({"op": "remove", "path": at.clone().key(key)}));
            }
            for (key, value) in after {
                let at = at.clone().key(key);
                match before.get(key) {
                    Some(old) => differences(&at, old, value, operations),
                    None => operations.push(json!({"op": "add", "path": at, "value": value})),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if begin_alike(before, after) => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                if old != new {
                    let at = at.clone().index(index);
                    let name = at.clone().key("name");
                    operations.push(json!({"op": "test", "path": name, "value": old["name"]}));
                    differences(&at, old, new, operations);
                }
            }
            for index in (after.len()..before.len()).rev() {
                operations.push(json!({"op": "remove", "path": at.clone().index(index)}));
            }
            for (index, value) in after.iter().enumerate().skip(before.len()) {
                let at = at.clone().index(index);
                operations.push(json!({"op": "add", "path": at, "value": value}));
            }
        }
        _ => operations.push(json!({"op": "add", "path": at, "value": new})),
    }
}

/// If the shorter list has the elements with which the longer one begins, by name if they differ.
fn begin_alike(before: &[Value], after: &[Value]) -> bool {
    let alike = |old: &Value, new: &Value| {
        old == new || old["name"].is_string() && old["name"] == new["name"]
    };
    before.iter().zip(after).all(|(old, new)| alike(old, new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(old: &Value, new: &Value) -> Vec<String> {
        let mut operations = Vec::new();
        differences(&Pointer::from("/t"), old, new, &mut operations);
        let shown = |operation: &Value| {
            let text = |key: &str| operation[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("op"), text("path"), operation["value"])
        };
        operations.iter().map(shown).collect()
    }

    #[test]
    fn only_what_differs_is_patched() {
        let old = json!({"b": {"c": [1, 2], "d": 1}, "containers": [
            {"name": "db", "image": "db:1", "volumeMounts": [{"name": "data"}]}, {"name": "exporter"},
        ]});
        let mut new = old.clone();
        assert!(between(&old, &new).is_empty());
        new["containers"][0]["volumeMounts"] = json!([{"name": "data"}, {"name": "wal"}]);
        new["b"]["c"] = json!([1]);
        new["b"].as_object_mut().unwrap().remove("d");
        assert_eq!(
            between(&old, &new),
            [
                "remove /t/b/d null",
                "remove /t/b/c/1 null",
                r#"test /t/containers/0/name "db""#,
                r#"add /t/containers/0/volumeMounts/1 {"name":"wal"}"#,
            ]
        );
    }

    #[test]
    fn a_list_in_another_order_is_replaced() {
        let old = json!([{"name": "a"}, {"name": "b"}]);
        let new = json!([{"name": "b"}]);
        assert_eq!(between(&old, &new), [r#"add /t [{"name":"b"}]"#]);
        assert_eq!(between(&json!([1, 2]), &json!([2, 1])), ["add /t [2,1]"]);
        assert_eq!(between(&json!([{"c": 1}]), &json!([{"c": 2}])), [r#"add /t [{"c":2}]"#]);
    }
}
