//! Equality as the API server sees it: on decoded, defaulted objects.
//!
//! `ValidateStatefulSetUpdate` and `ValidatePersistentVolumeClaimUpdate` compare internal objects
//! with `apiequality.Semantic.DeepEqual`: `1Gi` equals `1024Mi`, an absent list equals an empty
//! one, but an absent pointer differs from one to an empty value. The shapes below say which field
//! is which; unlike the server's message, the result names each field that differs.
//! Both objects stay text: what differs is decoded level by level, so that a comparison needs less
//! memory than its input.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::json::decode;
use super::{DecodeError, Pointer, Quantity, Raw, Text};

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
    /// the new value, `None` if it is absent
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
pub static CLAIM_SPEC: Shape = Shape::Struct(CLAIM_SPEC_FIELDS);

/// The fields of the `spec` of a claim.
pub const CLAIM_SPEC_FIELDS: &[(&str, Shape)] = &[
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
];

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

/// The most differences that one comparison reports. More are not worth reading, and an object
/// that differs in every field must not cost more than one that differs in some.
pub const MOST: usize = 64;

/// The members of a JSON object, each as text.
pub type Members<'a> = BTreeMap<Text<'a>, Raw<'a>>;

/// The fields in which `old` and `new` differ, below the pointer `at`. Byte-equal parts are
/// skipped, and the others are decoded one level at a time.
///
/// # Errors
/// The place where a document is not JSON.
pub fn differences<'a>(
    old: Option<Raw<'a>>,
    new: Option<Raw<'a>>,
    shape: &Shape,
    at: &Pointer,
) -> Result<Vec<FieldDifference>, DecodeError> {
    let mut found = Vec::new();
    collect(present(old), present(new), shape, at, &mut found)?;
    Ok(found)
}

/// The same for two structs whose members are known.
///
/// # Errors
/// The place where a document is not JSON.
pub fn member_differences(
    old: &Members<'_>,
    new: &Members<'_>,
    fields: &[(&str, Shape)],
    at: &Pointer,
) -> Result<Vec<FieldDifference>, DecodeError> {
    let mut found = Vec::new();
    collect_fields(old, new, fields, at, &mut found)?;
    Ok(found)
}

fn present(value: Option<Raw<'_>>) -> Option<Raw<'_>> {
    value.filter(|value| value.get() != "null")
}

fn collect<'a>(
    old: Option<Raw<'a>>,
    new: Option<Raw<'a>>,
    shape: &Shape,
    at: &Pointer,
    found: &mut Vec<FieldDifference>,
) -> Result<(), DecodeError> {
    if old == new || found.len() >= MOST {
        return Ok(());
    }
    let equal = match shape {
        Shape::Text => both_equal(nonempty(old), nonempty(new), at)?,
        Shape::DefaultText(default) => {
            let or_default = |value| nonempty(value).map_or_else(|| (*default).to_owned(), shown);
            or_default(old) == or_default(new)
        }
        Shape::Optional | Shape::Opaque => both_equal(old, new, at)?,
        Shape::OptionalDefault(default) => {
            let or_default =
                |value: Option<Raw<'_>>| value.map_or_else(|| (*default).to_owned(), shown);
            or_default(old) == or_default(new)
        }
        Shape::Quantity => match (old.and_then(quantity), new.and_then(quantity)) {
            (Some(old), Some(new)) => old.rounded_to_milli() == new.rounded_to_milli(),
            _ => both_equal(old, new, at)?,
        },
        // People read a list of words as one value.
        Shape::List(Shape::Text) => {
            let (olds, news) = (elements(old, at)?, elements(new, at)?);
            olds.len() == news.len() && all_equal(olds.iter().zip(&news), at, 0)?
        }
        Shape::List(element) => {
            let (olds, news) = (elements(old, at)?, elements(new, at)?);
            if olds.len() == news.len() {
                for (index, (old, new)) in olds.into_iter().zip(news).enumerate() {
                    if old != new {
                        let at = at.clone().index(index);
                        collect(present(Some(old)), present(Some(new)), element, &at, found)?;
                    }
                }
                return Ok(());
            }
            false
        }
        Shape::Map(value) => {
            let (olds, news) = (members(old, at)?, members(new, at)?);
            let keys: BTreeSet<&Text<'_>> = olds.keys().chain(news.keys()).collect();
            for key in keys {
                let (old, new) = (olds.get(key).copied(), news.get(key).copied());
                if old == new {
                    continue;
                }
                let at = at.clone().key(key);
                // A key with an empty value is present; a missing key is not.
                if old.is_some() == new.is_some() {
                    collect(present(old), present(new), value, &at, found)?;
                } else if found.len() < MOST {
                    found.push(difference(old, new, at));
                }
            }
            return Ok(());
        }
        Shape::OptionalStruct(_) if old.is_some() != new.is_some() => false,
        Shape::Struct(fields) | Shape::OptionalStruct(fields) => {
            return collect_fields(&members(old, at)?, &members(new, at)?, fields, at, found);
        }
    };
    if !equal {
        let mut difference = difference(old, new, at.clone());
        if let Shape::DefaultText(default) | Shape::OptionalDefault(default) = shape {
            // People are told the value in effect, even if it is not written.
            difference.old.get_or_insert_with(|| (*default).to_owned());
            difference.new.get_or_insert_with(|| (*default).to_owned());
        }
        found.push(difference);
    }
    Ok(())
}

