//! Borrowed views of the objects that rules read.
//!
//! A view holds what rules need and skips unknown fields. Text is borrowed from the document, and
//! large fields ([`LazyField`]) are decoded only when a rule asks for them. Two byte-equal fields are
//! equal without being decoded, because one encoder writes both objects of a review.

pub mod claim;
pub mod compare;
pub mod immutable;
pub mod json;
pub mod metadata;
pub mod names;
pub mod pod;
pub mod pointer;
pub mod quantity;
pub mod scale;
pub mod selector;
pub mod serde_messages;
pub mod statefulset;
pub mod validate;

use serde::Deserialize;

pub use self::claim::Claim;
pub use self::json::{DecodeError, LazyField, Raw, Text, TextMap};
pub use self::metadata::Metadata;
pub use self::pod::PodTemplate;
pub use self::pointer::Pointer;
pub use self::quantity::Quantity;
pub use self::scale::Scale;
pub use self::statefulset::StatefulSet;

/// The kinds that rules know; every other kind is [`Kind::Other`] and is never judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `apps/v1` StatefulSet
    StatefulSet,
    /// `v1` PersistentVolumeClaim
    Claim,
    /// `autoscaling/v1` Scale of a StatefulSet
    Scale,
    /// anything else
    Other,
}

impl Kind {
    /// The kind that a group, a version and a kind name.
    pub fn of(group: &str, version: &str, kind: &str) -> Self {
        match (group, version, kind) {
            ("apps", "v1", "StatefulSet") => Self::StatefulSet,
            ("", "v1", "PersistentVolumeClaim") => Self::Claim,
            ("autoscaling", "v1", "Scale") => Self::Scale,
            _ => Self::Other,
        }
    }

    /// The kind that a manifest's `apiVersion` and `kind` name.
    pub fn of_manifest(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::of(group, version, kind)
    }

    /// The name as it stands in a manifest's `kind`, empty for [`Kind::Other`].
    pub const fn name(self) -> &'static str {
        match self {
            Self::StatefulSet => "StatefulSet",
            Self::Claim => "PersistentVolumeClaim",
            Self::Scale => "Scale",
            Self::Other => "",
        }
    }
}

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
