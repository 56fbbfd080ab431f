//! What is observed, reduced to the fields that decisions read.
//!
//! Each part is known, or unknown with the reason. The controller reads every part by quorum reads.
//! `step` does not depend on that: if parts other than the set came from a cache,
//! [`Observed::fresh`] would be false, and nothing that leads to a DELETE or a CREATE would be decided
//! from them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stateward_core::facts::{ClassFact, Fact, FixedVolume, NamespaceFact};
use stateward_core::object::Quantity;
use stateward_core::record::{Retention, RetentionOwner, RevisionName};

/// The cluster as one decision sees it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// every part is a quorum read that began after the set was read, and so is the record
    pub fresh: bool,
    /// the namespace
    pub namespace: Fact<NamespaceFact>,
    /// the set, or that there is none
    pub set: Fact<Option<Set>>,
    /// every pod that the set's selector matches and whose name is one that the set gives
    pub pods: Fact<Vec<Pod>>,
    /// claims with names that the set gives for its templates or those of the request, whatever
    /// their ordinal
    pub claims: Fact<Vec<Claim>>,
    /// storage classes by name
    pub classes: Fact<BTreeMap<String, ClassFact>>,
    /// the update revision of the set, and the ControllerRevision that the record names
    pub revisions: Fact<Vec<Revision>>,
    /// other controllers of the namespace that select the set's pods
    pub neighbours: Fact<Vec<String>>,
    /// objects that name the set as an owner, beside its pods, claims and revisions
    pub dependents: Fact<Dependents>,
    /// whether admission policy and binding stand unchanged
    pub admission_policy: Fact<bool>,
    /// what dry runs of DELETE and CREATE answered for this set, its revision and its replicas
    pub dry_runs: Fact<DryRuns>,
    /// while the set is away: the field manager whose edit of `spec` the watch saw after the
    /// snapshot was read, if any; unknown where nothing watched until the set was gone
    pub last_seen_edit: Fact<Option<String>>,
    /// what this process alone knows
    pub memory: Memory,
}

/// What is read of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of an object")]
pub struct Set {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
    /// it has a `deletionTimestamp`
    pub terminating: bool,
    /// `metadata.deletionTimestamp`
    pub deleted: Option<Timestamp>,
    /// finalizers other than the garbage collector's
    pub foreign_finalizers: Vec<String>,
    /// the kind and name of a controller owner
    pub owner: Option<String>,
    /// `owner-managed: allow`: stateward may resize the set although a controller owns it
    pub owner_managed: bool,
    /// `metadata.generation` = `status.observedGeneration`
    pub generation_observed: bool,
    /// `spec.replicas`
    pub replicas: u32,
    /// `spec.ordinals.start`
    pub first_ordinal: u32,
    /// `spec.podManagementPolicy` is `OrderedReady`
    pub ordered: bool,
    /// `spec.updateStrategy.type` is `OnDelete`
    pub on_delete: bool,
    /// `spec.updateStrategy.rollingUpdate.partition`, if written
    pub partition: Option<i64>,
    /// retention of claims
    pub retention: Retention,
    /// whether anyone but us wrote retention since the retention pin, by managedFields or last-applied
    pub retention_written: Fact<bool>,
    /// claim templates: name → size
    pub templates: BTreeMap<String, Quantity>,
    /// whether two claim templates have one name
    pub duplicate_templates: bool,
    /// `status.currentRevision`
    pub current_revision: String,
    /// `status.updateRevision`
    pub update_revision: String,
    /// `resize-id`
    pub resize_id: Option<String>,
    /// `resize-unfinished`: the `resize-id` of the re-creation that made this set and has not put
    /// back yet what it changed
    pub unfinished: Option<String>,
    /// `resize-requested`: claim template → size as written
    pub requested: BTreeMap<String, String>,
    /// `resize-max`, as written
    pub resize_max: Option<String>,
    /// `resize-paused`
    pub paused: bool,
    /// `resize-restart: evict`
    pub evict: bool,
    /// who stands in its managedFields
    pub managers: Managers,
    /// the field managers that own fields of the retention policy
    pub retention_owners: Vec<RetentionOwner>,
    /// the field manager, other than us, that wrote `spec` last
    pub writer: Option<String>,
    /// the set encoded for the record
    pub snapshot: String,
}

/// Who stands in the set's managedFields, its status apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Managers {
    /// those of the snapshot
    Restored,
    /// nobody but us
    OnlyOurs,
    /// others wrote since
    Others,
}

/// What is read of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// its name
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// its ordinal in the set
    pub ordinal: u32,
    /// the UID of its controller
    pub owner: Option<String>,
    /// the label `controller-revision-hash`
    pub revision: String,
    /// it has a `deletionTimestamp`
    pub terminating: bool,
    /// Ready for minReadySeconds
    pub available: bool,
    /// `metadata.creationTimestamp`
    pub created: Timestamp,
}

