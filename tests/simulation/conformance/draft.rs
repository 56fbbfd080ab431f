//! Requests that both sides can send, each with its own versions and UIDs.

use serde_json::Value;

/// A request whose body names versions and UIDs that each side has its own of.
#[derive(Debug)]
pub(super) struct Draft {
    pub label: String,
    pub method: &'static str,
    /// the path of the object that it is about
    pub object: String,
    pub path: String,
    pub content: String,
    pub body: Value,
}

impl Draft {
    /// The body, `live` being the object as it is.
    pub(super) fn resolve(&self, live: &Value) -> Value {
        if self.method == "PUT" && !self.body["$base"].is_null() {
            // The live object, with changes.
            let mut object = if live.is_null() { self.body["$base"].clone() } else { live.clone() };
            json_patch::merge(&mut object, &filled(&self.body["$change"], live));
            return object;
        }
        filled(&self.body, live)
    }
}

/// Puts in what `live` says for `$uid`, `$version` and an older version.
fn filled(body: &Value, live: &Value) -> Value {
    match body {
        Value::String(text) => match text.as_str() {
            "$uid" => live["metadata"]["uid"].clone(),
            "$version" => live["metadata"]["resourceVersion"].clone(),
            "$collected" => {
                let names = live["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
                let kept = |name: &Value| name != "orphan" && name != "foregroundDeletion";
                Value::Array(names.into_iter().filter(kept).collect())
            }
            _ => body.clone(),
        },
        Value::Array(list) => list.iter().map(|one| filled(one, live)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, one)| (key.clone(), filled(one, live))).collect())
        }
        _ => body.clone(),
    }
}
