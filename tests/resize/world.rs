//! The state of a modelled world, and how the controller sees it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use stateward::facts::Fact;
use stateward::object::Quantity;
use stateward::resize::observed::{
    Answer, Claim, Class, DryRuns, Managers, Memory, Namespace, Observed, Pod, Progress, Revision,
    Set,
};
use stateward::resize::record::{
    Phase, Policy, Record, Retention, RevisionName, Spec, Status, Target,
};
use stateward::resize::{Action, Parameters};

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

/// Ordinals 0 and 1 may be run; the claim of ordinal 2 is a leftover.
pub(crate) const ORDINALS: usize = 3;

pub(crate) fn parameters() -> Parameters {
    let ticks = |n: i64| SignedDuration::from_secs(n * TICK);
    Parameters {
        just_changed: ticks(1),
        fence_bound: ticks(1),
        create_quarantine: ticks(1),
        create_asked: ticks(1),
        leave_absent: ticks(2),
        set_gone: ticks(1),
        keep_snapshot: ticks(3),
        tries: 2,
        ..Parameters::default()
    }
}

/// A fast hash of small keys; equality is always compared in full.
#[derive(Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

pub(crate) type Hashed<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// Values that states share: a state holds their number.
struct Interned<T>(Vec<T>, Hashed<T, u32>);

impl<T: Clone + Eq + Hash> Interned<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.1.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.0.len()).unwrap();
        self.0.push(value.clone());
        self.1.insert(value, number);
        number
    }
}

thread_local! {
    static STATUSES: RefCell<Interned<Status>> = RefCell::new(Interned(Vec::new(), Hashed::default()));
    static ACTIONS: RefCell<Interned<Action>> = RefCell::new(Interned(Vec::new(), Hashed::default()));
}

/// A status of the record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StatusId(u32);

impl StatusId {
    /// Conditions are dropped: no decision may read them, and here none can.
    pub(crate) fn of(mut status: Status) -> Self {
        status.conditions.clear();
        for at in times(&mut status) {
            let age = NOW.duration_since(*at).as_secs().min(OLDEST);
            *at = Timestamp::from_second(NOW.as_second() - age).unwrap();
        }
        Self(STATUSES.with_borrow_mut(|all| all.number(status)))
    }

    pub(crate) fn get(self) -> Status {
        STATUSES.with_borrow(|all| all.0[self.0 as usize].clone())
    }

    pub(crate) fn read<R>(self, read: impl FnOnce(&Status) -> R) -> R {
        STATUSES.with_borrow(|all| read(&all.0[self.0 as usize]))
    }

    fn older(self) -> Self {
        let mut status = self.get();
        for at in times(&mut status) {
            *at = Timestamp::from_second(at.as_second() - TICK).unwrap();
        }
        Self::of(status)
    }

    /// The set has changed: the resourceVersion that was remembered is an old one.
    fn stale(self) -> Self {
        let remembered =
            |status: &Status| status.attempt.resource_version.as_deref() == Some("now");
        if !self.read(remembered) {
            return self;
        }
        let mut status = self.get();
        status.attempt.resource_version = Some("old".to_owned());
        Self::of(status)
    }
}

fn times(status: &mut Status) -> Vec<&mut Timestamp> {
    let attempt = &mut status.attempt;
    let kept = [
        &mut attempt.fence_since,
        &mut attempt.refused_since,
        &mut attempt.gone_since,
        &mut status.last_create,
    ];
    let results = status.results.iter_mut().map(|ended| &mut ended.at);
    kept.into_iter().filter_map(Option::as_mut).chain(results).collect()
}

/// A write that was sent and has not arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct InFlight {
    action: u32,
    /// the record has not changed since
    pub record_fresh: bool,
}

impl InFlight {
    pub(crate) fn new(action: Action) -> Self {
        let action = ACTIONS.with_borrow_mut(|all| all.number(action));
        Self { action, record_fresh: true }
    }

    pub(crate) fn action(self) -> Action {
        ACTIONS.with_borrow(|all| all.0[self.action as usize].clone())
    }

