//! From grown claims to a set that is safe to delete, and every way back.

use std::collections::BTreeSet;

use stateward_core::facts::Fact;
use stateward_core::record::{Halt, Phase, Reason, Recreation, Retention, RevisionName, State};

use super::grow::{self, Claims, waiting};
use super::{Action, View, finalize, recreate, request};
use crate::observed::{Claim, Revision, Set};
use crate::preflight;

/// In the phase ClaimsGrown: the resize may rest here for as long as it likes.
pub(super) fn claims_grown(view: &View<'_>, set: Option<&Set>) -> Action {
    let Some(set) = set else { return release(view).unwrap_or_else(|| view.set_gone()) };
    // An undo that was interrupted, or that answers a late write of our own retention pin.
    if let Some(action) = view.undo_retention_pin(set) {
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
        Claims::Failed(reason, message) => return view.fail_claims(reason, message),
        Claims::Halt(halt) => return release(view).unwrap_or_else(|| view.halt(halt)),
        Claims::Grown => {}
    }
    match grow::evict(view, set) {
        Ok(Some(action)) => return action,
        Ok(None) => {}
        Err(claim) => return view.end(Phase::Degraded, Reason::NodeResize, claim),
    }
    if let Some(halt) = preflight::finished(set).halt() {
        return release(view).unwrap_or_else(|| view.halt(halt));
    }
    if preflight::templates_reach(set, &view.targets) {
        // The template tells the truth already: only what is left of the request is cleared.
        return view.enter(Phase::Verifying, |status| {
            status.recreation.new_uid = Some(set.uid.clone());
        });
    }
    if let Some(owner) = set.forbidding_owner() {
        // Its owner would undo a re-creation: the claims have grown, and that is all.
        let halt =
            Halt { state: State::Ended, reason: Reason::OwnerManaged, message: owner.to_owned() };
        return release(view).unwrap_or_else(|| view.halt(halt));
    }
    if view.record.spec.hold == Some(Phase::ClaimsGrown) {
        return release(view).unwrap_or_else(|| view.waiting(Reason::Held, ""));
    }
    if view.observed.memory.full {
        return release(view).unwrap_or_else(|| view.waiting(Reason::TooManyAtOnce, ""));
    }
    match preflight_checks(view, set) {
        Preflight::Ask(action) => action,
        Preflight::Failed(halt) => release(view).unwrap_or_else(|| view.halt(halt)),
        Preflight::Passed if view.record.finalizer => {
            view.enter(Phase::RetentionPinned, |status| {
                let owners = match view.retention_owed(set) {
                    Some(_) => std::mem::take(&mut status.recreation.retention_owners),
                    None => set.retention_owners.clone(),
                };
                status.recreation = Recreation {
                    set_uid: Some(set.uid.clone()),
                    retention: Some(view.retention_owed(set).unwrap_or(set.retention)),
                    retention_owners: owners,
                    retention_asked: status.recreation.retention_asked,
                    unwatched: status.recreation.unwatched,
                    pinned_since: Some(view.now),
                    pin_failures: status.recreation.pin_failures,
                    replaced: status.recreation.replaced,
                    ..Recreation::default()
                };
            })
        }
        Preflight::Passed => Action::AddFinalizer,
    }
}

/// Whether the set may be touched.
enum Preflight {
    /// it may
    Passed,
    /// something must be read first
    Ask(Action),
    /// it may not
    Failed(Halt),
}

/// All preflight checks, from fresh reads; dry runs only when everything that is read is well.
fn preflight_checks(view: &View<'_>, set: &Set) -> Preflight {
    let read = preflight::worst(&preflight::reads(view, set));
    if !view.observed.fresh {
        return Preflight::Ask(Action::Refresh);
    }
    match read {
        Some(halt) => Preflight::Failed(halt),
        None if matches!(view.observed.dry_runs, Fact::Unknown(_)) => {
            Preflight::Ask(Action::DryRun)
        }
        None => preflight::worst(&preflight::dry_runs(view))
            .map_or(Preflight::Passed, Preflight::Failed),
    }
}

/// The record's finalizer goes where nothing is pinned.
fn release(view: &View<'_>) -> Option<Action> {
    view.record.finalizer.then_some(Action::RemoveFinalizer)
}

/// In the phase `RetentionPinned`.
pub(super) fn retention_pinned(view: &View<'_>, set: Option<&Set>) -> Action {
    let recreation = &view.status().recreation;
    let Some(set) = set else { return view.set_gone() };
    if recreation.set_uid.as_ref() != Some(&set.uid) {
        return finalize::another_set(view, set);
    }
    if set.terminating {
        return view.waiting(Reason::SetTerminating, "");
    }
    if view.abort_requested() {
        let ended = || view.end(Phase::Aborted, Reason::AbortRequested, "");
        return view.undo_retention_pin(set).unwrap_or_else(ended);
    }
    if view.withdrawn(set) {
        let ended = || view.end(Phase::Aborted, Reason::Withdrawn, "");
        return view.undo_retention_pin(set).unwrap_or_else(ended);
    }
    if view.paused(set) || view.record.spec.hold == Some(Phase::ClaimsGrown) {
        return step_aside(view, set, recreation.pin_failures);
    }
    if let Some(asked) = others_retention(view, set) {
        return view.write(|status| status.recreation.retention_asked = Some(asked));
    }
    // What the API server refuses is no other writer's doing.
    let late = view.elapsed(recreation.pinned_since) >= view.parameters.pin_timeout
        && !view.write_refused();
    let open = preflight::worst(&preflight::retention_pin(view, set));
    if let Some(halt) = open {
        if late {
            return pin_failed(view, set);
        }
        if set.retention != Retention::RETAIN {
            return Action::PinRetention {
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
                from: set.retention,
            };
        }
        if !view.observed.fresh {
            return Action::Refresh;
        }
        return free_leftover(view, set).unwrap_or_else(|| view.halt(halt));
    }
    match preflight_checks(view, set) {
        Preflight::Ask(action) => action,
        Preflight::Passed => begin_delete(view, set),
        // Our own patch of retention makes a rollout look under way for a moment.
        Preflight::Failed(halt) if halt.state == State::Waiting && !late => view.halt(halt),
        Preflight::Failed(_) => step_aside(view, set, recreation.pin_failures),
    }
}

