//! Faults, and what people and their tools do. Each costs one of the budget; what puts it right
//! again costs nothing.

use stateward_core::record::{Phase, Reason};

use crate::cluster::last;
use crate::world::{ControllerM, Gone, Last, RecordM, SetM, Stale, Trouble, World};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// a controller ends and starts anew
    Crash,
    /// the leader ends and does not come back for as long as it likes
    LeaderStops,
    /// the write commits, the response does not arrive
    ResponseLost,
    /// the write commits, the controller ends before it reads the response
    CrashAfterWrite,
    /// the write is on its way for as long as it likes
    Delayed,
    /// time passes while something else could happen
    TickEarly,
    /// pods that are not read anew stay as they are
    StalePods,
    /// the same of claims
    StaleClaims,
    /// the same of revisions
    StaleRevisions,
    /// the same of the record
    StaleRecord,
    /// a person changes the pod template; also of a set that is going, where the webhook is away
    EditImage,
    /// a person or an autoscaler changes `spec.replicas`
    ScaleUp,
    /// the same, down
    ScaleDown,
    /// `kubectl delete --cascade=orphan`
    DeleteOrphan,
    /// `kubectl delete`, also of a set that is going, where the webhook is away: the server drops
    /// the orphan finalizer
    DeleteCascade,
    /// Git or an operator creates the set where it is not there, with the old template; the
    /// webhook raises it while a record asks for more
    CreateSmall,
    /// the same, with a template that is large enough
    CreateLarge,
    /// a person or Git writes retention Delete; the webhook keeps Retain from `RetentionPinned` to `Verifying`
    RetentionDelete,
    /// a person writes retention Retain
    RetentionRetain,
    /// `spec.abort`
    Abort,
    /// `kubectl delete` of the record
    DeleteRecord,
    /// Git applies a record that asks for 20Gi
    ApplyRecord,
    /// the record asks for 30Gi
    LargerRecord,
    /// `spec.paused`
    Pause,
    /// `spec.hold: ClaimsGrown`
    Hold,
    /// `spec.leaveAbsent`
    LeaveAbsent,
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
    /// a person or an autoresizer raises a claim's request
    RaiseClaim,
    /// a person deletes a claim
    DeleteClaim,
    /// somebody deletes the set's revision
    DeleteRevision,
    /// a set with an overlapping selector adopts what is without an owner
    SiblingAdopts,
    /// a person or Git removes `resize-requested`
    Withdraw,
    /// Git applies a template of 20Gi: the webhook writes a request
    AskAgain,
    /// the same of 30Gi
    LargerRequest,
    /// the namespace is deleted
    NamespaceGoes,
    /// something holds it up
    Trouble(Trouble),
}

