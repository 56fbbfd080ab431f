//! Which sets are looked at, when, and by whom.
//!
//! Every set with a request or a record that goes on has a task of its own, which rests until
//! something of the set changes. Watches only wake tasks: what is decided is decided from quorum
//! reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Resource, ResourceExt};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::client::Cluster;
use super::drive::{Around, Drive, Seen, Turn};
use super::lease::{CAN_RESIZE, LEADER, Lease};
use super::value::{PREFIX, list, text};
use super::{Key, telemetry};
use crate::resize::Parameters;
use crate::resize::crd;
use crate::resize::record::{Phase, Reason, Status};
use crate::telemetry::ResizeMetrics;

/// For how long rights that were confirmed count as such.
const RIGHTS: Duration = Duration::from_secs(60);
/// After how long a request without a record is an alarm.
const UNANSWERED: Duration = Duration::from_secs(120);

/// Every interval and bound of the driver, so that tests need not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// how long a Lease is held without being renewed
    pub lease: Duration,
    /// how often Leases are renewed
    pub renew: Duration,
    /// the first pause after a write that failed; it doubles
    pub back_off: Duration,
    /// the longest pause after a write that failed
    pub back_off_limit: Duration,
    /// the longest pause while a set is away
    pub gap_back_off_limit: Duration,
    /// how long a set may be away before an instance that does not lead brings it back
    pub patience: Duration,
    /// how long changes are gathered before a set is looked at
    pub gather: Duration,
    /// how many sets are looked at together
    pub looks: usize,
    /// how many sets are between the fence and adoption together
    pub touched: usize,
    /// how long one look may take before the controller counts as stuck
    pub stuck: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(5),
            back_off: Duration::from_millis(100),
            back_off_limit: Duration::from_secs(30),
            gap_back_off_limit: Duration::from_secs(2),
            patience: Duration::from_millis(500),
            gather: Duration::from_millis(20),
            looks: 16,
            touched: 10,
            stuck: Duration::from_secs(120),
        }
    }
}

/// The resize controller.
pub struct Controller {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    cluster: Cluster,
    parameters: Parameters,
    intervals: Intervals,
    namespace: String,
    identity: String,
    looks: Semaphore,
    state: Mutex<State>,
    leads: watch::Sender<bool>,
    stops: watch::Sender<bool>,
    metrics: ResizeMetrics,
}

#[derive(Default)]
struct State {
    /// a task per set
    tasks: BTreeMap<Key, Task>,
    /// records, by the last event
    records: BTreeMap<Key, Known>,
    /// since when sets ask for something and have no record
    requests: BTreeMap<Key, Instant>,
    /// sets between the fence and adoption
    touched: BTreeSet<Key>,
    /// sets that were seen to go, as they were last
    seen: BTreeMap<Key, Seen>,
    /// when each look that is under way began
    looking: BTreeMap<Key, Instant>,
    /// sets that are away through a resize
    away: BTreeSet<Key>,
    /// when its own rights were last confirmed
    rights: Option<Instant>,
}

/// The task of one set.
struct Task {
    wake: Arc<Notify>,
    abort: AbortHandle,
}

/// What an event says of a record, for whom it concerns and for counting.
struct Known {
    phase: Phase,
    resting: Option<(String, String)>,
    claims: Vec<String>,
}

impl Known {
    fn of(record: &Value) -> Self {
        let phase = text(record, "/status/phase");
        let word = text(record, "/status/standing/word");
        let reason = text(record, "/status/standing/reason");
        let claims = list(record, "/status/claims").iter();
        Self {
            phase: if phase.is_empty() { Phase::Requested } else { Phase::from(phase.to_owned()) },
            resting: (!word.is_empty()).then(|| (word.to_owned(), reason.to_owned())),
            claims: claims.map(|claim| text(claim, "/state").to_owned()).collect(),
        }
    }
}

impl Controller {
    /// A controller of all namespaces; `namespace` holds its Leases.
    pub fn new(
        cluster: Cluster,
        namespace: &str,
        identity: &str,
        parameters: Parameters,
        intervals: Intervals,
        metrics: ResizeMetrics,
    ) -> Self {
        let shared = Shared {
            cluster,
            parameters,
            looks: Semaphore::new(intervals.looks),
            intervals,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            state: Mutex::default(),
            leads: watch::Sender::new(false),
            stops: watch::Sender::new(false),
            metrics,
        };
        Self { shared: Arc::new(shared), tasks: JoinSet::new() }
    }

