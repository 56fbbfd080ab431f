//! What the loss list says, held against what the controllers of Kubernetes do: random sets, retention policies,
//! owners and deletions. What is predicted is gone in the end, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use serde_json::{Value, json};
use testbed::Testbed;

/// So many sets with an action each.
const CASES: usize = 520;
const NAMESPACES: usize = 13;
/// So many requests at once.
const AT_ONCE: usize = 24;
const LONG: Duration = Duration::from_secs(300);
const CLAIMS: &str = "/api/v1/persistentvolumeclaims";
const SETS: &str = "/apis/apps/v1/statefulsets";

/// What happens to a set.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Action {
    Delete(&'static str),
    Scale(i64),
    DeleteClaim(i64),
    /// a claim gets an owner that does not exist
    Dangle(i64),
}

struct Case {
    namespace: String,
    set: Value,
    claims: Vec<Value>,
    action: Action,
}

impl Case {
    fn new(
        index: usize,
        namespaces: &[String],
        anchors: &[String],
        rng: &mut fastrand::Rng,
    ) -> Self {
        let place = index % namespaces.len();
        let (namespace, name) = (namespaces[place].clone(), format!("s{index}"));
        let mut policy = || ["Retain", "Delete"][rng.usize(..2)];
        let retention = json!({"whenDeleted": policy(), "whenScaled": policy()});
        let replicas = rng.i64(0..=2);
        let class = ["immediate", "kept"][rng.usize(..2)];
        let spec = json!({
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "1Gi"}},
        });
        let set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "serviceName": "s", "replicas": replicas, "podManagementPolicy": "Parallel",
                "persistentVolumeClaimRetentionPolicy": retention,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [{
                            "name": "a", "image": "registry.example.com/team/store:1",
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        }],
                    },
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": spec}],
            },
        });
        // One beyond the replicas is left from before, at times.
        let count = replicas + rng.i64(0..=1);
        let claims = (0..count).map(|ordinal| {
            let mut claim = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": format!("data-{name}-{ordinal}"), "namespace": namespace,
                    "labels": {"app": name},
                },
                "spec": spec,
            });
            if rng.usize(..6) == 0 {
                claim["metadata"]["ownerReferences"] = json!([{
                    "apiVersion": "v1", "kind": "ConfigMap", "name": "anchor", "uid": anchors[place],
                }]);
            }
            claim
        });
        let claims: Vec<Value> = claims.collect();
        let ordinal = rng.i64(0..count.max(1));
        let action = match rng.usize(..10) {
            0..=2 => Action::Delete("Background"),
            3 => Action::Delete("Foreground"),
            4..=6 if replicas > 0 => Action::Scale(rng.i64(0..replicas)),
            7 if count > 0 => Action::Dangle(ordinal),
            _ if count > 0 => Action::DeleteClaim(ordinal),
            _ => Action::Delete("Background"),
        };
        Self { namespace, set, claims, action }
    }

    fn name(&self) -> &str {
        self.set["metadata"]["name"].as_str().unwrap()
    }

    fn claim(&self, ordinal: i64) -> String {
        format!("data-{}-{ordinal}", self.name())
    }

    fn claim_path(&self, ordinal: i64) -> String {
        format!(
            "/api/v1/namespaces/{}/persistentvolumeclaims/{}",
            self.namespace,
            self.claim(ordinal)
        )
    }

    async fn create(&self, bed: &Testbed) {
        let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.namespace);
        for claim in &self.claims {
            bed.create(&claims, claim.clone()).await.unwrap().ok().unwrap();
        }
        let sets = format!("/apis/apps/v1/namespaces/{}/statefulsets", self.namespace);
        bed.create(&sets, self.set.clone()).await.unwrap().ok().unwrap();
    }

    /// What a manifest of the action says; `None` for what is deleted.
    fn judged(&self, object: &Value) -> Option<Value> {
        let mut object = object.clone();
        let is_set = object["kind"] == "StatefulSet";
        match self.action {
            Action::Delete(_) if is_set => return None,
            Action::Scale(to) if is_set => object["spec"]["replicas"] = json!(to),
            Action::DeleteClaim(ordinal) if object["metadata"]["name"] == self.claim(ordinal) => {
                return None;
            }
            Action::Dangle(ordinal) if object["metadata"]["name"] == self.claim(ordinal) => {
                object["metadata"]["ownerReferences"] = dangling(&object);
            }
            _ => {}
        }
        Some(object)
    }

    async fn act(&self, bed: &Testbed) {
        let set =
            format!("/apis/apps/v1/namespaces/{}/statefulsets/{}", self.namespace, self.name());
        let reply = match self.action {
            Action::Delete(cascade) => {
                bed.delete(&set, json!({"propagationPolicy": cascade})).await
            }
            Action::Scale(to) => bed.merge(&set, json!({"spec": {"replicas": to}})).await,
            Action::DeleteClaim(ordinal) => bed.delete(&self.claim_path(ordinal), json!({})).await,
            Action::Dangle(ordinal) => {
                let path = self.claim_path(ordinal);
                let claim = bed.get(&path).await.unwrap().body;
                bed.merge(&path, json!({"metadata": {"ownerReferences": dangling(&claim)}})).await
            }
        };
        reply.unwrap().ok().unwrap();
    }
}