/// What a fault of people or cluster makes of a world; none where it cannot happen.
pub(crate) fn strike(world: &World, fault: Fault) -> Option<World> {
    let mut next = world.clone();
    next.faults = world.faults.checked_sub(1)?;
    match fault {
        Fault::ResponseLost | Fault::CrashAfterWrite | Fault::Delayed => return None,
        Fault::Crash => {
            let there = world.set.is_some();
            let differs = |c: &&mut ControllerM| **c != c.restarted(there) && !c.stopped;
            let running = next.controllers.iter_mut().find(differs)?;
            let knew = running.created;
            *running = running.restarted(there);
            // It alone knew that its set was there and was deleted by somebody.
            let open = matches!(world.phase(), Some(Phase::Deleting | Phase::Creating));
            let free = |owner: Option<u8>| owner.is_none_or(|owner| owner == SIBLING);
            let orphaned = world.revisions.iter().flatten().any(|r| free(r.owner));
            if knew.is_some() && !there && open && orphaned {
                next.gone = Gone::Instant;
            }
            // Nor can anybody else tell what landed late from what it saw deleted.
            let same = |set: &&mut SetM| knew.is_some_and(|(id, _)| set.id == Some(id));
            if let Some(set) = next.set.as_mut().filter(same).filter(|_| open) {
                set.late = false;
            }
        }
        Fault::LeaderStops => {
            let leader = next.controllers.iter_mut().find(|c| !c.standby && !c.stopped)?;
            *leader = ControllerM { stopped: true, ..leader.restarted(false) };
        }
        Fault::TickEarly => {
            next.tick();
            (World { faults: world.faults, ..next.clone() } != *world).then_some(())?;
        }
        Fault::StalePods => stale(&mut next, Stale::Pods(world.pods.clone()))?,
        Fault::StaleClaims => stale(&mut next, Stale::Claims(world.claims.clone()))?,
        Fault::StaleRevisions => stale(&mut next, Stale::Revisions(world.revisions.clone()))?,
        Fault::StaleRecord => stale(&mut next, Stale::Record(world.record.clone()))?,
        Fault::EditImage => {
            let set = editable(&mut next)?;
            (set.revision == 0).then_some(())?;
            set.revision = 1;
            edited(&mut next);
        }
        Fault::ScaleUp => {
            let set = editable(&mut next)?;
            (set.replicas < 2).then_some(())?;
            set.replicas += 1;
            edited(&mut next);
        }
        Fault::ScaleDown => {
            let set = editable(&mut next)?;
            set.replicas = set.replicas.checked_sub(1)?;
            edited(&mut next);
        }
        Fault::DeleteOrphan => {
            let set = live(&mut next)?;
            set.terminating = true;
            set.orphan = true;
            let last = last(set);
            next.last = Some(Last { edited: edited_since_copied(&next, &last), ..last });
            next.gone = Gone::PersonOrphan;
            next.doomed |= claims_may_follow(world);
            next.bump_set();
        }
        Fault::DeleteCascade => {
            let set = next.set.take()?;
            // The webhook: "is being re-created, try again in a few seconds".
            (!(set.terminating && world.kind.webhook && world.gone == Gone::Us)).then_some(())?;
            let orphaned = world.revisions.iter().flatten().all(|r| r.owner != Some(set.uid));
            next.doomed |= claims_may_follow(world);
            let orphaning = matches!(world.gone, Gone::Us | Gone::PersonOrphan | Gone::Instant);
            // A set that nobody of us has seen, and the StatefulSet controller neither.
            let knows =
                |memory: &ControllerM| memory.created.is_some_and(|(_, uid)| uid == set.uid);
            let unseen = !world.controllers.iter().all(knows);
            let open = matches!(world.phase(), Some(Phase::Deleting | Phase::Creating));
            let unseen = !set.terminating && unseen && open && world.gone == Gone::Present;
            next.gone = if orphaned && (set.terminating && orphaning || unseen) {
                Gone::Instant
            } else {
                Gone::PersonCascade
            };
            if !set.terminating {
                next.last = Some(last(&set));
            }
            next.bump_set();
        }
        Fault::CreateSmall | Fault::CreateLarge => {
            (next.set.is_none() && !next.refusing && !next.namespace_terminating).then_some(())?;
            let uid = next.fresh_uid();
            let resizing = world.phase().is_some_and(|phase| {
                matches!(
                    phase,
                    Phase::Deleting | Phase::Creating | Phase::Adopting | Phase::Verifying
                )
            });
            let remembered = world.record.as_ref().is_some_and(|record| {
                let grown = [Phase::ClaimsGrown, Phase::RetentionPinned, Phase::Complete];
                record.status.read(|status| status.owner_managed && grown.contains(&status.phase))
            });
            let raised = world.kind.webhook && (resizing || remembered);
            let last = world.last.as_ref();
            next.set = Some(SetM {
                uid,
                replicas: world.replicas(),
                size: u8::from(fault == Fault::CreateLarge || raised),
                revision: last.map_or(0, |last| last.revision),
                observed: false,
                current: 9,
                update: 9,
                delete: world.wanted_delete,
                retention_written: false,
                frozen: None,
                terminating: false,
                orphan: false,
                id: None,
                mark: None,
                requested: None,
                only_ours: false,
                restored: false,
                late: false,
            });
            next.gone = Gone::Present;
            next.bump_spec();
        }
        Fault::RetentionDelete | Fault::RetentionRetain => {
            let delete = fault == Fault::RetentionDelete;
            let pinned = world.phase().is_some_and(|phase| {
                matches!(
                    phase,
                    Phase::RetentionPinned
                        | Phase::Deleting
                        | Phase::Creating
                        | Phase::Adopting
                        | Phase::Verifying
                )
            });
            let kept = delete && pinned && world.kind.webhook;
            let set = live(&mut next)?;
            (set.delete != delete || !set.retention_written).then_some(())?;
            set.retention_written = true;
            set.only_ours = false;
            if set.delete != delete && !kept {
                set.delete = delete;
                next.bump_spec();
            } else {
                next.bump_set();
            }
            next.wanted_delete = delete;
        }
        Fault::Abort => {
            let record = record(&mut next).filter(|record| record.abort.is_none())?;
            record.abort = Some(record.generation);
            record.generation += 1;
            next.bump_record();
        }
        Fault::DeleteRecord => {
            let record = record(&mut next)?;
            record.deleting = true;
            if !record.finalizer {
                next.record = None;
                // Whoever deletes a record wants no word from it.
                next.edit_lost = false;
            }
            next.bump_record();
        }
        Fault::ApplyRecord => {
            if let Some(record) = &mut next.record {
                // A record that is going away takes an edit as well.
                record.target.is_none().then_some(())?;
                record.target = Some(1);
                record.generation += 1;
            } else {
                next.record = Some(RecordM { target: Some(1), ..RecordM::new(world.records) });
                next.records += 1;
            }
            next.bump_record();
        }
        Fault::LargerRecord => {
            let record = record(&mut next).filter(|record| record.target != Some(2))?;
            record.target = Some(2);
            record.generation += 1;
            next.bump_record();
        }
        Fault::Pause => {
            let record = record(&mut next).filter(|record| !record.paused)?;
            record.paused = true;
            record.generation += 1;
            next.bump_record();
        }
        Fault::Hold => {
            let record = record(&mut next).filter(|record| !record.held)?;
            record.held = true;
            record.generation += 1;
            next.bump_record();
        }
        Fault::LeaveAbsent => {
            let record = record(&mut next).filter(|record| !record.leave_absent)?;
            record.leave_absent = true;
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
        }
        Fault::RaiseClaim => {
            let claim = next.claims.iter_mut().flatten().find(|claim| claim.request < 2)?;
            claim.request = 2;
        }
        Fault::DeleteClaim => {
            let mut claims = next.claims.iter_mut().flatten();
            claims.find(|claim| !claim.terminating)?.terminating = true;
            next.doomed = true;
        }
        Fault::DeleteRevision => {
            *next.revisions.iter_mut().find(|r| r.is_some())? = None;
            let away = world.set.as_ref().is_none_or(|set| set.terminating);
            if away && world.gone == Gone::Us {
                // The only witness of whose delete it was, for a controller that is new.
                next.gone = Gone::Instant;
            }
        }
        Fault::SiblingAdopts => {
            let mut revisions = next.revisions.iter_mut().flatten();
            revisions.find(|revision| revision.owner.is_none())?.owner = Some(SIBLING);
        }
        Fault::Withdraw => {
            let set = live(&mut next)?;
            set.requested.take()?;
            next.bump_set();
        }
        Fault::AskAgain | Fault::LargerRequest => {
            let size = if fault == Fault::AskAgain { 1 } else { 2 };
            let set = live(&mut next)?;
            (set.requested.is_none_or(|requested| requested < size) && set.size < size)
                .then_some(())?;
            set.requested = Some(size);
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
        Fault::Trouble(trouble) => {
            world.trouble.is_none().then_some(())?;
            if trouble == Trouble::RecreationUnfinished {
                // It was there before this request.
                matches!(world.phase(), None | Some(Phase::Requested | Phase::Growing))
                    .then_some(())?;
                let set = live(&mut next).filter(|set| set.mark.is_none())?;
                set.mark = Some((ELSEWHERE, ELSEWHERE));
                set.frozen = Some(set.replicas + 1);
                next.bump_spec();
            }
            next.trouble = Some(trouble);
            next.controllers.iter_mut().for_each(|memory| memory.dry = false);
        }
    }
    Some(next)
}

/// A record and a set that are no longer there.
const ELSEWHERE: u8 = 99;

/// The UID of another set that selects the same pods, and lives.
pub(crate) const SIBLING: u8 = 200;

fn stale(world: &mut World, read: Stale) -> Option<()> {
    world.stale.is_none().then_some(())?;
    world.stale = Some(Box::new(read));
    Some(())
}

/// A person's delete of a set that carries, or just carried, retention Delete may take claims along,
/// even one that orphans: an owner reference may be younger than what the garbage collector knows.
fn claims_may_follow(world: &World) -> bool {
    world.wanted_delete || world.claims.iter().flatten().any(|claim| claim.owner.is_some())
}

fn live(world: &mut World) -> Option<&mut SetM> {
    world.set.as_mut().filter(|set| !set.terminating)
}

/// A set whose spec people can write: the webhook denies it while the set goes through a record.
fn editable(world: &mut World) -> Option<&mut SetM> {
    let denied = world.kind.webhook && world.gone == Gone::Us;
    world.set.as_mut().filter(|set| !(set.terminating && denied))
}

/// Whether a set is not what the record holds of it, which its generation tells.
fn edited_since_copied(world: &World, last: &Last) -> bool {
    let Some(copy) = world.status().and_then(|status| status.snapshot) else { return false };
    let fields: Vec<u8> = copy.split(',').filter_map(|field| field.parse().ok()).collect();
    matches!(fields[..], [_, revision, replicas, ..] if (revision, replicas) != (last.revision, last.replicas))
}

/// Somebody else wrote `spec`.
fn edited(world: &mut World) {
    world.edited = true;
    let going = world.set.as_mut().and_then(|set| {
        set.only_ours = false;
        set.terminating.then(|| last(set))
    });
    if let Some(going) = going {
        world.last = Some(Last { edited: true, ..going });
    }
    world.bump_spec();
}

fn record(world: &mut World) -> Option<&mut RecordM> {
    world.record.as_mut().filter(|record| !record.deleting)
}

/// What puts a fault right.
pub(crate) fn heal(world: &World) -> Vec<(&'static str, World)> {
    let mut healed = Vec::new();
    if world.stale.is_some() {
        healed.push(("caches catch up", World { stale: None, ..world.clone() }));
    }
    if let Some(record) = world.record.as_ref().filter(|record| record.paused || record.held) {
        let mut next = world.clone();
        next.record = Some(RecordM {
            paused: false,
            held: false,
            generation: record.generation + 1,
            ..record.clone()
        });
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
    let told = || world.status()?.halt.filter(|r| r.reason == Reason::RecreationUnfinished);
    let marked = world.set.as_ref().filter(|set| set.mark.is_some());
    if let (Some(set), Some(_)) = (marked, told()) {
        let mut next = World { trouble: None, ..world.clone() };
        next.set = Some(SetM { frozen: None, mark: None, late: false, ..set.clone() });
        next.bump_spec();
        healed.push(("a person finishes a re-creation", next));
    } else if world.trouble.is_some() {
        let mut next = World { trouble: None, ..world.clone() };
        next.controllers.iter_mut().for_each(|memory| memory.dry = false);
        healed.push(("a person puts it right", next));
    }
    if world.controllers.iter().any(|memory| memory.stopped) {
        if world.controllers.iter().any(|memory| memory.standby) {
            let mut next = world.clone();
            next.controllers.iter_mut().for_each(|memory| memory.standby = false);
            healed.push(("another instance leads", next));
        }
        let mut next = world.clone();
        for memory in next.controllers.iter_mut().filter(|memory| memory.stopped) {
            *memory = memory.restarted(world.set.is_some());
        }
        healed.push(("the leader is back", next));
    }
    healed
}
