//! One set: observe, ask [`step`], do what it says, observe again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use stateward_core::facts::Fact;
use stateward_core::record::Phase;
use stateward_core::record::snapshot;
use stateward_resize::observed::{Answer, Created, DryRuns, Memory, Observed, Set};
use stateward_resize::{Action, Parameters, step};
use tokio::time::Instant;

use super::Key;
use super::cluster::Cluster;
use super::intervals::DRY_RUNS;
use super::json_fields::{number, uid};
use super::record::Stored;
use super::refusals::Refusals;
use crate::cluster::{Rejection, WriteOutcome};
use crate::telemetry::ResizeMetrics;

/// What one reconcile came to.
#[derive(Debug)]
pub(super) enum ReconcileResult {
    /// nothing to do until something changes or this long has passed
    RequeueAfter(Duration),
    /// something was written
    Wrote(Action),
    /// something could not be written, or is not known to be
    Failed(Action, String),
    /// a write was refused, which is remembered: it waits, and everything else goes on
    Deferred(Action, String),
    /// the record could not be read
    Unread(String),
}

impl ReconcileResult {
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(..) | Self::Unread(_))
    }
}

/// The circumstances of one reconcile.
pub(super) struct ReconcileContext {
    /// another instance leads
    pub(super) standby: bool,
    /// how long a set may be away before an instance that does not lead brings it back
    pub(super) patience: Duration,
    /// as many other sets as allowed are between the retention pin and adoption
    pub(super) full: bool,
    /// what the watch saw last of a set that went
    pub(super) seen: Option<LastSeen>,
}

/// What a watch saw of a set that goes.
#[derive(Clone, Debug)]
pub(super) struct LastSeen {
    pub(super) uid: String,
    pub(super) generation: i64,
    /// who wrote it last, its status apart
    pub(super) manager: String,
}

/// What one process remembers of one set.
pub(super) struct Reconciler {
    cluster: Cluster,
    key: Key,
    parameters: Parameters,
    back_off: Duration,
    metrics: ResizeMetrics,
    deleted: Option<String>,
    away_since: Option<Instant>,
    created: Option<Created>,
    create_refused: Option<String>,
    /// how many times in a row putting retention back was refused, and the last answer
    retention_refused: (u32, String),
    record_unwritable: bool,
    refused_claims: Refusals,
    refused_evictions: Refusals,
    refused_writes: Refusals,
    /// what dry runs answered, what they were asked about, and when that was first used
    dry_runs: Option<(DryRuns, Asked, Option<Instant>)>,
    /// the record as last read
    pub(super) stored: Option<Stored>,
    /// the UID of the set as last read
    pub(super) set_uid: String,
    /// whether the last reconcile could read the set, and so knows what size is requested
    pub(super) set_read: bool,
    /// the set is known to be away, or going
    away: bool,
    /// when the set was first seen to be away through this record
    window_seen: Option<Instant>,
}

/// What dry runs were asked about: a set that changes is asked about again.
type Asked = (String, Vec<String>);

impl Reconciler {
    pub(super) fn new(
        cluster: Cluster,
        key: Key,
        parameters: Parameters,
        back_off: Duration,
        metrics: ResizeMetrics,
    ) -> Self {
        Self {
            cluster,
            key,
            parameters,
            back_off,
            metrics,
            deleted: None,
            away_since: None,
            created: None,
            create_refused: None,
            retention_refused: (0, String::new()),
            record_unwritable: false,
            refused_claims: Refusals::default(),
            refused_evictions: Refusals::default(),
            refused_writes: Refusals::default(),
            dry_runs: None,
            stored: None,
            set_uid: String::new(),
            set_read: false,
            away: false,
            window_seen: None,
        }
    }

    /// How long the set has been seen to be away through this record, if it is: what must be ended
    /// before a process ends.
    pub(super) fn recreation_window(&self) -> Option<Duration> {
        self.window_seen.map(|since| since.elapsed())
    }

    fn note_window(&mut self) {
        let phase = self.stored.as_ref().map(|stored| &stored.record.status.phase);
        let open = matches!(phase, Some(Phase::Deleting | Phase::Creating | Phase::Unknown(_)));
        self.window_seen = if self.away && open {
            self.window_seen.or_else(|| Some(Instant::now()))
        } else {
            None
        };
    }

