//! The decision of a resize over any input: a healthy set at some point of a resize, with any of its
//! parts replaced by anything.

mod parts;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use stateward_core::facts::{ClassFact, Fact, NamespaceFact};
use stateward_core::object::Quantity;
use stateward_core::record::Record;
use stateward_core::record::{
    ClaimState, ClaimStatus, Phase, Recreation, Request, Retention, RevisionName, Spec, Status,
};
use stateward_resize::observed::{
    Answer, Claim, Dependents, DryRuns, Managers, Memory, Pod, Progress, Revision, Set,
};
use stateward_resize::{Action, Observed, Parameters};

use self::parts::{Input, change, holds};

/// Changes that are made of one input; more only hide each other.
const CHANGES: usize = 32;

/// The time of every input, but for what it says itself.
fn now() -> Timestamp {
    Timestamp::from_second(2_000_000_000).expect("a time")
}

/// What is decided is the same twice, and what has to hold of it holds.
///
/// The first byte is where the resize is, two more are seconds, and then each part that is changed is
/// followed by how.
pub fn step(input: &[u8]) {
    let _ = decided(input);
}

/// What is decided for an input; nothing for one that is too short.
pub fn decided(input: &[u8]) -> Option<Action> {
    let (&[point, high, low], changes) = input.split_first_chunk::<3>()?;
    let mut input = at(point);
    for pair in changes.chunks_exact(2).take(CHANGES) {
        change(&mut input, pair[0], pair[1], now());
    }
    let later = SignedDuration::from_secs(i16::from_be_bytes([high, low]).into());
    let now = now().saturating_add(later).expect("a time");
    let (observed, record) = &input;
    let decide = || stateward_resize::step(observed, record.as_ref(), now, &Parameters::default());
    let action = decide();
    assert_eq!(action, decide(), "another decision");
    let verdict = holds(observed, record.as_ref(), &action);
    assert!(verdict.is_ok(), "{verdict:?}: {action:?} for {input:#?}");
    Some(action)
}

/// Every point without a change, and changes that lead to an action which no point leads to.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..=u8::MAX).map(|point| vec![point, 0, 0]).collect();
    all.extend(CHANGED.map(<[u8]>::to_vec));
    all
}

/// See [`seeds`]; `tests/engine/fuzz.rs` counts the kinds of actions that all of them lead to.
const CHANGED: [&[u8]; 7] = [
    &[2, 0, 0, 132, 2, 154, 7],
    &[3, 0, 0, 99, 1],
    &[3, 0, 0, 59, 1, 197, 1],
    &[8, 0, 0, 177, 5, 32, 1],
    &[15, 0, 0, 24, 0],
    &[15, 0, 0, 95, 3],
    &[33, 0, 0, 92, 5],
];

/// A set of two pods whose claims grow from 10Gi to 20Gi. The low bits say how far that is, the next
/// ones what of it is done.
fn at(point: u8) -> Input {
    let phases = Phase::ALL.len() + 1;
    let phase = usize::from(point) % phases;
    let rest = usize::from(point) / phases;
    let done = |bit: usize| rest & bit > 0;
    let point = Point {
        grown: done(1),
        replaced: done(2),
        away: done(4),
        fresh: !done(8),
        evicting: done(16),
    };
    let record = Phase::ALL.get(phase).map(|phase| record(phase.clone(), &point));
    (observed(&point), record)
}

/// What is done of a resize.
#[expect(clippy::struct_excessive_bools, reason = "independent marks")]
struct Point {
    /// the claims are as large as asked
    grown: bool,
    /// the set is another one than it was
    replaced: bool,
    /// there is no set
    away: bool,
    /// everything was read by quorum
    fresh: bool,
    /// a file system waits for its pod to be evicted
    evicting: bool,
}

fn size(grown: bool) -> Quantity {
    if grown { "20Gi" } else { "10Gi" }.parse().expect("a size")
}

