//! The record of a resize: the custom resource `StatefulSetResize`.
//!
//! Its name is the set's name, so two resizes of one set can never race. The controller never
//! writes `spec`. Words that a newer version wrote are kept as they are: an older binary must be
//! able to read a record, close its re-creation window and leave the rest alone.

pub mod snapshot;
mod state;
mod status;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::state::{ClaimState, Phase, Reason, State};
pub use self::status::{
    ClaimStatus, CompletedRequest, Condition, Halt, Recreation, Request, RetentionOwner,
    RevisionName, Status,
};

/// How many results are kept.
pub const RESULTS: usize = 5;
/// The finalizer that a record carries while its set is pinned or away.
pub const FINALIZER: &str = "stateward.dev/resize";

/// What a size looks like. Thousandths of a byte are none of a volume; what other decimals come to is
/// judged by [`size_rules`], and in full when it is acted on.
const QUANTITY: &str = r"^[0-9]+(\.[0-9]*)?(k|[KMGTPE]i|[MGTPE]|[eE][+-]?[0-9]{1,2})?$";
/// The API server bounds the cost of rules by these.
const MOST_TEMPLATES: u32 = 100;
const LONGEST_SIZE: u32 = 40;

/// What the API server judges of a size, in CEL. A binary suffix with decimals it does not take for a
/// whole number, whatever that comes to.
fn size_rules() -> serde_json::Value {
    serde_json::json!([
        {
            "rule": "!isQuantity(self) || self.endsWith('i') || quantity(self).isInteger()",
            "message": "a volume has a whole number of bytes, and less than 8Ei",
        },
        {
            "rule": "!isQuantity(self) || \
                quantity(self).isLessThan(quantity('9223372036854775807'))",
            "message": "a volume has less than 8Ei",
        },
    ])
}

/// What happens to claims when a set goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Policy {
    /// they stay
    Retain,
    /// they are deleted
    Delete,
}

/// `spec.persistentVolumeClaimRetentionPolicy`
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// when the set is deleted
    #[schemars(with = "String")]
    pub when_deleted: Policy,
    /// when the set is scaled down
    #[schemars(with = "String")]
    pub when_scaled: Policy,
}

impl Retention {
    /// Claims stay, whatever happens: what a pinned set carries, and Kubernetes' default.
    pub const RETAIN: Self = Self { when_deleted: Policy::Retain, when_scaled: Policy::Retain };
}

/// A record as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`, which is the set's
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.generation`
    pub generation: i64,
    /// whether it carries [`FINALIZER`]
    pub finalizer: bool,
    /// whether it has a `deletionTimestamp`
    pub deleting: bool,
    /// what is asked
    pub spec: Spec,
    /// what was done
    pub status: Status,
}

impl Record {
    /// Whether the controller has not read the last change of `spec`: the status is about an earlier one.
    pub fn is_unread(&self) -> bool {
        self.status.observed_generation < self.generation
    }
}

/// What is asked. The controller never writes it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// claim template → size
    #[serde(default)]
    #[schemars(extend("maxProperties" = MOST_TEMPLATES))]
    pub targets: BTreeMap<String, Target>,
    /// nothing is begun, save closing a re-creation window
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// where to rest: `ClaimsGrown` grows claims and leaves the set alone
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["ClaimsGrown"]))]
    pub hold: Option<Phase>,
    /// the generation that is to end
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<i64>,
    /// after five minutes of refusal, leave the set absent
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leave_absent: bool,
}

/// The size asked of one claim template.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Target {
    /// as written
    #[schemars(
        regex(pattern = QUANTITY),
        length(max = LONGEST_SIZE),
        extend("x-kubernetes-validations" = size_rules())
    )]
    pub storage: String,
}
