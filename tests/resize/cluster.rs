//! What the control plane does: answers to writes, and the controllers beside ours.

use stateward_core::record::{Phase, Policy, Reason, Status};
use stateward_resize::Action;

use crate::bugs::Mutant;
use crate::people::SIBLING;
use crate::world::{
    ClaimM, ControllerM, Gone, Last, PodM, RecordM, RevisionM, SIZES, SetM, StatusId, Sync,
    Trouble, World, id_of, size_of, size_of_quantity, uid_of,
};

/// The answer to a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Committed,
    /// a precondition or a tested value failed, or the object is not there
    Rejected,
    /// a CREATE was refused by admission or quota
    Refused,
}

/// Whether an action reaches the API server at all.
pub(crate) fn is_write(action: &Action) -> bool {
    !matches!(action, Action::Wait { .. } | Action::Refresh | Action::DryRun)
}

/// The API server's answer to a write; `record_fresh` says whether the record's resourceVersion
/// that was read is still its own.
pub(crate) fn apply(world: &mut World, action: &Action, record_fresh: bool) -> Answer {
    match apply_if_possible(world, action, record_fresh) {
        Some(answer) => answer,
        None => Answer::Rejected,
    }
}

/// The live set with this UID.
fn set<'w>(world: &'w mut World, uid: &str) -> Option<&'w mut SetM> {
    world.set.as_mut().filter(|set| set.uid == uid_of(uid))
}

fn claim<'w>(world: &'w mut World, name: &str, uid: &str) -> Option<&'w mut ClaimM> {
    let ordinal: usize = name.rsplit('-').next()?.parse().ok()?;
    (uid == format!("c{ordinal}")).then_some(())?;
    world.claims[ordinal].as_mut()
}