/// The owners of a claim, and one that does not exist.
fn dangling(claim: &Value) -> Value {
    let mut owners = claim["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    owners.push(json!({
        "apiVersion": "v1", "kind": "ConfigMap", "name": "gone",
        "uid": "00000000-0000-4000-8000-000000000000",
    }));
    json!(owners)
}

async fn items(bed: &Testbed, path: &str) -> Vec<Value> {
    bed.get(path).await.unwrap().ok().unwrap()["items"].as_array().cloned().unwrap()
}

fn key(object: &Value) -> (String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Waits until nothing changes in claims and sets any more.
async fn settled(bed: &Testbed, ready: impl Fn(&[Value], &[Value]) -> bool) {
    let versions = |objects: &[Value]| {
        objects.iter().map(|one| one["metadata"]["resourceVersion"].to_string()).collect::<Vec<_>>()
    };
    let (started, mut last, mut since) = (Instant::now(), Vec::new(), Instant::now());
    loop {
        let (claims, sets) = (items(bed, CLAIMS).await, items(bed, SETS).await);
        let now = [versions(&claims), versions(&sets)].concat();
        if now != last || !ready(&claims, &sets) {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > Duration::from_secs(10) {
            return;
        }
        assert!(started.elapsed() < LONG, "the cluster does not settle");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Claim → what becomes of its volume, as `check` says of all actions at once.
fn predicted(
    folder: &std::path::Path,
    kubeconfig: &std::path::Path,
    old: &[Value],
    new: &[Value],
) -> BTreeMap<(String, String), String> {
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .current_dir(folder)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let as_list =
        |items: &[Value]| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    std::fs::write(folder.join("facts.json"), run(&["facts", "export"])).unwrap();
    std::fs::write(folder.join("old.json"), as_list(old)).unwrap();
    std::fs::write(folder.join("new.json"), as_list(new)).unwrap();
    let report = run(&[
        "check",
        "--facts=facts.json",
        "--deletions",
        "--format=json",
        "--old=old.json",
        "new.json",
    ]);
    let report: Value =
        serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {report}"));
    let mut fates = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        let namespace = finding["object"]["namespace"].as_str().unwrap_or_default();
        for claim in finding["loss"]["claims"].as_array().into_iter().flatten() {
            let name = claim["name"].as_str().unwrap().to_owned();
            fates.insert((namespace.to_owned(), name), claim["fate"].as_str().unwrap().to_owned());
        }
    }
    fates
}

/// What became of all claims.
#[derive(Default)]
struct Outcome {
    /// one line for each prediction that was wrong
    wrong: Vec<String>,
    gone: usize,
    destroyed: usize,
    waiting: usize,
}

impl Outcome {
    async fn of<'c>(
        bed: &Testbed,
        before: &[Value],
        predicted: &BTreeMap<(String, String), String>,
        case_of: impl Fn(&(String, String)) -> &'c Case,
    ) -> Self {
        let after: BTreeMap<(String, String), Value> =
            items(bed, CLAIMS).await.into_iter().map(|claim| (key(&claim), claim)).collect();
        let volumes: BTreeSet<String> = items(bed, "/api/v1/persistentvolumes")
            .await
            .iter()
            .map(|volume| key(volume).1)
            .collect();
        let mut outcome = Self::default();
        for claim in before {
            let id = key(claim);
            let fate = predicted.get(&id).map(String::as_str);
            let left =
                after.get(&id).filter(|left| left["metadata"]["uid"] == claim["metadata"]["uid"]);
            // A claim that only waits for its pod is as good as gone.
            let goes = left.is_none_or(|left| !left["metadata"]["deletionTimestamp"].is_null());
            let volume = claim["spec"]["volumeName"].as_str().unwrap();
            let fits = match (goes, left, fate) {
                (true, Some(_), Some(_)) => {
                    outcome.waiting += 1;
                    true
                }
                (true, None, Some("destroyed")) => {
                    outcome.destroyed += 1;
                    !volumes.contains(volume)
                }
                (false, _, None) | (true, None, Some("retained")) => volumes.contains(volume),
                _ => false,
            };
            outcome.gone += usize::from(goes);
            if !fits {
                let case = case_of(&id);
                outcome.wrong.push(format!(
                    "{}: {:?}, retention {}, replicas {}, owners {}: predicted {fate:?}, goes {goes}, volume stays {}",
                    id.1,
                    case.action,
                    case.set["spec"]["persistentVolumeClaimRetentionPolicy"],
                    case.set["spec"]["replicas"],
                    claim["metadata"]["ownerReferences"],
                    volumes.contains(volume),
                ));
            }
        }
        outcome
    }
}

/// A control plane with a class whose volumes are retained, and namespaces with one `ConfigMap` each.
async fn cluster() -> (Testbed, Vec<String>, Vec<String>) {
    let bed = Testbed::start().await.unwrap();
    bed.play_storage().await.unwrap();
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    let mut kept = bed.get(&format!("{classes}/immediate")).await.unwrap().body;
    kept["metadata"] = json!({"name": "kept"});
    kept["reclaimPolicy"] = json!("Retain");
    bed.create(classes, kept).await.unwrap().ok().unwrap();
    let (mut namespaces, mut anchors) = (Vec::new(), Vec::new());
    for _ in 0..NAMESPACES {
        let namespace = bed.namespace("losses").await.unwrap();
        let anchor =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "anchor"}});
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        let made = bed.create(&path, anchor).await.unwrap().ok().unwrap();
        anchors.push(made["metadata"]["uid"].as_str().unwrap().to_owned());
        namespaces.push(namespace);
    }
    (bed, namespaces, anchors)
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn loss_lists_match_what_the_controllers_delete() {
    let (bed, namespaces, anchors) = cluster().await;
    let seed = std::env::var("STATEWARD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut rng = fastrand::Rng::with_seed(seed);
    let cases: Vec<Case> =
        (0..CASES).map(|index| Case::new(index, &namespaces, &anchors, &mut rng)).collect();
    iter(&cases).for_each_concurrent(AT_ONCE, |case| case.create(&bed)).await;
    settled(&bed, |claims, sets| {
        claims.iter().all(|claim| claim["status"]["phase"] == "Bound")
            && sets.iter().all(|set| {
                set["status"]["readyReplicas"].as_i64().unwrap_or(0)
                    == set["spec"]["replicas"].as_i64().unwrap()
            })
    })
    .await;

    let by_name: BTreeMap<(String, String), &Case> =
        cases.iter().map(|case| ((case.namespace.clone(), case.name().to_owned()), case)).collect();
    let before = items(&bed, CLAIMS).await;
    let mut old = items(&bed, SETS).await;
    for set in &mut old {
        set["apiVersion"] = json!("apps/v1");
        set["kind"] = json!("StatefulSet");
    }
    let claims = before.iter().cloned().map(|mut claim| {
        claim["apiVersion"] = json!("v1");
        claim["kind"] = json!("PersistentVolumeClaim");
        claim
    });
    old.extend(claims);
    let new = old.iter().filter_map(|object| {
        let (namespace, name) = key(object);
        let set = name.strip_prefix("data-").and_then(|rest| rest.rsplit_once('-'));
        let set = set.map_or(name.as_str(), |(set, _)| set).to_owned();
        by_name[&(namespace, set)].judged(object)
    });
    let new: Vec<Value> = new.collect();
    let folder = tempfile::tempdir().unwrap();
    let predicted = predicted(folder.path(), &bed.kubeconfig(), &old, &new);

    iter(&cases).for_each_concurrent(AT_ONCE, |case| case.act(&bed)).await;
    settled(&bed, |_, sets| {
        sets.iter().all(|set| {
            set["metadata"]["deletionTimestamp"].is_null()
                && set["status"]["observedGeneration"] == set["metadata"]["generation"]
        })
    })
    .await;

    let outcome = Outcome::of(&bed, &before, &predicted, |id| {
        let set = id.1.strip_prefix("data-").and_then(|rest| rest.rsplit_once('-')).unwrap().0;
        by_name[&(id.0.clone(), set.to_owned())]
    })
    .await;
    let Outcome { wrong, gone, destroyed, waiting } = outcome;
    println!(
        "{CASES} cases, {} claims: {gone} gone, {destroyed} with their volume, {waiting} wait for a pod, {} wrong",
        before.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "seed {seed}:\n{}", wrong.join("\n"));
    assert!(gone > 100 && destroyed > 50 && before.len() - gone > 100, "the cases are one-sided");
}
