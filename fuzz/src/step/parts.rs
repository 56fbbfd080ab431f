//! Any part of what a resize sees, replaced by anything, and what must hold for whatever is decided.
//! `tests/resize/arbitrary.rs` does the same to worlds on their way through a resize.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use stateward_core::facts::Fact;
use stateward_core::object::Quantity;
use stateward_core::record::Record;
use stateward_core::record::{
    Halt, Phase, Policy, RESULTS, Reason, Request, Retention, RevisionName, State, Status, Target,
};
use stateward_resize::observed::{Answer, Created, DryRuns, Managers, Progress, Set};
use stateward_resize::{Action, Observed};

/// What one decision is made from, but for the time.
pub(crate) type Input = (Observed, Option<Record>);

fn text(n: u8) -> String {
    ["u0", "u1", "u2", "u9", "R0/u0", "R0/u9", "R7/u0", "now", "old", "", "data", "20Gi", "-1", "ö"]
        [usize::from(n) % 14]
        .to_owned()
}

fn size(n: u8) -> Quantity {
    ["0", "10Gi", "10240Mi", "20Gi", "30Gi", "-1", "1e30", "100m"][usize::from(n) % 8]
        .parse()
        .unwrap()
}

fn sizes(n: u8) -> BTreeMap<String, String> {
    let size = ["5Gi", "10Gi", "20Gi", "30Gi", "much", ""][usize::from(n) % 6].to_owned();
    match n % 5 {
        0 => BTreeMap::new(),
        1 => BTreeMap::from([("wal".to_owned(), size)]),
        _ => BTreeMap::from([("data".to_owned(), size)]),
    }
}

fn maybe<T>(n: u8, value: T) -> Option<T> {
    (!n.is_multiple_of(3)).then_some(value)
}

fn unknown<T>(fact: &mut Fact<T>) {
    *fact = Fact::Unknown("not read".to_owned());
}

fn retention(n: u8) -> Retention {
    let policy = |delete: bool| if delete { Policy::Delete } else { Policy::Retain };
    Retention { when_deleted: policy(n & 1 > 0), when_scaled: policy(n & 2 > 0) }
}

/// Replaces one part by something else; times are minutes before `now`.
pub(crate) fn change((observed, record): &mut Input, part: u8, n: u8, now: Timestamp) {
    let bit = n & 1 > 0;
    let time = now.saturating_sub(SignedDuration::from_mins(i64::from(n))).unwrap();
    match part % 8 {
        0..=2 => change_record(record, n, part / 8, bit, time),
        3 | 4 => {
            if let Fact::Known(Some(set)) = &mut observed.set {
                change_set(set, part / 8, n, bit);
            }
        }
        _ => change_observed(observed, part / 8, n, bit, time),
    }
}

fn change_record(record: &mut Option<Record>, n: u8, part: u8, bit: bool, time: Timestamp) {
    let Some(known) = record else { return };
    let status = &mut known.status;
    let recreation = &mut status.recreation;
    let phase = |n: u8| {
        let other = Phase::Unknown("Migrating".to_owned());
        Phase::ALL.get(usize::from(n) % (Phase::ALL.len() + 1)).cloned().unwrap_or(other)
    };
    match part {
        0 => *record = None,
        1 => known.uid = text(n),
        2 => known.generation = i64::from(n) - 3,
        3 => known.finalizer = bit,
        4 => known.deleting = bit,
        5 => {
            let targets = sizes(n).into_iter().map(|(name, storage)| (name, Target { storage }));
            known.spec.targets = targets.collect();
        }
        6 => known.spec.paused = bit,
        7 => known.spec.hold = maybe(n, phase(n)),
        8 => known.spec.abort = maybe(n, i64::from(n) - 3),
        9 => known.spec.leave_absent = bit,
        10 | 11 => status.phase = phase(n),
        12 => {
            let reason = Reason::ALL[usize::from(n) % Reason::ALL.len()].clone();
            let state = State::ALL[usize::from(n) % State::ALL.len()].clone();
            status.halt = maybe(n, Halt { state, reason, message: text(n) });
        }
        13 => status.request = None,
        14 => {
            status.request = Some(Request {
                number: u64::from(n),
                generation: i64::from(n) - 3,
                set_uid: text(n),
                targets: sizes(n),
                withdrawable: bit,
            });
        }
        15 => status.annotation_targets = sizes(n),
        16 => recreation.set_uid = maybe(n, text(n)),
        17 => recreation.resource_version = maybe(n, text(n)),
        18 => recreation.revision = maybe(n, RevisionName { name: text(n), uid: text(n / 2) }),
        19 => recreation.retention = maybe(n, retention(n)),
        20 => recreation.retention_asked = maybe(n, retention(n)),
        21 => recreation.partition = maybe(n, i64::from(n) - 3),
        22 => recreation.pinned_since = maybe(n, time),
        23 => recreation.pin_failures = u32::from(n),
        24 => recreation.replaced = u32::MAX - u32::from(n),
        25 => recreation.refused_since = maybe(n, time),
        26 => recreation.gone_since = maybe(n, time),
        27 => recreation.new_uid = maybe(n, text(n)),
        28 => recreation.ours = bit,
        29 => status.last_create = maybe(n, time),
        30 => status.snapshot = maybe(n, text(n)),
        _ => status.claims.clear(),
    }
}

