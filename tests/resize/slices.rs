//! The worlds that are explored, each until nothing is left.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use stateward_core::record::{Phase, Reason};

use crate::people::Fault::{self, *};
use crate::search::{Slice, explore};
use crate::world::{Trouble, World};

/// How many faults a world may meet, where `FAULTS` does not say so.
const BUDGET: u8 = 2;
/// The least number of states in all, with the budget above.
const STATES: usize = 1_000_000;

/// Everything that is explored.
pub(crate) fn slices() -> Vec<Slice> {
    let slice = |name, starts, faults| Slice { name, starts, faults };
    let steady = |replicas| World::steady(replicas, 1);
    let webhook = |world: World| world.with(|kind| kind.webhook = true);
    vec![
        slice(
            "crashes",
            vec![
                steady(0).leftover(),
                steady(1),
                steady(2).by_record(),
                steady(2).retention_delete().leftover(),
                steady(1).with(|kind| kind.ordered = false),
                steady(1).with(|kind| kind.on_delete = true),
                steady(1).with(|kind| kind.pending = true),
            ],
            &[Crash, ResponseLost, CrashAfterWrite, Delayed, TickEarly],
        ),
        slice(
            "leaders",
            vec![
                World::steady(1, 2),
                World::steady(1, 2).one_leads(),
                World::steady(2, 2).retention_delete(),
            ],
            &[
                Crash,
                LeaderStops,
                ResponseLost,
                Delayed,
                TickEarly,
                Refuse,
                CreateSmall,
                DeleteCascade,
            ],
        ),
        slice(
            "stale",
            vec![World::steady(1, 2), steady(2).retention_delete()],
            &[
                StalePods,
                StaleClaims,
                StaleRevisions,
                StaleRecord,
                PodDies,
                RaiseClaim,
                DeleteOrphan,
            ],
        ),
        slice(
            "record",
            vec![steady(1), steady(1).by_record()],
            &[
                Abort,
                DeleteRecord,
                ApplyRecord,
                LargerRecord,
                Pause,
                Hold,
                TickEarly,
                Crash,
                Delayed,
            ],
        ),
        slice(
            "requests",
            vec![webhook(steady(1)), webhook(steady(1).by_record())],
            &[Withdraw, AskAgain, LargerRequest, Abort, LargerRecord, Delayed, RaiseClaim],
        ),
        slice(
            "deletes",
            vec![steady(1), webhook(steady(1)), steady(1).retention_delete()],
            &[
                DeleteOrphan,
                DeleteCascade,
                CreateSmall,
                CreateLarge,
                TickEarly,
                Crash,
                DeleteRevision,
                SiblingAdopts,
                Delayed,
            ],
        ),
        slice(
            "edits",
            vec![steady(1), webhook(steady(1)), steady(1).with(|kind| kind.on_delete = true)],
            &[EditImage, ScaleUp, ScaleDown, Crash, Abort, ResponseLost, TickEarly],
        ),
        slice(
            "retention",
            vec![steady(1), steady(1).retention_delete(), webhook(steady(1).retention_delete())],
            &[
                RetentionDelete,
                RetentionRetain,
                Trouble(Trouble::RetentionRefused),
                TickEarly,
                Crash,
                Delayed,
                Abort,
            ],
        ),
        slice(
            "refusals",
            vec![steady(1), steady(1).by_record()],
            &[Refuse, LeaveAbsent, Abort, TickEarly, Crash, NamespaceGoes, CreateSmall, Delayed],
        ),
        slice(
            "writes",
            vec![steady(0).leftover().retention_delete(), steady(1).retention_delete()],
            &[Trouble(Trouble::WriteRefused), Abort, Crash, Delayed, TickEarly, DeleteRecord],
        ),
        slice(
            "storage",
            vec![
                steady(2),
                steady(2).with(|kind| (kind.pending, kind.evict) = (true, true)),
                steady(1)
                    .with(|kind| (kind.pending, kind.evict, kind.node_fails) = (true, true, true)),
            ],
            &[
                PodDies,
                PodUnready,
                Infeasible,
                LowerClaim,
                RaiseClaim,
                DeleteClaim,
                ScaleUp,
                Trouble(Trouble::EvictionRefused),
                ResponseLost,
                Crash,
            ],
        ),
        slice(
            "operator",
            vec![
                steady(1).with(|kind| kind.owned = true),
                steady(1).with(|kind| (kind.owned, kind.owner_managed) = (true, true)),
                steady(1).with(|kind| {
                    (kind.owned, kind.owner_managed, kind.webhook) = (true, true, true);
                }),
            ],
            &[DeleteOrphan, DeleteCascade, CreateSmall, CreateLarge, EditImage, AskAgain, Crash],
        ),
        slice(
            "troubles",
            vec![steady(1), steady(1).by_record()],
            &[
                Trouble(Trouble::NamespaceUnread),
                Trouble(Trouble::PolicyGone),
                Trouble(Trouble::OverMax),
                Trouble(Trouble::BadTarget),
                Trouble(Trouble::NoSuchTemplate),
                Trouble(Trouble::PatchRefused),
                Trouble(Trouble::WriteRefused),
                Trouble(Trouble::HugeGrowth),
                Trouble(Trouble::Dependents),
                Trouble(Trouble::OrphaningStuck),
                Trouble(Trouble::OfflineOnly),
                Trouble(Trouble::NotExpandable),
                Trouble(Trouble::ClassGone),
                Trouble(Trouble::ForeignFinalizer),
                Trouble(Trouble::Overlap),
                Trouble(Trouble::DeleteRefused),
                Trouble(Trouble::ChangedOnCreate),
                Trouble(Trouble::Quota),
                Trouble(Trouble::SnapshotTooLarge),
                Trouble(Trouble::TooMany),
                Trouble(Trouble::RecreationUnfinished),
                Crash,
                Abort,
            ],
        ),
    ]
}

