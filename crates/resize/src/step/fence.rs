//! From grown claims to a set that is safe to delete, and every way back.

use stateward_core::facts::Fact;
use stateward_core::record::{Attempt, Phase, Reason, Retention, RevisionName, Standing, Word};

use super::grow::{self, Claims, waiting};
use super::{Action, View, gap, request, settle};
use crate::gate;
use crate::observed::{Revision, Set};

/// In the phase ClaimsGrown: the resize may rest here for as long as it likes.
pub(super) fn claims_grown(view: &View<'_>, set: Option<&Set>) -> Action {
    let Some(set) = set else { return release(view).unwrap_or_else(|| view.set_gone()) };
    // An undo that was interrupted, or that answers a late write of our own fence.
    if let Some(action) = view.undo_fence(set) {
        return action;
    }
    if let Some(action) = request::changed(view, set) {
        return action;
    }
    if view.paused(set) {
        return release(view).unwrap_or_else(|| view.blocked(Reason::Paused, ""));
    }
    match grow::claims(view, set) {
        Claims::Act(action) => return action,
        Claims::Failed(reason, detail) => return view.end(Phase::Degraded, reason, detail),
        Claims::Rest(standing) => return release(view).unwrap_or_else(|| view.rest(standing)),
        Claims::Grown => {}
    }
    match grow::evict(view, set) {
        Ok(Some(action)) => return action,
        Ok(None) => {}
        Err(claim) => return view.end(Phase::Degraded, Reason::NodeResize, claim),
    }
    if let Some(standing) = gate::finished(set).standing() {
        return release(view).unwrap_or_else(|| view.rest(standing));
    }
    if gate::templates_reach(set, &view.targets) {
        // The template tells the truth already: only what is left of the request is cleared.
        return view.enter(Phase::Verifying, |status| {
            status.attempt.new_uid = Some(set.uid.clone());
        });
    }
    if let Some(owner) = &set.owner {
        // Its owner would undo a re-creation: the claims have grown, and that is all.
        let standing =
            Standing { word: Word::Ended, reason: Reason::OwnerManaged, detail: owner.clone() };
        return release(view).unwrap_or_else(|| view.rest(standing));
    }
    if view.record.spec.hold == Some(Phase::ClaimsGrown) {
        return release(view).unwrap_or_else(|| view.waiting(Reason::Held, ""));
    }
    if view.observed.memory.full {
        return release(view).unwrap_or_else(|| view.waiting(Reason::TooManyAtOnce, ""));
    }
    match touch_gate(view, set) {
        Gate::Ask(action) => action,
        Gate::Shut(standing) => release(view).unwrap_or_else(|| view.rest(standing)),
        Gate::Open if view.record.finalizer => view.enter(Phase::Fenced, |status| {
            status.attempt = Attempt {
                set_uid: Some(set.uid.clone()),
                retention: Some(view.retention_owed(set).unwrap_or(set.retention)),
                retention_asked: status.attempt.retention_asked,
                unwatched: status.attempt.unwatched,
                fence_since: Some(view.now),
                fences: status.attempt.fences,
                replaced: status.attempt.replaced,
                ..Attempt::default()
            };
        }),
        Gate::Open => Action::AddFinalizer,
    }
}

/// Whether the set may be touched.
enum Gate {
    /// it may
    Open,
    /// something must be read first
    Ask(Action),
    /// it may not
    Shut(Standing),
}

/// All checks of the gate, from fresh reads; dry runs only when everything that is read is well.
fn touch_gate(view: &View<'_>, set: &Set) -> Gate {
    let read = gate::worst(&gate::reads(view, set));
    if !view.observed.fresh {
        return Gate::Ask(Action::Refresh);
    }
    match read {
        Some(standing) => Gate::Shut(standing),
        None if matches!(view.observed.dry_runs, Fact::Unknown(_)) => Gate::Ask(Action::DryRun),
        None => gate::worst(&gate::dry_runs(view)).map_or(Gate::Open, Gate::Shut),
    }
}

/// The record's finalizer goes where nothing is fenced.
fn release(view: &View<'_>) -> Option<Action> {
    view.record.finalizer.then_some(Action::RemoveFinalizer)
}

/// In the phase Fenced.
pub(super) fn fenced(view: &View<'_>, set: Option<&Set>) -> Action {
    let attempt = &view.status().attempt;
    let Some(set) = set else { return view.set_gone() };
    if attempt.set_uid.as_ref() != Some(&set.uid) {
        return settle::another_set(view, set);
    }
    if set.terminating {
        return view.waiting(Reason::SetTerminating, "");
    }
    if view.abort_requested() {
        let ended = || view.end(Phase::Aborted, Reason::AbortRequested, "");
        return view.undo_fence(set).unwrap_or_else(ended);
    }
    if view.withdrawn(set) {
        let ended = || view.end(Phase::Aborted, Reason::Withdrawn, "");
        return view.undo_fence(set).unwrap_or_else(ended);
    }
    if view.paused(set) || view.record.spec.hold == Some(Phase::ClaimsGrown) {
        return step_aside(view, set, attempt.fences);
    }
    if let Some(asked) = others_retention(view, set) {
        return view.write(|status| status.attempt.retention_asked = Some(asked));
    }
    let late = view.elapsed(attempt.fence_since) >= view.parameters.fence_bound;
    let open = gate::worst(&gate::fence(view, set));
    if let Some(standing) = open {
        if late {
            return fence_failed(view, set);
        }
        if set.retention != Retention::RETAIN {
            return Action::Fence {
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
                from: set.retention,
            };
        }
        if !view.observed.fresh {
            return Action::Refresh;
        }
        return free_leftover(view, set).unwrap_or_else(|| view.rest(standing));
    }
    match touch_gate(view, set) {
        Gate::Ask(action) => action,
        Gate::Open => begin_delete(view, set),
        // Our own patch of retention makes a rollout look under way for a moment.
        Gate::Shut(standing) if standing.word == Word::Waiting && !late => view.rest(standing),
        Gate::Shut(_) => step_aside(view, set, attempt.fences),
    }
}