fn change_set(set: &mut Set, part: u8, n: u8, bit: bool) {
    match part {
        0 => set.uid = text(n),
        1 => set.resource_version = text(n),
        2 => set.terminating = bit,
        3 => set.foreign_finalizers = maybe(n, text(n)).into_iter().collect(),
        4 => set.owner = maybe(n, text(n)),
        5 => set.owner_managed = bit,
        6 => set.generation_observed = bit,
        7 => set.replicas = [0, 1, 2, u32::MAX][usize::from(n) % 4],
        8 => set.first_ordinal = [0, 1, u32::MAX][usize::from(n) % 3],
        9 => set.ordered = bit,
        10 => set.on_delete = bit,
        11 => set.partition = maybe(n, i64::from(n)),
        12 => set.retention = retention(n),
        13 => set.retention_written = Fact::Known(bit),
        14 => unknown(&mut set.retention_written),
        15 => set.templates = BTreeMap::from([(text(n), size(n))]),
        16 => set.templates.values_mut().for_each(|have| *have = size(n)),
        17 => set.duplicate_templates = bit,
        18 => set.current_revision = text(n),
        19 => set.update_revision = text(n),
        20 if n > 3 => set.unfinished = maybe(n, text(n)),
        20 => set.resize_id = maybe(n, text(n)),
        21 | 22 => set.requested = sizes(n),
        23 => set.resize_max = maybe(n, text(n)),
        24 => set.paused = bit,
        25 => set.evict = bit,
        26 => {
            let all = [Managers::Restored, Managers::OnlyOurs, Managers::Others];
            set.managers = all[usize::from(n) % 3];
        }
        27 => set.writer = maybe(n, text(n)),
        _ => set.snapshot = text(n),
    }
}

fn change_observed(observed: &mut Observed, part: u8, n: u8, bit: bool, time: Timestamp) {
    match (part, &mut observed.claims, &mut observed.pods) {
        (0, ..) => observed.fresh = bit,
        (1, ..) => unknown(&mut observed.namespace),
        (2, ..) => {
            if let Fact::Known(namespace) = &mut observed.namespace {
                namespace.terminating = bit;
                namespace.resize_max = maybe(n, size(n).to_string());
            }
        }
        (3, ..) => observed.set = Fact::Known(None),
        (4, ..) => unknown(&mut observed.set),
        (5, ..) => unknown(&mut observed.pods),
        (6, ..) => unknown(&mut observed.claims),
        (7, ..) => unknown(&mut observed.classes),
        (8, ..) => unknown(&mut observed.revisions),
        (9, ..) => unknown(&mut observed.neighbours),
        (10, ..) => unknown(&mut observed.admission_policy),
        (11, ..) => unknown(&mut observed.dry_runs),
        (12, ..) => unknown(&mut observed.last_seen_edit),
        (13, ..) => observed.last_seen_edit = Fact::Known(maybe(n, text(n))),
        (14, ..) => {
            let answer = |n: u8| match n % 3 {
                0 => Answer::Good,
                1 => Answer::Quota,
                _ => Answer::Changed(text(n)),
            };
            let (delete, create, unchanged) = (answer(n), answer(n / 3), answer(n / 9));
            observed.dry_runs = Fact::Known(DryRuns { delete, create, unchanged });
        }
        (15, ..) => observed.memory.deleted = maybe(n, text(n)),
        (16, ..) => observed.memory.created = maybe(n, Created { id: text(n), uid: text(n / 2) }),
        (17, ..) => observed.memory.standby = bit,
        (18, ..) => observed.memory.full = bit,
        (19, ..) => observed.memory.create_refused = maybe(n, text(n)),
        (20, ..) => observed.memory.record_unwritable = bit,
        (21, Fact::Known(claims), _) => claims.iter_mut().for_each(|claim| claim.request = size(n)),
        (22, Fact::Known(claims), _) => {
            for claim in claims {
                claim.capacity = maybe(n, size(n));
            }
        }
        (23, Fact::Known(claims), _) => {
            use Progress::{Controller, FileSystem, Infeasible, NodeFailed, None, OfflineOnly};
            let all = [None, Controller, OfflineOnly, Infeasible, FileSystem, NodeFailed];
            for claim in claims {
                claim.progress = all[usize::from(n) % 6];
            }
        }
        (24, Fact::Known(claims), _) => {
            for claim in claims {
                claim.owners = maybe(n, text(n)).into_iter().collect();
                claim.foreign = n.is_multiple_of(4);
            }
        }
        (25, Fact::Known(claims), _) => {
            for claim in claims {
                claim.terminating = bit;
                claim.resize_id = maybe(n, text(n));
            }
        }
        (26, _, Fact::Known(pods)) => pods.iter_mut().for_each(|pod| pod.created = time),
        (27, _, Fact::Known(pods)) => {
            for pod in pods {
                pod.owner = maybe(n, text(n));
                pod.revision = text(n / 2);
            }
        }
        (28, _, Fact::Known(pods)) => {
            for pod in pods {
                pod.terminating = bit;
                pod.available = n & 2 > 0;
            }
        }
        (29, _, Fact::Known(pods)) => pods.clear(),
        (30, Fact::Known(claims), _) => claims.clear(),
        _ => {}
    }
}