fn collect_fields(
    old: &Members<'_>,
    new: &Members<'_>,
    fields: &[(&str, Shape)],
    at: &Pointer,
    found: &mut Vec<FieldDifference>,
) -> Result<(), DecodeError> {
    for (name, shape) in fields {
        let (old, new) = (old.get(*name).copied(), new.get(*name).copied());
        collect(present(old), present(new), shape, &at.clone().key(name), found)?;
    }
    Ok(())
}

/// The depth to which values without a shape are compared by meaning; below it, by their bytes.
const DEPTH: u32 = 64;

fn both_equal(
    old: Option<Raw<'_>>,
    new: Option<Raw<'_>>,
    at: &Pointer,
) -> Result<bool, DecodeError> {
    match (old, new) {
        (Some(old), Some(new)) => equal(old, new, at, 0),
        (old, new) => Ok(old.is_none() == new.is_none()),
    }
}

/// Whether two JSON values are equal, whatever their spelling. Only the members of one level are
/// held at a time.
fn equal(old: Raw<'_>, new: Raw<'_>, at: &Pointer, depth: u32) -> Result<bool, DecodeError> {
    if old == new {
        return Ok(true);
    }
    let first = |raw: Raw<'_>| raw.get().as_bytes().first().copied();
    match (first(old), first(new)) {
        _ if depth == DEPTH => Ok(false),
        (Some(b'{'), Some(b'{')) => {
            let (olds, news) = (members(Some(old), at)?, members(Some(new), at)?);
            Ok(olds.keys().eq(news.keys())
                && all_equal(olds.values().zip(news.values()), at, depth + 1)?)
        }
        (Some(b'['), Some(b'[')) => {
            let (olds, news) = (elements(Some(old), at)?, elements(Some(new), at)?);
            Ok(olds.len() == news.len() && all_equal(olds.iter().zip(&news), at, depth + 1)?)
        }
        (Some(b'{' | b'['), _) | (_, Some(b'{' | b'[')) => Ok(false),
        _ => {
            let scalar = |raw: Raw<'_>| decode::<Value>(raw.get(), at.as_str());
            Ok(scalar(old)? == scalar(new)?)
        }
    }
}