/// What somebody else wrote into retention since the fence, where the record does not know it. A
/// wish to delete claims is remembered although we keep `Retain`.
fn others_retention(view: &View<'_>, set: &Set) -> Option<Retention> {
    let written = matches!(set.retention_written, Fact::Known(true));
    let known = view.status().attempt.retention_asked;
    let news = known.is_none() || set.retention != Retention::RETAIN;
    (written && news && known != Some(set.retention)).then_some(set.retention)
}

/// Phase and snapshot in one write, with the only resourceVersion at which a DELETE is sent.
fn begin_delete(view: &View<'_>, set: &Set) -> Action {
    let Some(revision) = update_revision(view, set) else {
        return view.rest(waiting(Reason::NotObserved, "update revision"));
    };
    view.enter(Phase::Deleting, |status| {
        status.snapshot = Some(set.snapshot.clone());
        status.attempt.deleted_at = Some(view.now);
        status.attempt.resource_version = Some(set.resource_version.clone());
        if view.contested(set) {
            // The set that comes back does not show any more who wrote what; in doubt it stays.
            status.attempt.retention_asked.get_or_insert(set.retention);
        }
        status.attempt.partition = set.partition;
        status.attempt.frozen = (!set.on_delete).then(|| set.frozen_partition());
        status.attempt.revision = Some(revision);
    })
}

fn update_revision(view: &View<'_>, set: &Set) -> Option<RevisionName> {
    let Fact::Known(revisions) = &view.observed.revisions else { return None };
    let named = |revision: &&Revision| revision.id.name == set.update_revision;
    revisions.iter().find(named).map(|revision| revision.id.clone())
}

/// Claims above the ordinals are nobody's business but ours: the StatefulSet controller does not
/// look at them.
fn free_leftover(view: &View<'_>, set: &Set) -> Option<Action> {
    let Fact::Known(claims) = &view.observed.claims else { return None };
    let leftover = claims.iter().find(|claim| {
        !set.ordinals().contains(&claim.ordinal)
            && !claim.owners.is_empty()
            && !claim.terminating
            && !claim.foreign
    })?;
    Some(Action::FreeClaim {
        claim: leftover.name.clone(),
        uid: leftover.uid.clone(),
        owner: leftover.owners.first()?.clone(),
    })
}

/// The fence did not hold in time.
fn fence_failed(view: &View<'_>, set: &Set) -> Action {
    let fences = view.status().attempt.fences.saturating_add(1);
    if fences >= view.parameters.tries {
        let ended = || view.end(Phase::Conflict, Reason::FenceNeverHeld, gap::writer(set));
        return view.undo_fence(set).unwrap_or_else(ended);
    }
    step_aside(view, set, fences)
}

/// Back to ClaimsGrown, with retention as it was.
fn step_aside(view: &View<'_>, set: &Set, fences: u32) -> Action {
    view.undo_fence(set).unwrap_or_else(|| {
        view.enter(Phase::ClaimsGrown, |status| {
            status.attempt.fences = fences;
            status.attempt.fence_since = None;
        })
    })
}

/// The old set lives and a DELETE may have been sent: delete it, or step back.
pub(super) fn old_set_lives(view: &View<'_>, set: &Set) -> Action {
    let attempt = &view.status().attempt;
    let same = attempt.resource_version.as_ref() == Some(&set.resource_version);
    let stop = view.abort_requested()
        || view.paused(set)
        || view.record.spec.hold == Some(Phase::ClaimsGrown)
        || view.withdrawn(set);
    if !stop && gate::worst(&gate::fence(view, set)).is_none() {
        let kept = view.status().snapshot.is_some() && attempt.revision.is_some();
        match touch_gate(view, set) {
            Gate::Ask(action) => return action,
            // A person took it off: the record must not go while the set is away.
            Gate::Open if !view.record.finalizer => return Action::AddFinalizer,
            Gate::Open if same && kept => {
                return Action::Delete {
                    uid: set.uid.clone(),
                    resource_version: set.resource_version.clone(),
                };
            }
            // Any DELETE that was sent fails on its resourceVersion; a new one needs a new snapshot.
            Gate::Open => return begin_delete(view, set),
            Gate::Shut(_) => {}
        }
    }
    if !view.observed.fresh {
        return Action::Refresh;
    }
    step_back(view, set, same)
}

/// Only once the set's resourceVersion has changed can no DELETE commit any more; the snapshot
/// stays until then.
fn step_back(view: &View<'_>, set: &Set, same: bool) -> Action {
    if same {
        let ours = view.set_id();
        let id = if set.resize_id == ours { None } else { ours };
        return Action::Touch { uid: set.uid.clone(), had: set.resize_id.clone(), id };
    }
    view.enter(Phase::Fenced, |status| {
        status.snapshot = None;
        status.attempt.resource_version = None;
        status.attempt.deleted_at = None;
    })
}