/// What must hold for whatever is decided.
pub(crate) fn holds(
    observed: &Observed,
    record: Option<&Record>,
    action: &Action,
) -> Result<(), String> {
    let set = match &observed.set {
        Fact::Known(set) => set.as_ref(),
        Fact::Unknown(_) => None,
    };
    let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    if observed.memory.standby {
        let allowed =
            matches!(action, Action::Wait { .. } | Action::Refresh | Action::Create { .. });
        demand(allowed, "a standby does more than close a re-creation window")?;
    }
    match action {
        Action::Delete { uid, resource_version } => {
            let (Some(record), Some(set)) = (record, set) else {
                return Err("a DELETE of nothing, or without a record".to_owned());
            };
            let (status, recreation) = (&record.status, &record.status.recreation);
            demand(status.phase == Phase::Deleting || status.phase == Phase::Creating, "phase")?;
            demand(record.finalizer, "a DELETE without finalizer")?;
            demand(recreation.set_uid.as_ref() == Some(uid), "another UID than the record's")?;
            let version = recreation.resource_version.as_ref() == Some(resource_version);
            demand(version, "another resourceVersion than the record's")?;
            demand(status.snapshot.is_some(), "a DELETE without snapshot")?;
            demand(recreation.revision.is_some(), "a DELETE without revision")?;
            demand(observed.fresh, "a DELETE from caches")?;
            demand(!record.spec.paused && !set.paused, "a DELETE while paused")?;
            demand(!record.deleting, "a DELETE for a record that goes")?;
            demand(set.retention == Retention::RETAIN, "a DELETE without retention pin")?;
            demand(set.generation_observed && !set.terminating, "a DELETE too early")?;
            let Fact::Known(claims) = &observed.claims else {
                return Err("a DELETE without sight of the claims".to_owned());
            };
            let held = claims.iter().any(|claim| !claim.foreign && !claim.owners.is_empty());
            demand(!held, "a DELETE while a claim has an owner")
        }
        Action::Create { snapshot, sizes, .. } => {
            let status = &record.ok_or("a CREATE without record")?.status;
            demand(observed.fresh && set.is_none(), "a CREATE over a set, or from caches")?;
            demand(status.snapshot.as_ref() == Some(snapshot), "another snapshot")?;
            let targets = status.request.as_ref().map(|request| &request.targets);
            demand(sizes.is_empty() || targets == Some(sizes), "other sizes than were asked")
        }
        Action::GrowClaim { claim, from, to, .. } => {
            demand(to > from, "a claim shrinks")?;
            let Fact::Known(claims) = &observed.claims else {
                return Err("a claim grows unseen".to_owned());
            };
            let ours = claims.iter().any(|c| c.name == *claim && !c.foreign && c.request == *from);
            demand(ours, "a claim of another set grows")
        }
        Action::Evict { .. } => demand(set.is_some_and(|set| set.evict), "an eviction unasked"),
        Action::WriteStatus(status) => {
            let record = record.ok_or("a status without record")?;
            demand(status.results.len() <= RESULTS, "too many results")?;
            demand(status.observed_generation == record.generation, "an old generation")?;
            let written = serde_json::to_string(status).map_err(|error| error.to_string())?;
            let read: Status = serde_json::from_str(&written).map_err(|error| error.to_string())?;
            demand(read == **status, "the status does not read back")?;
            demand(*status != Box::new(record.status.clone()), "a write that changes nothing")
        }
        _ => Ok(()),
    }
}
