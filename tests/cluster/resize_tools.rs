//! What people use goes on during a resize: no claim is lost, no pod restarted by us, and it ends
//! with the size asked or with a Conflict that names the writer.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::people::{Apply, Loop};

use crate::record::records;
use crate::resize::Resizing;
use crate::webhook::{LONG, STORAGE, path, pod_uids, with};

const OFTEN: Duration = Duration::from_millis(500);
/// As kubectl and helm quote it.
const CONFLICT: &str = "conflict with \"stateward\" using apps/v1";
const GIB: u128 = 1 << 30;

/// A running set, and what it had before.
struct Case {
    resizing: &'static Resizing,
    namespace: String,
    set: Value,
    pods: Vec<(String, String)>,
    /// where the audit log of what follows begins
    since: u64,
}

impl Case {
    async fn new() -> Self {
        Self::of(Resizing::shared().await, |_| {}).await
    }

    /// Of a set whose controller owner lets stateward resize it.
    async fn owned() -> Self {
        let resizing = Resizing::shared().await;
        // It stands for an operator's resource: the garbage collector asks only whether it exists.
        let resource = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "database"}, "rules": [],
        });
        let resource = resizing.apply(resource).await.unwrap();
        let owner = json!([{
            "apiVersion": resource["apiVersion"], "kind": resource["kind"],
            "name": "database", "uid": resource["metadata"]["uid"],
            "controller": true, "blockOwnerDeletion": true,
        }]);
        Self::of(resizing, |set| {
            set["metadata"]["ownerReferences"] = owner.clone();
            set["metadata"]["annotations"]["stateward.dev/owner-managed"] = json!("allow");
        })
        .await
    }

    async fn of(resizing: &'static Resizing, change: impl Fn(&mut Value)) -> Self {
        let (namespace, set) = resizing.prepare(change).await;
        let pods = pod_uids(resizing, &namespace).await;
        Self { resizing, namespace, set, pods, since: resizing.audit_position() }
    }

    fn sized(&self, size: &str) -> Value {
        with(&self.set, STORAGE, json!(size))
    }

    /// The size is there while the tool goes on, and stays when it has stopped.
    async fn completes(&self, tool: Loop) {
        let live = self.resizing.complete(&self.namespace, "20Gi").await;
        let turns = tool.turns();
        self.resizing
            .wait_for("two turns more", LONG, async || Ok((tool.turns() > turns + 1).then_some(())))
            .await
            .unwrap();
        let mut failures = tool.stop().await;
        // Between the CREATE and the next write but one the template is ours, by managedFields:
        // whoever applies by server-side apply at that moment is told so, and tries again.
        // While it goes away, the webhook says so, and the next turn gets through.
        // Where it went away or came back between kubectl's GET and its write, that fails.
        let passing = [
            CONFLICT,
            "is being re-created, try again in a few seconds",
            "error when patching \"STDIN\": statefulsets.apps \"db\" not found",
            "error when creating \"STDIN\": statefulsets.apps \"db\" already exists",
        ];
        failures.retain(|failure| !passing.iter().any(|text| failure.contains(text)));
        assert!(failures.is_empty(), "{failures:?}");
        let after = self.resizing.complete(&self.namespace, "20Gi").await;
        assert_eq!(after["metadata"]["uid"], live["metadata"]["uid"], "it was re-created again");
        assert_eq!(pod_uids(self.resizing, &self.namespace).await, self.pods);
    }

    async fn no_claim_is_lost(&self) {
        let claims = self.resizing.list(&self.namespace, "persistentvolumeclaims").await;
        assert_eq!(claims.len(), 3);
        for claim in claims {
            assert!(claim["metadata"]["deletionTimestamp"].is_null(), "{claim}");
            assert_eq!(claim["status"]["phase"], "Bound");
        }
    }

    /// Asserts that pods were taken by the garbage collector alone, and only those of sets that
    /// the tool itself had deleted: who orphans a set that was created a moment ago loses the pods
    /// of whose new owner the collector has not heard.
    fn no_pod_is_taken_by_us(&self) {
        let events = self.resizing.audit_events_after(self.since).unwrap();
        let deletes = |resource: &'static str| {
            events.iter().filter(move |event| {
                let of = &event["objectRef"];
                event["verb"] == "delete"
                    && of["resource"] == resource
                    && of["namespace"] == *self.namespace
                    && event["responseStatus"]["code"] == 200
            })
        };
        let by_tool: Vec<&Value> = deletes("statefulsets")
            .filter(|event| event["user"]["username"] == "admin")
            .map(|event| &event["responseObject"]["metadata"]["uid"])
            .collect();
        for event in deletes("pods") {
            match event["user"]["username"].as_str().unwrap() {
                // The kubelet ends what others have deleted.
                "system:node:testbed" => {}
                "system:serviceaccount:kube-system:generic-garbage-collector" => {
                    let owner = &event["responseObject"]["metadata"]["ownerReferences"][0]["uid"];
                    assert!(by_tool.contains(&owner), "we took {event}");
                }
                other => panic!("{other} took {event}"),
            }
        }
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn argo_cd_applies_the_larger_template() {
    let case = Case::new().await;
    let tool = case.resizing.applies(&case.sized("20Gi"), Apply::ClientSide, OFTEN).unwrap();
    case.completes(tool).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn flux_applies_the_larger_template() {
    let case = Case::new().await;
    let tool = case.resizing.applies(&case.sized("20Gi"), Apply::ServerSide, OFTEN).unwrap();
    case.completes(tool).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn helm_upgrades_again_and_again() {
    let resizing = Resizing::shared().await;
    let namespace = resizing.namespace("resize").await.unwrap();
    let chart = tempfile::tempdir().unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    let description = "apiVersion: v2\nname: db\nversion: 1.0.0\n";
    std::fs::write(chart.path().join("Chart.yaml"), description).unwrap();
    std::fs::write(chart.path().join("values.yaml"), "size: 10Gi\n").unwrap();
    let mut set = crate::webhook::set("db", &namespace);
    set["spec"]["replicas"] = json!(3);
    let template = with(&set, STORAGE, json!("{{ .Values.size }}"));
    std::fs::write(chart.path().join("templates/set.yaml"), template.to_string()).unwrap();
    let upgrade = |size: &str| {
        let chart = chart.path().to_str().unwrap();
        let size = format!("size={size}");
        ["upgrade", "--install", "db", chart, "-n", &namespace, "--set", &size]
            .map(str::to_owned)
            .to_vec()
    };
    resizing.helm(&upgrade("10Gi")).await.unwrap().ok().unwrap();
    resizing
        .wait_object(&path(&namespace, "db"), LONG, |live| live["status"]["readyReplicas"] == 3)
        .await
        .unwrap();
    let pods = pod_uids(resizing, &namespace).await;
    let since = resizing.audit_position();
    let case = Case { resizing, namespace: namespace.clone(), set, pods, since };
    let tool = resizing.helms(vec![upgrade("20Gi")], OFTEN).unwrap();
    case.completes(tool).await;

    // What was rolled back is smaller than the claims, which nobody can shrink: the size stays.
    let back = ["rollback", "db", "1", "-n", &namespace];
    resizing.helm(&back).await.unwrap().ok().unwrap();
    resizing.complete(&namespace, "20Gi").await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_operator_that_lets_stateward_resize_its_set_keeps_it() {
    let case = Case::owned().await;
    let tool = case.resizing.applies(&case.sized("20Gi"), Apply::ServerSide, OFTEN).unwrap();
    case.completes(tool).await;
    case.no_claim_is_lost().await;
    let live = case.resizing.get(&path(&case.namespace, "db")).await.unwrap().ok().unwrap();
    assert_eq!(live["metadata"]["ownerReferences"], case.set["metadata"]["ownerReferences"]);
    // What was there before was deleted by us, and the pods knew nothing of it.
    assert_eq!(case.resizing.lives(&case.namespace, case.since), [(1, 1), (0, 0), (0, 0)]);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_operator_re_creates_the_set_with_its_old_template() {
    let case = Case::new().await;
    let tool = case.resizing.recreates(&case.set, false, Duration::from_millis(100)).unwrap();
    case.resizing.grow(&case.set, "20Gi").await;
    let record = case.resizing.ended(&case.namespace).await;
    tool.stop().await;
    case.no_claim_is_lost().await;
    case.no_pod_is_taken_by_us();
    let status = &record["status"];
    let why = status["reason"].as_str().unwrap();
    match record["status"]["phase"].as_str().unwrap() {
        // For a moment it was; what the operator does to the set afterwards is another story.
        "Complete" => {}
        "Conflict" => {
            assert_eq!(why, "TooSmallAgain");
            assert!(!status["message"].as_str().unwrap().is_empty(), "nobody is named: {record}");
        }
        other => panic!("{other}: {}", record["status"]),
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_autoresizer_raises_claims_meanwhile() {
    let case = Case::new().await;
    let (step, limit) = (GIB, 25 * GIB);
    let tool = case.resizing.autoresizes(&case.namespace, step, limit, OFTEN).unwrap();
    case.resizing.grow(&case.set, "20Gi").await;
    let record = case.resizing.ended(&case.namespace).await;
    assert_eq!(record["status"]["phase"], "Complete", "{}", record["status"]);
    tool.stop().await;
    let live = case.resizing.get(&path(&case.namespace, "db")).await.unwrap().ok().unwrap();
    assert_eq!(live.pointer(STORAGE), Some(&json!("20Gi")));
    assert_eq!(pod_uids(case.resizing, &case.namespace).await, case.pods);
    case.no_claim_is_lost().await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_job_orphans_the_set_and_gitops_brings_it_back() {
    let case = Case::new().await;
    let (resizing, larger) = (case.resizing, case.sized("20Gi"));
    let gitops = resizing.applies(&larger, Apply::ClientSide, OFTEN).unwrap();
    let job = resizing.orphans(&path(&case.namespace, "db"), Duration::from_millis(700)).unwrap();
    resizing
        .wait_for("a few turns", LONG, async || Ok((job.turns() > 6).then_some(())))
        .await
        .unwrap();
    job.stop().await;
    // What is created anew has the larger template; claims grow by the record, or not at all. A
    // request that is not taken up yet would take the set away once more.
    let live = resizing
        .wait_for("the larger template to stand, and the record to rest", LONG, async || {
            let live = resizing.get(&path(&case.namespace, "db")).await?;
            let record = resizing.get(&format!("{}/db", records(&case.namespace))).await?;
            let phase = record.body["status"]["phase"].as_str().unwrap_or_default().to_owned();
            let over = ["", "Complete", "Aborted", "Conflict", "Degraded"].contains(&&*phase);
            let annotations = &live.body["metadata"]["annotations"];
            let stands = live.status == 200
                && live.body["metadata"]["deletionTimestamp"].is_null()
                && annotations["stateward.dev/resize-requested"].is_null()
                && live.body.pointer(STORAGE) == Some(&json!("20Gi"));
            Ok((stands && over).then_some(live.body))
        })
        .await
        .unwrap();
    let turns = gitops.turns();
    resizing
        .wait_for("two turns more", LONG, async || Ok((gitops.turns() > turns + 1).then_some(())))
        .await
        .unwrap();
    gitops.stop().await;
    case.no_claim_is_lost().await;
    case.no_pod_is_taken_by_us();
    let after = resizing.get(&path(&case.namespace, "db")).await.unwrap().ok().unwrap();
    assert_eq!(after["metadata"]["uid"], live["metadata"]["uid"], "it was re-created again");
}
