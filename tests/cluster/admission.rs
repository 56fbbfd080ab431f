//! Admission's part in a resize, on the facts of a real cluster. No controller runs: a Lease is
//! renewed and records are written as a controller would.

use std::time::Duration;

use serde_json::{Value, json};
use stateward_core::record::snapshot;
use stateward_resize::crd;
use testbed::Testbed;
use testbed::client::{MERGE_PATCH, Reply};
use testbed::wait::wait_for;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::webhook::{LONG, STORAGE, Webhook, path, set, with};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/stateward/leases";
const RECORDS: &str = "/apis/stateward.dev/v1alpha1/namespaces";
const RETENTION: &str = "/spec/persistentVolumeClaimRetentionPolicy";

/// A control plane with the webhook in front of it that looks at it.
async fn cluster() -> &'static Testbed {
    static CLUSTER: OnceCell<(Testbed, Webhook)> = OnceCell::const_new();
    let (testbed, _) = CLUSTER
        .get_or_init(async || {
            let testbed = Testbed::start().await.unwrap();
            let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            testbed.admin().create(definitions, crd::crd()).await.unwrap().ok().unwrap();
            let served = format!("{RECORDS}/default/statefulsetresizes");
            wait_for("the definition to be served", LONG, async || {
                Ok(testbed.get(&served).await?.is_success().then_some(()))
            })
            .await
            .unwrap();
            testbed.ensure_namespace("stateward").await.unwrap();
            for (name, grows) in [("fast", true), ("rigid", false)] {
                let class = json!({
                    "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                    "metadata": {"name": name}, "provisioner": "nobody.example.com",
                    "allowVolumeExpansion": grows,
                });
                let classes = "/apis/storage.k8s.io/v1/storageclasses";
                testbed.create(classes, class).await.unwrap().ok().unwrap();
            }
            let kubeconfig = format!("--kubeconfig={}", testbed.kubeconfig().display());
            let webhook = Webhook::start(&[&kubeconfig]).await;
            webhook.register(&testbed, &[]).await;
            (testbed, webhook)
        })
        .await;
    testbed
}

/// Renews the Lease of a controller that is not there, until it is dropped.
pub(crate) struct Renewal {
    task: JoinHandle<()>,
}

