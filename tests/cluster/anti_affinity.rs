//! Anti-affinity appears on CREATE, once, and restarts nothing later.

use serde_json::{Value, json};
use testbed::Session;

use crate::resize::Resizing;
use crate::webhook::{LONG, apply, cluster, path, pod_uids, running, set};

const AFFINITY: &str = "/spec/template/spec/affinity/podAntiAffinity";

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_new_set_is_spread_and_a_later_apply_keeps_it() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("spread").await.unwrap();
    let manifest = set("db", &namespace);
    let live = running(testbed, &manifest).await;
    let terms = &live.pointer(AFFINITY).unwrap()["preferredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(terms.as_array().unwrap().len(), 2);
    assert_eq!(live["metadata"]["annotations"]["stateward.dev/injected"], "[\"anti-affinity\"]");
    let pods = pod_uids(testbed, &namespace).await;
    // The manifest omits what was injected: both ways of applying it again restart no pod.
    apply(testbed, &manifest, &[]).await.ok().unwrap();
    let replaced = testbed
        .kubectl_with("admin", &["replace", "-f", "-"], Some(&manifest.to_string()))
        .await
        .unwrap();
    replaced.ok().unwrap();
    let kept = testbed.get(&path(&namespace, "db")).await.unwrap().body;
    assert_eq!(kept.pointer(AFFINITY), live.pointer(AFFINITY));
    assert_eq!(kept["metadata"]["generation"], live["metadata"]["generation"]);
    assert_eq!(pod_uids(testbed, &namespace).await, pods);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_webhook_does_not_change_the_revision_of_an_update() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("revision").await.unwrap();
    let mut manifest = set("db", &namespace);
    manifest["metadata"]["annotations"] = json!({"stateward.dev/anti-affinity": "none"});
    // No pack knows this image, so that any version may follow any other.
    let image = |version: &str| json!(format!("registry.example.com/team/store:{version}"));
    manifest["spec"]["template"]["spec"]["containers"][0]["image"] = image("1.4.2");
    let live = running(testbed, &manifest).await;
    assert_eq!(live.pointer(AFFINITY), None);
    let revision = |set: &Value| set["status"]["updateRevision"].clone();
    let first = revision(&live);
    // Away and back: the second revision hashes to the first only if we add nothing.
    for (version, same) in [("2.0.0", false), ("1.4.2", true)] {
        manifest["spec"]["template"]["spec"]["containers"][0]["image"] = image(version);
        apply(testbed, &manifest, &[]).await.ok().unwrap();
        let url = path(&namespace, "db");
        let live = testbed
            .wait_object(&url, LONG, |live| {
                live["status"]["observedGeneration"] == live["metadata"]["generation"]
                    && live["status"]["readyReplicas"] == 2
                    && live["status"]["currentRevision"] == live["status"]["updateRevision"]
            })
            .await
            .unwrap();
        assert_eq!(revision(&live) == first, same, "{version}");
    }
}

/// The set leaves it to the policy where its pods go.
fn plain(set: &mut Value) {
    set["metadata"]["annotations"].take();
}

/// Deletes the set, keeps its pods, and lets `writer` create it again.
async fn re_create(resizing: &Resizing, writer: &Session, manifest: &Value, manager: &str) {
    let namespace = manifest["metadata"]["namespace"].as_str().unwrap();
    let url = path(namespace, "db");
    let orphan = ["delete", "statefulset", "db", "-n", namespace, "--cascade=orphan", "--wait"];
    resizing.kubectl(&orphan).await.unwrap().ok().unwrap();
    let create =
        format!("/apis/apps/v1/namespaces/{namespace}/statefulsets?fieldManager={manager}");
    writer.create(&create, manifest.clone()).await.unwrap().ok().unwrap();
    let replicas = manifest["spec"]["replicas"].as_u64();
    let adopted = |live: &Value| {
        live["status"]["readyReplicas"].as_u64() == replicas
            && live["status"]["updatedReplicas"].as_u64() == replicas
            && live["status"]["observedGeneration"] == live["metadata"]["generation"]
    };
    resizing.wait_object(&url, LONG, adopted).await.unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_older_than_the_webhook_is_re_created_without_a_restart() {
    let alone = Resizing::alone().await;
    alone.webhook(false).await;
    let (namespace, manifest) = alone.prepare(plain).await;
    alone.webhook(true).await;
    let pods = pod_uids(&alone, &namespace).await;
    re_create(&alone, alone.admin(), &manifest, "kubectl-create").await;
    let live = alone.get(&path(&namespace, "db")).await.unwrap().body;
    assert_eq!(live.pointer(AFFINITY), None, "{live}");
    assert_eq!(pod_uids(&alone, &namespace).await, pods);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_that_was_spread_is_re_created_by_a_person_without_a_restart() {
    let resizing = Resizing::shared().await;
    let (namespace, manifest) = resizing.prepare(plain).await;
    let first = resizing.get(&path(&namespace, "db")).await.unwrap().body;
    assert!(first.pointer(AFFINITY).is_some(), "{first}");
    let pods = pod_uids(resizing, &namespace).await;
    re_create(resizing, resizing.admin(), &manifest, "kubectl-create").await;
    let live = resizing.get(&path(&namespace, "db")).await.unwrap().body;
    assert_eq!(live.pointer(AFFINITY), first.pointer(AFFINITY));
    assert_eq!(pod_uids(resizing, &namespace).await, pods);
}

/// As Zalando's operator for Postgres does: sets without an owner, which are re-created whenever
/// they differ from what was written.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_operator_that_re_creates_what_differs_does_so_once() {
    let resizing = Resizing::shared().await;
    let (namespace, manifest) = resizing.prepare(plain).await;
    let account = format!("system:serviceaccount:{namespace}:postgres-operator");
    let operator = resizing.admin().impersonate(&account, &["system:masters"]).unwrap();
    let mut re_created = 0;
    for _sync in 0..4 {
        let live = resizing.get(&path(&namespace, "db")).await.unwrap().body;
        if live.pointer(AFFINITY).is_some() {
            re_created += 1;
            re_create(resizing, &operator, &manifest, "postgres-operator").await;
        }
    }
    assert_eq!(re_created, 1);
}
