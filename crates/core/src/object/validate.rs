//! Values that the API server's validation rejects, whatever the old object holds.
//!
//! Source: `ValidateStatefulSetSpec`, `ValidatePersistentVolumeClaimSpec` and what they call, of
//! Kubernetes 1.36. `validate::pod` lists the fields of the pod template that are checked.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

mod claim;
mod pod;
mod selector;
mod set;

use self::claim::claim_template;
pub use self::claim::{claim, introduced_in_claim};
use self::selector::selector_terms;
pub use self::set::{created, introduced};
use super::names::{is_dns_label, is_label_value, is_qualified_name};
use super::{Metadata, Pointer, TextMap};
use crate::text::cut;

/// The part of an object that has the error. It decides when the server checks it, and which rule
/// reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// labels and annotations of the object
    Metadata,
    /// `metadata.name` and `metadata.namespace`, checked on CREATE
    Name,
    /// `spec.serviceName`, checked on CREATE
    ServiceName,
    /// `spec.selector`
    Selector,
    /// `updateStrategy.type: Recreate`
    Recreate,
    /// other fields of the spec, and those of the pod template that are checked on every UPDATE
    Spec,
    /// a claim template, checked on CREATE
    ClaimTemplate,
    /// a mount or device that names no volume
    Mount,
    /// the rest of the pod template, checked only if the old set was valid
    Pod,
}

/// A value that the server rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationError {
    /// where it is
    pub area: Area,
    /// the field
    pub field: Pointer,
    /// the value, if the field has one
    pub value: Option<String>,
    /// the error with its value, as the rest of a sentence that begins with the object's name
    pub what: String,
    /// what to write instead: "set … to …"
    pub instead: String,
}

impl ValidationError {
    /// The error with texts that can be kept once for each error, whatever they quote.
    fn short(self) -> Self {
        Self {
            area: self.area,
            field: self.field.nameable(),
            value: self.value.map(|value| cut(value, VALUE)),
            what: cut(self.what, WHAT),
            instead: cut(self.instead, INSTEAD),
        }
    }
}

/// The longest value that an error keeps, in bytes.
const VALUE: usize = 1024;

/// The longest description of an error, in bytes.
const WHAT: usize = 512;

/// The longest description of what to write instead, in bytes. A finding leaves out such a step.
const INSTEAD: usize = 2048;

/// The most errors that are kept: nobody corrects more at once, and an object that is wrong
/// everywhere must not cost more memory than one that is wrong somewhere.
const MOST: usize = 64;

/// Collects the first errors that count.
#[derive(Debug, Default)]
struct Errors {
    list: Vec<ValidationError>,
    /// how many were found, those that do not count included
    count: usize,
    /// what comes before every `what`
    prefix: String,
    /// errors of the old object, which do not count
    known: BTreeSet<u64>,
    /// whether errors are only added to `known`
    learns: bool,
    /// areas whose errors do not count
    ignored: Vec<Area>,
}

impl Errors {
    /// Learns the errors of an old object.
    fn of_old() -> Self {
        Self { learns: true, ..Self::default() }
    }

    /// Collects the errors that `old` does not have, outside the `ignored` areas.
    fn besides(old: Self, ignored: Vec<Area>) -> Self {
        Self { known: old.known, ignored, ..Self::default() }
    }

    fn push(&mut self, mut error: ValidationError) {
        self.count += 1;
        error.what = format!("{}{}", self.prefix, error.what);
        // An old object may have any number of errors: a number stands for each.
        let mut hasher = DefaultHasher::new();
        (&error.field, &error.value, &error.what).hash(&mut hasher);
        let fingerprint = hasher.finish();
        if self.learns {
            self.known.insert(fingerprint);
        } else if self.list.len() < MOST
            && !self.ignored.contains(&error.area)
            && !self.known.contains(&fingerprint)
        {
            // The fingerprint is that of the whole texts: two of them may begin alike.
            self.list.push(error.short());
        }
    }
}

/// A value as quoted in a sentence: short, and on one line.
fn shown(value: &str) -> String {
    let short = match value.char_indices().nth(32) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", &value[..end]),
    };
    if short.is_empty() || short.contains(char::is_whitespace) {
        format!("{short:?}")
    } else {
        short
    }
}

/// The most bytes that the keys and values of all annotations may have together.
const ANNOTATION_BYTES: usize = 256 << 10;

/// Errors of a new object's name, apart from its form, and of its namespace. They are the same for
/// every kind. An absent namespace comes from the request.
fn identity(metadata: &Metadata<'_>, errors: &mut Errors) {
    if metadata.name.is_empty() && metadata.generate_name.is_empty() {
        errors.push(ValidationError {
            area: Area::Name,
            field: "/metadata/name".into(),
            value: None,
            what: "name or generateName is required".to_owned(),
            instead: "set metadata.name".to_owned(),
        });
    }
    let namespace = &metadata.namespace;
    if !namespace.is_empty() && !is_dns_label(namespace) {
        errors.push(ValidationError {
            area: Area::Name,
            field: "/metadata/namespace".into(),
            value: Some(namespace.to_string()),
            what: format!("{} is no name of a namespace", shown(namespace)),
            instead: "name it in lower-case letters, digits and '-', 63 characters at most"
                .to_owned(),
        });
    }
}

fn metadata(metadata: &Metadata<'_>, errors: &mut Errors) {
    labels(&metadata.labels, &"/metadata/labels".into(), Area::Metadata, errors);
    annotations(&metadata.annotations, &"/metadata/annotations".into(), Area::Metadata, errors);
}

