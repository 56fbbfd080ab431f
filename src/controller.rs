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
mod cluster;
mod dry_run;
mod intervals;
mod json_fields;
pub mod lease;
mod manager;
mod observe;
mod pods;
mod queue;
mod reconcile;
mod record;
mod refusals;
mod set;
mod telemetry;
mod write;

use std::fmt;

use stateward_resize::crd;

use crate::cluster::path;

pub use self::cluster::Cluster;
pub use self::intervals::Intervals;
pub use self::manager::Controller;
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
        path(["apis", "apps", "v1", "namespaces", &self.namespace, "statefulsets", &self.name])
    }

    /// The path of the namespace's sets.
    pub fn sets(&self) -> String {
        path(["apis", "apps", "v1", "namespaces", &self.namespace, "statefulsets"])
    }

    /// The path of the record.
    pub fn record(&self) -> String {
        let Self { namespace, name } = self;
        path(["apis", crd::GROUP, crd::VERSION, "namespaces", namespace, crd::PLURAL, name])
    }

    /// The path of the namespace's records.
    pub fn records(&self) -> String {
        records(Some(&self.namespace))
    }

    /// The path of what the core group calls `plural` in the namespace.
    fn core(&self, plural: &str) -> String {
        path(["api", "v1", "namespaces", &self.namespace, plural])
    }
}

/// The path of the records of `namespace`, or of all.
fn records(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => {
            path(["apis", crd::GROUP, crd::VERSION, "namespaces", namespace, crd::PLURAL])
        }
        None => path(["apis", crd::GROUP, crd::VERSION, crd::PLURAL]),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
