//! Which sets are looked at, when, and by whom.
//!
//! Every set with a request or a record that goes on has a task of its own, which rests until
//! something of the set changes. Watches only wake tasks: what is decided is decided from quorum
//! reads.

mod leases;
mod set_task;
mod slots;
#[cfg(test)]
mod tests;
mod watches;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::Value;
use stateward_core::record::{ClaimState, Phase};
use stateward_resize::CAN_RESIZE;
use stateward_resize::Parameters;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use self::slots::Slots;
use super::Key;
use super::cluster::Cluster;
use super::intervals::{Intervals, UNANSWERED};
use super::json_fields::{list, text};
use super::lease::{LEADER, Lease};
use super::queue::Queue;
use super::reconcile::LastSeen;
use crate::cluster::Limit;
use crate::telemetry::ResizeMetrics;

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
    queue: Queue,
    state: Mutex<State>,
    /// keeps events few
    events: Mutex<Limit>,
    leads: watch::Sender<bool>,
    stops: watch::Sender<bool>,
    metrics: ResizeMetrics,
}

#[derive(Default)]
struct State {
    /// a task per set
    tasks: BTreeMap<Key, Task>,
    /// records, by the last event
    records: BTreeMap<Key, RecordSummary>,
    /// since when sets ask for something and have no record
    requests: BTreeMap<Key, Instant>,
    /// sets between the retention pin and adoption
    touched: Slots,
    /// sets that were seen to go, as they were last
    seen: BTreeMap<Key, LastSeen>,
    /// when each running reconcile began
    reconciling: BTreeMap<Key, Instant>,
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
struct RecordSummary {
    phase: Phase,
    halt: Option<(String, String)>,
    claims: Vec<String>,
}

impl RecordSummary {
    fn of(record: &Value) -> Self {
        let phase = text(record, "/status/phase");
        let state = text(record, "/status/state");
        let reason = text(record, "/status/reason");
        let claims = list(record, "/status/claims").iter();
        Self {
            phase: if phase.is_empty() { Phase::Requested } else { Phase::from(phase.to_owned()) },
            halt: (!state.is_empty()).then(|| (state.to_owned(), reason.to_owned())),
            claims: claims.map(|claim| text(claim, "/state").to_owned()).collect(),
        }
    }

    /// Whether a claim may still grow although the resize is complete: its file system grows when its
    /// pod starts.
    fn grows_later(&self) -> bool {
        let done = ClaimState::Done;
        self.phase == Phase::Complete && self.claims.iter().any(|state| state != done.as_str())
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
            queue: Queue::new(intervals.concurrent_reconciles, intervals.reconciles_of_one()),
            state: Mutex::new(State {
                touched: Slots::new(intervals.touched, intervals.touched_of_one()),
                ..State::default()
            }),
            intervals,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            events: Mutex::new(Limit::new(Instant::now().into_std())),
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

    /// Names the reconcile that does not end, if there is one.
    pub fn watchdog(&self) -> impl Fn() -> Option<String> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.stuck()
    }

    /// Works until `stop` ends, then closes every re-creation window that it knows to be open, and returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let shared = &self.shared;
        self.tasks.spawn(Arc::clone(shared).lead());
        self.tasks.spawn(Arc::clone(shared).tell_able());
        self.tasks.spawn(Arc::clone(shared).watch_records());
        self.tasks.spawn(Arc::clone(shared).watch_sets());
        self.tasks.spawn(Arc::clone(shared).watch_parts::<Pod>());
        self.tasks.spawn(Arc::clone(shared).watch_parts::<PersistentVolumeClaim>());
        stop.await;
        shared.stops.send_replace(true);
        // Tasks in a re-creation window end when it is closed; all others end at once.
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
        let tasks = std::mem::take(&mut self.shared.state().tasks);
        for task in tasks.values() {
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
        Lease::new(self.cluster.client.clone(), &self.namespace, name, &self.identity, lease)
    }

    fn count(&self) {
        let state = self.state();
        let live = state.records.values().filter(|known| known.phase.is_live());
        self.metrics.count(
            state.records.values().map(|known| known.phase.to_string()),
            state.records.values().filter_map(|known| known.halt.clone()),
            live.flat_map(|known| known.claims.iter().map(String::as_str)),
        );
        let old = |(key, since): &(&Key, &Instant)| {
            !state.records.contains_key(key) && since.elapsed() >= UNANSWERED
        };
        self.metrics.unanswered(state.requests.iter().filter(old).count());
        self.metrics.away(state.away.len());
    }
}
