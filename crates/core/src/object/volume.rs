//! `PersistentVolume`.

use serde::Deserialize;

use super::Object;
use super::claim::StorageList;
use super::json::{self, DecodeError, Text, null_default};
use crate::text::{NAME, cut};

/// A `PersistentVolume`, as far as rules read it.
#[derive(Clone, Debug, Default)]
pub struct Volume<'a> {
    /// `spec`
    pub spec: VolumeSpec<'a>,
    /// `status`; `None` where the document shows none
    pub status: Option<VolumeStatus<'a>>,
}

/// `spec` of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSpec<'a> {
    /// its size
    #[serde(borrow, deserialize_with = "null_default")]
    pub capacity: StorageList<'a>,
    /// its StorageClass, empty for none
    #[serde(borrow, deserialize_with = "null_default")]
    pub storage_class_name: Text<'a>,
    /// what becomes of it when its claim is deleted
    #[serde(borrow)]
    pub persistent_volume_reclaim_policy: Option<Text<'a>>,
    /// the claim that it belongs to, or belonged to
    #[serde(borrow)]
    pub claim_ref: Option<ClaimRef<'a>>,
}

/// `spec.claimRef` of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimRef<'a> {
    /// the namespace of the claim
    #[serde(borrow)]
    pub namespace: Text<'a>,
    /// its name
    #[serde(borrow)]
    pub name: Text<'a>,
    /// its UID, empty until the claim is bound
    #[serde(borrow)]
    pub uid: Text<'a>,
}

impl ClaimRef<'_> {
    /// Namespace and name, as people read them.
    pub fn label(&self) -> String {
        format!("{}/{}", cut(&*self.namespace, NAME), cut(&*self.name, NAME))
    }
}

/// `status` of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VolumeStatus<'a> {
    /// `Available`, `Bound`, `Released` or `Failed`
    #[serde(borrow)]
    pub phase: Text<'a>,
}

impl<'a> Volume<'a> {
    /// Reads a volume from the head of its document.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn decode(object: &Object<'a>) -> Result<Self, DecodeError> {
        let status = object.status.map(|raw| json::decode(raw.get(), "/status")).transpose()?;
        Ok(Self {
            spec: match object.spec {
                Some(raw) => json::decode::<Option<_>>(raw.get(), "/spec")?.unwrap_or_default(),
                None => VolumeSpec::default(),
            },
            status: status.flatten(),
        })
    }

    /// `spec.persistentVolumeReclaimPolicy`, if the document has one.
    pub fn reclaim_policy(&self) -> Option<&str> {
        self.spec.persistent_volume_reclaim_policy.as_deref()
    }

    /// The claim that it belongs to, or belonged to.
    pub fn claim(&self) -> Option<&ClaimRef<'a>> {
        self.spec.claim_ref.as_ref().filter(|claim| !claim.name.is_empty())
    }

    /// `status.phase`, empty if the document shows none.
    pub fn phase(&self) -> &str {
        self.status.as_ref().map_or("", |status| status.phase.as_str())
    }
}
