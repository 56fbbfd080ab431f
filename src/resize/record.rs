//! The record of a resize: the custom resource `StatefulSetResize`.
//!
//! Its name is the set's name, so two resizes of one set can never race. The controller never
//! writes `spec`. Words that a newer version wrote are kept as they are: an older binary must be
//! able to read a record, close its gap and leave the rest alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many results are kept.
pub const RESULTS: usize = 5;
/// The finalizer that a record carries while its set is fenced or away.
pub const FINALIZER: &str = "stateward.dev/resize";

/// What a size looks like; what the decimals come to is judged when it is acted on.
const QUANTITY: &str = r"^[0-9]+(\.[0-9]*)?(m|k|[KMGTPE]i|[MGTPE]|[eE][+-]?[0-9]+)?$";

/// Declares words that are written into the record; words of other versions are legal.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $word:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$doc])* $word,)+
            /// a word of another version of stateward
            Unknown(String),
        }

        impl $name {
            /// All words that this version writes.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// The word as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$word => stringify!($word),)+
                    Self::Unknown(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $(stringify!($word) => Self::$word,)+
                    _ => Self::Unknown(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            /// Any text: the API server must not refuse a word of another version.
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// How far a resize is.
    Phase {
        /// asked for, nothing done
        Requested,
        /// claims are being grown
        Growing,
        /// every claim is as large as asked, or waits for its node only
        ClaimsGrown,
        /// the set is being made safe to delete
        Fenced,
        /// the set's DELETE may have been sent
        Deleting,
        /// a CREATE of the set was answered with a refusal
        Creating,
        /// the set is back and takes over its pods
        Adopting,
        /// what the fence changed is being put back
        Verifying,
        /// everything is as asked
        Complete,
        /// ended on somebody's wish, or because the set is another one
        Aborted,
        /// somebody else writes the same things
        Conflict,
        /// ended short of what was asked
        Degraded,
    }
}

impl Phase {
    /// Whether the resize goes on: it owns the set's name until it does not.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Complete | Self::Aborted | Self::Conflict | Self::Degraded)
    }
}

words! {
    /// Why a resize rests or ended.
    Reason {
        /// `spec.paused`
        Paused,
        /// `spec.hold: ClaimsGrown`
        Held,
        /// what must be known could not be read
        NotObserved,
        /// the user's right to grow claims is not proven
        RightUnproven,
        /// more than `resize-max` allows
        OverMax,
        /// a size that is no quantity
        BadTarget,
        /// the set has no such claim template
        NoSuchTemplate,
        /// claims grow
        ClaimsGrowing,
        /// a claim's growth was refused by the API server
        PatchRefused,
        /// a claim is going away
        ClaimTerminating,
        /// the driver grows detached volumes only
        OfflineOnly,
        /// a file system waits for its pod to restart
        FileSystemPending,
        /// a controller owns the set
        OwnerManaged,
        /// the set is in the middle of a rollout
        MidRollout,
        /// pods or revision are younger than the garbage collector's cache may be
        JustChanged,
        /// an OrderedReady set has a pod that is not available
        PodsNotReady,
        /// a CREATE was sent so recently that it may still land
        RecentCreate,
        /// the set carries somebody's finalizer
        ForeignFinalizer,
        /// another controller selects the set's pods
        OverlappingSelector,
        /// a dry run was refused
        DryRunRefused,
        /// somebody's webhook changes the set when it is created
        ChangedOnCreate,
        /// a quota hides an answer
        Quota,
        /// the set is too large for the record
        SnapshotTooLarge,
        /// retention or owner references are not yet safe
        FenceOpen,
        /// the set is not there
        SetGone,
        /// the set is going away
        SetTerminating,
        /// the re-created set has not taken over its pods
        PodsNotAdopted,
        /// what must be restored is not yet restored
        Restoring,
        /// everything is as asked
        Done,
        /// a person ended it
        AbortRequested,
        /// the request was taken back
        Withdrawn,
        /// somebody else deleted the set
        DeletedByOther,
        /// a set of another UID has the name
        Replaced,
        /// the namespace goes away
        NamespaceTerminating,
        /// a CREATE of an earlier attempt landed late
        LateDuplicate,
        /// somebody re-creates the set with the old template
        TooSmallAgain,
        /// the fence did not hold three times
        FenceNeverHeld,
        /// somebody lowered a claim below the size asked
        Lowered,
        /// the driver cannot make a volume this large
        Infeasible,
        /// a claim's class is gone
        ClassGone,
        /// a claim's class does not allow growth
        NotExpandable,
        /// the node could not grow a file system
        NodeResize,
        /// the re-created set would roll its pods
        RevisionDiffers,
        /// the set came back with its old template, since the new one was refused
        OldTemplate,
        /// an edit made in the gap is not in the set
        EditLost,
        /// a person asked to leave the set absent
        LeftAbsent,
        /// as many other resizes as allowed are between Fenced and Adopting
        TooManyAtOnce,
    }
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
    /// Claims stay, whatever happens: what a fenced set carries, and Kubernetes' default.
    pub const RETAIN: Self = Self { when_deleted: Policy::Retain, when_scaled: Policy::Retain };
}

/// A record as read.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What is asked. The controller never writes it.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// claim template → size
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
    /// nothing is begun, save closing a gap
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
    #[schemars(regex(pattern = QUANTITY))]
    pub storage: String,
}

