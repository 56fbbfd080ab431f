//! A controller that crashes before a write or after it, or never hears of its outcome: for each
//! write between the retention pin and the end, everything ends as it does without.
//!
//! `STATEWARD_LONG=1` also answers each write with 403, 409 and 429, hides its outcome behind a
//! 504, and lets it arrive two seconds late.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use testbed::Testbed;
use testbed::proxy::{Fault, Proxy, Request};

use crate::resize::{Controller, Resizing, long};
use crate::webhook::{LONG, pod_uids};

/// What a record says where no controller watched the set go, which is so after a crash.
pub(crate) const UNWATCHED: &str =
    "nobody watched the set go, so an edit at that moment may be lost";

/// What happens to one write.
#[derive(Clone, Copy, Debug)]
enum Mode {
    CrashBefore,
    CrashAfter,
    Fails(Fault),
}

impl Mode {
    fn all() -> Vec<Self> {
        let mut modes = vec![Self::CrashBefore, Self::CrashAfter, Self::Fails(Fault::After)];
        if long() {
            let late = Fault::Late(Duration::from_secs(2));
            let refused = [403, 409, 429].map(Fault::Refuse);
            let more = refused.into_iter().chain([Fault::Hide(504), Fault::Before, late]);
            modes.extend(more.map(Self::Fails));
        }
        modes
    }
}

/// The writes of a namespace from the one with phase `RetentionPinned` on.
pub(crate) fn from_the_pin(namespace: &str) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
    let (here, pinned) = (format!("/namespaces/{namespace}/"), AtomicBool::new(false));
    move |request| {
        if !request.is_write() || !request.path.contains(&here) || is_event(request) {
            return false;
        }
        if request.json()["status"]["phase"] == "RetentionPinned" {
            pinned.store(true, Ordering::SeqCst);
        }
        pinned.load(Ordering::SeqCst)
    }
}

pub(crate) fn is_event(request: &Request) -> bool {
    request.path.ends_with("/events")
}

/// One resize through the proxy; its end, with what differs from run to run left out.
pub(crate) struct Run {
    pub(crate) namespace: String,
    pub(crate) set: Value,
    pods: Vec<(String, String)>,
    claims: BTreeSet<String>,
}

impl Run {
    pub(crate) async fn prepare(resizing: &Resizing) -> Self {
        let (namespace, set) = resizing
            .prepare(|set| {
                set["spec"]["replicas"] = json!(2);
                // So that the retention pin and its end are writes, too.
                set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                    json!({"whenDeleted": "Delete", "whenScaled": "Retain"});
            })
            .await;
        let pods = pod_uids(resizing, &namespace).await;
        let claims = claim_uids(resizing, &namespace).await;
        Self { namespace, set, pods, claims }
    }

    /// Waits for the end and gives it.
    pub(crate) async fn end(&self, resizing: &Resizing, from: u64) -> Value {
        let namespace = &self.namespace;
        let live = resizing.complete(namespace, "20Gi").await;
        assert_eq!(pod_uids(resizing, namespace).await, self.pods, "a pod was restarted");
        assert_eq!(claim_uids(resizing, namespace).await, self.claims, "a claim was replaced");
        // Claims are owned again when the set controller has seen the policy.
        let owned = |claim: &Value| claim["metadata"]["ownerReferences"].is_array();
        let all = resizing.wait_for("the claims to be owned", LONG, async || {
            let claims = resizing.list(namespace, "persistentvolumeclaims").await;
            Ok(claims.iter().all(owned).then_some(()))
        });
        resizing.told(namespace, all).await;
        let record = resizing.ended(namespace).await;
        let counts = resizing.lives(namespace, from);
        let mut owned = resizing.list(namespace, "pods").await;
        owned.extend(resizing.list(namespace, "persistentvolumeclaims").await);
        for object in &mut owned {
            // It names UIDs and addresses.
            object["metadata"]["managedFields"].take();
        }
        json!({
            "set": masked(&live, namespace),
            "owned": masked(&json!(owned), namespace),
            "created and deleted": counts,
            "phase": record["status"]["phase"],
            "state": record["status"]["state"],
            "reason": record["status"]["reason"],
            "message": record["status"]["message"],
            "finalizers": record["metadata"]["finalizers"],
            "snapshot": record["status"]["snapshot"].is_null(),
            "claims": masked(&record["status"]["claims"], namespace),
        })
    }
}

async fn claim_uids(resizing: &Resizing, namespace: &str) -> BTreeSet<String> {
    let claims = resizing.list(namespace, "persistentvolumeclaims").await;
    claims.iter().map(|claim| claim["metadata"]["uid"].to_string()).collect()
}

/// Leaves out names, numbers and times that are new in each run.
fn masked(value: &Value, namespace: &str) -> Value {
    const NEW: [&str; 18] = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "observedGeneration",
        "time",
        "since",
        "startTime",
        "startedAt",
        "lastTransitionTime",
        "lastProbeTime",
        "volumeName",
        "nodeName",
        "podIP",
        "podIPs",
        "volume.kubernetes.io/selected-node",
        "topology.kubernetes.io/zone",
        "stateward.dev/resize-id",
    ];
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(key, _)| !NEW.contains(&key.as_str()));
            let mut kept: serde_json::Map<String, Value> =
                kept.map(|(key, value)| (key.clone(), masked(value, namespace))).collect();
            // These are ordered by time.
            for list in ["managedFields", "conditions"] {
                if let Some(Value::Array(items)) = kept.get_mut(list) {
                    items.sort_by_key(Value::to_string);
                }
            }
            kept.into()
        }
        Value::Array(items) => items.iter().map(|item| masked(item, namespace)).collect(),
        Value::String(text) => {
            // The token of the API server's own volume is named at random.
            let text = text.replace(namespace, "NAMESPACE");
            if text.starts_with("kube-api-access-") { "TOKEN".into() } else { text.into() }
        }
        other => other.clone(),
    }
}