fn apply_if_possible(world: &mut World, action: &Action, record_fresh: bool) -> Option<Answer> {
    match action {
        Action::Wait { .. } | Action::Refresh | Action::DryRun => {}
        Action::CreateRecord => {
            if world.record.is_some() {
                return None;
            }
            world.record = Some(RecordM::new(world.records));
            world.records += 1;
            world.bump_record();
        }
        Action::WriteStatus(status) => {
            let record = world.record.as_mut().filter(|_| record_fresh)?;
            let before = record.status.read(|status| status.phase.clone());
            record.status = StatusId::of((**status).clone());
            world.bump_record();
            phase_changes(world, &before, status);
        }
        Action::AddFinalizer => {
            // The API server refuses new finalizers on an object that is going away.
            let record = world.record.as_mut().filter(|r| record_fresh && !r.deleting)?;
            record.finalizer = true;
            world.bump_record();
        }
        Action::RemoveFinalizer => {
            let record = world.record.as_mut().filter(|_| record_fresh)?;
            record.finalizer = false;
            if record.deleting {
                world.record = None;
                world.edit_lost = false;
            }
            world.bump_record();
        }
        Action::GrowClaim { claim: name, uid, from, to, had_id, id } => {
            let blind = world.kind.mutant == Some(Mutant::BlindPatch);
            let claim = claim(world, name, uid)?;
            let same = claim.request == size_of_quantity(from)
                && claim.id == had_id.as_deref().and_then(id_of)
                || blind;
            same.then_some(())?;
            claim.request = size_of_quantity(to);
            claim.id = id_of(id);
        }
        Action::RemoveClaimOwner { claim: name, uid, owner } => {
            let claim = claim(world, name, uid)?;
            (claim.owner == Some(uid_of(owner))).then_some(())?;
            claim.owner = None;
            claim.young = false;
        }
        Action::Evict { pod, uid } => {
            let ordinal: usize = pod.rsplit('-').next()?.parse().ok()?;
            world.pods[ordinal].as_ref().filter(|pod| pod.uid == uid_of(uid))?;
            world.pods[ordinal] = None;
        }
        Action::PinRetention { uid, resource_version, from } => {
            let delete = from.when_deleted == Policy::Delete;
            let current = resource_version == "now";
            let set = set(world, uid).filter(|set| set.delete == delete && current)?;
            set.delete = false;
            world.bump_spec();
        }
        Action::RestoreRetention { uid, resource_version, to } => {
            let current = resource_version == "now";
            let set = set(world, uid).filter(|set| !set.delete && current)?;
            set.delete = to.when_deleted == Policy::Delete;
            world.bump_spec();
        }
        Action::BumpResourceVersion { uid, had, id } => {
            let number = |id: &Option<String>| id.as_deref().and_then(id_of);
            let set = set(world, uid).filter(|set| set.id == number(had))?;
            set.id = number(id);
            world.bump_set();
        }
        Action::Delete { uid, resource_version } => {
            let current = match resource_version.as_str() {
                "any" => world.kind.mutant == Some(Mutant::NoPreconditions),
                version => version == "now",
            };
            let cascading = world.kind.mutant == Some(Mutant::CascadingDelete);
            let set = set(world, uid).filter(|_| current)?;
            set.terminating = true;
            set.orphan = true;
            world.last = Some(last(set));
            let expected = world.status().and_then(|status| status.recreation.revision);
            let witness = expected.is_some_and(|expected| {
                let uid = uid_of(&expected.uid);
                world.revisions.iter().flatten().any(|revision| revision.uid == uid)
            });
            // Without the revision nobody can tell later whose delete it was.
            world.gone = if witness { Gone::Us } else { Gone::Instant };
            if cascading {
                world.set = None;
            }
            world.bump_set();
            world.controllers.iter_mut().for_each(|memory| memory.blind = memory.stopped);
        }
        Action::Create { snapshot, sizes, id } => {
            if world.set.is_some() || world.namespace_terminating {
                return None;
            }
            if world.refusing {
                return Some(Answer::Refused);
            }
            let fields: Vec<&str> = snapshot.split(',').collect();
            let size = fields[0].parse::<u8>().unwrap();
            let asked = sizes.get("data").map_or(size, |asked| size.max(size_of(asked)));
            let uid = world.fresh_uid();
            let revision = fields[1].parse().unwrap();
            let replicas = fields[2].parse().unwrap();
            if let Some(last) = &world.last {
                world.edit_lost |= last.edited;
            }
            // A controller that has forgotten its first CREATE takes the second for it.
            let open = matches!(world.phase(), Some(Phase::Deleting | Phase::Creating));
            let knows = |memory: &ControllerM| memory.created.is_some();
            let can_be_told = !open || world.controllers.iter().all(knows);
            // An re-creation that is over.
            let replaced = world.status().and_then(|status| status.recreation.set_uid);
            let older = open && replaced.map(|uid| uid_of(&uid)) != id_of(id).map(|id| id.1);
            world.set = Some(SetM {
                uid,
                replicas,
                size: asked,
                revision,
                observed: false,
                current: 9,
                update: 9,
                delete: world.kind.mutant == Some(Mutant::RetentionAsItWas),
                retention_written: false,
                frozen: (!world.kind.on_delete && world.kind.mutant != Some(Mutant::NoPartition))
                    .then_some(replicas + 1),
                terminating: false,
                orphan: false,
                id: id_of(id),
                mark: id_of(id),
                requested: fields[3].parse().ok(),
                only_ours: true,
                restored: false,
                late: older
                    || !matches!(world.gone, Gone::Us | Gone::Instant | Gone::PersonOrphan)
                        && can_be_told,
            });
            world.gone = Gone::Present;
            world.bump_spec();
        }
        Action::Unfreeze { uid, mark, partition, retention, resource_version } => {
            let current = resource_version.as_ref().is_none_or(|version| version == "now");
            let mark = mark.as_deref().and_then(id_of);
            let set = set(world, uid).filter(|set| current && set.mark == mark)?;
            let frozen = set.frozen.map(i64::from);
            if partition.is_some_and(|(tested, _)| frozen != Some(tested))
                || retention.is_some() && set.delete
            {
                return None;
            }
            set.frozen = set.frozen.filter(|_| partition.is_none());
            set.delete |= retention.is_some();
            set.mark = None;
            world.bump_spec();
        }
        Action::RestoreManagers { uid } => {
            let set = set(world, uid).filter(|set| set.only_ours)?;
            set.restored = true;
            world.bump_set();
        }
        Action::ClearRequest { uid, value } => {
            let index = |size: &String| SIZES.iter().position(|known| known == size);
            let value = value.get("data").and_then(index).map(|index| index as u8);
            let set = set(world, uid).filter(|set| set.requested == value)?;
            set.requested = None;
            world.bump_set();
        }
    }
    Some(Answer::Committed)
}

/// What the set was when it went.
pub(crate) fn last(set: &SetM) -> Last {
    Last { size: set.size, revision: set.revision, replicas: set.replicas, edited: false }
}

