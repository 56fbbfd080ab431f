//! The task of one set: it looks, does one thing, and rests until something of the set changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use stateward_core::record::{Phase, Reason, Status};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Known, Shared, Task};
use crate::controller::drive::{Around, Drive, Turn};
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

    /// Lets the set's task look; starts one where there is none.
    pub(super) fn wake(self: &Arc<Self>, key: &Key) {
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
                    telemetry::done(&self.cluster, &self.events, &key, &drive, &action).await;
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
            if status.is_none() && *self.leads.borrow() {
                // A look has found that nothing is asked, whatever the annotation is.
                state.requests.remove(key);
            }
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