impl Renewal {
    pub(crate) fn start(testbed: &'static Testbed) -> Self {
        let task = tokio::spawn(async move {
            let path = format!("{LEASES}/stateward-can-resize");
            for turn in 0_u64.. {
                let spec = json!({
                    "holderIdentity": "nobody", "leaseDurationSeconds": 2,
                    "renewTime": format!("2030-01-01T00:00:00.{:06}Z", turn % 1_000_000),
                });
                let reply = testbed.merge(&path, json!({"spec": spec})).await.unwrap();
                if reply.status == 404 {
                    let lease = json!({
                        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                        "metadata": {"name": "stateward-can-resize"}, "spec": spec,
                    });
                    testbed.create(LEASES, lease).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Self { task }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A set of class `fast` without pods, created, and its UID.
async fn created(testbed: &Testbed, namespace: &str) -> (Value, String) {
    let class = "/spec/volumeClaimTemplates/0/spec/storageClassName";
    let set = with(&with(&set("db", namespace), class, json!("fast")), "/spec/replicas", json!(0));
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    let live = testbed.create(&sets, set.clone()).await.unwrap().ok().unwrap();
    (set, live["metadata"]["uid"].as_str().unwrap().to_owned())
}

/// Writes the record of the set.
async fn record(testbed: &Testbed, namespace: &str, spec: Value, status: Value) {
    let records = format!("{RECORDS}/{namespace}/statefulsetresizes");
    let record = json!({
        "apiVersion": "stateward.dev/v1alpha1", "kind": "StatefulSetResize",
        "metadata": {"name": "db"}, "spec": spec,
    });
    let path = format!("{records}/db");
    if testbed.get(&path).await.unwrap().status == 404 {
        testbed.create(&records, record).await.unwrap().ok().unwrap();
    } else {
        testbed.merge(&path, json!({"spec": spec})).await.unwrap().ok().unwrap();
    }
    let status = json!({"status": status});
    testbed.merge(&format!("{path}/status"), status).await.unwrap().ok().unwrap();
}

/// A growing edit as a dry run.
async fn grow(testbed: &Testbed, set: &Value, namespace: &str) -> anyhow::Result<Reply> {
    let templates = with(set, STORAGE, json!("20Gi"))["spec"]["volumeClaimTemplates"].clone();
    let path = format!("{}?dryRun=All", path(namespace, "db"));
    testbed.merge(&path, json!({"spec": {"volumeClaimTemplates": templates}})).await
}

/// Waits until growth is answered with a text: what a watch sees comes a little later.
async fn says(testbed: &Testbed, set: &Value, namespace: &str, text: &str) {
    let mut last = String::new();
    wait_for(text, Duration::from_secs(20), async || {
        let reply = grow(testbed, set, namespace).await?;
        last = format!("{} {} {:?}", reply.status, reply.message(), reply.warnings);
        Ok(last.contains(text).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {last}"));
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn growth_follows_lease_claims_and_record() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("word").await.unwrap();
    let (set, _) = created(testbed, &namespace).await;
    // Who asks of the Lease: only this test renews it.
    says(testbed, &set, &namespace, "Lease stateward/stateward-can-resize does not exist").await;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "stateward-can-resize"},
        "spec": {
            "holderIdentity": "nobody", "leaseDurationSeconds": 2,
            "renewTime": "2029-01-01T00:00:00.000000Z",
        },
    });
    testbed.create(LEASES, lease).await.unwrap().ok().unwrap();
    says(testbed, &set, &namespace, "was not yet seen to be renewed").await;
    let renewal = Renewal::start(testbed);
    says(testbed, &set, &namespace, "growth of claim template data accepted, 10Gi → 20Gi").await;
    assert!(grow(testbed, &set, &namespace).await.unwrap().is_success());

    // The namespace's limit.
    let namespaces = format!("/api/v1/namespaces/{namespace}");
    let limit =
        |max: Value| json!({"metadata": {"annotations": {"stateward.dev/resize-max": max}}});
    testbed.merge(&namespaces, limit(json!("15Gi"))).await.unwrap().ok().unwrap();
    says(testbed, &set, &namespace, "beyond its namespace's limit 15Gi").await;
    testbed.merge(&namespaces, limit(Value::Null)).await.unwrap().ok().unwrap();
    says(testbed, &set, &namespace, "growth of claim template data accepted").await;

    // A claim of a volume that grows for nobody, then one of a class that allows no growth.
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": namespace},
        "spec": {
            "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast", "hostPath": {"path": "/nowhere"},
        },
    });
    testbed.create("/api/v1/persistentvolumes", volume).await.unwrap().ok().unwrap();
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let claim = |name: &str, class: &str, volume: Option<&str>| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": {"app": "db"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": class, "volumeName": volume,
                "resources": {"requests": {"storage": "10Gi"}},
            },
        })
    };
    let fixed = claim("data-db-0", "fast", Some(&namespace));
    testbed.create(&claims, fixed).await.unwrap().ok().unwrap();
    says(testbed, &set, &namespace, "has no driver that can expand volumes").await;
    testbed.delete(&format!("{claims}/data-db-0"), Value::Null).await.unwrap().ok().unwrap();
    testbed.create(&claims, claim("data-db-1", "rigid", None)).await.unwrap().ok().unwrap();
    says(testbed, &set, &namespace, "has StorageClass rigid, which does not allow expansion").await;
    testbed.delete(&format!("{claims}/data-db-1"), Value::Null).await.unwrap().ok().unwrap();
    says(testbed, &set, &namespace, "growth of claim template data accepted").await;

    // The record.
    record(testbed, &namespace, json!({"paused": true}), json!({"phase": "Growing"})).await;
    says(testbed, &set, &namespace, "its resize is paused until").await;
    let aborted = json!({
        "phase": "Aborted",
        "state": "Ended", "reason": "AbortRequested",
        "request": {"number": 1, "generation": 1, "setUid": "x", "targets": {"data": "20Gi"}},
    });
    record(testbed, &namespace, json!({"paused": false, "abort": 1}), aborted).await;
    says(testbed, &set, &namespace, "stateward resize resume sts/db").await;
    // The stored size is always allowed.
    let same = json!({"spec": {"volumeClaimTemplates": set["spec"]["volumeClaimTemplates"]}});
    let same = testbed.merge(&path(&namespace, "db"), same).await.unwrap();
    assert!(same.is_success(), "{}", same.message());