/// What the rest of the world makes of a phase that was written.
fn phase_changes(world: &mut World, before: &Phase, status: &Status) {
    let ended = status.halt.as_ref().map(|halt| &halt.reason);
    if status.phase == Phase::Aborted && ended == Some(&Reason::LeftAbsent) {
        world.gone = Gone::GivenUp;
    }
    // Whoever reads how it ended knows.
    if !status.phase.is_live() && status.halt.as_ref().is_some_and(|s| !s.message.is_empty()) {
        world.edit_lost = false;
    }
    // From here on a write of retention by others counts as since the retention pin. One that came between
    // the controller's read and this write may carry the same second, and counts too.
    if status.phase == Phase::RetentionPinned && *before == Phase::ClaimsGrown {
        let delete = |policy: Policy| policy == Policy::Delete;
        let before = status.recreation.retention.map(|before| delete(before.when_deleted));
        if let Some(set) = &mut world.set
            && before == Some(set.delete)
        {
            set.retention_written = false;
        }
    }
}

/// What the answer teaches the controller that sent the write.
pub(crate) fn learn(world: &mut World, controller: usize, action: &Action, answer: Answer) {
    let created = world.set.as_ref().map(|set| set.uid);
    let memory = &mut world.controllers[controller];
    match (action, answer) {
        (Action::Delete { uid, .. }, Answer::Committed) => {
            memory.deleted = Some(uid_of(uid));
            memory.created = None;
        }
        (Action::Create { .. }, Answer::Refused) => memory.refused = true,
        (Action::Create { id, .. }, answer) => {
            memory.refused = false;
            memory.deleted = None;
            // Whoever sends it too early and does not look at the answer.
            let believes = world.kind.mutant == Some(Mutant::CreateBeforeGone);
            if answer == Answer::Committed || believes {
                memory.created = id_of(id).zip(created);
            }
        }
        (Action::DryRun, _) => memory.dry = true,
        _ => {}
    }
}

/// One step of the garbage collector: orphan one dependent, take the finalizer off, or delete one
/// object whose owner is gone.
pub(crate) fn garbage_collector(world: &World) -> Option<(&'static str, World)> {
    if world.orphaning_is_stuck() {
        return None;
    }
    let mut next = world.clone();
    if let Some(set) = world.set.as_ref().filter(|set| set.terminating && set.orphan) {
        let owner = Some(set.uid);
        // It orphans what its cache knows, once: what is younger keeps its owner.
        for revision in next.revisions.iter_mut().flatten() {
            if revision.owner == owner && !revision.young {
                revision.owner = None;
                return Some(("gc orphans the revision", next));
            }
        }
        for pod in next.pods.iter_mut().flatten() {
            if pod.owner == owner && !pod.young {
                pod.owner = None;
                return Some(("gc orphans a pod", next));
            }
        }
        for claim in next.claims.iter_mut().flatten() {
            if claim.owner == owner && !claim.young {
                claim.owner = None;
                return Some(("gc orphans a claim", next));
            }
        }
        next.set = None;
        next.bump_set();
        return Some(("gc takes the set", next));
    }
    let dead = |owner: Option<u8>| {
        owner.is_some_and(|uid| {
            uid != SIBLING && world.set.as_ref().is_none_or(|set| set.uid != uid)
        })
    };
    for revision in &mut next.revisions {
        if revision.as_ref().is_some_and(|revision| dead(revision.owner)) {
            *revision = None;
            return Some(("gc deletes the revision", next));
        }
    }
    for pod in &mut next.pods {
        if pod.as_ref().is_some_and(|pod| dead(pod.owner)) {
            *pod = None;
            return Some(("gc deletes a pod", next));
        }
    }
    for claim in next.claims.iter_mut().flatten() {
        if dead(claim.owner) && !claim.terminating {
            claim.terminating = true;
            return Some(("gc deletes a claim", next));
        }
    }
    None
}

/// The StatefulSet controller begins a sync: it reads the set, and works from that.
pub(crate) fn sync_begins(world: &World) -> Option<World> {
    let set = world.set.as_ref().filter(|set| world.sync.is_none() && !set.terminating)?;
    let mut next = world.clone();
    next.sync = Some(Sync {
        uid: set.uid,
        replicas: set.replicas,
        delete: set.delete,
        frozen: set.frozen.is_some(),
        revision: set.revision,
        size: set.size,
        current: true,
    });
    let ended = sync_ends(&next)?;
    // A sync that would change nothing is left out.
    (World { sync: None, ..ended } != *world).then_some(next)
}