    fn map_status(self, change: impl FnOnce(StatusId) -> StatusId) -> Self {
        match self.action() {
            Action::WriteStatus(status) => {
                let status = change(StatusId::of(*status)).get();
                let new = Self::new(Action::WriteStatus(Box::new(status)));
                Self { record_fresh: self.record_fresh, ..new }
            }
            _ => self,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of an object")]
pub(crate) struct SetM {
    pub uid: u8,
    /// the index of its template's size
    pub size: u8,
    /// the revision of its template
    pub revision: u8,
    pub observed: bool,
    pub current: u8,
    pub update: u8,
    pub delete: bool,
    pub retention_written: bool,
    pub frozen: bool,
    pub terminating: bool,
    /// the garbage collector's finalizer
    pub orphan: bool,
    /// `resize-id`: the UID of the set replaced
    pub id: Option<u8>,
    pub requested: Option<u8>,
    pub only_ours: bool,
    pub restored: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PodM {
    pub uid: u8,
    pub owner: Option<u8>,
    pub revision: u8,
    pub young: bool,
    pub ready: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of an object")]
pub(crate) struct ClaimM {
    pub request: u8,
    pub capacity: u8,
    pub pending: bool,
    pub infeasible: bool,
    pub owner: Option<u8>,
    /// the owner reference is younger than the garbage collector's cache
    pub young: bool,
    pub terminating: bool,
    /// the number in `resize-id`
    pub id: Option<u8>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RevisionM {
    pub uid: u8,
    pub owner: Option<u8>,
    pub young: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RecordM {
    pub generation: u8,
    pub finalizer: bool,
    pub deleting: bool,
    pub paused: bool,
    pub abort: Option<u8>,
    pub target: Option<u8>,
    pub status: StatusId,
}

/// What one running controller remembers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ControllerM {
    pub deleted: Option<u8>,
    pub refused: bool,
    pub dry: bool,
}

/// The StatefulSet controller in the middle of a sync: the set as it read it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Sync {
    pub uid: u8,
    pub delete: bool,
    pub frozen: bool,
    pub revision: u8,
    pub size: u8,
    pub current: bool,
}

/// Why a set is not there, or going.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Gone {
    Present,
    Us,
    PersonOrphan,
    PersonCascade,
}

/// What a person or the DELETE last left of the set: what must come back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Last {
    pub size: u8,
    pub revision: u8,
}

/// Lists that were read long ago.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Stale {
    pub pods: [Option<PodM>; ORDINALS],
    pub claims: [Option<ClaimM>; ORDINALS],
    pub revisions: [Option<RevisionM>; 2],
}

/// A world.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent marks of a world")]
pub(crate) struct World {
    pub replicas: u8,
    pub set: Option<SetM>,
    pub pods: [Option<PodM>; ORDINALS],
    pub claims: [Option<ClaimM>; ORDINALS],
    pub revisions: [Option<RevisionM>; 2],
    pub record: Option<RecordM>,
    pub controllers: Vec<ControllerM>,
    pub in_flight: Vec<InFlight>,
    pub sync: Option<Sync>,
    pub next_uid: u8,
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
    /// `resize-restart: evict`
    pub evict: bool,
    /// the driver leaves file systems to a restart
    pub pending: bool,
    pub retention_before: bool,
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
    pub(crate) fn steady(replicas: u8, faults: u8, controllers: usize) -> Self {
        let mut world = Self {
            replicas,
            set: Some(SetM {
                uid: 0,
                size: 0,
                revision: 0,
                observed: true,
                current: 0,
                update: 0,
                delete: false,
                retention_written: false,
                frozen: false,
                terminating: false,
                orphan: false,
                id: None,
                requested: Some(1),
                only_ours: false,
                restored: true,
            }),
            pods: [None, None, None],
            claims: [None, None, None],
            revisions: [Some(RevisionM { uid: 1, owner: Some(0), young: false }), None],
            record: None,
            controllers: vec![ControllerM::default(); controllers],
            in_flight: Vec::new(),
            sync: None,
            next_uid: 2,
            faults,
            refusing: false,
            namespace_terminating: false,
            gone: Gone::Present,
            last: None,
            edited: false,
            doomed: false,
            lowered: false,
            evict: false,
            pending: false,
            retention_before: false,
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
        self.retention_before = true;
        if let Some(set) = &mut self.set {
            set.delete = true;
        }
        self.claims.iter_mut().flatten().for_each(|claim| claim.owner = Some(0));
        self
    }

    /// The same with a claim above the ordinals.
    pub(crate) fn leftover(mut self) -> Self {
        let owned = self.retention_before.then_some(0);
        self.claims[2] = self.claims[0].clone().map(|claim| ClaimM { owner: owned, ..claim });
        self
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
        for sent in &mut self.in_flight {
            *sent = match sent.action() {
                Action::Delete { uid, resource_version } if resource_version == "now" => {
                    InFlight::new(Action::Delete { uid, resource_version: "old".to_owned() })
                }
                _ => sent.map_status(StatusId::stale),
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

    /// The record as the controller reads it.
    pub(crate) fn read_record(&self) -> Option<Record> {
        let record = self.record.as_ref()?;
        let target = |size: u8| {
            BTreeMap::from([(
                "data".to_owned(),
                Target { storage: SIZES[usize::from(size)].to_owned() },
            )])
        };
        Some(Record {
            uid: "R".to_owned(),
            generation: i64::from(record.generation),
            finalizer: record.finalizer,
            deleting: record.deleting,
            spec: Spec {
                targets: record.target.map(target).unwrap_or_default(),
                paused: record.paused,
                abort: record.abort.map(i64::from),
                ..Spec::default()
            },
            status: record.status.get(),
        })
    }

    fn alive(&self, uid: u8) -> bool {
        self.set.as_ref().is_some_and(|set| set.uid == uid)
    }

    /// What one controller sees. What is not fresh may be old.
    pub(crate) fn observe(&self, controller: &ControllerM, fresh: bool) -> Observed {
        let (pods, claims, revisions) = match &self.stale {
            Some(stale) if !fresh => (&stale.pods, &stale.claims, &stale.revisions),
            _ => (&self.pods, &self.claims, &self.revisions),
        };
        let created =
            |young: bool| if young { *NOW } else { Timestamp::from_second(1000).unwrap() };
        let pods = pods.iter().enumerate().filter_map(|(ordinal, pod)| {
            let pod = pod.as_ref()?;
            Some(Pod {
                name: format!("db-{ordinal}"),
                uid: uid(pod.uid),
                ordinal: ordinal as u32,
                owner: pod.owner.map(uid),
                revision: format!("r{}", pod.revision),
                terminating: false,
                available: pod.ready,
                created: created(pod.young),
            })
        });
        let mounted = |ordinal: usize| self.pods[ordinal].is_some();
        let claims = claims.iter().enumerate().filter_map(|(ordinal, claim)| {
            let claim = claim.as_ref()?;
            Some(Claim {
                name: format!("data-db-{ordinal}"),
                uid: format!("c{ordinal}"),
                template: "data".to_owned(),
                ordinal: ordinal as u32,
                request: QUANTITIES[usize::from(claim.request)].clone(),
                capacity: Some(QUANTITIES[usize::from(claim.capacity)].clone()),
                progress: match (claim.infeasible, claim.pending) {
                    (true, _) => Progress::Infeasible,
                    (false, true) => Progress::FileSystem,
                    (false, false) => Progress::None,
                },
                terminating: claim.terminating,
                owners: claim.owner.map(uid).into_iter().collect(),
                class: "fast".to_owned(),
                cannot_grow: None,
                resize_id: claim.id.map(|number| format!("R/{number}")),
                mounted: mounted(ordinal),
                foreign: false,
            })
        });
        let revisions = revisions.iter().enumerate().filter_map(|(n, revision)| {
            let revision = revision.as_ref()?;
            Some(Revision {
                id: RevisionName { name: format!("r{n}"), uid: uid(revision.uid) },
                owner: revision.owner.map(|owner| (uid(owner), self.alive(owner))),
                created: created(revision.young),
            })
        });
        let class = ("fast".to_owned(), Class { expandable: true });
        let good = DryRuns { delete: Answer::Good, create: Answer::Good, unchanged: Answer::Good };
        Observed {
            fresh,
            namespace: Fact::Known(Namespace {
                terminating: self.namespace_terminating,
                max: None,
            }),
            set: Fact::Known(self.set.as_ref().map(|set| self.read_set(set))),
            pods: Fact::Known(pods.collect()),
            claims: Fact::Known(claims.collect()),
            classes: Fact::Known(BTreeMap::from([class])),
            revisions: Fact::Known(revisions.collect()),
            neighbours: Fact::Known(Vec::new()),
            admission_policy: Fact::Known(true),
            dry_runs: if controller.dry {
                Fact::Known(good)
            } else {
                Fact::Unknown("dry runs".to_owned())
            },
            memory: Memory {
                deleted: controller.deleted.map(uid),
                create_refused: controller.refused.then(|| "quota".to_owned()),
                record_unwritable: false,
                refused_claims: BTreeMap::new(),
            },
        }
    }

    fn read_set(&self, set: &SetM) -> Set {
        let when_deleted = if set.delete { Policy::Delete } else { Policy::Retain };
        let requested =
            set.requested.map(|size| ("data".to_owned(), SIZES[usize::from(size)].to_owned()));
        let replicas = u32::from(self.replicas);
        Set {
            uid: uid(set.uid),
            resource_version: "now".to_owned(),
            terminating: set.terminating,
            foreign_finalizers: Vec::new(),
            owner: None,
            generation_observed: set.observed,
            replicas,
            first_ordinal: 0,
            ordered: true,
            on_delete: false,
            partition: set.frozen.then(|| i64::from(replicas) + 1),
            retention: Retention { when_deleted, when_scaled: Policy::Retain },
            retention_written: Fact::Known(set.retention_written),
            templates: BTreeMap::from([(
                "data".to_owned(),
                QUANTITIES[usize::from(set.size)].clone(),
            )]),
            duplicate_templates: false,
            current_revision: format!("r{}", set.current),
            update_revision: format!("r{}", set.update),
            resize_id: set.id.map(|replaced| format!("R/{}", uid(replaced))),
            requested: requested.into_iter().collect(),
            max: None,
            paused: false,
            evict: self.evict,
            managers: match (set.restored, set.only_ours) {
                (true, _) => Managers::Restored,
                (false, true) => Managers::OnlyOurs,
                (false, false) => Managers::Others,
            },
            snapshot: format!(
                "{},{},{},{}",
                set.size,
                set.revision,
                u8::from(set.delete),
                set.requested.map_or("-".to_owned(), |size| size.to_string())
            ),
        }
    }
}

/// The index of a size.
pub(crate) fn size_of(text: &str) -> u8 {
    let size: Quantity = text.parse().unwrap();
    QUANTITIES.iter().position(|known| *known == size).unwrap() as u8
}

pub(crate) fn size_of_quantity(size: &Quantity) -> u8 {
    QUANTITIES.iter().position(|known| known == size).unwrap() as u8
}
