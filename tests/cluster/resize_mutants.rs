//! Bugs that others shipped, on the real control plane: the shipped driver and `step` with a
//! mutant between them must break what a person can see there, and without one must not.
//!
//! One of them each time; `STATEWARD_LONG=1` plays all that show through the API.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stateward::cluster::WriteOutcome;
use stateward::controller::{Cluster, Key};
use stateward_core::facts::Fact;
use stateward_core::record::Phase;
use stateward_resize::observed::{Created, DryRuns, Memory};
use stateward_resize::{Action, Parameters, step};

use crate::bugs::{self, Mutant};
use crate::record::{record, records};
use crate::resize::{Resizing, long};
use crate::webhook::{LONG, STORAGE, path, pod_uids};

const RETENTION: &str = "/spec/persistentVolumeClaimRetentionPolicy";
/// A resize that rests for so long waits for a person.
const RESTS: Duration = Duration::from_secs(8);

/// A set on which a bug shows, and what shows.
struct Case {
    mutant: Mutant,
    set: fn(&mut Value),
    /// the set is in the middle of a rollout that is stuck
    rolls: bool,
    breaks: &'static str,
}

fn class(set: &mut Value, class: &str) {
    set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!(class);
}

fn deletes(set: &mut Value) {
    set["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
}

const SMALL: &str = "Complete with a small claim";

fn cases() -> Vec<Case> {
    let case = |mutant, set: fn(&mut Value), breaks| Case { mutant, set, rolls: false, breaks };
    vec![
        case(Mutant::FirstClaimOnly, |_| {}, SMALL),
        case(Mutant::AskedIsDone, |set| class(set, "stuck"), SMALL),
        case(Mutant::SkipsFailures, |set| class(set, "infeasible"), SMALL),
        case(Mutant::NoRetentionPin, deletes, "a DELETE while retention is Delete"),
        case(Mutant::RetentionForgotten, deletes, "Complete without retention"),
        case(Mutant::EvictUnasked, |set| class(set, "restart"), "a pod restarted"),
        case(Mutant::CascadingDelete, |_| {}, "a pod restarted"),
        Case { rolls: true, ..case(Mutant::MidRollout, |_| {}, "a DELETE in a rollout") },
    ]
}

/// The shipped driver, turn by turn, with a bug in it or none.
struct Play<'r> {
    resizing: &'r Resizing,
    mutant: Option<Mutant>,
    cluster: Cluster,
    key: Key,
    memory: Memory,
    dry_runs: Option<DryRuns>,
    pods: Vec<(String, String)>,
    retention: Value,
}

impl<'r> Play<'r> {
    async fn new(resizing: &'r Resizing, case: &Case, mutant: Option<Mutant>) -> Self {
        let (namespace, set) = resizing.prepare(case.set).await;
        if case.rolls {
            stick(resizing, &namespace, set).await;
        }
        let live = resizing.get(&path(&namespace, "db")).await.unwrap().ok().unwrap();
        let asked = record("db", &json!({"targets": {"data": {"storage": "20Gi"}}}));
        resizing.create(&records(&namespace), asked).await.unwrap().ok().unwrap();
        Self {
            resizing,
            mutant,
            cluster: Cluster::connect(Some(&resizing.account), None).await.unwrap(),
            pods: pod_uids(resizing, &namespace).await,
            key: Key { namespace, name: "db".to_owned() },
            memory: Memory::default(),
            dry_runs: None,
            retention: live.pointer(RETENTION).cloned().unwrap_or_default(),
        }
    }

