//! The state of a modelled world, and how the controller sees it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use stateward::facts::Fact;
use stateward::object::Quantity;
use stateward::resize::observed::{
    Answer, Claim, Class, Created, DryRuns, Managers, Memory, Namespace, Observed, Pod, Progress,
    Revision, Set,
};
use stateward::resize::record::{
    Phase, Policy, Record, Retention, RevisionName, Spec, Status, Target,
};
use stateward::resize::{Action, Parameters};

use crate::mutants::Mutant;

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
        fence_bound: ticks(1),
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
        // Nothing reads these: they are for people.
        status.claims.iter_mut().for_each(|row| row.since = None);
        status.attempt.deleted_at = None;
        let surplus = status.results.len().saturating_sub(1);
        status.results.drain(..surplus);
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
pub(crate) struct SetM {
    pub uid: u8,
    pub replicas: u8,
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
    /// `resize-id`: record, and the UID of the set replaced
    pub id: Option<(u8, u8)>,
    pub requested: Option<u8>,
    pub only_ours: bool,
    pub restored: bool,
    /// a CREATE of ours made it after its attempt had ended
    pub late: bool,
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
pub(crate) struct ClaimM {
    pub request: u8,
    pub capacity: u8,
    pub pending: bool,
    pub infeasible: bool,
    pub owner: Option<u8>,
    /// the owner reference is younger than the garbage collector's cache
    pub young: bool,
    pub terminating: bool,
    /// record and number in `resize-id`
    pub id: Option<(u8, u8)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RevisionM {
    pub uid: u8,
    pub owner: Option<u8>,
    pub young: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RecordM {
    pub uid: u8,
    pub generation: u8,
    pub finalizer: bool,
    pub deleting: bool,
    pub paused: bool,
    /// `spec.hold: ClaimsGrown`
    pub held: bool,
    pub leave_absent: bool,
    pub abort: Option<u8>,
    pub target: Option<u8>,
    pub status: StatusId,
}

impl RecordM {
    /// A record that asks for nothing.
    pub(crate) fn new(uid: u8) -> Self {
        Self {
            uid,
            generation: 1,
            finalizer: false,
            deleting: false,
            paused: false,
            held: false,
            leave_absent: false,
            abort: None,
            target: None,
            status: StatusId::of(Status::default()),
        }
    }
}

/// What one running controller remembers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct ControllerM {
    pub deleted: Option<u8>,
    /// the last CREATE known as committed: record, set replaced, and set created
    pub created: Option<((u8, u8), u8)>,
    pub refused: bool,
    pub dry: bool,
    /// it was not watching when the set went
    pub blind: bool,
    /// another instance leads
    pub standby: bool,
    /// it does not run
    pub stopped: bool,
}

impl ControllerM {
    /// After a new start.
    pub(crate) fn restarted(&self, set_is_there: bool) -> Self {
        Self { standby: self.standby, blind: !set_is_there, ..Self::default() }
    }
}

/// What does not change in a world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Kind {
    /// OrderedReady
    pub ordered: bool,
    pub on_delete: bool,
    /// an operator controls the set
    pub owned: bool,
    /// `owner-managed: allow`
    pub owner_managed: bool,
    /// `resize-restart: evict`
    pub evict: bool,
    /// the driver leaves file systems to a restart
    pub pending: bool,
    /// a restart does not help
    pub node_fails: bool,
    /// the webhook answers
    pub webhook: bool,
    /// a bug that is to be found
    pub mutant: Option<Mutant>,
}

/// What holds a resize up until somebody puts it right.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Trouble {
    NamespaceUnread,
    PolicyGone,
    OverMax,
    BadTarget,
    NoSuchTemplate,
    PatchRefused,
    OfflineOnly,
    NotExpandable,
    ClassGone,
    ForeignFinalizer,
    Overlap,
    DeleteRefused,
    ChangedOnCreate,
    Quota,
    SnapshotTooLarge,
    TooMany,
}

/// The StatefulSet controller in the middle of a sync: the set as it read it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Sync {
    pub uid: u8,
    pub replicas: u8,
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
    /// a person's delete that cannot be told from ours: what the set owned is orphaned already
    Instant,
    /// a person let us give it up
    GivenUp,
}

/// What a person or the DELETE last left of the set: what must come back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Last {
    pub size: u8,
    pub revision: u8,
    pub replicas: u8,
    /// it was edited while it went
    pub edited: bool,
}