/// What is read of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// its name
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
    /// the claim template it was made from
    pub template: String,
    /// its ordinal
    pub ordinal: u32,
    /// `spec.resources.requests.storage`
    pub request: Quantity,
    /// `status.capacity.storage`; none where it is not bound
    pub capacity: Option<Quantity>,
    /// how far the driver is
    pub progress: Progress,
    /// it has a `deletionTimestamp`
    pub terminating: bool,
    /// UIDs of the sets and pods among its owners; of those that are neither this set nor its pods
    /// the first is enough
    pub owners: Vec<String>,
    /// its class
    pub class: String,
    /// why its volume cannot be expanded
    pub fixed_volume: Option<FixedVolume>,
    /// `resize-id`: the resize that last raised it
    pub resize_id: Option<String>,
    /// a pod of the set mounts it
    pub mounted: bool,
    /// its name is one that the set would give, and yet it belongs to somebody else
    pub foreign: bool,
}

/// `allocatedResourceStatuses` and conditions of a claim, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// nothing is said
    None,
    /// the driver grows the volume
    Controller,
    /// the driver grows detached volumes only
    OfflineOnly,
    /// the driver cannot make it this large
    Infeasible,
    /// the node has to grow the file system
    FileSystem,
    /// the node could not
    NodeFailed,
}

/// Objects that name the set as an owner. An orphan delete removes that reference for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    /// kind and name of each, such as `ConfigMap db-settings`
    pub found: Vec<String>,
    /// kinds that may not be listed, so that such objects would not be found
    pub unlisted: Vec<String>,
}

/// What is read of a ControllerRevision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// name and UID
    pub id: RevisionName,
    /// its controller's UID, and whether a set of that UID lives
    pub owner: Option<(String, bool)>,
    /// `metadata.creationTimestamp`
    pub created: Timestamp,
}

/// What dry runs answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRuns {
    /// the orphan delete
    pub delete: Answer,
    /// CREATE under the set's own name, which must say AlreadyExists
    pub create: Answer,
    /// CREATE under a free name of equal length, which must return what was sent
    pub unchanged: Answer,
}

/// What one dry run answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// as it must be
    Good,
    /// a quota hides it
    Quota,
    /// it was refused, in the words of whoever did
    Refused(String),
    /// it was accepted and changed: these fields
    Changed(String),
}

/// What this process alone knows; empty after a start.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Memory {
    /// the UID of the set whose DELETE of ours is known as committed; forgotten with the first
    /// CREATE that was sent and not refused
    pub deleted: Option<String>,
    /// the set whose CREATE of ours is known as committed: what is gone after that was deleted by
    /// somebody else
    pub created: Option<Created>,
    /// another instance leads: nothing is done here but closing an open re-creation window
    pub standby: bool,
    /// as many other resizes as allowed are between `RetentionPinned` and `Adopting`
    pub full: bool,
    /// why the last CREATE was refused
    pub create_refused: Option<String>,
    /// why putting retention back was refused, again and again: it stays `Retain`, and all else
    /// goes on
    pub retention_refused: Option<String>,
    /// the last write of the record failed: a re-creation window is closed without it
    pub record_unwritable: bool,
    /// other writes that were refused within the last back-off, by
    /// [`Action::description`](super::Action::description), with the answer
    pub refused_writes: BTreeMap<String, String>,
    /// claims whose growth was refused within the last back-off, with the answer
    pub refused_claims: BTreeMap<String, String>,
    /// UIDs of pods whose eviction was refused within the last back-off, with the answer
    pub refused_evictions: BTreeMap<String, String>,
}

/// A set that this process created.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Created {
    /// its `resize-id`
    pub id: String,
    /// its UID
    pub uid: String,
}

impl Set {
    /// The ordinals that the set runs.
    pub fn ordinals(&self) -> std::ops::Range<u32> {
        self.first_ordinal..self.first_ordinal.saturating_add(self.replicas)
    }

    /// The controller that owns the set, unless it lets stateward resize it.
    pub fn forbidding_owner(&self) -> Option<&str> {
        self.owner.as_deref().filter(|_| !self.owner_managed)
    }

    /// A partition above every ordinal: no pod is updated.
    pub fn frozen_partition(&self) -> i64 {
        i64::from(self.first_ordinal) + i64::from(self.replicas) + 1
    }
}

impl Observed {
    /// The UIDs of set and pods: what a claim's owner reference must not name in a re-creation window.
    pub fn uids(&self) -> BTreeSet<&str> {
        let mut uids = BTreeSet::new();
        if let Fact::Known(Some(set)) = &self.set {
            uids.insert(set.uid.as_str());
        }
        if let Fact::Known(pods) = &self.pods {
            uids.extend(pods.iter().map(|pod| pod.uid.as_str()));
        }
        uids
    }
}
