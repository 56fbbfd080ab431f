//! How far a resize is: what only the controller writes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClaimState, Phase, RESULTS, Reason, Retention, State};

/// What was done. Only the controller writes it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// how far it is
    pub phase: Phase,
    /// why it waits, is blocked, or ended; `state`, `reason` and `message`
    #[serde(flatten)]
    pub halt: Option<Halt>,
    /// which request is carried out, on which set
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// sizes taken from `resize-requested`, the user's right being proven at that time
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotation_targets: BTreeMap<String, String>,
    /// what the retention pin and the re-creation window must remember
    #[serde(default)]
    pub recreation: Recreation,
    /// the last time at which a CREATE of this set may have been sent, for any re-creation
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_create: Option<Timestamp>,
    /// a copy of the set, encoded by whoever read it: until Deleting as it was when the request was
    /// accepted, from then on as it was when it was deleted
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// one row per claim
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimStatus>,
    /// how many claims have the requested size, of how many, as `2/3`
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub claims_grown: String,
    /// the set has a controller owner and `owner-managed: allow`: a set that its owner creates anew
    /// is to have the sizes asked
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owner_managed: bool,
    /// how the last requests ended
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<CompletedRequest>,
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
            halt: None,
            request: None,
            annotation_targets: BTreeMap::new(),
            recreation: Recreation::default(),
            last_create: None,
            snapshot: None,
            claims: Vec::new(),
            claims_grown: String::new(),
            owner_managed: false,
            results: Vec::new(),
            observed_generation: 0,
            conditions: Vec::new(),
        }
    }
}

