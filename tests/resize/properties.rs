//! What must hold, whatever happens.

use stateward_core::record::{Phase, Reason, State, Status};
use stateward_resize::Action;

use crate::cluster::COPY;
use crate::world::{Gone, PodM, RecordM, World};

/// What must hold in every state.
pub(crate) fn of_state(world: &World) -> Result<(), String> {
    let claim_lost = world.claims.iter().flatten().any(|claim| claim.terminating);
    if claim_lost && !world.doomed {
        return Err("a claim is being deleted, and nobody asked for it".into());
    }
    let away = world.set.as_ref().is_none_or(|set| set.terminating);
    if away && world.gone == Gone::Us {
        let Some(status) = world.status() else {
            return Err("the set is away through us, and there is no record".into());
        };
        if status.snapshot.as_deref().is_none_or(|text| text == COPY) {
            return Err(format!(
                "the set is away through us in {}, without snapshot",
                status.phase
            ));
        }
        if !matches!(status.phase, Phase::Deleting | Phase::Creating) {
            return Err(format!("the set is away through us, and the phase is {}", status.phase));
        }
        if status.halt.is_some_and(|halt| halt.state == State::Blocked) {
            return Err("an open re-creation window is blocked".into());
        }
        if !world.record.as_ref().is_some_and(|record| record.finalizer) {
            return Err("the set is away through us, and the record has no finalizer".into());
        }
    }
    Ok(())
}

/// What must hold when a write of ours commits, `before` being the world it met.
pub(crate) fn of_write(before: &World, action: &Action, after: &World) -> Result<(), String> {
    for (was, is) in before.claims.iter().zip(&after.claims) {
        if let (Some(was), Some(is)) = (was, is)
            && is.request < was.request
        {
            return Err("we lowered a claim".into());
        }
        if was.is_some() && is.is_none() {
            return Err("we deleted a claim".into());
        }
    }
    match action {
        Action::WriteStatus(status)
            if status.phase == Phase::Complete && before.phase() != Some(Phase::Complete) =>
        {
            let asks = |record: &RecordM| record.abort.is_none() && record.target > Some(1);
            let set = before.set.as_ref().map_or(0, |set| set.size);
            let more = before.record.as_ref().filter(|record| asks(record));
            if more.is_some_and(|record| record.target > Some(set)) {
                return Err("Complete, and the record asks for more".into());
            }
            Ok(())
        }
        Action::Delete { uid, .. } => deleting(before, uid),
        Action::Create { .. } => creating(before, after),
        Action::Evict { .. } if !before.kind.evict => Err("we restart a pod unasked".into()),
        Action::RemoveFinalizer if before.gone == Gone::Us => {
            Err("the finalizer goes while the set is away through us".into())
        }
        _ => Ok(()),
    }
}

/// What must hold when a write of ours is decided on. That it arrives late is nobody's lie.
pub(crate) fn of_decision(world: &World, action: &Action) -> Result<(), String> {
    match action {
        Action::WriteStatus(status)
            if status.phase == Phase::Complete && world.phase() != Some(Phase::Complete) =>
        {
            complete(world, status)
        }
        Action::GrowClaim { .. }
        | Action::RemoveClaimOwner { .. }
        | Action::Evict { .. }
        | Action::PinRetention { .. }
        | Action::Delete { .. }
            if world.record_seen(false).is_some_and(|record| record.paused) =>
        {
            Err("something is begun although it is paused".into())
        }
        _ => Ok(()),
    }
}

fn deleting(before: &World, uid: &str) -> Result<(), String> {
    let Some(set) = &before.set else { return Ok(()) };
    let status = before.status().ok_or("a DELETE without a record")?;
    if status.recreation.set_uid.as_deref() != Some(uid) {
        return Err("the record does not name the set that is deleted".into());
    }
    if status.snapshot.as_deref().is_none_or(|text| text == COPY) {
        return Err("a DELETE without a snapshot".into());
    }
    if set.delete {
        return Err("a DELETE while retention is Delete".into());
    }
    if before.claims.iter().flatten().any(|claim| claim.owner.is_some()) {
        return Err("a DELETE while a claim has an owner".into());
    }
    if before.pods.iter().flatten().any(|pod| pod.revision != set.update) {
        return Err("a DELETE in the middle of a rollout".into());
    }
    if before.pods.iter().flatten().any(|pod| pod.young) {
        return Err("a DELETE while the garbage collector does not know a pod".into());
    }
    Ok(())
}

