//! The edits of a pack: a good set, and what the rules that read packs find in changes of it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The rules that read packs; the edits of a pack name what they find.
pub(crate) const READERS: &[&str] = &[
    "sts-dangerous-setting",
    "sts-data-mount-removed",
    "sts-data-moves-off-claim",
    "sts-data-not-on-claim",
    "sts-even-voters",
    "sts-identity-changed",
    "sts-image-upgrade",
    "sts-image-version",
    "sts-leftover-claims",
    "sts-member-count",
    "sts-pod-settings",
    "sts-pool-resized",
    "sts-rolling-restart",
    "sts-rwx-database",
    "sts-scale-below-minimum",
    "sts-scale-below-quorum",
    "sts-scale-down-multi",
    "sts-scale-down-steps",
    "sts-scale-up-from-one",
    "sts-system-changed",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/packs")
}

/// The good set of a pack, and its edits.
pub(crate) struct Edits {
    pub(crate) path: PathBuf,
    pub(crate) set: Value,
    pub(crate) all: Vec<Value>,
}

impl Edits {
    pub(crate) fn read(pack: &str) -> Self {
        let path = folder().join(pack).join("edits.yaml");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let document: Value = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let all = document["edits"].as_array().cloned().unwrap_or_default();
        Self { path, set: document["set"].clone(), all }
    }

    /// The set before an edit and after it. Where an edit begins with another set, `before` says in what
    /// it differs.
    pub(crate) fn sides(&self, edit: &Value) -> (Value, Value) {
        let changed = |object: &Value, changes: &Value| {
            let mut object = object.clone();
            for (pointer, value) in changes.as_object().into_iter().flatten() {
                self.set(&mut object, pointer, value);
            }
            object
        };
        let old = changed(&self.set, &edit["before"]);
        let new = changed(&old, &edit["change"]);
        (old, new)
    }

    fn set(&self, object: &mut Value, pointer: &str, value: &Value) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        // Maps on the way are made.
        let mut at = &mut *object;
        for token in parent.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            at = match at {
                Value::Array(items) => &mut items[token.parse::<usize>().unwrap()],
                Value::Object(members) => members.entry(token).or_insert_with(|| json!({})),
                other => panic!("{}: {pointer} leads through {other}", self.path.display()),
            };
        }
        match (at, value) {
            (Value::Object(members), Value::Null) => assert!(
                members.remove(&key).is_some(),
                "{}: nothing is at {pointer}",
                self.path.display()
            ),
            (Value::Object(members), value) => {
                members.insert(key, value.clone());
            }
            (Value::Array(items), value) if key == "-" => items.push(value.clone()),
            (Value::Array(items), Value::Null) => {
                items.remove(key.parse::<usize>().unwrap());
            }
            (Value::Array(items), value) => items[key.parse::<usize>().unwrap()] = value.clone(),
            (other, _) => panic!("{}: {pointer} is in {other}", self.path.display()),
        }
    }
}