    /// Looks once, and does one thing. Before the set is touched a slot is taken by `take_slot`.
    pub(super) async fn reconcile(
        &mut self,
        context: &ReconcileContext,
        take_slot: &(dyn Fn() -> bool + Sync),
    ) -> ReconcileResult {
        self.stored = match self.cluster.record(&self.key).await {
            Ok(stored) => stored,
            Err(why) => return ReconcileResult::Unread(why.to_string()),
        };
        let memory = self.memory(context);
        let record = self.stored.as_ref().map(|stored| &stored.record);
        let mut observed = self.cluster.observe(&self.key, record, memory).await;
        observed.last_seen_edit = self.last_seen_edit(context);
        if let Fact::Known(Some(set)) = &observed.set {
            self.set_uid.clone_from(&set.uid);
        }
        self.set_read = matches!(observed.set, Fact::Known(_));
        self.away = match &observed.set {
            Fact::Known(set) => set.as_ref().is_none_or(|set| set.terminating),
            Fact::Unknown(_) => self.away,
        };
        self.note_window();
        self.remember_dry_runs(&mut observed);
        let record = self.stored.as_ref().map(|stored| &stored.record);
        if let Some(rest) =
            self.recreation_window().and_then(|open| context.patience.checked_sub(open))
            && context.standby
            && !rest.is_zero()
        {
            return ReconcileResult::RequeueAfter(rest);
        }
        let action = step(&observed, record, whole_seconds(self.cluster.now()), &self.parameters);
        match &action {
            Action::Wait { after } => {
                return ReconcileResult::RequeueAfter(
                    Duration::try_from(*after).unwrap_or_default(),
                );
            }
            // Everything was read anew already, so there is nothing to be had by asking again now.
            Action::Refresh => return ReconcileResult::RequeueAfter(self.back_off),
            Action::DryRun => {
                self.ask(&observed).await;
                return ReconcileResult::Wrote(action);
            }
            // Another set was faster, and the record will say that this one waits.
            Action::AddFinalizer if !take_slot() => {
                return ReconcileResult::RequeueAfter(self.back_off);
            }
            _ => {}
        }
        let outcome = self.cluster.carry_out(&self.key, self.stored.as_ref(), &action).await;
        let deferred = self.learn(&action, &outcome);
        match outcome {
            WriteOutcome::Committed(_) => ReconcileResult::Wrote(action),
            WriteOutcome::Rejected(refusal) if deferred => {
                ReconcileResult::Deferred(action, refused(&refusal))
            }
            WriteOutcome::Rejected(refusal) => ReconcileResult::Failed(action, refused(&refusal)),
            WriteOutcome::Unknown(why) => {
                ReconcileResult::Failed(action, format!("outcome unknown: {why}"))
            }
        }
    }

    /// Who edited the set after it was read for the record, by what the watch saw last of it.
    fn last_seen_edit(&self, context: &ReconcileContext) -> Fact<Option<String>> {
        let recreation = self.stored.as_ref().map(|stored| &stored.record.status.recreation);
        let (Some(recreation), Some(seen)) = (recreation, &context.seen) else {
            return Fact::Unknown("nothing watched the set go".to_owned());
        };
        if recreation.set_uid.as_ref() != Some(&seen.uid) {
            return Fact::Unknown("nothing watched the set go".to_owned());
        }
        let read = self.stored.as_ref().and_then(|stored| stored.record.status.snapshot.as_deref());
        let before = read.and_then(|text| snapshot::decode(text).ok());
        match before.as_ref().and_then(|before| number(before, "/metadata/generation")) {
            // Its going away counts as a generation too.
            Some(generation) if seen.generation > generation.saturating_add(1) => {
                Fact::Known(Some(seen.manager.clone()))
            }
            Some(_) => Fact::Known(None),
            None => Fact::Unknown("the record holds no snapshot".to_owned()),
        }
    }

    fn memory(&mut self, context: &ReconcileContext) -> Memory {
        let longest = self.resync();
        Memory {
            deleted: self.deleted.clone(),
            created: self.created.clone(),
            standby: context.standby,
            full: context.full,
            create_refused: self.create_refused.clone(),
            retention_refused: (self.retention_refused.0 >= self.parameters.tries)
                .then(|| self.retention_refused.1.clone()),
            record_unwritable: self.record_unwritable,
            refused_claims: self.refused_claims.held(longest),
            refused_evictions: self.refused_evictions.held(longest),
            refused_writes: self.refused_writes.held(longest),
        }
    }

    /// The longest rest, for which an answer is counted on as well.
    fn resync(&self) -> Duration {
        Duration::try_from(self.parameters.resync).unwrap_or_default()
    }

    /// Dry runs answer for the set as it was, and not for long: what admits a set may change too. That
    /// counts from the first decision by them on, however long it waited for its turn.
    fn remember_dry_runs(&mut self, observed: &mut Observed) {
        let Fact::Known(Some(set)) = &observed.set else { return };
        let about = self.asked(set);
        let resync = self.resync();
        let Some((answers, asked, since)) = &mut self.dry_runs else { return };
        if *asked == about && since.get_or_insert_with(Instant::now).elapsed() < resync {
            observed.dry_runs = Fact::Known(answers.clone());
        }
    }

