//! The closed set of things that may be done.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use stateward_core::object::Quantity;
use stateward_core::record::{Retention, Status};

/// What is to be done next. Every patch tests the object's UID and each value that it replaces;
/// every write of the record tests the resourceVersion at which the record was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// nothing, until something changes or this long has passed
    Wait {
        /// how long
        after: SignedDuration,
    },
    /// read everything anew, past every cache, beginning with the set
    Refresh,
    /// send the dry runs of DELETE and CREATE
    DryRun,
    /// create the record, with an empty spec, named after the set
    CreateRecord,
    /// write `/status`
    WriteStatus(Box<Status>),
    /// put our finalizer on the record
    AddFinalizer,
    /// take our finalizer off the record
    RemoveFinalizer,
    /// raise a claim's request
    GrowClaim {
        /// its name
        claim: String,
        /// its UID
        uid: String,
        /// its request, which the patch tests
        from: Quantity,
        /// the request to write
        to: Quantity,
        /// its `resize-id`, which the patch tests: a patch that arrives twice fails the second time
        had_id: Option<String>,
        /// the `resize-id` to write
        id: String,
    },
    /// remove an owner reference from a claim above the ordinals
    RemoveClaimOwner {
        /// its name
        claim: String,
        /// its UID
        uid: String,
        /// the owner's UID
        owner: String,
    },
    /// evict a pod, with its UID as precondition
    Evict {
        /// its name
        pod: String,
        /// its UID
        uid: String,
    },
    /// set both retention fields to `Retain`
    PinRetention {
        /// the set's UID
        uid: String,
        /// its resourceVersion, which the patch tests: a late one must not undo what others wrote
        resource_version: String,
        /// the retention that the patch tests
        from: Retention,
    },
    /// put retention back
    RestoreRetention {
        /// the set's UID
        uid: String,
        /// the resourceVersion at which nobody else had written retention, which the patch tests
        resource_version: String,
        /// the retention before the retention pin
        to: Retention,
    },
    /// change the set's resourceVersion, so that a DELETE on its way fails
    BumpResourceVersion {
        /// the set's UID
        uid: String,
        /// its `resize-id`, which the patch tests
        had: Option<String>,
        /// the `resize-id` to write; none removes it
        id: Option<String>,
    },
    /// delete the set and orphan what it owns
    Delete {
        /// precondition
        uid: String,
        /// precondition
        resource_version: String,
    },
    /// create the set from the snapshot
    Create {
        /// as the record holds it
        snapshot: String,
        /// claim template → size to raise it to; empty keeps the old template
        sizes: BTreeMap<String, String>,
        /// `resize-id`
        id: String,
    },
    /// put partition and retention back and take `resize-unfinished` off, in one patch
    Unfreeze {
        /// the set's UID
        uid: String,
        /// its `resize-unfinished`, which the patch tests
        mark: Option<String>,
        /// the partition that the patch tests, and the one to write; none leaves it alone
        partition: Option<(i64, Option<i64>)>,
        /// the retention to write in place of `Retain`; none leaves it alone
        retention: Option<Retention>,
        /// the resourceVersion at which nobody else had written retention, which the patch tests;
        /// none where retention is left alone
        resource_version: Option<String>,
    },
    /// put the snapshot's managedFields back, where nobody but us stands in them
    RestoreManagers {
        /// the set's UID
        uid: String,
    },
    /// remove `resize-requested`
    ClearRequest {
        /// the set's UID
        uid: String,
        /// its value, which the patch tests
        value: BTreeMap<String, String>,
    },
}

impl Action {
    /// The name of the action, for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "Wait",
            Self::Refresh => "Refresh",
            Self::DryRun => "DryRun",
            Self::CreateRecord => "CreateRecord",
            Self::WriteStatus(_) => "WriteStatus",
            Self::AddFinalizer => "AddFinalizer",
            Self::RemoveFinalizer => "RemoveFinalizer",
            Self::GrowClaim { .. } => "GrowClaim",
            Self::RemoveClaimOwner { .. } => "RemoveClaimOwner",
            Self::Evict { .. } => "Evict",
            Self::PinRetention { .. } => "PinRetention",
            Self::RestoreRetention { .. } => "RestoreRetention",
            Self::BumpResourceVersion { .. } => "BumpResourceVersion",
            Self::Delete { .. } => "Delete",
            Self::Create { .. } => "Create",
            Self::Unfreeze { .. } => "Unfreeze",
            Self::RestoreManagers { .. } => "RestoreManagers",
            Self::ClearRequest { .. } => "ClearRequest",
        }
    }
}