fn labels(map: &TextMap<'_>, at: &Pointer, area: Area, errors: &mut Errors) {
    for (key, value) in map.iter() {
        let field = || at.clone().key(key);
        if !is_qualified_name(key) {
            errors.push(ValidationError {
                area,
                value: Some(value.to_owned()),
                what: format!("{} is no label key", shown(key)),
                instead: format!("name the label {} otherwise: [prefix/]name", shown(key)),
                field: field(),
            });
        } else if !is_label_value(value) {
            errors.push(ValidationError {
                area,
                value: Some(value.to_owned()),
                what: format!("{} is no label value, for {}", shown(value), shown(key)),
                instead: format!(
                    "set {} to at most 63 letters, digits, '-', '_' or '.'",
                    field().dotted()
                ),
                field: field(),
            });
        }
    }
}

fn annotations(map: &TextMap<'_>, at: &Pointer, area: Area, errors: &mut Errors) {
    for key in map.keys() {
        // Unlike a label key, an annotation key may have capitals in its prefix.
        if !is_qualified_name(&key.to_lowercase()) {
            errors.push(ValidationError {
                area,
                field: at.clone().key(key),
                value: map.get(key).map(str::to_owned),
                what: format!("{} is no annotation key", shown(key)),
                instead: format!("name the annotation {} otherwise: [prefix/]name", shown(key)),
            });
        }
    }
    let bytes: usize = map.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ANNOTATION_BYTES {
        errors.push(ValidationError {
            area,
            field: at.clone(),
            value: None,
            what: format!("its annotations have {bytes} bytes, more than {ANNOTATION_BYTES}"),
            instead: format!("keep {} below 256 KiB", at.dotted()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Object, StatefulSet};

    fn set(name: &str, spec: &str) -> String {
        format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{{{spec}}}}}"#)
    }

    fn decode(document: &str) -> StatefulSet<'_> {
        StatefulSet::decode(&Object::decode(document).unwrap()).unwrap()
    }

    const SOUND: &str = r#""selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":
        {"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}"#;

    #[test]
    fn a_name_of_64_characters_is_too_long() {
        for (length, errors) in [(63, 0), (64, 1)] {
            let document = set(&"a".repeat(length), SOUND);
            let found = created(&decode(&document), 36).unwrap();
            assert_eq!(found.len(), errors, "{found:?}");
            assert!(found.iter().all(|error| error.area == Area::Name));
        }
    }

    #[test]
    fn the_pod_template_is_left_alone_where_the_old_set_was_invalid() {
        let (sound, broken) = (set("s", SOUND), set("s", &SOUND.replace("\"i\"", "\"\"")));
        let worse = set("s", &SOUND.replace("\"i\"", "\"\"").replace("\"c\"", "\"C\""));
        let count =
            |old: &str, new: &str| introduced(&decode(old), &decode(new), 36).unwrap().len();
        assert_eq!(count(&sound, &broken), 1);
        assert_eq!(count(&sound, &worse), 2);
        assert_eq!(count(&broken, &worse), 0);
    }

    #[test]
    fn a_value_that_gets_worse_is_introduced() {
        let replicas = |count: i64| set("s", &format!("\"replicas\":{count},{SOUND}"));
        let count = |old: i64, new: i64| {
            introduced(&decode(&replicas(old)), &decode(&replicas(new)), 36).unwrap().len()
        };
        assert_eq!((count(1, -1), count(-1, -1), count(-1, -2), count(-1, 0)), (1, 0, 1, 0));
    }

    #[test]
    fn max_unavailable_is_validated_since_1_37() {
        let with = |value: &str| {
            set(
                "s",
                &format!(
                    r#""updateStrategy":{{"rollingUpdate":{{"maxUnavailable":{value}}}}},{SOUND}"#
                ),
            )
        };
        for (value, valid) in [
            ("1", true),
            ("2147483647", true),
            (r#""1%""#, true),
            (r#""100%""#, true),
            (r#""0100%""#, true),
            ("0", false),
            ("-1", false),
            (r#""0%""#, false),
            (r#""101%""#, false),
            (r#""200%""#, false),
            (r#""99999999999999999999%""#, false),
            (r#""-1%""#, false),
            (r#""+1%""#, false),
            (r#""1.5%""#, false),
            (r#""%""#, false),
            (r#""1""#, false),
            (r#""""#, false),
            ("null", true),
        ] {
            let document = with(value);
            let errors = |minor| created(&decode(&document), minor).unwrap().len();
            assert_eq!((errors(36), errors(37)), (0, usize::from(!valid)), "{value}");
            // On UPDATE only what the edit brings.
            let other = with("1");
            let brought = introduced(&decode(&other), &decode(&document), 37).unwrap();
            assert_eq!(brought.is_empty(), valid, "{value}");
            let kept = introduced(&decode(&document), &decode(&document), 37).unwrap();
            assert!(kept.is_empty(), "{value}");
        }
        // Beside OnDelete the whole of it is refused.
        let both = format!(
            r#""updateStrategy":{{"type":"OnDelete","rollingUpdate":{{"maxUnavailable":0}}}},{SOUND}"#
        );
        let document = set("s", &both);
        assert_eq!(created(&decode(&document), 37).unwrap().len(), 1);
        for value in ["true", "1.5", "99999999999", "[1]"] {
            let document = with(value);
            assert!(StatefulSet::decode(&Object::decode(&document).unwrap()).is_err(), "{value}");
        }
    }
}
