//! The state of a modelled world, and how the controller sees it.

mod objects;
mod read;
mod shared;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use stateward_core::object::Quantity;
use stateward_core::record::{Phase, Record, Spec, Status, Target};
use stateward_resize::{Action, Parameters};

pub(crate) use self::objects::*;
pub(crate) use self::shared::{Hashed, InFlight, StatusId};

/// The time of every decision: instead of it, what is remembered grows older.
pub(crate) static NOW: LazyLock<Timestamp> =
    LazyLock::new(|| Timestamp::from_second(1_000_000).unwrap());
/// One tick of the clock, and the unit of every bound.
const TICK: i64 = 60;
/// Older than this is for ever.
const OLDEST: i64 = 4 * TICK;
/// Sizes by index.
pub(crate) const SIZES: [&str; 3] = ["10Gi", "20Gi", "30Gi"];
static QUANTITIES: LazyLock<[Quantity; 3]> = LazyLock::new(|| SIZES.map(|s| s.parse().unwrap()));

/// No snapshot of a modelled set is longer, but for one.
const SNAPSHOT_LIMIT: usize = 16;

/// Ordinals 0 and 1 may be run; the claim of ordinal 2 is a leftover.
pub(crate) const ORDINALS: usize = 3;

pub(crate) fn parameters() -> Parameters {
    let ticks = |n: i64| SignedDuration::from_secs(n * TICK);
    Parameters {
        just_changed: ticks(1),
        pin_timeout: ticks(1),
        create_quarantine: ticks(1),
        create_asked: ticks(1),
        leave_absent: ticks(2),
        set_gone: ticks(1),
        keep_snapshot: ticks(3),
        tries: 2,
        snapshot_limit: SNAPSHOT_LIMIT,
        ..Parameters::default()
    }
}

/// A world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct World {
    pub kind: Kind,
    pub set: Option<SetM>,
    pub pods: [Option<PodM>; ORDINALS],
    pub claims: [Option<ClaimM>; ORDINALS],
    pub revisions: [Option<RevisionM>; 2],
    pub record: Option<RecordM>,
    pub controllers: Vec<ControllerM>,
    pub in_flight: Vec<InFlight>,
    pub sync: Option<Sync>,
    pub next_uid: u8,
    /// how many records there were
    pub records: u8,
    pub faults: u8,
    pub refusing: bool,
    pub namespace_terminating: bool,
    pub gone: Gone,
    pub last: Option<Last>,
    /// a person changed the pod template, so pods may restart
    pub edited: bool,
    /// a person deleted the set while its retention was Delete: claims may go
    pub doomed: bool,
    /// a claim was lowered by a person
    pub lowered: bool,
    /// an edit of the set while it went is not in the set that we created
    pub edit_lost: bool,
    pub trouble: Option<Trouble>,
    /// others want retention Delete
    pub wanted_delete: bool,
    pub stale: Option<Box<Stale>>,
}

pub(crate) fn uid(n: u8) -> String {
    format!("u{n}")
}

fn number(text: &str) -> u8 {
    text[1..].parse().unwrap()
}

pub(crate) fn uid_of(text: &str) -> u8 {
    number(text)
}

impl World {
    /// A healthy set of `replicas` pods at 10Gi, with a request for 20Gi as an annotation.
    pub(crate) fn steady(replicas: u8, controllers: usize) -> Self {
        let kind = Kind { ordered: true, ..Kind::default() };
        let mut world = Self {
            kind,
            set: Some(SetM {
                uid: 0,
                replicas,
                size: 0,
                revision: 0,
                observed: true,
                current: 0,
                update: 0,
                delete: false,
                retention_written: false,
                frozen: None,
                terminating: false,
                orphan: false,
                id: None,
                mark: None,
                requested: Some(1),
                only_ours: false,
                restored: true,
                late: false,
            }),
            pods: [None, None, None],
            claims: [None, None, None],
            revisions: [Some(RevisionM { uid: 1, owner: Some(0), young: false }), None],
            record: None,
            controllers: vec![ControllerM::default(); controllers],
            in_flight: Vec::new(),
            sync: None,
            next_uid: 2,
            records: 0,
            faults: 0,
            refusing: false,
            namespace_terminating: false,
            gone: Gone::Present,
            last: None,
            edited: false,
            doomed: false,
            lowered: false,
            edit_lost: false,
            trouble: None,
            wanted_delete: false,
            stale: None,
        };
        for ordinal in 0..usize::from(replicas) {
            let uid = world.fresh_uid();
            world.pods[ordinal] =
                Some(PodM { uid, owner: Some(0), revision: 0, young: false, ready: true });
            world.claims[ordinal] = Some(ClaimM {
                request: 0,
                capacity: 0,
                pending: false,
                infeasible: false,
                owner: None,
                young: false,
                terminating: false,
                id: None,
            });
        }
        world
    }

    /// The same with retention Delete: each claim is owned by the set.
    pub(crate) fn retention_delete(mut self) -> Self {
        self.wanted_delete = true;
        if let Some(set) = &mut self.set {
            set.delete = true;
        }
        self.claims.iter_mut().flatten().for_each(|claim| claim.owner = Some(0));
        self
    }

    /// The same with a claim above the ordinals.
    pub(crate) fn leftover(mut self) -> Self {
        let owned = self.wanted_delete.then_some(0);
        self.claims[2] = self.claims[0].clone().map(|claim| ClaimM { owner: owned, ..claim });
        self
    }