fn all_equal<'r, 'a: 'r>(
    pairs: impl Iterator<Item = (&'r Raw<'a>, &'r Raw<'a>)>,
    at: &Pointer,
    depth: u32,
) -> Result<bool, DecodeError> {
    for (old, new) in pairs {
        if !equal(*old, *new, at, depth)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn difference(old: Option<Raw<'_>>, new: Option<Raw<'_>>, field: Pointer) -> FieldDifference {
    FieldDifference { field, old: old.map(shown), new: new.map(shown) }
}

/// The longest list or object that is shown as people read it. Of a longer one, only the beginning
/// of its JSON is shown.
const SHOWN: usize = 4096;

/// A value as people read it: text without quotes, lists joined, labels as `key=value`, all else
/// as JSON.
pub fn shown(raw: Raw<'_>) -> String {
    let text = raw.get();
    let short = text.len() <= SHOWN || text.starts_with('"');
    if let Some(Ok(value)) = short.then(|| serde_json::from_str::<Value>(text)) {
        return plain(&value);
    }
    let end = (0..=SHOWN.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    format!("{}…", &text[..end.unwrap_or(0)])
}

/// A decoded value as people read it.
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

fn nonempty(value: Option<Raw<'_>>) -> Option<Raw<'_>> {
    value.filter(|value| value.get() != "\"\"")
}

fn quantity(raw: Raw<'_>) -> Option<Quantity> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(raw.get()).ok()?.trim().parse().ok(),
        b'-' | b'0'..=b'9' => raw.get().parse().ok(),
        _ => None,
    }
}

/// The elements of a list; none if the value is no list.
///
/// # Errors
/// The place where the document is not JSON.
pub fn elements<'a>(value: Option<Raw<'a>>, at: &Pointer) -> Result<Vec<Raw<'a>>, DecodeError> {
    match value {
        Some(raw) if raw.get().starts_with('[') => decode(raw.get(), at.as_str()),
        _ => Ok(Vec::new()),
    }
}

/// The members of an object; none if the value is no object.
///
/// # Errors
/// The place where the document is not JSON.
pub fn members<'a>(value: Option<Raw<'a>>, at: &Pointer) -> Result<Members<'a>, DecodeError> {
    match value {
        Some(raw) if raw.get().starts_with('{') => decode(raw.get(), at.as_str()),
        _ => Ok(Members::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(old: &Value, new: &Value, shape: &Shape) -> Vec<String> {
        let (old, new) = (old.to_string(), new.to_string());
        differences(Some(Raw(&old)), Some(Raw(&new)), shape, &Pointer::default())
            .unwrap()
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
            Some(Raw(r#"{"accessModes": ["ReadWriteOnce"]}"#)),
            Some(Raw(r#"{"accessModes": ["ReadWriteMany"]}"#)),
            &CLAIM_SPEC,
            &Pointer::default(),
        )
        .unwrap();
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

    #[test]
    fn the_spelling_of_an_opaque_value_does_not_count() {
        let same =
            |old: &str, new: &str| equal(Raw(old), Raw(new), &Pointer::default(), 0).unwrap();
        assert!(same(r#"{"a":[1,"b"],"c":null}"#, r#"{ "c": null, "\u0061": [1, "\u0062"] }"#));
        for (old, new) in
            [("[1]", "[1,1]"), ("{}", "[]"), ("1", "{}"), (r#"{"a":1}"#, r#"{"b":1}"#)]
        {
            assert!(!same(old, new), "{old} {new}");
        }
        let deep = |inner: &str| "[".repeat(100_000) + inner + &"]".repeat(100_000);
        let (one, two) = (deep("1"), deep("2"));
        assert!(same(&one, &one) && !same(&one, &two));
    }

    #[test]
    fn a_comparison_reports_a_limited_number_of_differences() {
        let labels = |value: &str| {
            let pairs: Vec<String> = (0..1000).map(|n| format!("\"l{n}\":\"{value}\"")).collect();
            format!("{{\"labels\":{{{}}}}}", pairs.join(","))
        };
        let (old, new) = (labels("a"), labels("b"));
        let found =
            differences(Some(Raw(&old)), Some(Raw(&new)), &OBJECT_META, &Pointer::default());
        assert_eq!(found.unwrap().len(), MOST);
    }
}
