//! Text, maps and lazily decoded fields, borrowed from a JSON document.

use std::borrow::{Borrow, Cow};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Pointer;

/// A JSON string, borrowed unless it holds an escape.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Text<'_> {
    fn default() -> Self {
        Self::from("")
    }
}

/// A JSON value as it stands in its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(pub(crate) &'a str);

impl<'a> Raw<'a> {
    /// The JSON text.
    pub const fn get(self) -> &'a str {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'de RawValue>::deserialize(deserializer).map(|raw| Self(raw.get()))
    }
}

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, v: &'de str) -> Result<Text<'de>, E> {
                Ok(Text::from(v))
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }

            // Go reads null into a string as the empty string.
            fn visit_unit<E: de::Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

/// A JSON object whose values are strings: labels, annotations, `matchLabels`. If a key is
/// repeated, its last value counts, as in Go's decoder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextMap<'a>(BTreeMap<Text<'a>, Text<'a>>);

impl<'a> TextMap<'a> {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.get_text(key).map(Text::as_str)
    }

    /// The value of `key`, as it is borrowed.
    pub fn get_text(&self, key: &str) -> Option<&Text<'a>> {
        self.0.get(key)
    }

    /// Whether the map is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys in alphabetical order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(Text::as_str)
    }

    /// The pairs in the alphabetical order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TextMap<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;

        impl<'de> Visitor<'de> for MapVisitor {
            type Value = TextMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object whose values are strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextMap<'de>, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((key, value)) = map.next_entry()? {
                    pairs.insert(key, value);
                }
                Ok(TextMap(pairs))
            }

            fn visit_unit<E: de::Error>(self) -> Result<TextMap<'de>, E> {
                Ok(TextMap::default())
            }
        }

        deserializer.deserialize_any(MapVisitor)
    }
}

/// The value at the JSON pointer `field` of `document`, as text. Nothing else is decoded.
///
/// # Errors
/// The place where the document is not JSON.
pub fn value_at<'a>(document: Raw<'a>, field: &Pointer) -> Result<Option<Raw<'a>>, DecodeError> {
    let mut value = document.get();
    for token in field.tokens() {
        let next = match value.as_bytes().first() {
            Some(b'{') => decode::<BTreeMap<Text<'a>, Raw<'a>>>(value, "")?.remove(token.as_str()),
            Some(b'[') => match token.parse::<usize>() {
                Ok(index) => decode::<Vec<Raw<'a>>>(value, "")?.get(index).copied(),
                Err(_) => None,
            },
            _ => None,
        };
        let Some(next) = next else { return Ok(None) };
        value = next.get();
    }
    Ok(Some(Raw(value)))
}

/// Reads `null` as the default value, as Go's decoder does.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A field that does not hold what its kind says it holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field_prefix(field))]
pub struct DecodeError {
    /// where, as a pointer into the document
    pub field: Pointer,
    /// what is wrong with it
    pub message: String,
}

fn field_prefix(field: &Pointer) -> String {
    if field.as_str().is_empty() { String::new() } else { format!("{}: ", field.dotted()) }
}

/// Decodes `document`, which stands at `prefix` (a JSON pointer) of the whole object.
///
/// # Errors
/// The field that does not fit, or the place of the syntax error.
pub fn decode<'a, T: Deserialize<'a>>(document: &'a str, prefix: &str) -> Result<T, DecodeError> {
    serde_json::from_str(document).map_err(|first| {
        // The happy path does not pay for paths: they are found by decoding once more.
        let mut deserializer = serde_json::Deserializer::from_str(document);
        let (field, message) = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Ok(_) => (Pointer::from(prefix), first.to_string()),
            Err(error) => {
                let mut field = Pointer::from(prefix);
                for segment in error.path() {
                    match segment {
                        serde_path_to_error::Segment::Seq { index } => {
                            field = field.index(*index);
                        }
                        serde_path_to_error::Segment::Map { key } => field = field.key(key),
                        _ => {}
                    }
                }
                (field, error.inner().to_string())
            }
        };
        DecodeError { field, message: super::serde_messages::plain(&message).into_owned() }
    })
}

/// A field that is decoded when it is first read.
#[derive(Clone, Debug)]
pub struct LazyField<'a, T> {
    raw: Option<Raw<'a>>,
    at: &'static str,
    value: OnceCell<Result<T, DecodeError>>,
}

impl<'a, T: Deserialize<'a> + Default> LazyField<'a, T> {
    /// The field at the JSON pointer `at`.
    pub const fn new(raw: Option<Raw<'a>>, at: &'static str) -> Self {
        Self { raw, at, value: OnceCell::new() }
    }

    /// The decoded value. Absent and `null` read as the default.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn get(&self) -> Result<&T, DecodeError> {
        self.value
            .get_or_init(|| match self.raw.map(Raw::get) {
                None | Some("null") => Ok(T::default()),
                Some(raw) => decode(raw, self.at),
            })
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The JSON text of the field.
    pub fn raw(&self) -> Option<Raw<'a>> {
        self.raw
    }
}

impl<T> LazyField<'_, T> {
    /// Whether both fields have the same bytes, and hence are equal.
    pub fn same_bytes<U>(&self, other: &LazyField<'_, U>) -> bool {
        self.raw == other.raw
    }
}
