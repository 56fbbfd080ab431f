//! Equality as the API server sees it: on decoded, defaulted objects.
//!
//! `ValidateStatefulSetUpdate` and `ValidatePersistentVolumeClaimUpdate` compare internal objects
//! with `apiequality.Semantic.DeepEqual`: `1Gi` equals `1024Mi`, an absent list equals an empty
//! one, but an absent pointer differs from one to an empty value. The shapes below say which field
//! is which; unlike the server's message, the result names each field that differs.

use serde_json::Value;

use super::{Pointer, Quantity, Text};

/// What a field holds, as far as equality is concerned.
#[derive(Debug)]
pub enum Shape {
    /// a string; absent, `null` and `""` are the same
    Text,
    /// a string with a default for absent, `null` and `""`
    DefaultText(&'static str),
    /// a pointer to a string, a number or a boolean: absent differs from every value
    Optional,
    /// a pointer to a string that is defaulted when absent
    OptionalDefault(&'static str),
    /// a quantity, rounded up to a thousandth by the server's defaults
    Quantity,
    /// a list whose order counts
    List(&'static Self),
    /// a map
    Map(&'static Self),
    /// a struct; absent and `{}` are the same
    Struct(&'static [(&'static str, Self)]),
    /// a pointer to a struct: absent differs from `{}`
    OptionalStruct(&'static [(&'static str, Self)]),
    /// anything else, compared as it stands
    Opaque,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// the field
    pub field: Pointer,
    /// the old value, `None` where it was absent
    pub old: Option<String>,
    /// the new value, `None` where it is absent
    pub new: Option<String>,
}

/// A pointer to a label selector.
pub const LABEL_SELECTOR: Shape = Shape::OptionalStruct(&[
    ("matchLabels", Shape::Map(&Shape::Text)),
    (
        "matchExpressions",
        Shape::List(&Shape::Struct(&[
            ("key", Shape::Text),
            ("operator", Shape::Text),
            ("values", Shape::List(&Shape::Text)),
        ])),
    ),
]);

/// `metadata` of a claim template.
pub static OBJECT_META: Shape = Shape::Struct(&[
    ("name", Shape::Text),
    ("generateName", Shape::Text),
    ("namespace", Shape::Text),
    ("selfLink", Shape::Text),
    ("uid", Shape::Text),
    ("resourceVersion", Shape::Text),
    ("generation", Shape::DefaultText("0")),
    ("creationTimestamp", Shape::Text),
    ("deletionTimestamp", Shape::Optional),
    ("deletionGracePeriodSeconds", Shape::Optional),
    ("labels", Shape::Map(&Shape::Text)),
    ("annotations", Shape::Map(&Shape::Text)),
    (
        "ownerReferences",
        Shape::List(&Shape::Struct(&[
            ("apiVersion", Shape::Text),
            ("kind", Shape::Text),
            ("name", Shape::Text),
            ("uid", Shape::Text),
            ("controller", Shape::Optional),
            ("blockOwnerDeletion", Shape::Optional),
        ])),
    ),
    ("finalizers", Shape::List(&Shape::Text)),
    ("managedFields", Shape::List(&Shape::Opaque)),
]);

/// `spec` of a claim and of a claim template.
pub static CLAIM_SPEC: Shape = Shape::Struct(&[
    ("accessModes", Shape::List(&Shape::Text)),
    ("selector", LABEL_SELECTOR),
    (
        "resources",
        Shape::Struct(&[
            ("limits", Shape::Map(&Shape::Quantity)),
            ("requests", Shape::Map(&Shape::Quantity)),
        ]),
    ),
    ("volumeName", Shape::Text),
    ("storageClassName", Shape::Optional),
    ("volumeMode", Shape::OptionalDefault("Filesystem")),
    (
        "dataSource",
        Shape::OptionalStruct(&[
            ("apiGroup", Shape::Optional),
            ("kind", Shape::Text),
            ("name", Shape::Text),
        ]),
    ),
    (
        "dataSourceRef",
        Shape::OptionalStruct(&[
            ("apiGroup", Shape::Optional),
            ("kind", Shape::Text),
            ("name", Shape::Text),
            ("namespace", Shape::Optional),
        ]),
    ),
    ("volumeAttributesClassName", Shape::Optional),
]);

/// `status` of a claim template, which the server compares as well.
pub static CLAIM_STATUS: Shape = Shape::Struct(&[
    ("phase", Shape::DefaultText("Pending")),
    ("accessModes", Shape::List(&Shape::Text)),
    ("capacity", Shape::Map(&Shape::Quantity)),
    ("conditions", Shape::List(&Shape::Opaque)),
    ("allocatedResources", Shape::Map(&Shape::Quantity)),
    ("allocatedResourceStatuses", Shape::Map(&Shape::Text)),
    ("currentVolumeAttributesClassName", Shape::Optional),
    (
        "modifyVolumeStatus",
        Shape::OptionalStruct(&[
            ("targetVolumeAttributesClassName", Shape::Text),
            ("status", Shape::Text),
        ]),
    ),
]);

