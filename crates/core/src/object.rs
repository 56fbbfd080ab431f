//! Borrowed views of the objects that rules read.
//!
//! A view holds what rules need and skips unknown fields. Text is borrowed from the document, and
//! large fields ([`LazyField`]) are decoded only when a rule asks for them. Two byte-equal fields are
//! equal without being decoded, because one encoder writes both objects of a review.

pub mod anti_affinity;
pub mod claim;
pub mod compare;
pub mod immutable;
pub mod json;
pub mod kind;
pub mod metadata;
pub mod names;
pub mod pod;
pub mod pod_default;
pub mod pointer;
pub mod quantity;
pub mod scale;
pub mod selector;
pub mod serde_messages;
pub mod snapshot;
pub mod statefulset;
pub mod validate;
pub mod volume;

use serde::Deserialize;

pub use self::claim::Claim;
pub use self::json::{DecodeError, LazyField, Raw, Text, TextMap};
pub use self::kind::{KINDS, Kind, KindInfo};
pub use self::metadata::Metadata;
pub use self::pod::PodTemplate;
pub use self::pod_default::PodDefault;
pub use self::pointer::Pointer;
pub use self::quantity::Quantity;
pub use self::scale::Scale;
pub use self::snapshot::Snapshot;
pub use self::statefulset::StatefulSet;
pub use self::volume::Volume;

/// The head of any Kubernetes object: what is read before its kind matters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Object<'a> {
    /// `apiVersion`, empty where the document has none
    #[serde(borrow, default)]
    pub api_version: Text<'a>,
    /// `kind`, empty where the document has none
    #[serde(borrow, default)]
    pub kind: Text<'a>,
    /// `metadata`
    #[serde(borrow, default)]
    pub metadata: Metadata<'a>,
    /// `spec`, not yet decoded
    #[serde(borrow, default)]
    pub spec: Option<Raw<'a>>,
    /// `status`, not yet decoded
    #[serde(borrow, default)]
    pub status: Option<Raw<'a>>,
}

impl<'a> Object<'a> {
    /// Reads the head of a JSON document.
    ///
    /// # Errors
    /// Names the first field of `metadata` (or `kind`, `apiVersion`) that has the wrong type.
    pub fn decode(document: &'a str) -> Result<Self, DecodeError> {
        json::decode(document, "")
    }

    /// The JSON text at `field`, which is below `/spec`.
    ///
    /// # Errors
    /// The place where the document is not JSON.
    pub fn value_at(&self, field: &Pointer) -> Result<Option<Raw<'a>>, DecodeError> {
        match (self.spec, field.as_str().strip_prefix("/spec")) {
            (Some(spec), Some(below)) => json::value_at(spec, &below.into()),
            _ => Ok(None),
        }
    }
}
