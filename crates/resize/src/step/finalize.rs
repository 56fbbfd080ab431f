//! After the re-creation window: adoption, putting back, and what is left to do once it is over.

use stateward_core::facts::Fact;
use stateward_core::record::{
    ClaimState, ClaimStatus, CompletedRequest, Halt, Phase, Reason, Retention,
};

use super::grow::{self, Claims};
use super::{Action, View, recreate, request};
use crate::observed::{Claim, Managers, Set};
use crate::preflight;

/// Whether the set that came back is still the one that stands there.
fn same_set<'s>(view: &View<'_>, set: Option<&'s Set>) -> Result<&'s Set, Box<Action>> {
    let recreation = &view.status().recreation;
    let Some(set) = set else { return Err(Box::new(view.set_gone())) };
    if recreation.new_uid.as_ref() == Some(&set.uid) {
        return Ok(set);
    }
    let reaches = preflight::templates_reach(set, &view.targets);
    Err(Box::new(match &set.unfinished {
        Some(_) => another_set(view, set),
        None if set.terminating => view.waiting(Reason::SetTerminating, ""),
        None if reaches && recreation.replaced == 0 => recreate::adopt_next(view, set),
        // Who brings its own again and again is not fought: each round may cost pods.
        None => view.end(Phase::Conflict, Reason::TooSmallAgain, recreate::writer(set)),
    }))
}

/// A set of another UID has the name: of another re-creation of ours, or somebody's.
pub(super) fn another_set(view: &View<'_>, set: &Set) -> Action {
    let prefix = format!("{}/", view.record.uid);
    match &set.unfinished {
        Some(id) if id.starts_with(&prefix) => view.end(Phase::Conflict, Reason::LateDuplicate, id),
        _ => view.end(Phase::Aborted, Reason::Replaced, recreate::writer(set)),
    }
}

/// In the phase Adopting: the partition stays above every ordinal until nothing would roll.
pub(super) fn adopting(view: &View<'_>, set: Option<&Set>) -> Action {
    let set = match same_set(view, set) {
        Ok(set) => set,
        Err(action) => return *action,
    };
    let recreation = &view.status().recreation;
    if set.terminating {
        return view.waiting(Reason::SetTerminating, "");
    }
    if !view.observed.fresh {
        return Action::Refresh;
    }
    if !set.generation_observed {
        return view.waiting(Reason::PodsNotAdopted, "");
    }
    let expected = recreation.revision.as_ref().map(|revision| revision.name.as_str());
    if recreation.ours && expected != Some(&set.update_revision) {
        // It would roll every pod: the partition stays, and a person decides.
        return view.end(Phase::Degraded, Reason::RevisionDiffers, &set.update_revision);
    }
    let Fact::Known(pods) = &view.observed.pods else {
        return view.waiting(Reason::NotObserved, "pods");
    };
    let strange = pods.iter().find(|pod| {
        !pod.terminating
            && (pod.owner.as_ref() != Some(&set.uid)
                || recreation.ours && pod.revision != set.update_revision)
    });
    if let Some(pod) = strange {
        return view.waiting(Reason::PodsNotAdopted, &pod.name);
    }
    if recreation.ours
        && let Some(action) = open(view, set)
    {
        return action;
    }
    view.enter(Phase::Verifying, |_| {})
}

/// One patch puts partition and retention back, and takes off the mark of a set that is not as it
/// was. What somebody else wrote meanwhile stays.
fn open(view: &View<'_>, set: &Set) -> Option<Action> {
    let recreation = &view.status().recreation;
    let kept = set.retention == Retention::RETAIN && recreation.retention_asked.is_none();
    if kept && view.contested(set) {
        // Whoever wrote it, it stays; that must be said at the end.
        return Some(view.write(|s| s.recreation.retention_asked = Some(set.retention)));
    }
    // Whoever scaled the set meanwhile did not touch the partition.
    let partition = recreation
        .frozen
        .filter(|frozen| set.partition == Some(*frozen) && recreation.partition != Some(*frozen))
        .map(|frozen| (frozen, recreation.partition));
    let retention = view.retention_to_restore(set);
    let marked = set.unfinished.is_some();
    (marked || partition.is_some() || retention.is_some()).then(|| Action::Unfreeze {
        uid: set.uid.clone(),
        mark: set.unfinished.clone(),
        partition,
        retention,
        resource_version: retention.map(|_| set.resource_version.clone()),
    })
}