/// What was done. Only the controller writes it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// how far it is
    pub phase: Phase,
    /// why it rests there, or ended
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// which request is carried out, on which set
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acting: Option<Acting>,
    /// sizes taken from `resize-requested`, the user's right being proven at that time
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// what the fence and the gap must remember
    #[serde(default)]
    pub attempt: Attempt,
    /// the last time at which a CREATE of this set may have been sent, for any attempt
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_create: Option<Timestamp>,
    /// the set as last read, encoded by whoever read it; only from Deleting to Verifying
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// one row per claim
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Row>,
    /// how the last requests ended
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<Ended>,
    /// the generation of the record that this status speaks of
    #[serde(default)]
    pub observed_generation: i64,
    /// kstatus conditions, and `Complete`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            phase: Phase::Requested,
            standing: None,
            acting: None,
            requests: BTreeMap::new(),
            attempt: Attempt::default(),
            last_create: None,
            snapshot: None,
            claims: Vec::new(),
            results: Vec::new(),
            observed_generation: 0,
            conditions: Vec::new(),
        }
    }
}

/// Why a resize rests.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Standing {
    /// what kind of rest it is
    pub word: Word,
    /// why
    pub reason: Reason,
    /// what it is about: a claim, a field, somebody's answer
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

words! {
    /// What kind of rest it is.
    Word {
        /// it ends by itself
        Waiting,
        /// a person must act
        Blocked,
        /// it is over
        Ended,
    }
}

words! {
    /// How far one claim is.
    ClaimState {
        /// its request is too small
        Short,
        /// it is not bound, and grows once it is
        Unbound,
        /// the driver works
        Growing,
        /// the driver is done; its node is not
        NodePending,
        /// its capacity is there
        Done,
        /// it cannot grow before a person acts
        Stuck,
        /// it will not grow for this request
        Failed,
    }
}

/// Which request is carried out.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Acting {
    /// counts the requests that this record carried out; part of a claim's `resize-id`
    pub number: u64,
    /// the record's generation when it began
    pub generation: i64,
    /// the set's UID
    pub set_uid: String,
    /// the sizes asked, from record and annotation, by claim template
    pub targets: BTreeMap<String, String>,
    /// whether all of it came from the annotation, whose removal takes it back
    #[serde(default)]
    pub withdrawable: bool,
}

/// What the fence and the gap must remember.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// the UID of the set that is replaced
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_uid: Option<String>,
    /// the only resourceVersion at which a DELETE is ever sent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// the update revision
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionName>,
    /// retention before the fence
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// the partition before the gap; absent where the set had none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i64>,
    /// what others wrote into retention since the fence; it is not restored over their word
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_asked: Option<Retention>,
    /// the earliest time at which a DELETE of this attempt may have been sent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// who edited the set while it went, so that the edit is not in the set that came back
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit_lost: Option<String>,
    /// nobody watched the set while it went: an edit that was lost cannot be ruled out
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
    /// the partition above every ordinal, which the set that comes back carries at first
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<i64>,
    /// when this fence was begun
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence_since: Option<Timestamp>,
    /// how many fences did not hold
    #[serde(default)]
    pub fences: u32,
    /// how many times somebody re-created the set too small
    #[serde(default)]
    pub replaced: u32,
    /// since when CREATE is refused
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<Timestamp>,
    /// since when the set is gone, where we did not delete it
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_since: Option<Timestamp>,
    /// the UID of the set that came back
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_uid: Option<String>,
    /// whether the set that came back carries our `resize-id`
    #[serde(default)]
    pub ours: bool,
}

/// A ControllerRevision by name and UID.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct RevisionName {
    /// its name
    pub name: String,
    /// its UID
    pub uid: String,
}

/// One claim of a resize.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Row {
    /// the claim's name
    pub name: String,
    /// its request before
    pub from: String,
    /// the size asked
    pub target: String,
    /// `status.capacity.storage`; absent where it is not bound
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<String>,
    /// how far it is
    pub state: ClaimState,
    /// since when it is in this state
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// the UID of the pod that was evicted for this target
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evicted: Option<String>,
}

