//! What the keys of the policy may say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether findings are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// deny and patch
    #[default]
    Enforce,
    /// deny nothing and patch nothing; say what would have been done
    Audit,
}

/// What becomes of an edit that grows a claim template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Resize {
    /// refuse it, with the steps that a person takes instead
    #[default]
    Reject,
    /// accept it as a request, which a controller carries out
    Orchestrate,
    /// leave it to the API server, which refuses it
    Ignore,
}

impl Resize {
    /// The value of the annotation `stateward.dev/resize`.
    pub fn from_annotation(value: &str) -> Option<Self> {
        match value {
            "reject" => Some(Self::Reject),
            "orchestrate" => Some(Self::Orchestrate),
            "ignore" => Some(Self::Ignore),
            _ => None,
        }
    }
}

/// Which right a user needs whose edit becomes a request to grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Authorize {
    /// to patch claims of the namespace, which an admission policy of the cluster proves
    #[default]
    Claims,
    /// to edit the set, which the API server has proven already
    Sets,
}

/// Which anti-affinity a new set is given when it has no answer of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AntiAffinity {
    /// nothing is injected
    None,
    /// preferred: hosts first, zones at a lower weight
    #[default]
    Preferred,
    /// preferred: zones first, hosts at a lower weight
    Zone,
    /// required: no two pods on one node
    Required,
    /// as strong as the pack of its system says, and `preferred` where it says nothing
    System,
}

impl AntiAffinity {
    /// The value of the annotation `stateward.dev/anti-affinity`.
    pub fn from_annotation(value: &str) -> Option<Self> {
        match value {
            "none" => Some(Self::None),
            "preferred" => Some(Self::Preferred),
            "zone" => Some(Self::Zone),
            "required" => Some(Self::Required),
            "system" => Some(Self::System),
            _ => None,
        }
    }

    /// The stronger of both; of equals, this one.
    #[must_use]
    pub const fn stronger(self, other: Self) -> Self {
        if self.strength() < other.strength() { other } else { self }
    }

    const fn strength(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Preferred | Self::Zone => 1,
            Self::System => 2,
            Self::Required => 3,
        }
    }
}

/// A field of the pod template that a new set is given when its manifest leaves it open, besides
/// anti-affinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PodDefaultSetting {
    /// `terminationGracePeriodSeconds`, as long as the pack of its system says
    GracePeriod,
    /// `fsGroupChangePolicy: OnRootMismatch`, if there is an `fsGroup`
    FsGroupChangePolicy,
}

/// The sizes of claim templates of a set that is created over larger claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SizeOnCreate {
    /// as the manifest says
    #[default]
    Manifest,
    /// raised to the size of the claims
    Claims,
}

/// What becomes of an edit that changes only labels or annotations of a claim template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimTemplateMetadata {
    /// refuse it, with the way out
    #[default]
    Deny,
    /// put the old metadata back and accept the rest
    Restore,
}

/// What is answered where a review could not be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// allow it, with a warning
    #[default]
    Allow,
    /// refuse it
    Deny,
}