    /// What is broken first; nothing where it ends, or rests, as it should.
    async fn breaks(mut self) -> Option<&'static str> {
        let begun = Instant::now();
        let mut moved = begun;
        while moved.elapsed() < RESTS {
            assert!(begun.elapsed() < LONG * 2, "{:?} does not end", self.mutant);
            let (action, phase) = self.turn().await;
            if let Err(broken) = self.holds(&action, &phase).await {
                return Some(broken);
            }
            match action {
                _ if !phase.is_live() => return None,
                Action::Wait { .. } | Action::Refresh => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                action => {
                    moved = Instant::now();
                    self.carry_out(action).await;
                }
            }
        }
        None
    }

    async fn turn(&mut self) -> (Action, Phase) {
        let stored = self.cluster.record(&self.key).await.unwrap();
        let mut record = stored.map(|stored| stored.record);
        let mut observed =
            self.cluster.observe(&self.key, record.as_ref(), self.memory.clone()).await;
        if let Some(answers) = self.dry_runs.take() {
            observed.dry_runs = Fact::Known(answers);
        }
        let seconds = SignedDuration::from_secs;
        let mut parameters = Parameters {
            resync: seconds(1),
            just_changed: seconds(2),
            pin_timeout: seconds(20),
            ..Parameters::default()
        };
        if let Some(mutant) = self.mutant {
            bugs::sees(mutant, &mut observed, record.as_mut(), &mut parameters);
        }
        let now = Timestamp::from_second(self.cluster.now().as_second()).unwrap();
        let phase = record.as_ref().map(|record| record.status.phase.clone()).unwrap();
        let mut action = step(&observed, record.as_ref(), now, &parameters);
        if action == Action::DryRun
            && let (Fact::Known(Some(set)), Some(record)) = (&observed.set, &record)
        {
            let acting = record.status.request.as_ref().unwrap();
            let id = format!("{}/{}", record.uid, set.uid);
            let answers = self.cluster.dry_runs(&self.key, set, &acting.targets, &id).await;
            observed.dry_runs = Fact::Known(answers);
            action = step(&observed, Some(record), now, &parameters);
        }
        if let Fact::Known(answers) = observed.dry_runs {
            self.dry_runs = Some(answers);
        }
        match self.mutant {
            Some(mutant) => (bugs::does(mutant, action), phase),
            None => (action, phase),
        }
    }

    async fn carry_out(&mut self, action: Action) {
        if let (Some(Mutant::CascadingDelete), Action::Delete { .. }) = (self.mutant, &action) {
            let options = json!({"propagationPolicy": "Background"});
            self.resizing.delete(&self.key.set(), options).await.unwrap().ok().unwrap();
            return;
        }
        let stored = self.cluster.record(&self.key).await.unwrap();
        let outcome = self.cluster.carry_out(&self.key, stored.as_ref(), &action).await;
        match (action, outcome) {
            (Action::Delete { uid, .. }, WriteOutcome::Committed(_)) => {
                self.memory.deleted = Some(uid);
            }
            (Action::Create { id, .. }, WriteOutcome::Committed(set)) => {
                let uid = set["metadata"]["uid"].as_str().unwrap().to_owned();
                self.memory.deleted = None;
                self.memory.created = Some(Created { id, uid });
            }
            _ => {}
        }
    }

    /// What must be so in the cluster before this is done, and at the end.
    async fn holds(&self, action: &Action, phase: &Phase) -> Result<(), &'static str> {
        let (resizing, namespace) = (self.resizing, &self.key.namespace);
        if pod_uids(resizing, namespace).await != self.pods {
            return Err("a pod restarted");
        }
        let live = resizing.get(&self.key.set()).await.unwrap().body;
        if matches!(action, Action::Delete { .. }) {
            if live.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenDeleted")
                == Some(&json!("Delete"))
            {
                return Err("a DELETE while retention is Delete");
            }
            if live["status"]["currentRevision"] != live["status"]["updateRevision"] {
                return Err("a DELETE in a rollout");
            }
        }
        if *phase == Phase::Complete {
            let claims = resizing.list(namespace, "persistentvolumeclaims").await;
            if claims.iter().any(|claim| claim["status"]["capacity"]["storage"] != "20Gi") {
                return Err(SMALL);
            }
            if live.pointer(STORAGE) != Some(&json!("20Gi")) {
                return Err("Complete with a small template");
            }
            if live.pointer(RETENTION) != Some(&self.retention) {
                return Err("Complete without retention");
            }
        }
        Ok(())
    }
}

/// Begins a rollout whose first pod never becomes ready.
async fn stick(resizing: &Resizing, namespace: &str, mut set: Value) {
    set["spec"]["template"]["metadata"]["annotations"] =
        json!({"testbed.stateward.dev/ready": "false"});
    crate::webhook::apply(resizing, &set, &[]).await.ok().unwrap();
    let stuck = |live: &Value| {
        let status = &live["status"];
        status["updatedReplicas"] == 1 && status["readyReplicas"] == 2
    };
    resizing.wait_object(&path(namespace, "db"), LONG, stuck).await.unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn bugs_of_others_show_through_the_api() {
    let resizing = Resizing::alone().await;
    let mut cases = cases();
    cases.truncate(if long() { cases.len() } else { 1 });
    let played = cases.iter().map(async |case| {
        let well = Play::new(&resizing, case, None).await.breaks().await;
        let ill = Play::new(&resizing, case, Some(case.mutant)).await.breaks().await;
        eprintln!("{:?}: {}", case.mutant, ill.unwrap_or("it lives"));
        let wrong = well.is_some() || ill != Some(case.breaks);
        wrong.then(|| format!("{:?}: without it {well:?}, with it {ill:?}", case.mutant))
    });
    let wrong: Vec<String> = join_all(played).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