    /// Whether this instance leads, as it changes.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.shared.leads.subscribe()
    }

    /// Says which look does not end, if one does not.
    pub fn watchdog(&self) -> impl Fn() -> Option<String> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.stuck()
    }

    /// Works until `stop` ends, then closes every gap that it knows to be open, and returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let shared = &self.shared;
        self.tasks.spawn(Arc::clone(shared).hold_leases());
        self.tasks.spawn(Arc::clone(shared).watch_records());
        self.tasks.spawn(Arc::clone(shared).watch_sets());
        self.tasks.spawn(Arc::clone(shared).watch_parts::<Pod>());
        self.tasks.spawn(Arc::clone(shared).watch_parts::<PersistentVolumeClaim>());
        stop.await;
        shared.stops.send_replace(true);
        // Tasks in a gap end when it is closed; all others end at once.
        while shared.state().tasks.iter().next().is_some() {
            for task in shared.state().tasks.values() {
                task.wake.notify_one();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.tasks.shutdown().await;
        if *shared.leads.borrow() {
            shared.lease(CAN_RESIZE).release().await;
            shared.lease(LEADER).release().await;
        }
    }
}

impl Drop for Controller {
    /// Whoever drops a controller means a crash: nothing of it goes on.
    fn drop(&mut self) {
        for task in self.shared.state().tasks.values() {
            task.abort.abort();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self, name: &'static str) -> Lease {
        let lease = self.intervals.lease;
        Lease::new(self.cluster.clone(), &self.namespace, name, &self.identity, lease)
    }

    /// Leads while it can, and says while it leads that a request would be carried out.
    async fn hold_leases(self: Arc<Self>) {
        let (mut leader, mut can_resize) = (self.lease(LEADER), self.lease(CAN_RESIZE));
        let mut held = Instant::now();
        loop {
            let leads = match leader.hold().await {
                Ok(leads) => leads,
                Err(why) => {
                    tracing::warn!(error = %why, "the Lease of the leader cannot be held");
                    // Held until it would have run out for the others.
                    *self.leads.borrow() && held.elapsed() < self.intervals.lease
                }
            };
            if leads {
                held = Instant::now();
            }
            if self.leads.send_replace(leads) != leads {
                tracing::info!(identity = self.identity, leads, "leadership has changed");
                self.wake_all();
            }
            let able = leads && self.say_able(&mut can_resize).await;
            self.metrics.standing(leads, able);
            self.count();
            tokio::time::sleep(self.intervals.renew).await;
        }
    }

    /// Renews the Lease that says so where a request that is taken now would be carried out
    /// (protocol §3).
    async fn say_able(&self, lease: &mut Lease) -> bool {
        if let Err(why) = self.able().await {
            tracing::warn!(why, "requests are not taken: a resize would stall");
            return false;
        }
        match lease.hold().await {
            Ok(held) => held,
            Err(why) => {
                tracing::warn!(error = %why, "the Lease {CAN_RESIZE} cannot be held");
                false
            }
        }
    }

    async fn able(&self) -> Result<(), String> {
        if let Some(why) = self.stuck() {
            return Err(why);
        }
        self.cluster.able(&self.parameters).await?;
        let confirmed = self.state().rights;
        if confirmed.is_none_or(|since| since.elapsed() >= RIGHTS) {
            self.state().rights = None;
            self.cluster.rights().await?;
            self.state().rights = Some(Instant::now());
        }
        Ok(())
    }

    /// A look that does not end.
    fn stuck(&self) -> Option<String> {
        let state = self.state();
        let mut looks = state.looking.iter();
        let stuck = looks.find(|(_, began)| began.elapsed() > self.intervals.stuck);
        stuck.map(|(key, _)| format!("looking at {key} does not end"))
    }

    fn count(&self) {
        let state = self.state();
        let live = state.records.values().filter(|known| known.phase.is_live());
        self.metrics.count(
            state.records.values().map(|known| known.phase.to_string()),
            state.records.values().filter_map(|known| known.resting.clone()),
            live.flat_map(|known| known.claims.iter().map(String::as_str)),
        );
        let old = |(key, since): &(&Key, &Instant)| {
            !state.records.contains_key(key) && since.elapsed() >= UNANSWERED
        };
        self.metrics.unanswered(state.requests.iter().filter(old).count());
        self.metrics.away(state.away.len());
    }

    async fn watch_records(self: Arc<Self>) {
        let api: Api<DynamicObject> = Api::all_with(self.cluster.client(), &crd::resource());
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(record) | watcher::Event::InitApply(record)) => {
                    let Some(key) = key(&record) else { continue };
                    self.state().records.insert(key.clone(), Known::of(&record.data));
                    self.wake(&key);
                }
                Ok(watcher::Event::Delete(record)) => {
                    let Some(key) = key(&record) else { continue };
                    self.state().records.remove(&key);
                    self.wake(&key);
                }
                Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                Err(why) => tracing::warn!(error = %why, "records cannot be watched"),
            }
        }
    }

    async fn watch_sets(self: Arc<Self>) {
        let api = Api::<PartialObjectMeta<StatefulSet>>::all(self.cluster.client());
        let mut sets = pin!(touched("sets", api));
        while let Some(set) = sets.next().await {
            let Some(key) = key(&set) else { continue };
            let requested = set.annotations().contains_key(&format!("{PREFIX}resize-requested"));
            let known = {
                let mut state = self.state();
                if set.meta().deletion_timestamp.is_some() && state.records.contains_key(&key) {
                    state.seen.insert(key.clone(), seen(set.meta()));
                }
                if requested && set.meta().deletion_timestamp.is_none() {
                    state.requests.entry(key.clone()).or_insert_with(Instant::now);
                } else {
                    state.requests.remove(&key);
                }
                state.records.contains_key(&key)
            };
            if requested || known {
                self.wake(&key);
            }
        }
    }

    /// Pods and claims wake the set that their names say.
    async fn watch_parts<K>(self: Arc<Self>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
        PartialObjectMeta<K>: Resource<DynamicType = ()>,
    {
        let api = Api::<PartialObjectMeta<K>>::all(self.cluster.client());
        let kind = K::kind(&());
        let mut parts = pin!(touched(&kind, api));
        while let Some(part) = parts.next().await {
            let Some(part) = key(&part) else { continue };
            let sets: Vec<Key> = {
                let state = self.state();
                let tasks = state.tasks.keys();
                tasks.filter(|set| belongs(&part, set)).cloned().collect()
            };
            for set in &sets {
                self.wake(set);
            }
        }
    }

    fn wake_all(self: &Arc<Self>) {
        let keys: BTreeSet<Key> = {
            let state = self.state();
            state.records.keys().chain(state.tasks.keys()).cloned().collect()
        };
        for key in &keys {
            self.wake(key);
        }
    }

    /// Lets the set's task look; starts one where there is none.
    fn wake(self: &Arc<Self>, key: &Key) {
        let mut state = self.state();
        if let Some(task) = state.tasks.get(key) {
            task.wake.notify_one();
        } else if !*self.stops.borrow() {
            let wake = Arc::new(Notify::new());
            wake.notify_one();
            let task = tokio::spawn(Arc::clone(self).attend(key.clone(), Arc::clone(&wake)));
            state.tasks.insert(key.clone(), Task { wake, abort: task.abort_handle() });
        }
    }

    /// One set's task. It ends where nothing is asked of the set.
    async fn attend(self: Arc<Self>, key: Key, wake: Arc<Notify>) {
        let mut drive = Drive::new(
            self.cluster.clone(),
            key.clone(),
            self.parameters.clone(),
            self.intervals.back_off,
            self.metrics.clone(),
        );
        let mut rest = Duration::ZERO;
        let mut failures = 0_u32;
        loop {
            let _ = tokio::time::timeout(rest, wake.notified()).await;
            // A gap is closed before a process ends, and is never waited for.
            if drive.gap().is_none() {
                if *self.stops.borrow() {
                    self.state().tasks.remove(&key);
                    return;
                }
                tokio::time::sleep(self.intervals.gather).await;
            }
            if !self.concerns(&key, &drive) {
                rest = self.intervals.back_off_limit;
                continue;
            }
            let turn = self.look(&key, &mut drive).await;
            telemetry::turn(&key, &turn);
            self.note(&key, &drive);
            failures = if turn.is_failure() { failures + 1 } else { 0 };
            rest = match turn {
                Turn::Done(action) => {
                    telemetry::done(&self.cluster, &key, &drive, &action).await;
                    Duration::ZERO
                }
                Turn::Rest(_) if self.ended(&key, &drive, &wake) => return,
                Turn::Rest(after) => after,
                Turn::Failed(..) | Turn::Unread(_) => {
                    // What fails is not tried sooner because something stirs.
                    tokio::time::sleep(self.pause(failures, drive.gap().is_some())).await;
                    Duration::ZERO
                }
            };
        }
    }

    /// Whether this instance looks at the set at all: whoever does not lead closes gaps only.
    fn concerns(&self, key: &Key, drive: &Drive) -> bool {
        let open = |known: &Known| {
            matches!(known.phase, Phase::Deleting | Phase::Creating | Phase::Unknown(_))
        };
        *self.leads.borrow()
            || drive.gap().is_some()
            || self.state().records.get(key).is_some_and(open)
    }

    /// The pause after this many failures.
    fn pause(&self, failures: u32, in_gap: bool) -> Duration {
        let intervals = &self.intervals;
        let limit = if in_gap { intervals.gap_back_off_limit } else { intervals.back_off_limit };
        (intervals.back_off * 2_u32.pow(failures.clamp(1, 12) - 1)).min(limit)
    }

    /// Ends the task where nothing more is to be done until something of the set changes.
    fn ended(&self, key: &Key, drive: &Drive, wake: &Notify) -> bool {
        let status: Option<&Status> = drive.stored.as_ref().map(|stored| &stored.record.status);
        let over = status.is_none_or(|status| !status.phase.is_live() && status.snapshot.is_none());
        let mut state = self.state();
        // Whoever wakes does so under this lock: a change since the last look is not lost.
        let ended = over && wake.notified().now_or_never().is_none();
        if ended {
            state.tasks.remove(key);
            state.touched.remove(key);
        }
        ended
    }

    async fn look(&self, key: &Key, drive: &mut Drive) -> Turn {
        let permit = self.looks.acquire().await;
        self.state().looking.insert(key.clone(), Instant::now());
        let around = self.around(key);
        let turn = drive.turn(&around).await;
        self.state().looking.remove(key);
        drop(permit);
        turn
    }

    /// What stands around a look at the set.
    fn around(&self, key: &Key) -> Around {
        let state = self.state();
        let others = state.touched.len() - usize::from(state.touched.contains(key));
        Around {
            standby: !*self.leads.borrow(),
            patience: self.intervals.patience,
            full: others >= self.intervals.touched,
            seen: state.seen.get(key).cloned(),
        }
    }

    /// Keeps what is known of a set in step with its record. The finalizer comes before the fence,
    /// and goes after it was undone: whoever carries it has a slot.
    fn note(self: &Arc<Self>, key: &Key, drive: &Drive) {
        let record = drive.stored.as_ref().map(|stored| &stored.record);
        let mut state = self.state();
        if drive.gap().is_some() {
            state.away.insert(key.clone());
        } else {
            state.away.remove(key);
        }
        if record.is_some_and(|record| record.finalizer) {
            state.touched.insert(key.clone());
        } else if state.touched.remove(key) {
            drop(state);
            self.wake_waiting();
        }
    }

    /// A slot is free again.
    fn wake_waiting(self: &Arc<Self>) {
        let full = Reason::TooManyAtOnce.to_string();
        let waits = |known: &Known| known.resting.as_ref().is_some_and(|(_, why)| *why == full);
        let keys: Vec<Key> = {
            let state = self.state();
            let waiting = state.records.iter().filter(|(_, known)| waits(known));
            waiting.map(|(key, _)| key.clone()).collect()
        };
        for key in &keys {
            self.wake(key);
        }
    }
}

