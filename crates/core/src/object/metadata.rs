//! Object metadata.

use serde::Deserialize;

use super::json::{DecodeError, Raw, Text, TextMap, decode, null_default};

/// The finalizer by which the garbage collector frees the dependents of a deleted object.
pub const ORPHAN: &str = "orphan";

/// The finalizers that the garbage collector removes by itself.
pub const COLLECTOR_FINALIZERS: [&str; 2] = [ORPHAN, "foregroundDeletion"];

/// The finalizer that keeps a claim while pods use it.
pub const PROTECTION: &str = "kubernetes.io/pvc-protection";

/// The finalizer that keeps a volume while a claim is bound to it.
pub const VOLUME_PROTECTION: &str = "kubernetes.io/pv-protection";

/// `metadata`, as far as rules and exemptions read it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata<'a> {
    /// empty where the server has yet to make one from `generateName`
    #[serde(borrow)]
    pub name: Text<'a>,
    /// the stem of a name that the server makes
    #[serde(borrow)]
    pub generate_name: Text<'a>,
    /// empty where the document leaves it to the request
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// empty before the server has set it
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// the version of the stored object that this one was made from; empty for whichever is stored
    #[serde(borrow)]
    pub resource_version: Text<'a>,
    /// counts the changes of `spec`; `None` before the server has set it
    pub generation: Option<i64>,
    /// labels
    #[serde(borrow)]
    pub labels: TextMap<'a>,
    /// annotations
    #[serde(borrow)]
    pub annotations: TextMap<'a>,
    /// owners
    #[serde(borrow, deserialize_with = "null_default")]
    pub owner_references: Vec<OwnerReference<'a>>,
    /// finalizers
    #[serde(borrow, deserialize_with = "null_default")]
    pub finalizers: Vec<Text<'a>>,
    /// when the server created it, not decoded: in a manifest, it may be anything
    #[serde(borrow)]
    pub creation_timestamp: Option<Raw<'a>>,
    /// set while the object is going away
    #[serde(borrow)]
    pub deletion_timestamp: Option<Text<'a>>,
    /// who wrote which field, not decoded
    #[serde(borrow)]
    pub managed_fields: Option<Raw<'a>>,
}

impl Metadata<'_> {
    /// The owner that controls this object, if any.
    pub fn controller(&self) -> Option<&OwnerReference<'_>> {
        self.owner_references.iter().find(|owner| owner.controller == Some(true))
    }

    /// Whether somebody manages fields of the object by server-side apply.
    ///
    /// # Errors
    /// The field of `managedFields` that has the wrong type.
    pub fn has_applier(&self) -> Result<bool, DecodeError> {
        let Some(raw) = self.managed_fields else { return Ok(false) };
        let managers: Option<Vec<FieldManager<'_>>> = decode(raw.get(), "/metadata/managedFields")?;
        Ok(managers
            .unwrap_or_default()
            .iter()
            .any(|manager| manager.operation.as_str() == "Apply" && manager.subresource.is_empty()))
    }

    /// When the server created it.
    pub fn created(&self) -> Option<jiff::Timestamp> {
        serde_json::from_str::<&str>(self.creation_timestamp?.get()).ok()?.parse().ok()
    }

    /// Whether the object has this finalizer.
    pub fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer.as_str() == name)
    }

    /// Whether the object is going away.
    pub fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference<'a> {
    /// group and version of the owner
    #[serde(borrow)]
    pub api_version: Text<'a>,
    /// kind of the owner
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// name of the owner
    #[serde(borrow)]
    pub name: Text<'a>,
    /// UID of the owner
    #[serde(borrow)]
    pub uid: Text<'a>,
    /// whether the owner manages the object
    pub controller: Option<bool>,
}

/// One entry of `metadata.managedFields`, without the fields.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FieldManager<'a> {
    /// the manager's name, such as `kubectl-client-side-apply`
    #[serde(borrow)]
    pub manager: Text<'a>,
    /// `Apply` for server-side apply, `Update` for all else
    #[serde(borrow)]
    pub operation: Text<'a>,
    /// RFC 3339 time of its last write
    #[serde(borrow)]
    pub time: Text<'a>,
    /// `status`, or empty for the main resource
    #[serde(borrow)]
    pub subresource: Text<'a>,
}
