//! The straight path of a resize, for each kind of set.

use serde_json::{Value, json};

use crate::resize::Resizing;
use crate::webhook::{LONG, path, pod_uids};

/// Grows a set made by `change`, and asserts that nothing but its size is different afterwards.
async fn grows(change: impl Fn(&mut Value)) {
    if testbed::skipped() {
        return;
    }
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(change).await;
    grows_to(resizing, &namespace, &set, "20Gi").await;
}

async fn grows_to(resizing: &Resizing, namespace: &str, set: &Value, size: &str) {
    let before = resizing.get(&path(namespace, "db")).await.unwrap().ok().unwrap();
    let pods = pod_uids(resizing, namespace).await;
    let claims = claim_uids(resizing, namespace).await;
    let from = resizing.audit_position();

    resizing.grow(set, size).await;
    let after = resizing.complete(namespace, size).await;

    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert_eq!(pod_uids(resizing, namespace).await, pods, "a pod was restarted");
    assert_eq!(claim_uids(resizing, namespace).await, claims);
    let mut expected = before["spec"].clone();
    for template in expected["volumeClaimTemplates"].as_array_mut().unwrap() {
        template["spec"]["resources"]["requests"]["storage"] = json!(size);
    }
    assert_eq!(after["spec"], expected);
    assert_eq!(resizing.lives(namespace, from), [(1, 1), (0, 0), (0, 0)]);
    // Whoever applied before applies again, without a conflict, and nothing comes of it.
    resizing.grow(set, size).await;
    let again = resizing.get(&path(namespace, "db")).await.unwrap().ok().unwrap();
    assert_eq!(again["metadata"]["uid"], after["metadata"]["uid"]);
    assert!(again["metadata"]["annotations"]["stateward.dev/resize-requested"].is_null());
}

async fn claim_uids(resizing: &Resizing, namespace: &str) -> Vec<(Value, Value)> {
    let claims = resizing.list(namespace, "persistentvolumeclaims").await;
    let pair =
        |claim: &Value| (claim["metadata"]["name"].clone(), claim["metadata"]["uid"].clone());
    claims.iter().map(pair).collect()
}

#[tokio::test]
async fn a_parallel_set() {
    grows(|_| {}).await;
}

#[tokio::test]
async fn a_set_that_starts_pods_in_order() {
    grows(|set| set["spec"]["podManagementPolicy"] = json!("OrderedReady")).await;
}

#[tokio::test]
async fn a_set_with_a_partition() {
    grows(|set| {
        set["spec"]["updateStrategy"] =
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    })
    .await;
}

#[tokio::test]
async fn a_set_that_updates_on_delete() {
    grows(|set| set["spec"]["updateStrategy"] = json!({"type": "OnDelete"})).await;
}

#[tokio::test]
async fn a_set_whose_ordinals_start_later() {
    grows(|set| set["spec"]["ordinals"] = json!({"start": 5})).await;
}

#[tokio::test]
async fn a_set_that_deletes_its_claims() {
    for policy in ["Parallel", "OrderedReady"] {
        grows(|set| {
            set["spec"]["podManagementPolicy"] = json!(policy);
            set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
        })
        .await;
    }
}

#[tokio::test]
async fn a_set_with_two_templates() {
    if testbed::skipped() {
        return;
    }
    let resizing = Resizing::shared().await;
    let more = |set: &mut Value| {
        let mut template = set["spec"]["volumeClaimTemplates"][0].clone();
        template["metadata"]["name"] = json!("wal");
        set["spec"]["volumeClaimTemplates"].as_array_mut().unwrap().push(template);
        let mount = json!({"name": "wal", "mountPath": "/wal"});
        let container = &mut set["spec"]["template"]["spec"]["containers"][0];
        container["volumeMounts"].as_array_mut().unwrap().push(mount);
    };
    let (namespace, mut set) = resizing.prepare(more).await;
    set["spec"]["volumeClaimTemplates"][1]["spec"]["resources"]["requests"]["storage"] =
        json!("20Gi");
    grows_to(resizing, &namespace, &set, "20Gi").await;
}

#[tokio::test]
async fn a_set_that_has_only_claims_left() {
    if testbed::skipped() {
        return;
    }
    let resizing = Resizing::shared().await;
    let (namespace, mut set) = resizing.prepare(|_| {}).await;
    for (replicas, size) in [(1, "20Gi"), (0, "30Gi")] {
        set["spec"]["replicas"] = json!(replicas);
        resizing.grow(&set, if replicas == 1 { "10Gi" } else { "20Gi" }).await;
        resizing
            .wait_object(&path(&namespace, "db"), LONG, |live| {
                live["status"]["replicas"] == replicas
                    && live["status"]["observedGeneration"] == live["metadata"]["generation"]
            })
            .await
            .unwrap();
        // Claims above the ordinals grow with the others.
        assert_eq!(resizing.list(&namespace, "persistentvolumeclaims").await.len(), 3);
        grows_to(resizing, &namespace, &set, size).await;
    }
}

#[tokio::test]
async fn a_driver_that_rounds_and_one_that_is_slow() {
    for class in ["rounding", "slow", "immediate"] {
        grows(|set| {
            set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!(class);
        })
        .await;
    }
}

#[tokio::test]
async fn a_set_grows_twice() {
    if testbed::skipped() {
        return;
    }
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(|_| {}).await;
    grows_to(resizing, &namespace, &set, "20Gi").await;
    grows_to(resizing, &namespace, &set, "30Gi").await;
}