    /// The same with another kind of set, driver, or webhook.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Kind)) -> Self {
        change(&mut self.kind);
        self
    }

    /// The same where only the first controller leads.
    pub(crate) fn one_leads(mut self) -> Self {
        self.controllers.iter_mut().skip(1).for_each(|memory| memory.standby = true);
        self
    }

    /// The same with a record that asks, and no annotation.
    pub(crate) fn by_record(mut self) -> Self {
        self.record = Some(RecordM { target: Some(1), ..RecordM::new(0) });
        self.records = 1;
        if let Some(set) = &mut self.set {
            set.requested = None;
        }
        self
    }

    /// How many pods the set runs, or ran.
    pub(crate) fn replicas(&self) -> u8 {
        let last = self.last.as_ref().map(|last| last.replicas);
        self.set.as_ref().map(|set| set.replicas).or(last).unwrap_or(0)
    }

    pub(crate) fn fresh_uid(&mut self) -> u8 {
        self.next_uid += 1;
        self.next_uid - 1
    }

    /// Every change of the set changes its resourceVersion.
    pub(crate) fn bump_set(&mut self) {
        if let Some(record) = &mut self.record {
            record.status = record.status.stale();
        }
        if let Some(Stale::Record(Some(record))) = self.stale.as_deref_mut() {
            record.status = record.status.stale();
        }
        for sent in &mut self.in_flight {
            let mut action = sent.action();
            let version = match &mut action {
                Action::Delete { resource_version, .. }
                | Action::PinRetention { resource_version, .. }
                | Action::RestoreRetention { resource_version, .. } => Some(resource_version),
                Action::Unfreeze { resource_version, .. } => resource_version.as_mut(),
                _ => None,
            };
            *sent = match version.filter(|version| *version == "now") {
                Some(version) => {
                    "old".clone_into(version);
                    InFlight { record_fresh: sent.record_fresh, ..InFlight::new(action) }
                }
                None => sent.map_status(StatusId::stale),
            };
        }
    }

    /// A change of `spec`: generation, and what was read before it is not current.
    pub(crate) fn bump_spec(&mut self) {
        self.bump_set();
        if let Some(set) = &mut self.set {
            set.observed = false;
        }
        if let Some(sync) = &mut self.sync {
            sync.current = false;
        }
        self.controllers.iter_mut().for_each(|memory| memory.dry = false);
    }

    pub(crate) fn bump_record(&mut self) {
        self.in_flight.iter_mut().for_each(|sent| sent.record_fresh = false);
    }

    /// Time passes.
    pub(crate) fn tick(&mut self) {
        if let Some(record) = &mut self.record {
            record.status = record.status.older();
        }
        if let Some(Stale::Record(Some(record))) = self.stale.as_deref_mut() {
            record.status = record.status.older();
        }
        for sent in &mut self.in_flight {
            *sent = sent.map_status(StatusId::older);
        }
        self.pods.iter_mut().flatten().for_each(|pod| pod.young = false);
        self.claims.iter_mut().flatten().for_each(|claim| claim.young = false);
        self.revisions.iter_mut().flatten().for_each(|revision| revision.young = false);
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.record.as_ref().map(|record| record.status.get())
    }

    pub(crate) fn phase(&self) -> Option<Phase> {
        self.record.as_ref().map(|record| record.status.read(|status| status.phase.clone()))
    }

    /// The record that is read: where it is not fresh, it may be an old one.
    pub(crate) fn record_seen(&self, fresh: bool) -> Option<&RecordM> {
        match self.stale.as_deref() {
            Some(Stale::Record(stale)) if !fresh => stale.as_ref(),
            _ => self.record.as_ref(),
        }
    }

    /// The record as the controller reads it.
    pub(crate) fn read_record(&self, fresh: bool) -> Option<Record> {
        let record = self.record_seen(fresh)?;
        let huge = self.trouble == Some(Trouble::HugeGrowth);
        let target = |size: u8| {
            let storage = if huge { "10Pi" } else { SIZES[usize::from(size)] };
            BTreeMap::from([("data".to_owned(), Target { storage: storage.to_owned() })])
        };
        Some(Record {
            namespace: "prod".to_owned(),
            name: "db".to_owned(),
            uid: format!("R{}", record.uid),
            generation: i64::from(record.generation),
            finalizer: record.finalizer,
            deleting: record.deleting,
            spec: Spec {
                targets: record.target.map(target).unwrap_or_default(),
                paused: record.paused,
                abort: record.abort.map(i64::from),
                hold: record.held.then_some(Phase::ClaimsGrown),
                leave_absent: record.leave_absent,
            },
            status: record.status.get(),
        })
    }

    fn alive(&self, uid: u8) -> bool {
        uid == crate::people::SIBLING || self.set.as_ref().is_some_and(|set| set.uid == uid)
    }
}

/// Record and number, or record and set replaced, in a `resize-id`.
pub(crate) fn id_of(text: &str) -> Option<(u8, u8)> {
    let (record, rest) = text.strip_prefix('R')?.split_once('/')?;
    Some((record.parse().ok()?, rest.trim_start_matches('u').parse().ok()?))
}

/// The index of a size.
pub(crate) fn size_of(text: &str) -> u8 {
    let size: Quantity = text.parse().unwrap();
    QUANTITIES.iter().position(|known| *known == size).unwrap() as u8
}

pub(crate) fn size_of_quantity(size: &Quantity) -> u8 {
    QUANTITIES.iter().position(|known| known == size).unwrap() as u8
}
