//! Carries resizes out: observes a cluster for [`step`](stateward_resize::step()), does what it says, and
//! observes again.
//!
//! What is decided is decided by `step` alone. Here is only how a cluster is read
//! ([`Cluster::observe`]) and written ([`Cluster::carry_out`]), when that happens ([`Controller`]),
//! and who does it ([`lease`]). Correctness never rests on there being one controller: every write
//! carries what it expects to find, and a write whose outcome is unknown is followed by a fresh
//! read, never by itself.

mod admission;
mod claims;
pub mod client;
mod dry_run;
mod json_fields;
pub mod lease;
mod manager;
mod observe;
mod pods;
mod reconcile;
mod record;
mod set;
mod telemetry;
mod write;

use std::fmt;

use stateward_resize::crd;

pub use self::client::{Cluster, Outcome, ReadError, Refusal, Timeouts};
pub use self::manager::{Controller, Intervals};
pub use self::record::Stored;

/// The namespace and name of a set, and of its record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// the namespace
    pub namespace: String,
    /// the name
    pub name: String,
}

impl Key {
    /// The path of the set.
    pub fn set(&self) -> String {
        format!("{}/{}", self.sets(), self.name)
    }

    /// The path of the namespace's sets.
    pub fn sets(&self) -> String {
        format!("/apis/apps/v1/namespaces/{}/statefulsets", self.namespace)
    }

    /// The path of the record.
    pub fn record(&self) -> String {
        format!("{}/{}", self.records(), self.name)
    }

    /// The path of the namespace's records.
    pub fn records(&self) -> String {
        crd::records(Some(&self.namespace))
    }

    /// The path of what the core group calls `plural` in the namespace.
    fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