/// In the phase Verifying: everything is put back, then looked at once more.
pub(super) fn verifying(view: &View<'_>, set: Option<&Set>) -> Action {
    let set = match same_set(view, set) {
        Ok(set) => set,
        Err(action) => return *action,
    };
    if set.terminating {
        return view.waiting(Reason::SetTerminating, "");
    }
    if !view.observed.fresh {
        return Action::Refresh;
    }
    let status = view.status();
    if status.recreation.ours
        && let Some(action) = open(view, set)
    {
        return action;
    }
    if status.recreation.ours && status.snapshot.is_some() && set.managers == Managers::OnlyOurs {
        return Action::RestoreManagers { uid: set.uid.clone() };
    }
    // Everything of ours is put back: from here on nothing is lost with the record.
    if view.record.finalizer {
        return release(view, Some(set));
    }
    if let Some(action) = request::grown_meanwhile(view, set) {
        return action;
    }
    if !preflight::templates_reach(set, &view.targets) {
        // The new template was refused, or not wanted any more.
        return if view.abort_requested() {
            finish(view, set, Phase::Aborted, Reason::AbortRequested, String::new())
        } else {
            finish(view, set, Phase::Degraded, Reason::OldTemplate, String::new())
        };
    }
    if !set.requested.is_empty() && request::met(set, &set.requested) {
        return Action::ClearRequest { uid: set.uid.clone(), value: set.requested.clone() };
    }
    if view.paused(set) {
        return view.blocked(Reason::Paused, "");
    }
    // Claims made by a scale-up meanwhile grow like all others.
    match grow::claims(view, set) {
        Claims::Act(action) => return action,
        Claims::Failed(reason, detail) => {
            return finish(view, set, Phase::Degraded, reason, detail);
        }
        Claims::Halt(halt) => return view.halt(halt),
        Claims::Grown => {}
    }
    match grow::evict(view, set) {
        Ok(Some(action)) => return action,
        Ok(None) => {}
        Err(claim) => return finish(view, set, Phase::Degraded, Reason::NodeResize, claim),
    }
    if let Some(claim) = pending_mounted(view) {
        return view.halt(grow::restart_pending(view, set, claim));
    }
    if let Some(pod) = unsettled_pod(view, set) {
        return view.waiting(Reason::Restoring, pod);
    }
    let recreation = &status.recreation;
    match &recreation.edit_lost {
        Some(manager) => finish(view, set, Phase::Degraded, Reason::EditLost, manager.clone()),
        None => finish(view, set, Phase::Complete, Reason::Done, String::new()),
    }
}

/// The last word.
fn finish(view: &View<'_>, set: &Set, phase: Phase, reason: Reason, mut detail: String) -> Action {
    let lost = view.status().recreation.edit_lost.as_ref();
    if let Some(manager) = lost.filter(|_| reason != Reason::EditLost) {
        detail.push_str(if detail.is_empty() { "" } else { "; " });
        detail.push_str("an edit while the set went is not in it, by ");
        detail.push_str(manager);
    }
    if phase == Phase::Complete
        && (!set.requested.is_empty() || request::record_asks_more(view, set))
    {
        // Somebody asked for more meanwhile. Complete would be read as an answer to that.
        return again(view);
    }
    let rows = preflight::claims(view).map(|_| preflight::rows(view));
    view.end_with(phase, reason, detail, |status| {
        if let Some(rows) = rows {
            status.claims = rows;
        }
    })
}

/// This request is carried out, and another stands on the set.
fn again(view: &View<'_>) -> Action {
    view.enter(Phase::Requested, |status| {
        let generation = status.request.as_ref().map_or(0, |request| request.generation);
        let (phase, reason) = (Phase::Complete, Reason::Done);
        status.snapshot = None;
        status.push_result(CompletedRequest { phase, reason, at: view.now, generation });
    })
}

/// The finalizer goes. A record that is being deleted takes its request along, or the request
/// would make the next record.
fn release(view: &View<'_>, set: Option<&Set>) -> Action {
    match set {
        Some(set) if view.record.deleting && !set.terminating && !set.requested.is_empty() => {
            Action::ClearRequest { uid: set.uid.clone(), value: set.requested.clone() }
        }
        _ => Action::RemoveFinalizer,
    }
}

