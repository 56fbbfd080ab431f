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

    /// What the action writes, in plain words, as the rest of "the controller may not".
    pub fn description(&self) -> String {
        let text = match self {
            Self::GrowClaim { claim, to, .. } => return format!("raise claim {claim} to {to}"),
            Self::RemoveClaimOwner { claim, .. } => {
                return format!("remove an owner reference from claim {claim}");
            }
            Self::Evict { pod, .. } => return format!("evict pod {pod}"),
            Self::Wait { .. } => "wait",
            Self::Refresh => "read everything again",
            Self::DryRun => "send dry runs",
            Self::CreateRecord => "create the record",
            Self::WriteStatus(_) => "write the status of the record",
            Self::AddFinalizer => "add the finalizer to the record",
            Self::RemoveFinalizer => "remove the finalizer from the record",
            Self::PinRetention { .. } => "set the retention of the set to Retain",
            Self::RestoreRetention { .. } => "restore the retention of the set",
            Self::BumpResourceVersion { .. } => "annotate the set with resize-id",
            Self::Delete { .. } => "delete the set",
            Self::Create { .. } => "create the set",
            Self::Unfreeze { .. } => "restore the partition of the set",
            Self::RestoreManagers { .. } => "restore the field managers of the set",
            Self::ClearRequest { .. } => "remove the annotation resize-requested from the set",
        };
        text.to_owned()
    }

    /// Whether the record says [`WriteRefused`](stateward_core::record::Reason::WriteRefused) once
    /// this is refused. Other writes have a reason of their own, or are done without.
    pub const fn is_told_when_refused(&self) -> bool {
        match self {
            Self::Wait { .. }
            | Self::Refresh
            | Self::DryRun
            | Self::CreateRecord
            | Self::WriteStatus(_)
            | Self::GrowClaim { .. }
            | Self::Evict { .. }
            | Self::Create { .. }
            // Retention stays Retain instead.
            | Self::RestoreRetention { .. } => false,
            Self::Unfreeze { retention, .. } => retention.is_none(),
            Self::AddFinalizer
            | Self::RemoveFinalizer
            | Self::RemoveClaimOwner { .. }
            | Self::PinRetention { .. }
            | Self::BumpResourceVersion { .. }
            | Self::Delete { .. }
            | Self::RestoreManagers { .. }
            | Self::ClearRequest { .. } => true,
        }
    }
}
