//! The task of one set: it reconciles, then sleeps until something of the set changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use stateward_core::record::{Phase, Reason};
use stateward_resize::Action;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{RecordSummary, Shared, Task};
use crate::controller::intervals::doubled;
use crate::controller::reconcile::{ReconcileContext, ReconcileResult, Reconciler};
use crate::controller::{Key, telemetry};

impl Shared {
    pub(super) fn wake_all(self: &Arc<Self>) {
        let keys: BTreeSet<Key> = {
            let state = self.state();
            state.records.keys().chain(state.tasks.keys()).cloned().collect()
        };
        for key in &keys {
            self.wake(key);
        }
    }

    /// Wakes the task of a set, or starts it.
    pub(super) fn wake(self: &Arc<Self>, key: &Key) {
        let mut state = self.state();
        if let Some(task) = state.tasks.get(key) {
            task.wake.notify_one();
        } else if !*self.stops.borrow() {
            let wake = Arc::new(Notify::new());
            wake.notify_one();
            let task = tokio::spawn(Arc::clone(self).run_set_task(key.clone(), Arc::clone(&wake)));
            state.tasks.insert(key.clone(), Task { wake, abort: task.abort_handle() });
        }
    }

    /// One set's task. It ends when nothing is asked of the set.
    async fn run_set_task(self: Arc<Self>, key: Key, wake: Arc<Notify>) {
        let _listed =
            Listed { shared: Arc::clone(&self), key: key.clone(), wake: Arc::clone(&wake) };
        let mut reconciler = Reconciler::new(
            self.cluster.clone(),
            key.clone(),
            self.parameters.clone(),
            self.intervals.back_off,
            self.metrics.clone(),
        );
        let mut rest = Duration::ZERO;
        let mut failures = 0_u32;
        let mut idle = 0_u32;
        loop {
            let _ = tokio::time::timeout(rest, wake.notified()).await;
            // A re-creation window is closed before a process ends, and is never waited for.
            if reconciler.recreation_window().is_none() {
                if *self.stops.borrow() {
                    return;
                }
                tokio::time::sleep(self.gather(idle)).await;
            }
            if !self.concerns(&key, &reconciler) {
                rest = self.intervals.back_off_limit;
                continue;
            }
            let result = self.reconcile(&key, &mut reconciler).await;
            telemetry::reconciled(&key, &result);
            self.note(&key, &reconciler, &result);
            failures = if result.is_failure() { failures.saturating_add(1) } else { 0 };
            // An instance that does not lead must not be late to a re-creation window.
            let rests = matches!(result, ReconcileResult::RequeueAfter(_)) && *self.leads.borrow();
            idle = if rests { idle.saturating_add(1) } else { 0 };
            rest = match &result {
                ReconcileResult::Wrote(action) => {
                    if let (Action::WriteStatus(status), Some(stored)) =
                        (action, &reconciler.stored)
                    {
                        let (cluster, events) = (&self.cluster, &self.events);
                        telemetry::status_written(cluster, events, &key, stored, status).await;
                    }
                    Duration::ZERO
                }
                ReconcileResult::Deferred(..) => Duration::ZERO,
                ReconcileResult::RequeueAfter(_) if self.ended(&key, &reconciler, &wake) => return,
                ReconcileResult::RequeueAfter(after) => *after,
                ReconcileResult::Failed(..) | ReconcileResult::Unread(_) => {
                    if let ReconcileResult::Failed(action, why) = &result {
                        let (cluster, events) = (&self.cluster, &self.events);
                        let uid = reconciler.set_uid.as_str();
                        telemetry::record_refused(cluster, events, &key, uid, action, why).await;
                    }
                    // What fails is not tried sooner because something stirs.
                    tokio::time::sleep(
                        self.pause(failures, reconciler.recreation_window().is_some()),
                    )
                    .await;
                    Duration::ZERO
                }
            };
        }
    }

    /// Whether this instance reconciles the set: without the leader Lease it only closes re-creation windows.
    fn concerns(&self, key: &Key, reconciler: &Reconciler) -> bool {
        let open = |known: &RecordSummary| {
            matches!(known.phase, Phase::Deleting | Phase::Creating | Phase::Unknown(_))
        };
        *self.leads.borrow()
            || reconciler.recreation_window().is_some()
            || self.state().records.get(key).is_some_and(open)
    }

    /// How long changes are gathered after this many reconciles in a row that came to nothing: a set
    /// whose pods change all the time is not reconciled all the time.
    fn gather(&self, idle: u32) -> Duration {
        doubled(self.intervals.gather, idle, self.intervals.gather_limit)
    }