fn creating(before: &World, after: &World) -> Result<(), String> {
    let (Some(last), Some(set)) = (&before.last, &after.set) else {
        return Err("a CREATE where nothing was deleted by orphaning".into());
    };
    if matches!(before.gone, Gone::PersonCascade | Gone::GivenUp) {
        return Err("a set that a person deleted is created again".into());
    }
    if !last.edited && (set.revision, set.replicas) != (last.revision, last.replicas) {
        return Err("an edit of the set is lost".into());
    }
    if set.size < last.size && before.gone != Gone::Instant {
        return Err("the template became smaller".into());
    }
    if set.delete || set.frozen.is_none() && !before.kind.on_delete {
        return Err("the set is created without retention Retain or a high partition".into());
    }
    Ok(())
}

fn complete(world: &World, status: &Status) -> Result<(), String> {
    let told = status.halt.as_ref().is_some_and(|halt| !halt.message.is_empty());
    let record = world.record.as_ref().ok_or("Complete without a record")?;
    let set = world.set.as_ref().ok_or("Complete without a set")?;
    let asked = record.status.read(|status| {
        let size = status.request.as_ref()?.targets.get("data")?.clone();
        Some(crate::world::size_of(&size))
    });
    let asked = asked.ok_or("Complete without a request")?;
    let short = |claim: &crate::world::ClaimM| claim.capacity < asked;
    if set.size < asked {
        return Err("Complete with a small template".into());
    }
    if world.claims.iter().flatten().any(short) {
        return Err("Complete with a small claim".into());
    }
    if set.requested.is_some() {
        return Err("Complete with a request on the set".into());
    }
    if record.finalizer {
        return Err("Complete with a finalizer".into());
    }
    if set.frozen.is_some() {
        return Err("Complete with a high partition".into());
    }
    if set.mark.is_some() {
        return Err("Complete with an unfinished re-creation".into());
    }
    if set.delete != world.wanted_delete && !told {
        return Err("Complete without retention as others want it".into());
    }
    if world.edit_lost && !told {
        return Err("Complete, and an edit is lost without a word".into());
    }
    if status.snapshot.is_some() {
        return Err("Complete with a snapshot".into());
    }
    let settled = |pod: &PodM| pod.owner == Some(set.uid) && pod.revision == set.update;
    if !world.kind.on_delete && !world.pods.iter().flatten().all(settled) {
        return Err("Complete with a pod of another set or revision".into());
    }
    if status.recreation.ours && set.only_ours && !set.restored {
        return Err("Complete without managedFields as they were".into());
    }
    Ok(())
}

/// What must hold when the control plane acts.
pub(crate) fn of_environment(before: &World, label: &str, after: &World) -> Result<(), String> {
    let pods = |world: &World| world.pods.iter().flatten().count();
    if label == "sync ends" && pods(after) < pods(before) && !before.edited {
        return Err("the StatefulSet controller restarts a pod that nobody edited".into());
    }
    Ok(())
}

/// Whether nothing is left to do: what every world must come to once faults end.
pub(crate) fn settled(world: &World) -> Result<(), String> {
    let set_away = world.set.as_ref().is_none_or(|set| set.terminating);
    let Some(record) = &world.record else {
        return if set_away && world.gone == Gone::Us {
            Err("no set, no record".into())
        } else {
            Ok(())
        };
    };
    let status = record.status.get();
    let tells =
        |reason: &Reason| matches!(reason, Reason::LateDuplicate | Reason::RecreationUnfinished);
    let told = status.halt.as_ref().is_some_and(|halt| tells(&halt.reason));
    if world.set.as_ref().is_some_and(|set| set.late && !set.terminating) && !told {
        return Err("a late CREATE made a set, and nobody says so".into());
    }
    if set_away && world.gone == Gone::Us && !world.refusing {
        return Err("the re-creation window stays open".into());
    }
    if let (Some(set), Phase::Complete | Phase::Aborted) = (&world.set, &status.phase)
        && set.requested.is_some_and(|size| size > set.size)
        && !set.terminating
        && record.abort.is_none()
        && !world.namespace_terminating
    {
        return Err(format!("somebody asks for more, and it rests in {}", status.phase));
    }
    if record.deleting && !(set_away && world.gone == Gone::Us) {
        return Err("a record that is deleted stays".into());
    }
    if record.finalizer && !set_away {
        return Err(format!("the finalizer stays in {}", status.phase));
    }
    if status.phase.is_live() && status.halt.is_none() && !world.refusing {
        return Err(format!("{} rests and does not say why", status.phase));
    }
    Ok(())
}
