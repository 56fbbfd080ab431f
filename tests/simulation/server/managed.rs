//! Who owns which field, coarsely: lists are one field, and there is no apply.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

type Leaves = BTreeSet<Vec<String>>;

/// The fields that managers own, as paths.
fn leaves(object: &Value, status: bool) -> Leaves {
    let mut found = Leaves::new();
    if status {
        walk(&object["status"], &mut vec!["status".to_owned()], &mut found);
    } else {
        walk(&object["spec"], &mut vec!["spec".to_owned()], &mut found);
    }
    // A status may be written with other metadata.
    for part in ["labels", "annotations"] {
        let mut at = vec!["metadata".to_owned(), part.to_owned()];
        walk(&object["metadata"][part], &mut at, &mut found);
    }
    for name in object["metadata"]["finalizers"].as_array().into_iter().flatten() {
        for item in [".", name.as_str().unwrap_or_default()] {
            found.insert(["metadata", "finalizers", item].map(str::to_owned).to_vec());
        }
    }
    found
}

fn walk(value: &Value, at: &mut Vec<String>, found: &mut Leaves) {
    match value {
        Value::Null => {}
        Value::Object(map) if !map.is_empty() => {
            if at.len() > 1 {
                // A map has an owner of its own: whoever made it.
                found.insert([at.as_slice(), &[".".to_owned()]].concat());
            }
            for (key, value) in map {
                at.push(key.clone());
                walk(value, at, found);
                at.pop();
            }
        }
        _ => {
            found.insert(at.clone());
        }
    }
}

fn at<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

fn fields(owned: &Leaves) -> Value {
    let mut root = json!({});
    for path in owned {
        let mut place = &mut root;
        for key in path {
            place = &mut place[format!("f:{key}")];
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
        }
    }
    root
}

fn owned(entry: &Value) -> Leaves {
    fn walk(value: &Value, at: &mut Vec<String>, found: &mut Leaves) {
        let Some(map) = value.as_object() else { return };
        if map.is_empty() {
            found.insert(at.clone());
        }
        for (key, value) in map {
            at.push(key.trim_start_matches("f:").to_owned());
            walk(value, at, found);
            at.pop();
        }
    }
    let mut found = Leaves::new();
    walk(&entry["fieldsV1"], &mut Vec::new(), &mut found);
    found
}

/// Writes `managedFields` of `after`, where `manager` made it of `before`.
pub(crate) fn track(
    before: Option<&Value>,
    after: &mut Value,
    manager: &str,
    status: bool,
    now: &str,
) {
    let (old, new) =
        (before.map(|before| leaves(before, status)).unwrap_or_default(), leaves(after, status));
    let changed = |path: &&Vec<String>| {
        let itself = path.last().is_some_and(|key| key == ".");
        let finalizer = path.get(1).is_some_and(|key| key == "finalizers");
        if itself || finalizer {
            return !old.contains(*path);
        }
        before.and_then(|before| at(before, path)) != at(after, path) || !old.contains(*path)
    };
    let taken: Leaves = new.iter().filter(changed).cloned().collect();
    let gone: Leaves = old.difference(&new).cloned().collect();
    if taken.is_empty() && gone.is_empty() {
        return;
    }
    let subresource = if status { "status" } else { "" };
    let mut entries: Vec<(String, String, Value, Leaves)> = Vec::new();
    for entry in after["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let mut left = owned(entry);
        left.retain(|path| !taken.contains(path) && !gone.contains(path));
        entries.push((text("manager"), text("subresource"), entry.clone(), left));
    }
    let mine = entries.iter_mut().find(|entry| entry.0 == manager && entry.1 == subresource);
    if let Some(mine) = mine {
        mine.3.extend(taken);
        mine.2["time"] = now.into();
    } else if !taken.is_empty() {
        let mut entry = json!({
            "manager": manager, "operation": "Update", "apiVersion": after["apiVersion"],
            "time": now, "fieldsType": "FieldsV1",
        });
        if status {
            entry["subresource"] = subresource.into();
        }
        entries.push((manager.to_owned(), subresource.to_owned(), entry, taken));
    }
    let entries = entries.into_iter().filter(|entry| !entry.3.is_empty());
    let written = entries.map(|(_, _, mut entry, owned)| {
        entry["fieldsV1"] = fields(&owned);
        entry
    });
    after["metadata"]["managedFields"] = Value::Array(written.collect());
}