    /// The pause after this many failures.
    fn pause(&self, failures: u32, in_window: bool) -> Duration {
        let intervals = &self.intervals;
        let limit =
            if in_window { intervals.recreation_back_off_limit } else { intervals.back_off_limit };
        doubled(intervals.back_off, failures, limit)
    }

    /// Ends the task if nothing more is to be done until something of the set changes.
    pub(super) fn ended(
        self: &Arc<Self>,
        key: &Key,
        reconciler: &Reconciler,
        wake: &Notify,
    ) -> bool {
        let stored = reconciler.stored.as_ref();
        let over = stored.is_none_or(|stored| {
            let status = &stored.record.status;
            // A finalizer whose removal was refused is removed by a later try of this task.
            !status.phase.is_live() && status.snapshot.is_none() && !stored.record.finalizer
        });
        let mut state = self.state();
        // Whoever wakes does so under this lock: a change since the last reconcile is not lost.
        let ended = over && reconciler.set_read && wake.notified().now_or_never().is_none();
        if ended {
            state.tasks.remove(key);
            let released = state.touched.release(key);
            if stored.is_none() && *self.leads.borrow() {
                // A reconcile found that nothing is asked, whatever the annotation says.
                state.requests.remove(key);
            }
            drop(state);
            self.wake_waiting_if(released);
        }
        ended
    }

    async fn reconcile(&self, key: &Key, reconciler: &mut Reconciler) -> ReconcileResult {
        // A re-creation window is closed before anything else: it waits in no line.
        let _turn = match reconciler.recreation_window() {
            Some(_) => None,
            None => self.queue.turn(&key.namespace).await,
        };
        let _mark = Reconciling::new(self, key);
        let context = self.context(key);
        let take_slot = || self.state().touched.take(key);
        reconciler.reconcile(&context, &take_slot).await
    }

    /// The circumstances of a reconcile of the set.
    fn context(&self, key: &Key) -> ReconcileContext {
        let state = self.state();
        ReconcileContext {
            standby: !*self.leads.borrow(),
            patience: self.intervals.patience,
            full: state.touched.full_for(key),
            seen: state.seen.get(key).cloned(),
        }
    }

    /// Keeps what is known of a set in step with its record. The finalizer comes before the retention pin,
    /// and goes after it was undone: whoever carries it has a slot.
    fn note(self: &Arc<Self>, key: &Key, reconciler: &Reconciler, result: &ReconcileResult) {
        let record = reconciler.stored.as_ref().map(|stored| &stored.record);
        let mut state = self.state();
        if reconciler.recreation_window().is_some() {
            state.away.insert(key.clone());
        } else {
            state.away.remove(key);
        }
        let added = matches!(result, ReconcileResult::Wrote(Action::AddFinalizer));
        if added || record.is_some_and(|record| record.finalizer) {
            state.touched.note(key);
        } else {
            let released = state.touched.release(key);
            drop(state);
            self.wake_waiting_if(released);
        }
    }

    /// Wakes the sets that wait for a slot, if one was released.
    pub(super) fn wake_waiting_if(self: &Arc<Self>, released: bool) {
        if !released {
            return;
        }
        let full = Reason::TooManyAtOnce.to_string();
        let waits =
            |known: &RecordSummary| known.halt.as_ref().is_some_and(|(_, why)| *why == full);
        let keys: Vec<Key> = {
            let state = self.state();
            let waiting = state.records.iter().filter(|(_, known)| waits(known));
            state.touched.next(waiting.map(|(key, _)| key)).into_iter().cloned().collect()
        };
        for key in &keys {
            self.wake(key);
        }
    }
}

/// The mark of a running reconcile: a panic ends it too, so that it never counts as stuck.
struct Reconciling<'s> {
    shared: &'s Shared,
    key: &'s Key,
}

impl<'s> Reconciling<'s> {
    fn new(shared: &'s Shared, key: &'s Key) -> Self {
        shared.state().reconciling.insert(key.clone(), Instant::now());
        Self { shared, key }
    }
}

impl Drop for Reconciling<'_> {
    fn drop(&mut self) {
        self.shared.state().reconciling.remove(self.key);
    }
}

/// The entry of a task in the list of tasks: nobody could wake a set whose task ended by a panic
/// and is still listed.
struct Listed {
    shared: Arc<Shared>,
    key: Key,
    wake: Arc<Notify>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let tasks = &mut state.tasks;
        // After its end another task of the set may have begun.
        if tasks.get(&self.key).is_some_and(|task| Arc::ptr_eq(&task.wake, &self.wake)) {
            tasks.remove(&self.key);
        }
        drop(state);
        if std::thread::panicking() {
            let (shared, key) = (Arc::clone(&self.shared), self.key.clone());
            tokio::spawn(async move {
                tokio::time::sleep(shared.intervals.recreation_back_off_limit).await;
                shared.wake(&key);
            });
        }
    }
}
