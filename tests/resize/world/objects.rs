//! What a modelled world consists of.

use stateward_core::record::Status;

use super::{ORDINALS, StatusId};
use crate::bugs::Mutant;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SetM {
    pub uid: u8,
    pub replicas: u8,
    /// the index of its template's size
    pub size: u8,
    /// the revision of its template
    pub revision: u8,
    pub observed: bool,
    pub current: u8,
    pub update: u8,
    pub delete: bool,
    pub retention_written: bool,
    /// the partition above every ordinal that it was created with
    pub frozen: Option<u8>,
    pub terminating: bool,
    /// the garbage collector's finalizer
    pub orphan: bool,
    /// `resize-id`: record, and the UID of the set replaced
    pub id: Option<(u8, u8)>,
    /// `resize-unfinished`: the same, of a re-creation that has not put back what it changed
    pub mark: Option<(u8, u8)>,
    pub requested: Option<u8>,
    pub only_ours: bool,
    pub restored: bool,
    /// a CREATE of ours made it after its re-creation had ended
    pub late: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PodM {
    pub uid: u8,
    pub owner: Option<u8>,
    pub revision: u8,
    pub young: bool,
    pub ready: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ClaimM {
    pub request: u8,
    pub capacity: u8,
    pub pending: bool,
    pub infeasible: bool,
    pub owner: Option<u8>,
    /// the owner reference is younger than the garbage collector's cache
    pub young: bool,
    pub terminating: bool,
    /// record and number in `resize-id`
    pub id: Option<(u8, u8)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RevisionM {
    pub uid: u8,
    pub owner: Option<u8>,
    pub young: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RecordM {
    pub uid: u8,
    pub generation: u8,
    pub finalizer: bool,
    pub deleting: bool,
    pub paused: bool,
    /// `spec.hold: ClaimsGrown`
    pub held: bool,
    pub leave_absent: bool,
    pub abort: Option<u8>,
    pub target: Option<u8>,
    pub status: StatusId,
}

impl RecordM {
    /// A record that asks for nothing.
    pub(crate) fn new(uid: u8) -> Self {
        Self {
            uid,
            generation: 1,
            finalizer: false,
            deleting: false,
            paused: false,
            held: false,
            leave_absent: false,
            abort: None,
            target: None,
            status: StatusId::of(Status::default()),
        }
    }
}

/// What one running controller remembers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ControllerM {
    pub deleted: Option<u8>,
    /// the last CREATE known as committed: record, set replaced, and set created
    pub created: Option<((u8, u8), u8)>,
    pub refused: bool,
    pub dry: bool,
    /// it was not watching when the set went
    pub blind: bool,
    /// another instance leads
    pub standby: bool,
    /// it does not run
    pub stopped: bool,
}

impl ControllerM {
    /// After a new start.
    pub(crate) fn restarted(&self, set_is_there: bool) -> Self {
        Self { standby: self.standby, blind: !set_is_there, ..Self::default() }
    }
}

/// What does not change in a world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Kind {
    /// OrderedReady
    pub ordered: bool,
    pub on_delete: bool,
    /// an operator controls the set
    pub owned: bool,
    /// `owner-managed: allow`
    pub owner_managed: bool,
    /// `resize-restart: evict`
    pub evict: bool,
    /// the driver leaves file systems to a restart
    pub pending: bool,
    /// a restart does not help
    pub node_fails: bool,
    /// the webhook answers
    pub webhook: bool,
    /// a bug that is to be found
    pub mutant: Option<Mutant>,
}

/// What holds a resize up until somebody puts it right.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Trouble {
    NamespaceUnread,
    PolicyGone,
    OverMax,
    BadTarget,
    NoSuchTemplate,
    PatchRefused,
    /// every write that has no reason of its own
    WriteRefused,
    /// a record asks for a size that is probably a typo
    HugeGrowth,
    /// an object of another kind names the set as its owner
    Dependents,
    /// the garbage collector may not update what the set owns
    OrphaningStuck,
    EvictionRefused,
    RetentionRefused,
    OfflineOnly,
    NotExpandable,
    ClassGone,
    ForeignFinalizer,
    Overlap,
    DeleteRefused,
    ChangedOnCreate,
    Quota,
    SnapshotTooLarge,
    TooMany,
    /// what a re-creation that nobody finished has left
    RecreationUnfinished,
}

/// The StatefulSet controller in the middle of a sync: the set as it read it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Sync {
    pub uid: u8,
    pub replicas: u8,
    pub delete: bool,
    pub frozen: bool,
    pub revision: u8,
    pub size: u8,
    pub current: bool,
}

/// Why a set is not there, or going.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Gone {
    Present,
    Us,
    PersonOrphan,
    PersonCascade,
    /// a person's delete that cannot be told from ours: what the set owned is orphaned already
    Instant,
    /// a person let us give it up
    GivenUp,
}

/// What a person or the DELETE last left of the set: what must come back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Last {
    pub size: u8,
    pub revision: u8,
    pub replicas: u8,
    /// it was edited while it went
    pub edited: bool,
}

/// What was read long ago.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stale {
    Pods([Option<PodM>; ORDINALS]),
    Claims([Option<ClaimM>; ORDINALS]),
    Revisions([Option<RevisionM>; 2]),
    Record(Option<RecordM>),
}