/// How a request ended.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// the phase it ended in
    pub phase: Phase,
    /// why
    pub reason: Reason,
    /// when
    pub at: Timestamp,
    /// the generation it ended
    pub generation: i64,
}

/// A condition as Kubernetes tools read it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling`, `Stalled` or `Complete`
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`
    pub status: String,
    /// a word in camel case
    pub reason: String,
    /// for people
    pub message: String,
    /// the generation it speaks of
    pub observed_generation: i64,
    /// when `status` last changed
    pub last_transition_time: Timestamp,
}

impl Status {
    /// Brings the conditions in line with phase and standing, for a write at `now`.
    pub fn refresh_conditions(&mut self, generation: i64, now: Timestamp) {
        self.observed_generation = generation;
        let stands = |word: Word| self.standing.as_ref().is_some_and(|rest| rest.word == word);
        let blocked = stands(Word::Blocked);
        let failed = matches!(self.phase, Phase::Conflict | Phase::Degraded);
        let done = self.phase == Phase::Complete;
        let over = !self.phase.is_live() || stands(Word::Ended);
        let reason = self
            .standing
            .as_ref()
            .map_or_else(|| self.phase.to_string(), |rest| rest.reason.to_string());
        let message = self.standing.as_ref().map_or_else(String::new, |rest| rest.detail.clone());
        let before = std::mem::take(&mut self.conditions);
        for (kind, holds) in [
            ("Ready", over && !failed),
            ("Reconciling", !over && !blocked),
            ("Stalled", failed || blocked),
            ("Complete", done),
        ] {
            let status = if holds { "True" } else { "False" };
            let since = before
                .iter()
                .find(|condition| condition.kind == kind && condition.status == status)
                .map_or(now, |condition| condition.last_transition_time);
            self.conditions.push(Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.clone(),
                message: message.clone(),
                observed_generation: generation,
                last_transition_time: since,
            });
        }
    }

    /// Notes how a request ended, and forgets the oldest results.
    pub fn push_result(&mut self, ended: Ended) {
        self.results.push(ended);
        let surplus = self.results.len().saturating_sub(RESULTS);
        self.results.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_another_version_are_kept_as_they_are() {
        let text = r#"{"phase":"Migrating","standing":{"word":"Dozing","reason":"Moonlight"}}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.phase, Phase::Unknown("Migrating".to_owned()));
        assert!(status.phase.is_live(), "an unknown phase may hide an open gap");
        let written = serde_json::to_value(&status).unwrap();
        assert_eq!(written["phase"], "Migrating");
        assert_eq!(written["standing"]["reason"], "Moonlight");
    }

    #[test]
    fn every_word_reads_back() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from(phase.to_string()), *phase);
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from(reason.to_string()), *reason);
        }
    }

    #[test]
    fn conditions_follow_phase_and_keep_their_time() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(90).unwrap());
        let mut status = Status::default();
        status.refresh_conditions(1, early);
        status.phase = Phase::Growing;
        status.refresh_conditions(1, late);
        let of = |status: &Status, kind: &str| {
            status.conditions.iter().find(|c| c.kind == kind).unwrap().clone()
        };
        assert_eq!(of(&status, "Reconciling").status, "True");
        assert_eq!(of(&status, "Reconciling").last_transition_time, early);
        status.phase = Phase::Complete;
        status.refresh_conditions(2, late);
        assert_eq!(of(&status, "Complete").status, "True");
        assert_eq!(of(&status, "Ready").last_transition_time, late);
        assert_eq!(of(&status, "Reconciling").status, "False");
        assert_eq!(of(&status, "Ready").observed_generation, 2);
    }

    #[test]
    fn a_blocked_record_is_stalled_and_not_ready() {
        let mut status = Status {
            phase: Phase::ClaimsGrown,
            standing: Some(Standing {
                word: Word::Blocked,
                reason: Reason::ForeignFinalizer,
                detail: "example.com/keep".to_owned(),
            }),
            ..Status::default()
        };
        status.refresh_conditions(1, Timestamp::UNIX_EPOCH);
        let conditions: Vec<_> =
            status.conditions.iter().map(|c| (c.kind.as_str(), c.status.as_str())).collect();
        assert_eq!(
            conditions,
            [
                ("Ready", "False"),
                ("Reconciling", "False"),
                ("Stalled", "True"),
                ("Complete", "False")
            ]
        );
    }

    #[test]
    fn five_results_are_kept() {
        let mut status = Status::default();
        for generation in 0..7 {
            status.push_result(Ended {
                phase: Phase::Complete,
                reason: Reason::Done,
                at: Timestamp::UNIX_EPOCH,
                generation,
            });
        }
        let kept: Vec<_> = status.results.iter().map(|ended| ended.generation).collect();
        assert_eq!(kept, [2, 3, 4, 5, 6]);
    }
}
