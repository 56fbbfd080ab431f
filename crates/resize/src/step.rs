//! What is to be done next.
//!
//! [`step`] is pure and total: the same cluster, record and time give the same [`Action`]. It is
//! asked again after every action, from what is then observed, so an action is never part of a
//! script: a process may end between any two of them, and whoever comes next goes on.
//!
//! No action deletes a claim, and the one that deletes a set carries the UID and the
//! resourceVersion that the record names; it always orphans.

mod action;
mod finalize;
mod grow;
mod recreate;
mod request;
mod retention_pin;

use jiff::Timestamp;
use stateward_core::facts::{Fact, NamespaceFact};
use stateward_core::object::Quantity;
use stateward_core::record::{
    CompletedRequest, Halt, Phase, Reason, Record, Retention, State, Status,
};

pub use self::action::Action;
use super::observed::{Claim, Observed, Set};
use super::parameters::Parameters;
use super::preflight;
use super::view::View;

/// What is to be done next for one set and its record.
pub fn step(
    observed: &Observed,
    record: Option<&Record>,
    now: Timestamp,
    parameters: &Parameters,
) -> Action {
    let Some(record) = record else { return request::without_record(observed, parameters) };
    let view = View::new(observed, record, now, parameters);
    let action = next(&view);
    view.told_if_refused(action)
}

fn next(view: &View<'_>) -> Action {
    let View { observed, record, .. } = view;
    let Fact::Known(set) = &observed.set else { return view.wait() };
    let terminating = |namespace: &NamespaceFact| namespace.terminating && !observed.memory.standby;
    if matches!(&observed.namespace, Fact::Known(namespace) if terminating(namespace)) {
        return finalize::namespace_terminates(view);
    }
    if observed.memory.standby {
        return recreate::close_only(view, set.as_ref());
    }
    match &record.status.phase {
        Phase::Requested => request::begin(view, set.as_ref()),
        Phase::Growing => grow::growing(view, set.as_ref()),
        Phase::ClaimsGrown => retention_pin::claims_grown(view, set.as_ref()),
        Phase::RetentionPinned => retention_pin::retention_pinned(view, set.as_ref()),
        Phase::Deleting | Phase::Creating => recreate::recover(view, set.as_ref()),
        Phase::Adopting => finalize::adopting(view, set.as_ref()),
        Phase::Verifying => finalize::verifying(view, set.as_ref()),
        Phase::Complete | Phase::Aborted | Phase::Conflict | Phase::Degraded => {
            finalize::over(view, set.as_ref())
        }
        Phase::Unknown(_) => recreate::close_only(view, set.as_ref()),
    }
}