/// The objects that change, deletions included.
fn touched<K>(
    kind: &str,
    api: Api<PartialObjectMeta<K>>,
) -> impl Stream<Item = PartialObjectMeta<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()>,
{
    let kind = kind.to_owned();
    watcher(api, watcher::Config::default()).default_backoff().touched_objects().filter_map(
        move |object| {
            if let Err(why) = &object {
                tracing::warn!(error = %why, kind, "changes cannot be watched");
            }
            std::future::ready(object.ok())
        },
    )
}

/// What is remembered of a set that goes.
fn seen(metadata: &ObjectMeta) -> Seen {
    let entries = metadata.managed_fields.iter().flatten();
    let own = entries.filter(|entry| entry.subresource.is_none());
    let last = own.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    Seen {
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        manager: last.and_then(|entry| entry.manager.clone()).unwrap_or_default(),
    }
}

fn key<K: ResourceExt>(object: &K) -> Option<Key> {
    Some(Key { namespace: object.namespace()?, name: object.name_any() })
}

/// Whether a pod or claim is one of the set's, by its name: `<set>-<ordinal>` at its end.
fn belongs(part: &Key, set: &Key) -> bool {
    let Some((rest, ordinal)) = part.name.rsplit_once('-') else { return false };
    part.namespace == set.namespace
        && ordinal.bytes().all(|byte| byte.is_ascii_digit())
        && (rest == set.name
            || rest.strip_suffix(set.name.as_str()).is_some_and(|front| front.ends_with('-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_claims_belong_to_the_set_that_their_names_end_with() {
        let key = |name: &str| Key { namespace: "prod".to_owned(), name: name.to_owned() };
        assert!(belongs(&key("db-0"), &key("db")));
        assert!(belongs(&key("data-db-12"), &key("db")));
        assert!(!belongs(&key("data-mydb-0"), &key("db")));
        assert!(!belongs(&key("db-x"), &key("db")));
        assert!(!belongs(&key("db"), &key("db")));
        let elsewhere = Key { namespace: "test".to_owned(), ..key("db-0") };
        assert!(!belongs(&elsewhere, &key("db")));
    }
}