    drop(renewal);
    let namespace = testbed.namespace("word").await.unwrap();
    let (set, _) = created(testbed, &namespace).await;
    says(testbed, &set, &namespace, "is no longer renewed").await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_in_the_window_is_left_alone_and_comes_back_large_enough() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("gap").await.unwrap();
    let (set, uid) = created(testbed, &namespace).await;
    let path = path(&namespace, "db");
    let live = testbed.get(&path).await.unwrap().ok().unwrap();
    let injected = live.pointer("/spec/template/spec/affinity/podAntiAffinity").unwrap().clone();
    let gap = |phase: &str, new: Option<&str>| {
        json!({
            "phase": phase,
            "request": {"number": 1, "generation": 1, "setUid": uid, "targets": {"data": "20Gi"}},
            "recreation": {"setUid": uid, "newUid": new, "pinFailures": 0, "replaced": 0},
            "snapshot": snapshot::encode(&live).unwrap(),
        })
    };
    // It goes away, and something holds it: the garbage collector may take minutes.
    let hold = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    testbed.merge(&path, hold).await.unwrap().ok().unwrap();
    record(testbed, &namespace, json!({}), gap("Deleting", None)).await;
    let orphan = json!({"propagationPolicy": "Orphan"});
    testbed.delete(&path, orphan).await.unwrap().ok().unwrap();

    let refused = async |method: &str, path: &str, body: Value| {
        let mut last = String::new();
        wait_for(method, Duration::from_secs(20), async || {
            let reply = testbed.request(method, path, MERGE_PATCH, body.clone()).await?;
            last = format!("{} {}", reply.status, reply.message());
            let says = "is being re-created, try again in a few seconds";
            Ok((reply.status == 403 && last.contains(says)).then_some(()))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}: {last}"));
    };
    let dry = format!("{path}?dryRun=All");
    let scale = format!("{path}/scale?dryRun=All");
    refused("PATCH", &dry, json!({"spec": {"minReadySeconds": 3}})).await;
    refused("PATCH", &scale, json!({"spec": {"replicas": 3}})).await;
    refused("DELETE", &dry, Value::Null).await;
    // What leaves the spec alone goes through, and so does who holds it.
    let label = json!({"metadata": {"labels": {"team": "a"}}});
    testbed.merge(&path, label).await.unwrap().ok().unwrap();
    let release = json!({"metadata": {"finalizers": null}});
    testbed.merge(&path, release).await.unwrap().ok().unwrap();
    wait_for("the set to be gone", LONG, async || {
        Ok((testbed.get(&path).await?.status == 404).then_some(()))
    })
    .await
    .unwrap();

    // Git is faster than the controller, and its pods must not roll: it gets what was injected.
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    let reply = testbed.create(&sets, set.clone()).await.unwrap();
    assert!(reply.warnings.iter().any(|w| w.contains("becomes 20Gi")), "{:?}", reply.warnings);
    let back = reply.ok().unwrap();
    assert_eq!(back.pointer(STORAGE), Some(&json!("20Gi")));
    let affinity = back.pointer("/spec/template/spec/affinity/podAntiAffinity");
    assert_eq!(affinity, Some(&injected));

    // Until all is put back, claims must outlive it.
    let new = back["metadata"]["uid"].as_str().unwrap();
    record(testbed, &namespace, json!({}), gap("Verifying", Some(new))).await;
    let delete = json!({"spec": {
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Retain"},
    }});
    wait_for("retention to be kept", Duration::from_secs(20), async || {
        let reply = testbed.merge(&dry, delete.clone()).await?;
        let kept = reply.body.pointer(RETENTION).is_some_and(|r| r["whenDeleted"] == "Retain");
        let said = reply.warnings.iter().any(|w| w.contains("whenDeleted stays Retain"));
        Ok((kept && said).then_some(()))
    })
    .await
    .unwrap();
    // Our own writes are untouched: this user is the one that the webhook runs as.
    let own = format!("{dry}&fieldManager=stateward");
    let reply = testbed.merge(&own, delete).await.unwrap().ok().unwrap();
    assert_eq!(reply.pointer(RETENTION).unwrap()["whenDeleted"], "Delete");
}
