//! Faults, and what people and their tools do. Each costs one of the budget; what puts it right
//! again costs nothing.

use crate::world::{ControllerM, Gone, Last, SetM, Stale, World};

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[expect(dead_code, reason = "slices with people in them follow")]
pub(crate) enum Fault {
    /// a controller ends and starts anew
    Crash,
    /// the write commits, the response does not arrive
    ResponseLost,
    /// the write commits, the controller ends before it reads the response
    CrashAfterWrite,
    /// the write is on its way for as long as it likes
    Delayed,
    /// time passes while something else could happen
    TickEarly,
    /// lists that are not read anew stay as they are
    StaleLists,
    /// a person changes the pod template
    EditImage,
    /// `kubectl delete --cascade=orphan`
    DeleteOrphan,
    /// `kubectl delete`, also of a set that is going: the server drops the orphan finalizer
    DeleteCascade,
    /// Git or an operator creates the set where it is not there, with the old template
    CreateSmall,
    /// the same, with a template that is large enough
    CreateLarge,
    /// a person or Git writes retention Delete
    RetentionDelete,
    /// a person writes retention Retain
    RetentionRetain,
    /// `spec.abort`
    Abort,
    /// `kubectl delete` of the record
    DeleteRecord,
    /// `spec.paused`
    Pause,
    /// creating sets is refused
    Refuse,
    /// a pod dies
    PodDies,
    /// a pod is not available
    PodUnready,
    /// the driver cannot do it
    Infeasible,
    /// a person lowers a claim's request
    LowerClaim,
    /// a person or Git removes `resize-requested`
    Withdraw,
    /// a larger request by annotation
    LargerRequest,
    /// the namespace is deleted
    NamespaceGoes,
}

/// What a fault of people or cluster makes of a world; none where it cannot happen.
pub(crate) fn strike(world: &World, fault: Fault) -> Option<World> {
    let mut next = world.clone();
    next.faults = world.faults.checked_sub(1)?;
    match fault {
        Fault::ResponseLost | Fault::CrashAfterWrite | Fault::Delayed => return None,
        Fault::Crash => {
            let running = next.controllers.iter_mut().find(|c| **c != ControllerM::default())?;
            *running = ControllerM::default();
        }
        Fault::TickEarly => {
            next.tick();
            (World { faults: world.faults, ..next.clone() } != *world).then_some(())?;
        }
        Fault::StaleLists => {
            world.stale.is_none().then_some(())?;
            next.stale = Some(Box::new(Stale {
                pods: world.pods.clone(),
                claims: world.claims.clone(),
                revisions: world.revisions.clone(),
            }));
        }
        Fault::EditImage => {
            let set = live(&mut next)?;
            (set.revision == 0).then_some(())?;
            set.revision = 1;
            set.only_ours = false;
            next.edited = true;
            next.bump_spec();
        }
        Fault::DeleteOrphan => {
            let set = live(&mut next)?;
            set.terminating = true;
            set.orphan = true;
            let last = Last { size: set.size, revision: set.revision };
            next.last = Some(last);
            next.gone = Gone::PersonOrphan;
            next.bump_set();
        }
        Fault::DeleteCascade => {
            let set = next.set.take()?;
            next.doomed |= set.delete;
            next.gone = Gone::PersonCascade;
            next.bump_set();
        }
        Fault::CreateSmall | Fault::CreateLarge => {
            (next.set.is_none() && !next.refusing && !next.namespace_terminating).then_some(())?;
            let uid = next.fresh_uid();
            let revision = world.last.as_ref().map_or(0, |last| last.revision);
            next.set = Some(SetM {
                uid,
                size: u8::from(fault == Fault::CreateLarge),
                revision,
                observed: false,
                current: 9,
                update: 9,
                delete: world.retention_before,
                retention_written: false,
                frozen: false,
                terminating: false,
                orphan: false,
                id: None,
                requested: None,
                only_ours: false,
                restored: false,
            });
            next.gone = Gone::Present;
            next.bump_spec();
        }
        Fault::RetentionDelete | Fault::RetentionRetain => {
            let delete = fault == Fault::RetentionDelete;
            let set = live(&mut next)?;
            (set.delete != delete).then_some(())?;
            set.delete = delete;
            set.retention_written = true;
            set.only_ours = false;
            next.bump_spec();
        }
        Fault::Abort => {
            let record = next.record.as_mut().filter(|r| r.abort.is_none() && !r.deleting)?;
            record.abort = Some(record.generation);
            record.generation += 1;
            next.bump_record();
        }
        Fault::DeleteRecord => {
            let record = next.record.as_mut().filter(|record| !record.deleting)?;
            record.deleting = true;
            if !record.finalizer {
                next.record = None;
            }
            next.bump_record();
        }
        Fault::Pause => {
            let record = next.record.as_mut().filter(|record| !record.paused)?;
            record.paused = true;
            record.generation += 1;
            next.bump_record();
        }
        Fault::Refuse => {
            (!world.refusing).then_some(())?;
            next.refusing = true;
        }
        Fault::PodDies => *next.pods.iter_mut().find(|pod| pod.is_some())? = None,
        Fault::PodUnready => {
            next.pods.iter_mut().flatten().find(|pod| pod.ready)?.ready = false;
        }
        Fault::Infeasible => {
            let claim = next.claims.iter_mut().flatten();
            claim.into_iter().find(|c| c.capacity < c.request && !c.infeasible)?.infeasible = true;
        }
        Fault::LowerClaim => {
            // The API server takes any size above the capacity; the model's next smaller one.
            let claim = next.claims.iter_mut().flatten();
            let claim = claim.into_iter().find(|c| c.request > c.capacity)?;
            claim.request = claim.capacity;
            claim.infeasible = false;
            claim.pending = false;
            next.lowered = true;
        }
        Fault::Withdraw => {
            let set = live(&mut next)?;
            set.requested.take()?;
            next.bump_set();
        }
        Fault::LargerRequest => {
            let set = live(&mut next)?;
            (set.requested != Some(2)).then_some(())?;
            set.requested = Some(2);
            next.bump_set();
        }
        Fault::NamespaceGoes => {
            (!world.namespace_terminating).then_some(())?;
            next.namespace_terminating = true;
            next.set = None;
            next.doomed = true;
            next.gone = Gone::PersonCascade;
            next.bump_set();
        }
    }
    Some(next)
}

fn live(world: &mut World) -> Option<&mut SetM> {
    world.set.as_mut().filter(|set| !set.terminating)
}

/// What puts a fault right.
pub(crate) fn heal(world: &World) -> Vec<(&'static str, World)> {
    let mut healed = Vec::new();
    if world.stale.is_some() {
        healed.push(("caches catch up", World { stale: None, ..world.clone() }));
    }
    if world.record.as_ref().is_some_and(|record| record.paused) {
        let mut next = world.clone();
        if let Some(record) = &mut next.record {
            record.paused = false;
            record.generation += 1;
        }
        next.bump_record();
        healed.push(("a person resumes", next));
    }
    if world.refusing {
        healed.push(("creating is allowed", World { refusing: false, ..world.clone() }));
    }
    if world.pods.iter().flatten().any(|pod| !pod.ready) {
        let mut next = world.clone();
        next.pods.iter_mut().flatten().for_each(|pod| pod.ready = true);
        healed.push(("pods are available", next));
    }
    healed
}