#[test]
fn every_slice_is_closed_and_everything_is_reached() {
    let budget = std::env::var("STATEWARD_FAULTS").map_or(BUDGET, |n| n.parse().unwrap());
    let only = std::env::var("STATEWARD_SLICE").ok();
    let mut slices = slices();
    slices.retain(|slice| only.as_ref().is_none_or(|only| slice.name == only));
    for world in slices.iter_mut().flat_map(|slice| &mut slice.starts) {
        world.faults = budget;
    }
    let began = Instant::now();
    let (next, states) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counts = Mutex::new(BTreeMap::<String, u64>::new());
    let work = || {
        while let Some(slice) = slices.get(next.fetch_add(1, Ordering::Relaxed)) {
            let explored = explore(slice);
            println!(
                "{}: {} states, {} edges, {} components, {:.1} s, {} MB in all so far",
                slice.name,
                explored.states,
                explored.edges,
                explored.components,
                explored.seconds,
                peak_megabytes(),
            );
            states.fetch_add(explored.states, Ordering::Relaxed);
            let mut all = counts.lock().unwrap();
            for (name, count) in explored.counts.0 {
                *all.entry(name).or_default() += count;
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(work));
        for thread in threads {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let (states, took) = (states.into_inner(), began.elapsed());
    let rate = states * 1000 / usize::try_from(took.as_millis()).unwrap().max(1);
    println!("{states} states in {took:.1?} on two threads: {rate} a second");
    if only.is_some() || budget < BUDGET {
        return;
    }
    let counts = counts.into_inner().unwrap();
    for (name, count) in &counts {
        println!("{count:>10} {name}");
    }
    let missing: Vec<_> =
        expected(&slices).into_iter().filter(|name| !counts.contains_key(name)).collect();
    assert!(missing.is_empty(), "never reached: {missing:#?}");
    assert!(states >= STATES, "only {states} states");
}

/// Every phase and reason that is written, every action, and everything that can happen.
fn expected(slices: &[Slice]) -> Vec<String> {
    let phases = Phase::ALL.iter().map(|phase| format!("phase {phase}"));
    let reasons = Reason::ALL.iter().map(|reason| format!("reason {reason}"));
    let actions = [
        "Wait",
        "DryRun",
        "CreateRecord",
        "WriteStatus",
        "AddFinalizer",
        "RemoveFinalizer",
        "GrowClaim",
        "RemoveClaimOwner",
        "Evict",
        "PinRetention",
        "RestoreRetention",
        "BumpResourceVersion",
        "Delete",
        "Create",
        "Unfreeze",
        "RestoreManagers",
        "ClearRequest",
    ];
    let actions = actions.into_iter().map(|name| format!("action {name}"));
    let events = [
        "controller",
        "late write arrives",
        "tick",
        "resizer",
        "sync begins",
        "sync ends",
        "gc orphans the revision",
        "gc orphans a pod",
        "gc orphans a claim",
        "gc takes the set",
        "gc deletes the revision",
        "gc deletes a pod",
        "gc deletes a claim",
        "caches catch up",
        "a person resumes",
        "creating is allowed",
        "pods are available",
        "a person puts it right",
        "a person finishes a re-creation",
        "another instance leads",
        "the leader is back",
    ];
    let events = events.into_iter().map(|name| format!("event {name}"));
    let faults = slices.iter().flat_map(|slice| slice.faults);
    let faults = faults.map(|fault: &Fault| format!("event {fault:?}"));
    phases.chain(reasons).chain(actions).chain(events).chain(faults).collect()
}

/// The most memory that this process held, from what the kernel says.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kilobytes.unwrap_or(0_u64) / 1024
}
