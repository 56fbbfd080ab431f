//! PersistentVolumeClaim, and the claim template of a StatefulSet, which has the same form.

use serde::Deserialize;
use serde::de::Unexpected;
use serde_json::value::RawValue;

use super::json::{self, DecodeError, Text, null_default};
use super::{Metadata, Object, Quantity};

/// A PersistentVolumeClaim, or one of `spec.volumeClaimTemplates`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claim<'a> {
    /// a claim template carries a name here, and perhaps labels and annotations
    #[serde(borrow, deserialize_with = "null_default")]
    pub metadata: Metadata<'a>,
    /// what is asked for
    #[serde(borrow, deserialize_with = "null_default")]
    pub spec: ClaimSpec<'a>,
    /// what is there; `None` if the document does not show it. The API server gives each new claim a phase,
    /// so a status without one was written by a tool that had no claim to look at
    #[serde(borrow)]
    pub status: Option<ClaimStatus<'a>>,
}

impl<'a> Claim<'a> {
    /// The class as the API server reads it, empty for none.
    pub fn class(&self) -> &str {
        match self.metadata.annotations.get(BETA_CLASS) {
            Some(class) => class,
            None => self.spec.storage_class_name.as_deref().unwrap_or_default(),
        }
    }

    /// Whether it names a class at all, an empty one included. Else the default class counts.
    pub fn names_class(&self) -> bool {
        self.spec.storage_class_name.is_some()
            || self.metadata.annotations.get(BETA_CLASS).is_some()
    }

    /// Reads a claim from the head of its document.
    ///
    /// # Errors
    /// The field that has the wrong type, quantities that Kubernetes refuses included.
    pub fn decode(object: &Object<'a>) -> Result<Self, DecodeError> {
        Ok(Self {
            metadata: object.metadata.clone(),
            spec: match object.spec {
                Some(raw) => json::decode::<Option<_>>(raw.get(), "/spec")?.unwrap_or_default(),
                None => ClaimSpec::default(),
            },
            status: match object.status {
                Some(raw) => json::decode::<Option<ClaimStatus<'_>>>(raw.get(), "/status")?
                    .filter(|status| !status.phase.is_empty()),
                None => None,
            },
        })
    }
}

/// The annotation that named the class before there was a field for it; it still wins.
pub const BETA_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// `spec` of a claim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec<'a> {
    /// such as `ReadWriteOnce`
    #[serde(borrow, deserialize_with = "null_default")]
    pub access_modes: Vec<Text<'a>>,
    /// sizes
    #[serde(borrow, deserialize_with = "null_default")]
    pub resources: ClaimResources<'a>,
    /// the volume it is bound to
    #[serde(borrow)]
    pub volume_name: Text<'a>,
    /// `None` takes the default class, `Some("")` takes none at all
    #[serde(borrow)]
    pub storage_class_name: Option<Text<'a>>,
    /// `Filesystem` where it is absent
    #[serde(borrow)]
    pub volume_mode: Option<Text<'a>>,
    /// the class of performance parameters (KEP-3751)
    #[serde(borrow)]
    pub volume_attributes_class_name: Option<Text<'a>>,
    /// selector, not decoded
    #[serde(borrow)]
    pub selector: Option<&'a RawValue>,
    /// snapshot or claim to start from, not decoded
    #[serde(borrow)]
    pub data_source: Option<&'a RawValue>,
    /// the same across kinds and namespaces, not decoded
    #[serde(borrow)]
    pub data_source_ref: Option<&'a RawValue>,
}

impl<'a> ClaimSpec<'a> {
    /// The requested size as it is written, if there is one.
    pub fn storage(&self) -> Option<&Size<'a>> {
        self.resources.requests.storage.as_ref()
    }

    /// `Filesystem` or `Block`, the default applied.
    pub fn volume_mode(&self) -> &str {
        self.volume_mode.as_deref().filter(|mode| !mode.is_empty()).unwrap_or("Filesystem")
    }
}

impl ClaimStatus<'_> {
    /// Whether the claim has its volume.
    pub fn is_bound(&self) -> bool {
        self.phase.as_str() == "Bound"
    }

    /// Whether an expansion has left its mark, which permits to take it back.
    pub fn has_expansion(&self) -> bool {
        let filled = |raw: Option<&RawValue>| {
            raw.is_some_and(|raw| !matches!(raw.get().trim(), "null" | "{}"))
        };
        filled(self.allocated_resources) || filled(self.allocated_resource_statuses)
    }
}

/// `dataSource` or `dataSourceRef` of a claim.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct DataSource<'a> {
    /// absent and empty both mean the core group, yet they differ
    #[serde(borrow)]
    pub api_group: Option<Text<'a>>,
    /// kind
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// name
    #[serde(borrow)]
    pub name: Text<'a>,
    /// only `dataSourceRef` may have one
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
}

impl DataSource<'_> {
    /// The group, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_group.as_deref().unwrap_or_default()
    }
}

/// `spec.resources` of a claim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimResources<'a> {
    /// the least that is asked for
    #[serde(borrow, deserialize_with = "null_default")]
    pub requests: StorageList<'a>,
    /// the most; drivers ignore it
    #[serde(borrow, deserialize_with = "null_default")]
    pub limits: StorageList<'a>,
}

/// The `storage` entry of a resource list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StorageList<'a> {
    /// a size
    #[serde(borrow)]
    pub storage: Option<Size<'a>>,
}

/// `status` of a claim.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimStatus<'a> {
    /// `Pending`, `Bound` or `Lost`
    #[serde(borrow)]
    pub phase: Text<'a>,
    /// the size of the volume
    #[serde(borrow, deserialize_with = "null_default")]
    pub capacity: StorageList<'a>,
    /// sizes that a running expansion works on, not decoded
    #[serde(borrow)]
    pub allocated_resources: Option<&'a RawValue>,
    /// how far a running expansion is, not decoded
    #[serde(borrow)]
    pub allocated_resource_statuses: Option<&'a RawValue>,
    /// what the claim waits for, not decoded
    #[serde(borrow)]
    pub conditions: Option<&'a RawValue>,
    /// the attributes class in force (KEP-3751)
    #[serde(borrow)]
    pub current_volume_attributes_class_name: Option<Text<'a>>,
}

/// A size together with the way it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size<'a> {
    /// as in the document: people are told sizes as they wrote them
    pub text: Text<'a>,
    /// the value
    pub quantity: Quantity,
}

impl std::fmt::Display for Size<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Size<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A bare number is legal: its JSON text is the quantity.
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        let found = match raw.get().as_bytes().first() {
            Some(b'[') => Some(Unexpected::Seq),
            Some(b'{') => Some(Unexpected::Map),
            Some(b't') => Some(Unexpected::Bool(true)),
            Some(b'f') => Some(Unexpected::Bool(false)),
            _ => None,
        };
        if let Some(found) = found {
            return Err(serde::de::Error::invalid_type(found, &"a size such as 10Gi"));
        }
        let text = if raw.get().starts_with('"') {
            serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?
        } else {
            Text::from(raw.get())
        };
        // Go's decoder trims white space before it parses.
        let quantity = text.trim().parse().map_err(serde::de::Error::custom)?;
        Ok(Self { text, quantity })
    }
}