/// A mounted claim whose file system is not there yet.
fn pending_mounted<'v>(view: &'v View<'_>) -> Option<&'v Claim> {
    let pending = |claim: &Claim, asked| {
        claim.mounted && preflight::growth(view, claim, asked) != preflight::Growth::Done
    };
    let claims = preflight::claims(view)?;
    let (claim, _) = claims.into_iter().find(|(claim, asked)| pending(claim, asked))?;
    Some(claim)
}

/// A pod that is not controlled by the set, or not of its update revision.
fn unsettled_pod(view: &View<'_>, set: &Set) -> Option<String> {
    let Fact::Known(pods) = &view.observed.pods else { return Some("pods".to_owned()) };
    if !set.generation_observed || pods.len() != set.replicas as usize {
        return Some(format!("{} of {} pods", pods.len(), set.replicas));
    }
    let unsettled = pods.iter().find(|pod| {
        pod.owner.as_ref() != Some(&set.uid)
            || !set.on_delete && pod.revision != set.update_revision
    })?;
    Some(unsettled.name.clone())
}

/// The namespace goes: nothing is created any more, and nothing of ours holds it up.
pub(super) fn namespace_terminates(view: &View<'_>) -> Action {
    if view.status().phase.is_live() {
        return view.end(Phase::Aborted, Reason::NamespaceTerminating, "");
    }
    if view.record.finalizer { Action::RemoveFinalizer } else { view.wait() }
}

/// The request is over.
pub(super) fn over(view: &View<'_>, set: Option<&Set>) -> Action {
    let status = view.status();
    if let Some(set) = set {
        if let Some(action) = view.undo_retention_pin(set) {
            // A write of our own retention pin that came late.
            return action;
        }
        if let Some(id) = duplicate(view, set) {
            return view.end(Phase::Conflict, Reason::LateDuplicate, id);
        }
    }
    if view.record.finalizer {
        return release(view, set);
    }
    if view.record.deleting {
        return view.wait();
    }
    let short = matches!(status.phase, Phase::Conflict | Phase::Degraded);
    let unfinished = set.is_some_and(|set| set.unfinished.is_some());
    if short && !unfinished && view.abort_requested() {
        // A person has seen it, and wants nothing more.
        return view.end(Phase::Aborted, Reason::AbortRequested, "");
    }
    let ended = status.results.last().map(|ended| ended.at);
    if status.snapshot.is_some() && view.elapsed(ended) >= view.parameters.keep_snapshot {
        return view.write(|status| status.snapshot = None);
    }
    // What was asked while there is no set is looked at when there is one.
    let Some(set) = set.filter(|set| !set.terminating) else { return view.wait() };
    if request::is_new(view, set) {
        return view.enter(Phase::Requested, |_| {});
    }
    if status.halt.as_ref().is_some_and(|halt| halt.reason == Reason::DeletedByOther) {
        if !view.abort_requested() && recreate::has_requested_sizes(view, set) {
            return recreate::others_created(view, set);
        }
        // The set exists again, so the record must not keep telling that it is missing.
        return view.end(Phase::Aborted, Reason::Replaced, recreate::writer(set));
    }
    if let Some(rows) = grown_later(view) {
        return view.write(|status| status.claims = rows);
    }
    if status.observed_generation != view.record.generation {
        return view.write(|_| {});
    }
    view.wait()
}

/// The claims of a complete resize, if one of them has changed: a file system may grow long after the
/// set was re-created, when its pod restarts.
fn grown_later(view: &View<'_>) -> Option<Vec<ClaimStatus>> {
    let status = view.status();
    let done = |row: &ClaimStatus| row.state == ClaimState::Done;
    if status.phase != Phase::Complete || status.claims.iter().all(done) {
        return None;
    }
    let rows = preflight::rows(view);
    (!rows.is_empty() && rows != status.claims).then_some(rows)
}

/// The `resize-id` of a set that a CREATE of ours made after its re-creation had ended.
fn duplicate<'s>(view: &View<'_>, set: &'s Set) -> Option<&'s str> {
    let status = view.status();
    let id = set.unfinished.as_deref()?;
    let request = status.request.as_ref().map(|request| &request.set_uid);
    let known = [status.recreation.set_uid.as_ref(), status.recreation.new_uid.as_ref(), request];
    let told = |halt: &Halt| halt.reason == Reason::LateDuplicate && halt.message.contains(id);
    let told = status.halt.as_ref().is_some_and(told);
    let ours = id.starts_with(&format!("{}/", view.record.uid));
    (ours && !known.contains(&Some(&set.uid)) && !told).then_some(id)
}
