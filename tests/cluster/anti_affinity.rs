//! What a new set is given appears on CREATE, once, and restarts nothing later.

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

/// Elasticsearch, whose manifest says nothing of how its pods are spread and stopped.
fn elasticsearch(namespace: &str) -> Value {
    let mut set = crate::resize::set(namespace);
    plain(&mut set);
    set["spec"]["template"]["spec"] = json!({
        "securityContext": {"fsGroup": 1000},
        "containers": [{
            "name": "node",
            "image": "docker.elastic.co/elasticsearch/elasticsearch:8.19.0",
            "volumeMounts": [{"name": "data", "mountPath": "/usr/share/elasticsearch/data"}],
        }],
    });
    set
}

async fn runs(resizing: &Resizing, manifest: &Value) -> Value {
    let namespace = manifest["metadata"]["namespace"].as_str().unwrap();
    apply(resizing, manifest, &[]).await.ok().unwrap();
    let ready = |live: &Value| {
        live["status"]["readyReplicas"] == live["spec"]["replicas"]
            && live["status"]["observedGeneration"] == live["metadata"]["generation"]
            && live["status"]["currentRevision"] == live["status"]["updateRevision"]
    };
    resizing.wait_object(&path(namespace, "db"), LONG, ready).await.unwrap()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn pod_defaults_restart_no_pod() {
    let resizing = Resizing::shared().await;
    let namespace = resizing.namespace("defaults").await.unwrap();
    let manifest = elasticsearch(&namespace);
    let live = runs(resizing, &manifest).await;
    let nodes = resizing.get("/api/v1/nodes").await.unwrap().body;
    let enough = nodes["items"].as_array().unwrap().len() >= 3;
    let required =
        &live.pointer(AFFINITY).unwrap()["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(required.is_array(), enough, "{live}");
    let pod = &live["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 120);
    assert_eq!(pod["securityContext"]["fsGroupChangePolicy"], "OnRootMismatch");
    let pods = pod_uids(resizing, &namespace).await;
    // The API server writes 30 s into what omits them.
    apply(resizing, &manifest, &[]).await.ok().unwrap();
    let replace = ["replace", "-f", "-"];
    let manifest_text = manifest.to_string();
    resizing.kubectl_with("admin", &replace, Some(&manifest_text)).await.unwrap().ok().unwrap();
    let kept = resizing.get(&path(&namespace, "db")).await.unwrap().body;
    assert_eq!(kept["metadata"]["generation"], live["metadata"]["generation"]);
    re_create(resizing, resizing.admin(), &manifest, "kubectl-create").await;
    let again = resizing.get(&path(&namespace, "db")).await.unwrap().body;
    assert_eq!(again["spec"]["template"], live["spec"]["template"]);
    assert_eq!(pod_uids(resizing, &namespace).await, pods);
    // The way out that the warning names.
    let mut declined = manifest;
    declined["metadata"]["annotations"] = json!({"stateward.dev/pod-defaults": "none"});
    let text = declined.to_string();
    resizing.kubectl_with("admin", &replace, Some(&text)).await.unwrap().ok().unwrap();
    let live = resizing.get(&path(&namespace, "db")).await.unwrap().body;
    assert_eq!(live["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 30);
}

/// Git re-creates a set with the size from before its claims grew.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_that_is_created_over_larger_claims_gets_their_size() {
    let resizing = Resizing::shared().await;
    let namespace = resizing.namespace("defaults").await.unwrap();
    let mut manifest = crate::resize::set(&namespace);
    for ordinal in 0..3 {
        let mut spec = manifest["spec"]["volumeClaimTemplates"][0]["spec"].clone();
        spec["resources"]["requests"]["storage"] = json!("20Gi");
        let name = format!("data-db-{ordinal}");
        let metadata = json!({"name": name, "namespace": namespace, "labels": {"app": "db"}});
        let kind = "PersistentVolumeClaim";
        let claim = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec});
        resizing.apply(claim).await.unwrap();
    }
    let size = |set: &Value| {
        let at = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
        set.pointer(at).unwrap().clone()
    };
    // The watch of the webhook may be a moment behind the claims.
    let create = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets?dryRun=All");
    testbed::wait::wait_for("the webhook to know the claims", LONG, async || {
        let reply = resizing.create(&create, manifest.clone()).await?;
        Ok((size(&reply.body) == "20Gi").then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(size(&runs(resizing, &manifest).await), "20Gi");
    // Git still has the old size, and brings another image and another replica.
    let image = "/spec/template/spec/containers/0/image";
    *manifest.pointer_mut(image).unwrap() = json!("postgres:17.3");
    manifest["spec"]["replicas"] = json!(4);
    assert_eq!(size(&runs(resizing, &manifest).await), "20Gi");
    let claim = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-db-3");
    let claim = resizing.get(&claim).await.unwrap().body;
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "20Gi");
}

/// The claim of a new replica is created by the controller of the set, whose template is still small.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_claim_of_a_new_replica_gets_the_size_of_its_siblings() {
    let resizing = Resizing::shared().await;
    for (wanted, size) in [("defaults", "20Gi"), ("plain", "10Gi")] {
        let namespace = resizing.namespace(wanted).await.unwrap();
        let mut manifest = crate::resize::set(&namespace);
        runs(resizing, &manifest).await;
        let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
        for ordinal in 0..3 {
            let patch = json!({"spec": {"resources": {"requests": {"storage": "20Gi"}}}});
            let reply = resizing.merge(&format!("{claims}/data-db-{ordinal}"), patch).await;
            reply.unwrap().ok().unwrap();
        }
        resizing.grown(&namespace, "20Gi").await;
        manifest["spec"]["replicas"] = json!(4);
        runs(resizing, &manifest).await;
        let claim = resizing.get(&format!("{claims}/data-db-3")).await.unwrap().body;
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], size, "{claim}");
    }
}
