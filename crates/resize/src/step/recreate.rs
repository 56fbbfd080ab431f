//! The re-creation window, and the table of recovery (`docs/resize.md`, The re-creation window and recovery).

use std::collections::BTreeMap;

use stateward_core::facts::Fact;
use stateward_core::record::{Phase, Reason, Recreation, Status};

use super::{Action, View, grow, retention_pin};
use crate::observed::{Created, Revision, Set};
use crate::preflight;

/// What stands under the name of the set, seen from an re-creation that may have deleted it.
enum Stands<'s> {
    /// the old set, as it was
    Old(&'s Set),
    /// a set that is being deleted
    Terminating(&'s Set),
    /// nothing
    Nothing,
    /// the set that this re-creation created
    Ours(&'s Set),
    /// a set that another re-creation created, landed late
    OtherAttempts(&'s Set),
    /// a set that somebody else created, large enough
    TheirsLarge(&'s Set),
    /// a set that somebody else created with an old template
    TheirsSmall(&'s Set),
}

fn stands<'s>(view: &View<'_>, set: Option<&'s Set>) -> Stands<'s> {
    let Some(set) = set else { return Stands::Nothing };
    let old = view.status().recreation.set_uid.as_ref() == Some(&set.uid);
    match &set.unfinished {
        _ if set.terminating => Stands::Terminating(set),
        _ if old => Stands::Old(set),
        // A CREATE that was sent twice, and whose first set somebody has deleted.
        Some(_) if created(view).is_some_and(|created| created.uid != set.uid) => {
            Stands::OtherAttempts(set)
        }
        Some(id) if view.set_id().as_ref() == Some(id) => Stands::Ours(set),
        Some(_) => Stands::OtherAttempts(set),
        None if preflight::templates_reach(set, &view.targets) => Stands::TheirsLarge(set),
        None => Stands::TheirsSmall(set),
    }
}

/// The garbage collector has yet to orphan what the set owns. It may be down for minutes, or be
/// denied the update of an object that the set owns; nothing but the record would tell.
fn orphaning(view: &View<'_>, set: &Set) -> Action {
    let late = |deleted| view.now.duration_since(deleted) >= view.parameters.orphaning;
    if !set.deleted.is_some_and(late) {
        return view.wait_in_window();
    }
    let message = match still_owned(view, set) {
        owned if owned.is_empty() => "it owns nothing that the controller may list".to_owned(),
        owned => format!("it still owns {}", preflight::named(&owned)),
    };
    match view.halt(grow::waiting(Reason::OrphaningStuck, &message)) {
        Action::Wait { .. } => view.wait_in_window(),
        action => action,
    }
}

/// What still names a set that is going as its owner: other kinds first, since nobody but us and the
/// garbage collector looks for them.
fn still_owned(view: &View<'_>, set: &Set) -> Vec<String> {
    let mut owned = match &view.observed.dependents {
        Fact::Known(dependents) => dependents.found.clone(),
        Fact::Unknown(_) => Vec::new(),
    };
    if let Fact::Known(revisions) = &view.observed.revisions {
        let of_set =
            |one: &&Revision| one.owner.as_ref().is_some_and(|(owner, _)| *owner == set.uid);
        let named = |one: &Revision| format!("ControllerRevision {}", one.id.name);
        owned.extend(revisions.iter().filter(of_set).map(named));
    }
    if let Fact::Known(pods) = &view.observed.pods {
        let of_set = pods.iter().filter(|pod| pod.owner.as_ref() == Some(&set.uid));
        owned.extend(of_set.map(|pod| format!("Pod {}", pod.name)));
    }
    owned
}

/// In the phases Deleting and Creating.
pub(super) fn recover(view: &View<'_>, set: Option<&Set>) -> Action {
    match stands(view, set) {
        Stands::Old(set) => retention_pin::old_set_lives(view, set),
        Stands::Terminating(set) => orphaning(view, set),
        Stands::Nothing => close(view),
        Stands::Ours(set) => adopt(view, set, true),
        Stands::OtherAttempts(set) => view.end(
            Phase::Conflict,
            Reason::LateDuplicate,
            set.unfinished.clone().unwrap_or_default(),
        ),
        Stands::TheirsLarge(set) => adopt(view, set, false),
        Stands::TheirsSmall(set) => replaced(view, set),
    }
}

/// Who deleted the set that is gone.
enum Origin {
    /// what it owned was orphaned
    Ours,
    /// somebody's cascading delete won
    Other,
    /// not yet read
    Unread,
}

/// The set that this process knows it created for this re-creation.
fn created<'v>(view: &'v View<'_>) -> Option<&'v Created> {
    let id = view.set_id()?;
    view.observed.memory.created.as_ref().filter(|created| created.id == id)
}

/// A cascading delete takes the revision along or leaves it to a dead owner; an orphan delete
/// leaves it without one, and a set that shares the pods' labels may have adopted it since.
///
/// Even where our DELETE is known as committed: a cascading delete of the set while it goes takes
/// the garbage collector's finalizer off, and the pods follow.
fn origin(view: &View<'_>) -> Origin {
    let (recreation, memory) = (&view.status().recreation, &view.observed.memory);
    let (Fact::Known(revisions), Fact::Known(pods), Some(expected), true) =
        (&view.observed.revisions, &view.observed.pods, &recreation.revision, view.observed.fresh)
    else {
        return Origin::Unread;
    };
    let committed = memory.deleted.is_some() && memory.deleted == recreation.set_uid;
    let named = |revision: &&Revision| revision.id.uid == expected.uid;
    match revisions.iter().find(named).map(|revision| &revision.owner) {
        Some(None | Some((_, true))) => Origin::Ours,
        // Somebody deleted the revision: a pod that was orphaned tells as much.
        None if committed && pods.iter().any(|pod| pod.owner.is_none()) => Origin::Ours,
        Some(Some((_, false))) | None => Origin::Other,
    }
}

/// Nothing stands there: the re-creation window is closed, whatever is paused, blocked or limited.
fn close(view: &View<'_>) -> Action {
    // Somebody has deleted what was created: who, is told by what comes next.
    if let Some(created) = created(view) {
        return view.enter(Phase::Adopting, |s| came_back(view, s, &created.uid, true));
    }
    let refused = view.status().recreation.refused_since;
    let leave = view.record.spec.leave_absent
        && refused.is_some()
        && view.elapsed(refused) >= view.parameters.leave_absent;
    match origin(view) {
        _ if leave => view.end(Phase::Aborted, Reason::LeftAbsent, ""),
        Origin::Unread if view.observed.fresh => view.wait_in_window(),
        Origin::Unread => Action::Refresh,
        // Whoever deleted it may be about to create it, as operators do.
        Origin::Other => view.set_gone(),
        Origin::Ours => create(view),
    }
}

/// CREATE, with the sizes asked for as long as that is not refused for too long.
fn create(view: &View<'_>) -> Action {
    let status = view.status();
    let memory = &view.observed.memory;
    // Once a CREATE was refused the record learns since when. Not before: nothing is written
    // between DELETE and CREATE. And not at any price: a set matters more than its record.
    if let Some(refusal) = &memory.create_refused
        && status.recreation.refused_since.is_none()
        && !memory.record_unwritable
    {
        let halt = grow::waiting(Reason::CreateRefused, refusal);
        return view.enter(Phase::Creating, |status| {
            status.halt = Some(halt);
            status.recreation.refused_since = Some(view.now);
            status.last_create = Some(view.now);
        });
    }
    send(view)
}

fn send(view: &View<'_>) -> Action {
    let status = view.status();
    let (Some(snapshot), Some(id)) = (&status.snapshot, view.set_id()) else {
        return view.wait_in_window();
    };
    let since = status.recreation.refused_since;
    let old = view.abort_requested()
        || since.is_some() && view.elapsed(since) >= view.parameters.create_asked;
    let sizes = match &status.request {
        Some(request) if !old => request.targets.clone(),
        _ => BTreeMap::new(),
    };
    Action::Create { snapshot: snapshot.clone(), sizes, id }
}

/// The set is back.
fn adopt(view: &View<'_>, set: &Set, ours: bool) -> Action {
    view.enter(Phase::Adopting, |status| came_back(view, status, &set.uid, ours))
}

/// Somebody's set has taken the place of the one that was adopted.
pub(super) fn adopt_next(view: &View<'_>, set: &Set) -> Action {
    view.enter(Phase::Adopting, |status| {
        came_back(view, status, &set.uid, false);
        status.recreation.replaced = status.recreation.replaced.saturating_add(1);
    })
}

/// The owner has created its set anew: the webhook raises its template, or was away.
pub(super) fn owner_created(view: &View<'_>, set: &Set) -> Action {
    if !preflight::templates_reach(set, &view.targets) {
        return view.end(Phase::Conflict, Reason::TooSmallAgain, writer(set));
    }
    view.enter(Phase::Adopting, |status| {
        status.recreation = Recreation {
            set_uid: status.recreation.set_uid.take(),
            new_uid: Some(set.uid.clone()),
            ..Recreation::default()
        };
    })
}

/// Whether somebody created the set with the requested sizes, and not one of our CREATEs came late.
pub(super) fn has_requested_sizes(view: &View<'_>, set: &Set) -> bool {
    set.unfinished.is_none()
        && !view.targets.is_empty()
        && preflight::templates_reach(set, &view.targets)
}

/// Somebody deleted the set and created it with the requested sizes: its claims go on growing.
pub(super) fn others_created(view: &View<'_>, set: &Set) -> Action {
    view.enter(Phase::Growing, |status| {
        status.snapshot = view.copy(set);
        status.recreation = Recreation { set_uid: Some(set.uid.clone()), ..Recreation::default() };
        status.request.iter_mut().for_each(|request| request.follow(&set.uid));
    })
}

fn came_back(view: &View<'_>, status: &mut Status, uid: &str, ours: bool) {
    status.last_create = Some(view.now);
    status.recreation.new_uid = Some(uid.to_owned());
    status.recreation.ours = ours;
    status.recreation.gone_since = None;
    match &view.observed.last_seen_edit {
        Fact::Known(manager) => status.recreation.edit_lost.clone_from(manager),
        Fact::Unknown(_) => status.recreation.unwatched = true,
    }
    if !ours {
        // Its retention and partition are what its creator wrote.
        status.recreation.retention = None;
        status.snapshot = None;
    }
}

/// Who wrote a set that is not ours, as far as it says so.
pub(super) fn writer(set: &Set) -> String {
    set.writer.clone().unwrap_or_default()
}

/// Somebody re-created the set with its old template: the preflight checks again, three times.
fn replaced(view: &View<'_>, set: &Set) -> Action {
    let replaced = view.status().recreation.replaced.saturating_add(1);
    if replaced >= view.parameters.tries {
        return view.end(Phase::Conflict, Reason::TooSmallAgain, writer(set));
    }
    view.enter(Phase::ClaimsGrown, |status| {
        status.snapshot = view.copy(set);
        status.last_create = Some(view.now);
        status.recreation =
            Recreation { set_uid: Some(set.uid.clone()), replaced, ..Recreation::default() };
        status.request.iter_mut().for_each(|request| request.follow(&set.uid));
    })
}

/// A phase that this version does not know, or another instance leads: an open re-creation window is closed, and
/// nothing else is done.
pub(super) fn close_only(view: &View<'_>, set: Option<&Set>) -> Action {
    let may_be_open =
        matches!(view.status().phase, Phase::Deleting | Phase::Creating | Phase::Unknown(_));
    if set.is_some() || !may_be_open || view.status().snapshot.is_none() {
        return view.wait();
    }
    if created(view).is_some() {
        return view.wait_in_window();
    }
    match origin(view) {
        Origin::Unread if !view.observed.fresh => Action::Refresh,
        Origin::Ours => send(view),
        Origin::Unread | Origin::Other => view.wait_in_window(),
    }
}
