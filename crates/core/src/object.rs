//! Borrowed views of the objects that rules read.
//!
//! A view holds what rules need and nothing else; unknown fields are passed over. Text is
//! borrowed from the document, large parts ([`Part`]) are decoded only when a rule asks for them,
//! and two byte-equal parts are known to be equal without being decoded: a review's old and new
//! object come from one encoder.

pub mod claim;
pub mod compare;
pub mod fault;
pub mod immutable;
pub mod json;
pub mod kind;
pub mod metadata;
pub mod names;
pub mod outline;
pub mod pod;
pub mod pointer;
pub mod quantity;
pub mod reason;
pub mod scale;
pub mod selector;
pub mod statefulset;
pub mod walk;

use serde::Deserialize;

pub use self::claim::Claim;
pub use self::json::{DecodeError, Part, Raw, Text, TextMap};
pub use self::kind::{KINDS, Kind, KindInfo};
pub use self::metadata::Metadata;
pub use self::outline::Outline;
pub use self::pod::PodTemplate;
pub use self::pointer::Pointer;
pub use self::quantity::Quantity;
pub use self::scale::Scale;
pub use self::statefulset::StatefulSet;
use self::walk::{Members, Walk};

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
    /// the members of `spec`, where they were passed anyway
    #[serde(skip)]
    spec_members: Option<Members<'a>>,
}

impl<'a> Object<'a> {
    /// Reads the head of a JSON document.
    ///
    /// # Errors
    /// Names the first field of `metadata` (or `kind`, `apiVersion`) that has the wrong type.
    pub fn decode(document: &'a str) -> Result<Self, DecodeError> {
        let mut walk = Walk::new(document);
        match Outline::read(&mut walk, None) {
            Some(outline) if walk.is_done() => Self::from_outline(&outline, None),
            _ => json::decode(document, ""),
        }
    }

    /// Reads the head of an object whose members are known; what has the same bytes in `like` is
    /// taken from there.
    ///
    /// # Errors
    /// As for [`Object::decode`].
    pub fn from_outline(
        outline: &Outline<'a>,
        like: Option<(&Outline<'a>, &Self)>,
    ) -> Result<Self, DecodeError> {
        let text = |key, at| match outline.members.get(key) {
            Some(raw) => Text::read(raw, at),
            None => Ok(Text::default()),
        };
        let like_metadata =
            like.and_then(|(outline, object)| Some((outline.metadata.as_ref()?, &object.metadata)));
        Ok(Self {
            api_version: text("apiVersion", "/apiVersion")?,
            kind: text("kind", "/kind")?,
            metadata: match (&outline.metadata, outline.members.get("metadata")) {
                (Some(outline), _) => Metadata::from_outline(outline, like_metadata)?,
                (None, Some(raw)) => json::decode(raw, "/metadata")?,
                (None, None) => Metadata::default(),
            },
            spec: outline.members.raw("spec"),
            status: outline.members.raw("status"),
            spec_members: outline.spec.clone(),
        })
    }
}