/// What somebody else wrote into retention since the retention pin, where the record does not know it. A
/// wish to delete claims is remembered although we keep `Retain`.
fn others_retention(view: &View<'_>, set: &Set) -> Option<Retention> {
    let written = matches!(set.retention_written, Fact::Known(true));
    let known = view.status().recreation.retention_asked;
    let news = known.is_none() || set.retention != Retention::RETAIN;
    (written && news && known != Some(set.retention)).then_some(set.retention)
}

/// Phase and snapshot in one write, with the only resourceVersion at which a DELETE is sent.
fn begin_delete(view: &View<'_>, set: &Set) -> Action {
    let Some(revision) = update_revision(view, set) else {
        return view.halt(waiting(Reason::NotObserved, "update revision"));
    };
    view.enter(Phase::Deleting, |status| {
        status.snapshot = Some(set.snapshot.clone());
        status.recreation.deleted_at = Some(view.now);
        status.recreation.resource_version = Some(set.resource_version.clone());
        if view.contested(set) {
            // The set that comes back does not show any more who wrote what; in doubt it stays.
            status.recreation.retention_asked.get_or_insert(set.retention);
        }
        status.recreation.partition = set.partition;
        status.recreation.frozen = (!set.on_delete).then(|| set.frozen_partition());
        status.recreation.revision = Some(revision);
    })
}

fn update_revision(view: &View<'_>, set: &Set) -> Option<RevisionName> {
    let Fact::Known(revisions) = &view.observed.revisions else { return None };
    let named = |revision: &&Revision| revision.id.name == set.update_revision;
    revisions.iter().find(named).map(|revision| revision.id.clone())
}

/// Claims above the ordinals: the StatefulSet controller leaves their owner references alone.
fn free_leftover(view: &View<'_>, set: &Set) -> Option<Action> {
    let Fact::Known(claims) = &view.observed.claims else { return None };
    let uids = view.observed.uids();
    let leftover = claims.iter().find(|claim| {
        !set.ordinals().contains(&claim.ordinal)
            && preflight::goes_along(&uids, claim)
            && !claim.terminating
    })?;
    Some(Action::RemoveClaimOwner {
        claim: leftover.name.clone(),
        uid: leftover.uid.clone(),
        owner: owner_to_remove(&uids, leftover)?,
    })
}

/// Of a claim that belongs to somebody else only the reference to this set or its pods is removed.
fn owner_to_remove(uids: &BTreeSet<&str>, claim: &Claim) -> Option<String> {
    let ours = |owner: &&String| !claim.foreign || uids.contains(owner.as_str());
    claim.owners.iter().find(ours).cloned()
}

/// The retention pin did not hold in time.
fn pin_failed(view: &View<'_>, set: &Set) -> Action {
    let pin_failures = view.status().recreation.pin_failures.saturating_add(1);
    if pin_failures >= view.parameters.tries {
        let ended = || view.end(Phase::Conflict, Reason::RetentionPinFailed, recreate::writer(set));
        return view.undo_retention_pin(set).unwrap_or_else(ended);
    }
    step_aside(view, set, pin_failures)
}

/// Back to ClaimsGrown, with retention as it was.
fn step_aside(view: &View<'_>, set: &Set, pin_failures: u32) -> Action {
    view.undo_retention_pin(set).unwrap_or_else(|| {
        view.enter(Phase::ClaimsGrown, |status| {
            status.recreation.pin_failures = pin_failures;
            status.recreation.pinned_since = None;
        })
    })
}

/// The old set lives and a DELETE may have been sent: delete it, or step back.
pub(super) fn old_set_lives(view: &View<'_>, set: &Set) -> Action {
    let recreation = &view.status().recreation;
    let same = recreation.resource_version.as_ref() == Some(&set.resource_version);
    let stop = view.abort_requested()
        || view.paused(set)
        || view.record.spec.hold == Some(Phase::ClaimsGrown)
        || view.withdrawn(set);
    if !stop && preflight::worst(&preflight::retention_pin(view, set)).is_none() {
        let kept = view.status().snapshot.is_some() && recreation.revision.is_some();
        match preflight_checks(view, set) {
            Preflight::Ask(action) => return action,
            // A person took it off: the record must not go while the set is away.
            Preflight::Passed if !view.record.finalizer => return Action::AddFinalizer,
            Preflight::Passed if same && kept => {
                return Action::Delete {
                    uid: set.uid.clone(),
                    resource_version: set.resource_version.clone(),
                };
            }
            // Any DELETE that was sent fails on its resourceVersion; a new one needs a new snapshot.
            Preflight::Passed => return begin_delete(view, set),
            Preflight::Failed(_) => {}
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
        return Action::BumpResourceVersion {
            uid: set.uid.clone(),
            had: set.resize_id.clone(),
            id,
        };
    }
    view.enter(Phase::RetentionPinned, |status| {
        status.snapshot = view.copy(set);
        status.recreation.resource_version = None;
        status.recreation.deleted_at = None;
    })
}
