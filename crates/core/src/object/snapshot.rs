//! `VolumeSnapshot`.

use serde::Deserialize;

use super::Object;
use super::json::{self, DecodeError, Text, null_default};

/// A `VolumeSnapshot`, as far as rules read it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot<'a> {
    /// `spec`
    pub spec: SnapshotSpec<'a>,
    /// `status`
    pub status: SnapshotStatus<'a>,
}

/// `spec` of a snapshot.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SnapshotSpec<'a> {
    /// what it was taken of
    #[serde(borrow, deserialize_with = "null_default")]
    pub source: SnapshotSource<'a>,
}

/// `spec.source` of a snapshot.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SnapshotSource<'a> {
    /// the claim; absent if the snapshot was imported
    #[serde(borrow)]
    pub persistent_volume_claim_name: Option<Text<'a>>,
}

/// `status` of a snapshot.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SnapshotStatus<'a> {
    /// a volume can be restored from it
    pub ready_to_use: Option<bool>,
    /// when the data was copied
    #[serde(borrow)]
    pub creation_time: Option<Text<'a>>,
    /// the `VolumeSnapshotContent`, which stands for the copy on the storage
    #[serde(borrow)]
    pub bound_volume_snapshot_content_name: Option<Text<'a>>,
}

impl<'a> Snapshot<'a> {
    /// Reads a snapshot from the head of its document.
    ///
    /// # Errors
    /// The field that has the wrong type.
    pub fn decode(object: &Object<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            spec: match object.spec {
                Some(raw) => json::decode::<Option<_>>(raw.get(), "/spec")?.unwrap_or_default(),
                None => SnapshotSpec::default(),
            },
            status: match object.status {
                Some(raw) => json::decode::<Option<_>>(raw.get(), "/status")?.unwrap_or_default(),
                None => SnapshotStatus::default(),
            },
        })
    }

    /// The claim of which it holds data, and when that was copied. `None` if it is not ready to use or
    /// was imported: it holds nothing, or nobody can tell whose data.
    pub fn copy(&self) -> Option<(&str, jiff::Timestamp)> {
        let claim = self.spec.source.persistent_volume_claim_name.as_deref()?;
        let taken = self.status.creation_time.as_deref()?.parse().ok()?;
        (self.status.ready_to_use == Some(true)).then_some((claim, taken))
    }

    /// The name of its `VolumeSnapshotContent`.
    pub fn content(&self) -> Option<&str> {
        self.status.bound_volume_snapshot_content_name.as_deref()
    }
}