/// The StatefulSet controller ends a sync. What it creates or stamps follows what it read; only
/// adoption asks anew whether the set is still there.
pub(crate) fn sync_ends(world: &World) -> Option<World> {
    let sync = world.sync.clone()?;
    let mut next = world.clone();
    next.sync = None;
    let live = world.set.as_ref().is_some_and(|set| set.uid == sync.uid && !set.terminating);
    let replicas = usize::from(sync.replicas);
    if live {
        for revision in next.revisions.iter_mut().flatten() {
            revision.owner = revision.owner.or(Some(sync.uid));
        }
        for pod in next.pods.iter_mut().flatten() {
            pod.owner = pod.owner.or(Some(sync.uid));
        }
        if next.revisions[usize::from(sync.revision)].is_none() {
            let uid = next.fresh_uid();
            next.revisions[usize::from(sync.revision)] =
                Some(RevisionM { uid, owner: Some(sync.uid), young: true });
        }
    }
    // Claims are owned under Delete and free under Retain, as far as ordinals go. In 1.36 a sync
    // looks at the claims of pods that are there.
    for ordinal in 0..replicas {
        let Some(claim) = &mut next.claims[ordinal] else { continue };
        let wanted = sync.delete.then_some(sync.uid);
        if claim.owner != wanted && !claim.terminating && world.pods[ordinal].is_some() {
            claim.owner = wanted;
            claim.young = sync.delete;
        }
    }
    let missing = (0..replicas).find(|n| world.pods[*n].is_none());
    let condemned = (replicas..world.pods.len())
        .rev()
        .find(|n| next.pods[*n].as_ref().is_some_and(|pod| pod.owner == Some(sync.uid)));
    let rolled = (0..replicas).rev().find(|ordinal| {
        let pod = &world.pods[*ordinal];
        pod.as_ref().is_some_and(|pod| pod.revision != sync.revision && pod.owner == Some(sync.uid))
    });
    if let Some(ordinal) = missing {
        let uid = next.fresh_uid();
        next.pods[ordinal] = Some(PodM {
            uid,
            owner: Some(sync.uid),
            revision: sync.revision,
            young: true,
            ready: true,
        });
        let claim = next.claims[ordinal].get_or_insert(ClaimM {
            request: sync.size,
            capacity: sync.size,
            pending: false,
            infeasible: false,
            owner: sync.delete.then_some(sync.uid),
            young: true,
            terminating: false,
            id: None,
        });
        if claim.pending && !world.kind.node_fails {
            // The node grows the file system when the pod starts.
            claim.pending = false;
            claim.capacity = claim.request;
        }
    } else if let Some(ordinal) = condemned.filter(|_| live) {
        next.pods[ordinal] = None;
    } else if let Some(ordinal) = rolled.filter(|_| live && !sync.frozen && !world.kind.on_delete) {
        next.pods[ordinal] = None;
    }
    if live {
        let set = next.set.as_mut()?;
        let before = set.clone();
        set.update = sync.revision;
        let all = |revision: u8| next.pods.iter().flatten().all(|pod| pod.revision == revision);
        // A new set's current revision begins as its update revision.
        // OnDelete does not advance it.
        let done = all(sync.revision) && missing.is_none() && !world.kind.on_delete;
        if set.current == 9 || done {
            set.current = sync.revision;
        }
        set.observed = sync.current;
        if *set != before {
            next.bump_set();
        }
    }
    Some(next)
}

/// The resizer works on one claim.
pub(crate) fn resizer(world: &World) -> Option<World> {
    if matches!(world.trouble, Some(Trouble::OfflineOnly | Trouble::ClassGone)) {
        return None;
    }
    let ordinal = world.claims.iter().position(|claim| {
        claim.as_ref().is_some_and(|claim| {
            claim.capacity < claim.request && !claim.pending && !claim.infeasible
        })
    })?;
    let mut next = world.clone();
    let pending = next.kind.pending && next.pods[ordinal].is_some();
    let claim = next.claims[ordinal].as_mut()?;
    if pending {
        claim.pending = true;
    } else {
        claim.capacity = claim.request;
    }
    Some(next)
}