    fn asked(&self, set: &Set) -> Asked {
        let sizes = self.sizes().into_iter().map(|(name, size)| format!("{name}={size}"));
        let shape = format!("{} {}", set.update_revision, set.replicas);
        (set.uid.clone(), sizes.chain([shape]).collect())
    }

    fn sizes(&self) -> BTreeMap<String, String> {
        let request = self.stored.as_ref().and_then(|s| s.record.status.request.as_ref());
        request.map(|request| request.targets.clone()).unwrap_or_default()
    }

    async fn ask(&mut self, observed: &Observed) {
        let (Fact::Known(Some(set)), Some(stored)) = (&observed.set, &self.stored) else { return };
        let id = format!("{}/{}", stored.record.uid, set.uid);
        let sizes = self.sizes();
        let asked = self.cluster.dry_runs(&self.key, set, &sizes, &id);
        let answers = tokio::time::timeout(DRY_RUNS, asked).await.unwrap_or_else(|_| {
            let late = || Answer::Refused(format!("no answer in {} s", DRY_RUNS.as_secs()));
            DryRuns { delete: late(), create: late(), unchanged: late() }
        });
        self.dry_runs = Some((answers, self.asked(set), None));
    }

    /// What the answer to a write teaches this process (see [`Memory`]); whether it is a refusal that
    /// defers this write and no other.
    fn learn(&mut self, action: &Action, outcome: &WriteOutcome) -> bool {
        self.metrics.wrote(action.name(), outcome.word());
        let refusal = match outcome {
            WriteOutcome::Rejected(refusal) if is_refusal(refusal) => Some(&refusal.message),
            _ => None,
        };
        let committed = matches!(outcome, WriteOutcome::Committed(_));
        match (action, outcome) {
            (Action::Create { id, .. }, WriteOutcome::Committed(set)) => {
                self.create_refused = None;
                self.deleted = None;
                self.created = Some(Created { id: id.clone(), uid: uid(set).to_owned() });
                if let Some(since) = self.away_since.take() {
                    self.metrics.was_away(since.elapsed());
                }
            }
            (Action::Create { .. }, _) => {
                self.create_refused = refusal.cloned();
                if refusal.is_none() {
                    self.deleted = None;
                }
            }
            (Action::Delete { uid, .. }, WriteOutcome::Committed(_)) => {
                self.deleted = Some(uid.clone());
                self.away = true;
                self.note_window();
                self.away_since = Some(Instant::now());
            }
            (Action::RestoreRetention { .. } | Action::Unfreeze { retention: Some(_), .. }, _) => {
                if let Some(why) = refusal {
                    let times = self.retention_refused.0.saturating_add(1);
                    self.retention_refused = (times, why.clone());
                } else if committed {
                    self.retention_refused = (0, String::new());
                }
            }
            (Action::GrowClaim { claim, .. }, _) => {
                return self.refused_claims.learn(claim, refusal, committed);
            }
            // A budget answers 429, and two budgets 500. One that was evicted after all is gone.
            (Action::Evict { uid, .. }, outcome) => {
                let why = match outcome {
                    WriteOutcome::Rejected(refusal) if refusal.code == 429 => {
                        Some(&refusal.message)
                    }
                    WriteOutcome::Unknown(why) => Some(why),
                    _ => refusal,
                };
                return self.refused_evictions.learn(uid, why, committed);
            }
            (Action::WriteStatus(_), WriteOutcome::Rejected(_)) => {
                self.record_unwritable = refusal.is_some();
            }
            (Action::WriteStatus(_), _) => self.record_unwritable = !committed,
            _ => {}
        }
        if matches!(action, Action::Delete { .. }) && refusal.is_some() {
            // What the dry run allowed is refused: the next one may say why.
            self.dry_runs = None;
        }
        action.is_told_when_refused()
            && self.refused_writes.learn(&action.description(), refusal, committed)
    }
}

/// Kubernetes writes its own times so, and the record is written with them.
fn whole_seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Whether somebody says no, and not merely that the object has changed.
fn is_refusal(refusal: &Rejection) -> bool {
    !matches!(refusal.code, 0 | 404 | 409 | 429)
}

fn refused(refusal: &Rejection) -> String {
    match refusal.code {
        0 => format!("not sent: {}", refusal.message),
        code => format!("{code} {}: {}", refusal.reason, refusal.message),
    }
}