impl View<'_> {
    /// Raises a claim to `to`.
    pub fn grow(&self, claim: &Claim, to: Quantity) -> Action {
        Action::GrowClaim {
            claim: claim.name.clone(),
            uid: claim.uid.clone(),
            from: claim.request.clone(),
            to,
            had_id: claim.resize_id.clone(),
            id: self.claim_id(),
        }
    }

    /// The `resize-id` of the set that this re-creation creates.
    pub fn set_id(&self) -> Option<String> {
        let replaced = self.status().recreation.set_uid.as_ref()?;
        Some(format!("{}/{replaced}", self.record.uid))
    }

    fn wait(&self) -> Action {
        Action::Wait { after: self.parameters.resync }
    }

    fn wait_in_window(&self) -> Action {
        Action::Wait { after: self.parameters.recreation_resync }
    }

    /// The action, or what the record says while the API server refuses it. A write that was refused
    /// is tried again when it is forgotten, after a back-off.
    fn told_if_refused(&self, action: Action) -> Action {
        let description = action.description();
        let refusal = self.observed.memory.refused_writes.get(&description);
        let Some(refusal) = refusal.filter(|_| action.is_told_when_refused()) else {
            return action;
        };
        let status = self.status();
        if self.observed.memory.standby || !status.phase.is_live() {
            // How a request has ended is not written over.
            return self.wait();
        }
        // A DELETE that was sent before may still commit: an open window waits for nobody.
        let in_window = matches!(status.phase, Phase::Deleting | Phase::Creating);
        let state = if in_window { State::Waiting } else { State::Blocked };
        let message = format!("{description}: {refusal}");
        self.halt(Halt { state, reason: Reason::WriteRefused, message })
    }

    /// Whether the record says that a write is refused.
    fn write_refused(&self) -> bool {
        self.status().halt.as_ref().is_some_and(|halt| halt.reason == Reason::WriteRefused)
    }

    /// Writes the status as `change` leaves it.
    fn write(&self, change: impl FnOnce(&mut Status)) -> Action {
        let mut status = self.status().clone();
        change(&mut status);
        status.summarize(self.record.generation, self.now);
        Action::WriteStatus(Box::new(status))
    }

    /// Goes to another phase.
    fn enter(&self, phase: Phase, change: impl FnOnce(&mut Status)) -> Action {
        self.write(|status| {
            status.phase = phase;
            status.halt = None;
            change(status);
        })
    }

    /// Rests, and says why where the record does not say so yet.
    fn halt(&self, halt: Halt) -> Action {
        let seen = self.status().observed_generation == self.record.generation;
        if seen && self.status().halt.as_ref() == Some(&halt) {
            return self.wait();
        }
        self.write(|status| status.halt = Some(halt))
    }

    fn waiting(&self, reason: Reason, detail: impl Into<String>) -> Action {
        self.halt(Halt { state: State::Waiting, reason, message: detail.into() })
    }

    fn blocked(&self, reason: Reason, detail: impl Into<String>) -> Action {
        self.halt(Halt { state: State::Blocked, reason, message: detail.into() })
    }

    /// Ends the request. The snapshot goes, unless it is all that is left of the set.
    fn end(&self, phase: Phase, reason: Reason, detail: impl Into<String>) -> Action {
        self.end_with(phase, reason, detail, |_| {})
    }

    /// Ends the request because of a claim that will not grow. The record then tells how far each
    /// claim is.
    fn fail_claims(&self, reason: Reason, message: String) -> Action {
        let rows = preflight::rows(self);
        self.end_with(Phase::Degraded, reason, message, |status| status.claims = rows)
    }

    /// The same, with one more change.
    fn end_with(
        &self,
        phase: Phase,
        reason: Reason,
        detail: impl Into<String>,
        change: impl FnOnce(&mut Status),
    ) -> Action {
        let mut detail = detail.into();
        for doubt in self.doubts() {
            detail.push_str(if detail.is_empty() { "" } else { "; " });
            detail.push_str(&doubt);
        }
        self.write(|status| {
            change(status);
            if matches!(status.phase, Phase::Deleting | Phase::Creating) {
                // Whoever closed this re-creation window may have sent a CREATE that is still on its way.
                status.last_create = Some(self.now);
            }
            if reason == Reason::Withdrawn {
                // The same size asked once more is another request.
                status.annotation_targets.clear();
            }
            if !matches!(reason, Reason::DeletedByOther | Reason::LeftAbsent) {
                status.snapshot = None;
            }
            status.phase = phase.clone();
            status.halt =
                Some(Halt { state: State::Ended, reason: reason.clone(), message: detail });
            let generation = status.request.as_ref().map_or(0, |request| request.generation);
            status.push_result(CompletedRequest { phase, reason, at: self.now, generation });
        })
    }

    /// What a person should know, however it ended.
    fn doubts(&self) -> impl Iterator<Item = String> {
        let recreation = &self.status().recreation;
        let asked = recreation.retention_asked.is_some();
        let asked = asked
            .then_some("retention stays Retain, since somebody else wrote it during the resize");
        let unwatched = "nobody watched the set go, so an edit at that moment may be lost";
        let unwatched = recreation.unwatched.then_some(unwatched);
        let pinned = recreation.retention.is_some_and(|before| before != Retention::RETAIN);
        let refused = self.observed.memory.retention_refused.as_ref().filter(|_| pinned);
        let refused = refused
            .map(|why| format!("retention stays Retain, since putting it back was refused: {why}"));
        asked.into_iter().chain(unwatched).map(str::to_owned).chain(refused)
    }

    /// Whether the request being acted on is to end.
    fn abort_requested(&self) -> bool {
        self.is_ended(self.status().request.as_ref().map_or(0, |request| request.generation))
    }

    /// Whether a request of this generation is to end. None is numbered 0, so an abort of 0 ends
    /// nothing.
    fn is_ended(&self, generation: i64) -> bool {
        let ends = |abort: i64| abort >= generation.max(1);
        self.record.deleting || self.record.spec.abort.is_some_and(ends)
    }

    /// Whether the annotation that alone asked was taken off.
    fn withdrawn(&self, set: &Set) -> bool {
        let request = self.status().request.as_ref();
        request.is_some_and(|request| request.withdrawable)
            && self.record.spec.targets.is_empty()
            && set.requested.is_empty()
    }

    fn paused(&self, set: &Set) -> bool {
        self.record.spec.paused || set.paused
    }

    /// Puts retention back, where the retention pin changed it and nobody else wrote it since. Nothing
    /// where there is nothing to put back; in doubt `Retain` stays.
    fn undo_retention_pin(&self, set: &Set) -> Option<Action> {
        let to = self.retention_to_restore(set)?;
        (self.status().recreation.set_uid.as_ref() == Some(&set.uid) && !set.terminating).then(
            || Action::RestoreRetention {
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
                to,
            },
        )
    }

    /// The retention before the retention pin, where it is still to be put back: nobody else wrote
    /// retention since, neither into this set nor into the one that it replaces.
    fn retention_to_restore(&self, set: &Set) -> Option<Retention> {
        self.retention_owed(set).filter(|_| self.observed.memory.retention_refused.is_none())
    }

    /// The same, whether or not somebody refuses that it is put back now.
    fn retention_owed(&self, set: &Set) -> Option<Retention> {
        let recreation = &self.status().recreation;
        let untouched = matches!(set.retention_written, Fact::Known(false))
            && recreation.retention_asked.is_none();
        let of_set = [&recreation.set_uid, &recreation.new_uid]
            .into_iter()
            .flatten()
            .any(|uid| *uid == set.uid);
        recreation.retention.filter(|before| {
            of_set
                && untouched
                && *before != Retention::RETAIN
                && set.retention == Retention::RETAIN
        })
    }

    /// Whether somebody else wrote retention since the retention pin. Where that cannot be read, it counts
    /// only if there is something to restore.
    fn contested(&self, set: &Set) -> bool {
        match set.retention_written {
            Fact::Known(written) => written,
            Fact::Unknown(_) => self.status().recreation.retention != Some(Retention::RETAIN),
        }
    }

    /// The set is not there although nothing of ours deleted it.
    fn set_gone(&self) -> Action {
        let since = self.status().recreation.gone_since;
        if since.is_none() {
            return self.write(|status| {
                status.recreation.gone_since = Some(self.now);
                status.halt = Some(Halt {
                    state: State::Waiting,
                    reason: Reason::SetGone,
                    message: String::new(),
                });
            });
        }
        if self.elapsed(since) >= self.parameters.set_gone || self.abort_requested() {
            return self.end(Phase::Aborted, Reason::DeletedByOther, "");
        }
        self.wait()
    }
}