/// What a write is about: method, object, and the phase or the fields that it writes.
pub(crate) fn name(request: &Request) -> String {
    let body = request.json();
    let about = match body["status"]["phase"].as_str() {
        Some(phase) => phase.to_owned(),
        None if request.method == "PATCH" => fields(&body).join(" "),
        None => String::new(),
    };
    let at = request.path.rsplit("/namespaces/").next().unwrap_or_default();
    let at = at.split_once('/').map_or(at, |(_, rest)| rest);
    format!("{} {at} {about}", request.method).trim_end().to_owned()
}

fn fields(patch: &Value) -> Vec<&str> {
    let inside = |part: &str| patch[part].as_object().into_iter().flat_map(|part| part.keys());
    let all = inside("metadata").chain(inside("spec")).map(String::as_str);
    all.filter(|field| !matches!(*field, "uid" | "resourceVersion")).collect()
}

struct Bench {
    resizing: Resizing,
    proxy: Proxy,
    controller: Arc<Controller>,
}

impl Bench {
    async fn new() -> Self {
        let resizing = Resizing::start(Testbed::builder()).await;
        let (proxy, controller) = resizing.proxied(1).await;
        Self { resizing, proxy, controller: Arc::new(controller) }
    }

    /// One run without a fault: its end, and what it wrote from the retention pin on.
    async fn reference(&self) -> (Value, Vec<String>) {
        let run = Run::prepare(&self.resizing).await;
        let from = self.resizing.audit_position();
        self.proxy.forget();
        self.resizing.grow(&run.set, "20Gi").await;
        let end = run.end(&self.resizing, from).await;
        let matches = from_the_pin(&run.namespace);
        let mut writes = Vec::new();
        for one in self.proxy.exchanges().iter().filter(|one| matches(&one.request)) {
            let name = name(&one.request);
            assert!(one.answered.is_some_and(|status| status < 300), "{name}");
            // A phase may be written twice, while something is waited for.
            if !writes.contains(&name) {
                writes.push(name);
            }
        }
        (end, writes)
    }

    /// One run in which this happens to the first write of this name.
    async fn run(&self, run: &Run, write: &str, mode: Mode) -> Value {
        let from = self.resizing.audit_position();
        let (pinned, wanted) = (from_the_pin(&run.namespace), write.to_owned());
        let on = self.proxy.on(move |request| pinned(request) && name(request) == wanted);
        let controller = Arc::clone(&self.controller);
        let armed = match mode {
            Mode::CrashBefore => on.then(move || controller.kill()).fault(Fault::Before),
            Mode::CrashAfter => on.then(move || controller.kill()).fault(Fault::After),
            Mode::Fails(fault) => on.fault(fault),
        };
        self.resizing.grow(&run.set, "20Gi").await;
        armed.hit(LONG).await.unwrap_or_else(|error| panic!("{write} {mode:?}: {error:#}"));
        if !matches!(mode, Mode::Fails(_)) {
            self.controller.launch();
        }
        let end = run.end(&self.resizing, from).await;
        self.proxy.disarm();
        end
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn every_write_from_the_pin_on_may_be_the_last() {
    let bench = Bench::new().await;
    let (expected, writes) = bench.reference().await;
    let (again, same) = bench.reference().await;
    assert!(
        again == expected,
        "two runs without a fault differ\n{}",
        difference(&expected, &again)
    );
    assert_eq!(same, writes, "two runs without a fault differ");
    assert_eq!(expected["created and deleted"], json!([[1, 1], [0, 0], [0, 0]]));
    assert_eq!(
        writes,
        [
            "PUT statefulsetresizes/db/status RetentionPinned",
            "PATCH statefulsets/db persistentVolumeClaimRetentionPolicy",
            "PUT statefulsetresizes/db/status Deleting",
            "DELETE statefulsets/db",
            "POST statefulsets",
            "PUT statefulsetresizes/db/status Adopting",
            "PATCH statefulsets/db annotations persistentVolumeClaimRetentionPolicy updateStrategy",
            "PUT statefulsetresizes/db/status Verifying",
            "PATCH statefulsets/db managedFields",
            "PATCH statefulsetresizes/db finalizers",
            "PATCH statefulsets/db annotations",
            "PUT statefulsetresizes/db/status Complete",
        ]
    );

    let modes = Mode::all();
    let mut failures = Vec::new();
    for write in &writes {
        let runs = join_all(modes.iter().map(|_| Run::prepare(&bench.resizing))).await;
        for (run, mode) in runs.iter().zip(&modes) {
            let mut end = bench.run(run, write, *mode).await;
            if end["message"] == UNWATCHED && !matches!(mode, Mode::Fails(_)) {
                end["message"].take();
            }
            if end != expected {
                failures.push(format!("{write} {mode:?}\n{}", difference(&expected, &end)));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Where two ends differ.
pub(crate) fn difference(expected: &Value, end: &Value) -> String {
    let patch = json_patch::diff(expected, end);
    patch.0.iter().map(|one| format!("  {one}")).collect::<Vec<_>>().join("\n")
}