fn observed(point: &Point) -> Observed {
    let &Point { grown, replaced, away, fresh, evicting } = point;
    let old = now().saturating_sub(SignedDuration::from_hours(2)).expect("a time");
    let owner = if replaced { "u2" } else { "u0" };
    let pod = |ordinal: u32| Pod {
        name: format!("db-{ordinal}"),
        uid: format!("p{ordinal}"),
        ordinal,
        owner: (!away).then(|| owner.to_owned()),
        revision: "r0".to_owned(),
        terminating: false,
        available: true,
        created: old,
    };
    let claim = |ordinal: u32| Claim {
        name: format!("data-db-{ordinal}"),
        uid: format!("c{ordinal}"),
        template: "data".to_owned(),
        ordinal,
        request: size(grown),
        capacity: Some(size(grown && !evicting)),
        progress: if evicting { Progress::FileSystem } else { Progress::None },
        terminating: false,
        owners: Vec::new(),
        class: "fast".to_owned(),
        fixed_volume: None,
        resize_id: grown.then(|| "R0/1".to_owned()),
        mounted: true,
        foreign: false,
    };
    let revision = Revision {
        id: RevisionName { name: "r0".to_owned(), uid: "v0".to_owned() },
        owner: (!away).then(|| (owner.to_owned(), true)),
        created: old,
    };
    let good = Answer::Good;
    Observed {
        fresh,
        namespace: Fact::Known(NamespaceFact::default()),
        set: Fact::Known((!away).then(|| set(owner, point))),
        pods: Fact::Known(vec![pod(0), pod(1)]),
        claims: Fact::Known(vec![claim(0), claim(1)]),
        classes: Fact::Known(BTreeMap::from([(
            "fast".to_owned(),
            ClassFact { allow_volume_expansion: true, ..ClassFact::default() },
        )])),
        revisions: Fact::Known(vec![revision]),
        neighbours: Fact::Known(Vec::new()),
        dependents: Fact::Known(Dependents::default()),
        admission_policy: Fact::Known(true),
        dry_runs: Fact::Known(DryRuns {
            delete: good.clone(),
            create: good.clone(),
            unchanged: good,
        }),
        last_seen_edit: Fact::Known(None),
        memory: Memory::default(),
    }
}

fn set(uid: &str, &Point { replaced, evicting, .. }: &Point) -> Set {
    Set {
        uid: uid.to_owned(),
        resource_version: "now".to_owned(),
        terminating: false,
        deleted: None,
        foreign_finalizers: Vec::new(),
        owner: None,
        owner_managed: false,
        generation_observed: true,
        replicas: 2,
        first_ordinal: 0,
        ordered: false,
        on_delete: false,
        partition: replaced.then_some(3),
        retention: Retention::RETAIN,
        retention_written: Fact::Known(false),
        templates: BTreeMap::from([("data".to_owned(), size(replaced))]),
        duplicate_templates: false,
        current_revision: "r0".to_owned(),
        update_revision: "r0".to_owned(),
        resize_id: replaced.then(|| "R0/u0".to_owned()),
        unfinished: None,
        requested: BTreeMap::from([("data".to_owned(), "20Gi".to_owned())]),
        resize_max: None,
        paused: false,
        evict: evicting,
        managers: if replaced { Managers::OnlyOurs } else { Managers::Others },
        retention_owners: Vec::new(),
        writer: None,
        snapshot: "snapshot".to_owned(),
    }
}

fn record(phase: Phase, &Point { grown, replaced, evicting, .. }: &Point) -> Record {
    let row = |ordinal: u32| ClaimStatus {
        name: format!("data-db-{ordinal}"),
        from: "10Gi".to_owned(),
        target: "20Gi".to_owned(),
        capacity: Some(size(grown && !evicting).to_string()),
        state: match (grown, evicting) {
            (false, _) => ClaimState::Short,
            (true, true) => ClaimState::NodePending,
            (true, false) => ClaimState::Done,
        },
        since: Some(now()),
        lowest: None,
        evicted: evicting.then(|| format!("p{ordinal}")),
    };
    let targets = BTreeMap::from([("data".to_owned(), "20Gi".to_owned())]);
    let status = Status {
        phase,
        request: Some(Request {
            number: 1,
            generation: 1,
            set_uid: "u0".to_owned(),
            targets: targets.clone(),
            withdrawable: true,
        }),
        annotation_targets: targets,
        recreation: Recreation {
            set_uid: Some("u0".to_owned()),
            resource_version: Some("now".to_owned()),
            revision: Some(RevisionName { name: "r0".to_owned(), uid: "v0".to_owned() }),
            retention: Some(Retention::RETAIN),
            frozen: Some(3),
            pinned_since: Some(now()),
            new_uid: replaced.then(|| "u2".to_owned()),
            ours: replaced,
            ..Recreation::default()
        },
        snapshot: Some("snapshot".to_owned()),
        claims: vec![row(0), row(1)],
        observed_generation: 1,
        ..Status::default()
    };
    Record {
        namespace: "shop".to_owned(),
        name: "db".to_owned(),
        uid: "R0".to_owned(),
        generation: 1,
        finalizer: true,
        deleting: false,
        spec: Spec::default(),
        status,
    }
}