/// Why a resize does not go on.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Halt {
    /// `Waiting`, `Blocked` or `Ended`; absent while the resize makes progress
    pub state: State,
    /// why the resize is in this state
    pub reason: Reason,
    /// the claim, field or API server's answer that the reason is about
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Which request is carried out.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Request {
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

impl Request {
    /// Goes on for a set that was created anew. The annotation went with the set before it, so its
    /// absence takes nothing back.
    pub fn follow(&mut self, set_uid: &str) {
        set_uid.clone_into(&mut self.set_uid);
        self.withdrawable = false;
    }
}

/// What the retention pin and the re-creation window must remember.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Recreation {
    /// the UID of the set that is replaced
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_uid: Option<String>,
    /// the only resourceVersion at which a DELETE is ever sent
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// the update revision
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionName>,
    /// retention before the retention pin
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// who owned the fields of the retention policy before the retention pin
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retention_owners: Vec<RetentionOwner>,
    /// the partition before the re-creation window; absent where the set had none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<i64>,
    /// what others wrote into retention since the retention pin; it is not restored over their word
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_asked: Option<Retention>,
    /// the earliest time at which a DELETE of this re-creation may have been sent
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
    /// when this retention pin was begun
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_since: Option<Timestamp>,
    /// how many retention pins did not hold
    #[serde(default)]
    pub pin_failures: u32,
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

/// A field manager that owns fields of the retention policy.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct RetentionOwner {
    /// the name of the field manager
    pub manager: String,
    /// `Apply` or `Update`
    pub operation: String,
    /// the fields that it owns: `whenDeleted`, `whenScaled`
    pub fields: Vec<String>,
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
pub struct ClaimStatus {
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
    /// for a size that the driver cannot make: the smallest request that Kubernetes still accepts
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest: Option<String>,
    /// the UID of the pod that was evicted for this target
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evicted: Option<String>,
}

/// How a request ended.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct CompletedRequest {
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
    /// Whether the resize ended, and left behind what a person has to repair: claims or a set short of
    /// the request, or a set that someone else deleted.
    pub fn ended_short(&self) -> bool {
        let deleted = |halt: &Halt| halt.reason == Reason::DeletedByOther;
        matches!(self.phase, Phase::Conflict | Phase::Degraded)
            || self.halt.as_ref().is_some_and(deleted)
    }

    /// Whether a person has to act: the resize does not go on by itself, or did not end as requested.
    pub fn needs_a_person(&self) -> bool {
        // Such a resize waits and retries, but what it waits for changes only if a person acts.
        let by_person = |halt: &Halt| {
            use Reason::{CreateRefused, OrphaningStuck, Replaced, SetGone};
            matches!(halt.reason, CreateRefused | OrphaningStuck | Replaced | SetGone)
        };
        let halted = |halt: &Halt| halt.state == State::Blocked || by_person(halt);
        self.ended_short() || self.halt.as_ref().is_some_and(halted)
    }

    /// The requested sizes and how many claims have them: `data to 20Gi, 2/3 claims grown`.
    pub fn progress(&self) -> String {
        let targets = self.request.iter().flat_map(|request| &request.targets);
        let mut parts: Vec<String> =
            targets.map(|(template, size)| format!("{template} to {size}")).collect();
        if !self.claims_grown.is_empty() {
            parts.push(format!("{} claims grown", self.claims_grown));
        }
        parts.join(", ")
    }

    /// Brings the conditions and the count of claims in line with the rest, for a write at `now`.
    pub fn summarize(&mut self, generation: i64, now: Timestamp) {
        let grown = |row: &&ClaimStatus| row.state == ClaimState::Done;
        self.claims_grown = match self.claims.len() {
            0 => String::new(),
            all => format!("{}/{all}", self.claims.iter().filter(grown).count()),
        };
        self.observed_generation = generation;
        let stands = |word: State| self.halt.as_ref().is_some_and(|halt| halt.state == word);
        let blocked = stands(State::Blocked);
        let failed = self.ended_short();
        let done = self.phase == Phase::Complete;
        let over = !self.phase.is_live() || stands(State::Ended);
        let reason = self
            .halt
            .as_ref()
            .map_or_else(|| self.phase.to_string(), |halt| halt.reason.to_string());
        let about = self.halt.as_ref().map(|halt| halt.message.as_str());
        let parts = [self.progress(), about.unwrap_or_default().to_owned()];
        let message = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let message = message.join("; ");
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
    pub fn push_result(&mut self, request: CompletedRequest) {
        self.results.push(request);
        let surplus = self.results.len().saturating_sub(RESULTS);
        self.results.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_another_version_are_kept_as_they_are() {
        let text = r#"{"phase":"Migrating","state":"Dozing","reason":"Moonlight"}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.phase, Phase::Unknown("Migrating".to_owned()));
        assert!(status.phase.is_live(), "an unknown phase may hide an open re-creation window");
        let written = serde_json::to_value(&status).unwrap();
        assert_eq!(written["phase"], "Migrating");
        assert_eq!(written["reason"], "Moonlight");
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
        status.summarize(1, early);
        status.phase = Phase::Growing;
        status.summarize(1, late);
        let of = |status: &Status, kind: &str| {
            status.conditions.iter().find(|c| c.kind == kind).unwrap().clone()
        };
        assert_eq!(of(&status, "Reconciling").status, "True");
        assert_eq!(of(&status, "Reconciling").last_transition_time, early);
        status.phase = Phase::Complete;
        status.summarize(2, late);
        assert_eq!(of(&status, "Complete").status, "True");
        assert_eq!(of(&status, "Ready").last_transition_time, late);
        assert_eq!(of(&status, "Reconciling").status, "False");
        assert_eq!(of(&status, "Ready").observed_generation, 2);
    }

    #[test]
    fn a_set_that_others_deleted_is_not_ready() {
        let of = |reason| {
            let message = String::new();
            let halt = Some(Halt { state: State::Ended, reason, message });
            let mut status = Status { phase: Phase::Aborted, halt, ..Status::default() };
            status.summarize(1, Timestamp::UNIX_EPOCH);
            let holds =
                |kind: &str| status.conditions.iter().any(|c| c.kind == kind && c.status == "True");
            (holds("Ready"), holds("Stalled"))
        };
        assert_eq!(of(Reason::DeletedByOther), (false, true));
        for wanted in [Reason::AbortRequested, Reason::Withdrawn, Reason::LeftAbsent] {
            assert_eq!(of(wanted.clone()), (true, false), "{wanted}");
        }
    }

    #[test]
    fn a_claim_counts_as_grown_once_its_file_system_has_grown() {
        let row = |ordinal: u32, state| ClaimStatus {
            name: format!("data-db-{ordinal}"),
            from: "5Gi".to_owned(),
            target: "8Gi".to_owned(),
            capacity: Some("5Gi".to_owned()),
            state,
            since: None,
            lowest: None,
            evicted: None,
        };
        let mut status = Status::default();
        let each = [ClaimState::Done, ClaimState::NodePending, ClaimState::Growing];
        status.claims = (0..).zip(each).map(|(ordinal, state)| row(ordinal, state)).collect();
        status.summarize(1, Timestamp::UNIX_EPOCH);
        assert_eq!(status.claims_grown, "1/3");
        assert!(status.conditions.iter().all(|one| one.message == "1/3 claims grown"));
    }

    #[test]
    fn a_blocked_record_is_stalled_and_not_ready() {
        let mut status = Status {
            phase: Phase::ClaimsGrown,
            halt: Some(Halt {
                state: State::Blocked,
                reason: Reason::ForeignFinalizer,
                message: "example.com/keep".to_owned(),
            }),
            ..Status::default()
        };
        status.summarize(1, Timestamp::UNIX_EPOCH);
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
    fn a_resize_needs_a_person_if_nothing_else_can_make_it_go_on() {
        let needs = |state, reason| {
            let halt = Some(Halt { state, reason, message: String::new() });
            Status { halt, ..Status::default() }.needs_a_person()
        };
        assert!(needs(State::Blocked, Reason::FileSystemPending));
        assert!(!needs(State::Waiting, Reason::FileSystemPending));
        assert!(!needs(State::Waiting, Reason::ClaimsGrowing));
        for reason in [Reason::CreateRefused, Reason::OrphaningStuck, Reason::SetGone] {
            assert!(needs(State::Waiting, reason.clone()), "{reason}");
        }
        assert!(needs(State::Ended, Reason::Replaced) && !needs(State::Ended, Reason::Done));
    }

    #[test]
    fn five_results_are_kept() {
        let mut status = Status::default();
        for generation in 0..7 {
            status.push_result(CompletedRequest {
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