/// The fields in which `old` and `new` differ, below the pointer `at`.
pub fn differences(
    old: Option<&Value>,
    new: Option<&Value>,
    shape: &Shape,
    at: &Pointer,
) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    collect(present(old), present(new), shape, at, &mut found);
    found
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn collect(
    old: Option<&Value>,
    new: Option<&Value>,
    shape: &Shape,
    at: &Pointer,
    found: &mut Vec<FieldDifference>,
) {
    let equal = match shape {
        Shape::Text => nonempty(old) == nonempty(new),
        Shape::DefaultText(default) => {
            nonempty(old).map_or_else(|| (*default).to_owned(), plain)
                == nonempty(new).map_or_else(|| (*default).to_owned(), plain)
        }
        Shape::Optional | Shape::Opaque => old == new,
        Shape::OptionalDefault(default) => {
            old.map_or_else(|| (*default).to_owned(), plain)
                == new.map_or_else(|| (*default).to_owned(), plain)
        }
        Shape::Quantity => match (old.and_then(quantity), new.and_then(quantity)) {
            (Some(old), Some(new)) => old.rounded_to_milli() == new.rounded_to_milli(),
            _ => old == new,
        },
        // A list of words is one value to people.
        Shape::List(Shape::Text) => elements(old) == elements(new),
        Shape::List(element) => {
            let (olds, news) = (elements(old), elements(new));
            if olds.len() == news.len() {
                for (index, (old, new)) in olds.iter().zip(news).enumerate() {
                    collect_at(Some(old), Some(new), element, &at.clone().index(index), found);
                }
                return;
            }
            false
        }
        Shape::Map(value) => {
            let (olds, news) = (members(old), members(new));
            let mut keys: Vec<&str> = olds.iter().chain(&news).map(|(key, _)| *key).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let side = |members: &[(&str, &'_ Value)]| {
                    members.iter().find(|(k, _)| *k == key).map(|(_, value)| (*value).clone())
                };
                let (old, new) = (side(&olds), side(&news));
                let at = at.clone().key(key);
                // A key with an empty value is there; a key that is missing is not.
                if old.is_some() == new.is_some() {
                    collect_at(old.as_ref(), new.as_ref(), value, &at, found);
                } else {
                    found.push(difference(old.as_ref(), new.as_ref(), at));
                }
            }
            return;
        }
        Shape::OptionalStruct(_) if old.is_some() != new.is_some() => false,
        Shape::Struct(fields) | Shape::OptionalStruct(fields) => {
            for (name, shape) in *fields {
                let at = at.clone().key(name);
                collect_at(
                    old.and_then(|old| old.get(name)),
                    new.and_then(|new| new.get(name)),
                    shape,
                    &at,
                    found,
                );
            }
            return;
        }
    };
    if !equal {
        let mut difference = difference(old, new, at.clone());
        if let Shape::DefaultText(default) | Shape::OptionalDefault(default) = shape {
            // People are told the value that holds, not that none is written.
            difference.old.get_or_insert_with(|| (*default).to_owned());
            difference.new.get_or_insert_with(|| (*default).to_owned());
        }
        found.push(difference);
    }
}

fn collect_at(
    old: Option<&Value>,
    new: Option<&Value>,
    shape: &Shape,
    at: &Pointer,
    found: &mut Vec<FieldDifference>,
) {
    collect(present(old), present(new), shape, at, found);
}

fn difference(old: Option<&Value>, new: Option<&Value>, field: Pointer) -> FieldDifference {
    FieldDifference { field, old: old.map(plain), new: new.map(plain) }
}

/// A value as people read it: text without quotes, lists joined, labels as `key=value`, all else
/// as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().map(plain).collect::<Vec<_>>().join(",")
        }
        Value::Object(map) if !map.is_empty() && map.values().all(Value::is_string) => map
            .iter()
            .map(|(key, value)| format!("{key}={}", plain(value)))
            .collect::<Vec<_>>()
            .join(","),
        other => other.to_string(),
    }
}

fn nonempty(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| value.as_str() != Some(""))
}

fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => Text::from(number.to_string().as_str()).parse().ok(),
        _ => None,
    }
}

fn elements(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn members(value: Option<&Value>) -> Vec<(&str, &Value)> {
    value
        .and_then(Value::as_object)
        .map(|map| map.iter().map(|(key, value)| (key.as_str(), value)).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(old: &Value, new: &Value, shape: &Shape) -> Vec<String> {
        differences(Some(old), Some(new), shape, &Pointer::default())
            .into_iter()
            .map(|difference| difference.field.dotted())
            .collect()
    }

    #[test]
    fn equal_spellings_do_not_differ() {
        let old = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "volumeMode": "Filesystem"
        });
        let new = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1024Mi"}, "limits": {}},
            "volumeName": "",
            "selector": null
        });
        assert_eq!(fields(&old, &new, &CLAIM_SPEC), Vec::<String>::new());
    }

    #[test]
    fn pointers_tell_absent_from_empty() {
        assert_eq!(
            fields(&json!({}), &json!({"storageClassName": "", "selector": {}}), &CLAIM_SPEC),
            ["selector", "storageClassName"]
        );
    }

    #[test]
    fn lists_of_words_differ_as_a_whole() {
        let found = differences(
            Some(&json!({"accessModes": ["ReadWriteOnce"]})),
            Some(&json!({"accessModes": ["ReadWriteMany"]})),
            &CLAIM_SPEC,
            &Pointer::default(),
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].field.as_str(), "/accessModes");
        assert_eq!(found[0].new.as_deref(), Some("ReadWriteMany"));
    }

    #[test]
    fn map_entries_are_named() {
        assert_eq!(
            fields(
                &json!({"labels": {"a.b/c": "1", "same": "x"}}),
                &json!({"labels": {"a.b/c": "2", "same": "x", "new": ""}}),
                &OBJECT_META
            ),
            ["labels[a.b/c]", "labels.new"]
        );
    }
}