/// What was read long ago.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stale {
    Pods([Option<PodM>; ORDINALS]),
    Claims([Option<ClaimM>; ORDINALS]),
    Revisions([Option<RevisionM>; 2]),
    Record(Option<RecordM>),
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
                frozen: false,
                terminating: false,
                orphan: false,
                id: None,
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
                | Action::Fence { resource_version, .. }
                | Action::RestoreRetention { resource_version, .. } => Some(resource_version),
                Action::Open { resource_version, .. } => resource_version.as_mut(),
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
        let target = |size: u8| {
            BTreeMap::from([(
                "data".to_owned(),
                Target { storage: SIZES[usize::from(size)].to_owned() },
            )])
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

    /// What one controller sees. What is not fresh may be old.
    pub(crate) fn observe(&self, controller: &ControllerM, fresh: bool) -> Observed {
        let (mut pods, mut claims, mut revisions) = (&self.pods, &self.claims, &self.revisions);
        match self.stale.as_deref().filter(|_| !fresh) {
            Some(Stale::Pods(stale)) => pods = stale,
            Some(Stale::Claims(stale)) => claims = stale,
            Some(Stale::Revisions(stale)) => revisions = stale,
            Some(Stale::Record(_)) | None => {}
        }
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
                    _ if self.trouble == Some(Trouble::OfflineOnly) => Progress::OfflineOnly,
                    (false, false) => Progress::None,
                },
                terminating: claim.terminating,
                owners: claim.owner.map(uid).into_iter().collect(),
                class: "fast".to_owned(),
                cannot_grow: None,
                resize_id: claim.id.map(|(record, number)| format!("R{record}/{number}")),
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
        let expandable = self.trouble != Some(Trouble::NotExpandable);
        let class = ("fast".to_owned(), Class { expandable });
        let mut classes = BTreeMap::from([class]);
        if self.trouble == Some(Trouble::ClassGone) {
            classes.clear();
        }
        let mut dry =
            DryRuns { delete: Answer::Good, create: Answer::Good, unchanged: Answer::Good };
        let bad = || Answer::Bad("policy.example.com".to_owned());
        match self.trouble {
            Some(Trouble::DeleteRefused) => dry.delete = bad(),
            Some(Trouble::ChangedOnCreate) => dry.unchanged = bad(),
            Some(Trouble::Quota) => dry.unchanged = Answer::Quota,
            _ => {}
        }
        let max = (self.trouble == Some(Trouble::OverMax)).then(|| QUANTITIES[0].clone());
        let namespace = Namespace { terminating: self.namespace_terminating, max };
        let overlap = self.trouble == Some(Trouble::Overlap);
        let refused = self.trouble == Some(Trouble::PatchRefused);
        let refused = (0..ORDINALS).filter(|_| refused);
        let last_seen_edit = match (&self.last, controller.blind) {
            (_, true) => Fact::Unknown("nothing was watched".to_owned()),
            (Some(last), false) if last.edited => Fact::Known(Some("kubectl-edit".to_owned())),
            (_, false) => Fact::Known(None),
        };
        Observed {
            fresh,
            namespace: if self.trouble == Some(Trouble::NamespaceUnread) {
                Fact::Unknown("not read".to_owned())
            } else {
                Fact::Known(namespace)
            },
            set: Fact::Known(self.set.as_ref().map(|set| self.read_set(set))),
            pods: Fact::Known(pods.collect()),
            claims: Fact::Known(claims.collect()),
            classes: Fact::Known(classes),
            revisions: Fact::Known(revisions.collect()),
            neighbours: Fact::Known(
                overlap.then(|| "ReplicaSet/web".to_owned()).into_iter().collect(),
            ),
            admission_policy: Fact::Known(self.trouble != Some(Trouble::PolicyGone)),
            dry_runs: if controller.dry {
                Fact::Known(dry)
            } else {
                Fact::Unknown("dry runs".to_owned())
            },
            last_seen_edit,
            memory: Memory {
                deleted: controller.deleted.map(uid),
                created: controller.created.map(|((record, replaced), created)| Created {
                    id: format!("R{record}/{}", uid(replaced)),
                    uid: uid(created),
                }),
                standby: controller.standby,
                full: self.trouble == Some(Trouble::TooMany),
                create_refused: controller.refused.then(|| "quota".to_owned()),
                retention_refused: false,
                record_unwritable: false,
                refused_claims: refused
                    .map(|n| (format!("data-db-{n}"), "exceeded quota".to_owned()))
                    .collect(),
            },
        }
    }

    fn read_set(&self, set: &SetM) -> Set {
        let when_deleted = if set.delete { Policy::Delete } else { Policy::Retain };
        let requested = set.requested.map(|size| match self.trouble {
            Some(Trouble::BadTarget) => ("data".to_owned(), "much".to_owned()),
            Some(Trouble::NoSuchTemplate) => ("wal".to_owned(), SIZES[1].to_owned()),
            _ => ("data".to_owned(), SIZES[usize::from(size)].to_owned()),
        });
        let replicas = u32::from(set.replicas);
        let foreign = self.trouble == Some(Trouble::ForeignFinalizer);
        Set {
            uid: uid(set.uid),
            resource_version: "now".to_owned(),
            terminating: set.terminating,
            foreign_finalizers: foreign
                .then(|| "example.com/keep".to_owned())
                .into_iter()
                .collect(),
            owner: self.kind.owned.then(|| "Database/db".to_owned()),
            owner_managed: self.kind.owner_managed,
            generation_observed: set.observed,
            replicas,
            first_ordinal: 0,
            ordered: self.kind.ordered,
            on_delete: self.kind.on_delete,
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
            resize_id: set.id.map(|(record, replaced)| format!("R{record}/{}", uid(replaced))),
            requested: requested.into_iter().collect(),
            max: None,
            paused: false,
            evict: self.kind.evict,
            managers: match (set.restored, set.only_ours) {
                (true, _) => Managers::Restored,
                (false, true) => Managers::OnlyOurs,
                (false, false) => Managers::Others,
            },
            snapshot: if self.trouble == Some(Trouble::SnapshotTooLarge) {
                "x".repeat(SNAPSHOT_LIMIT + 1)
            } else {
                let requested = set.requested.map_or("-".to_owned(), |size| size.to_string());
                format!("{},{},{},{requested}", set.size, set.revision, set.replicas)
            },
        }
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
