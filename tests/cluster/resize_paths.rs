//! The straight path of a resize, for each kind of set.

use serde_json::{Value, json};

use crate::record::records;
use crate::resize::Resizing;
use crate::webhook::{LONG, path, pod_uids};

/// Grows a set made by `change`, and asserts that nothing but its size is different afterwards.
async fn grows(change: impl Fn(&mut Value)) {
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
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_parallel_set() {
    grows(|_| {}).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_that_starts_pods_in_order() {
    grows(|set| set["spec"]["podManagementPolicy"] = json!("OrderedReady")).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_with_a_partition() {
    grows(|set| {
        set["spec"]["updateStrategy"] =
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    })
    .await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_that_updates_on_delete() {
    grows(|set| set["spec"]["updateStrategy"] = json!({"type": "OnDelete"})).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_whose_ordinals_start_later() {
    grows(|set| set["spec"]["ordinals"] = json!({"start": 5})).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
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
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_with_two_templates() {
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
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_that_has_only_claims_left() {
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
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_driver_that_rounds_and_one_that_is_slow() {
    for class in ["rounding", "slow", "immediate"] {
        grows(|set| {
            set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!(class);
        })
        .await;
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_grows_twice() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(|_| {}).await;
    grows_to(resizing, &namespace, &set, "20Gi").await;
    grows_to(resizing, &namespace, &set, "30Gi").await;
}

/// The API server writes 20480Mi as 20Gi, which is no webhook's doing.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_size_in_another_form() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(|_| {}).await;
    resizing.grow(&set, "20480Mi").await;
    resizing.complete(&namespace, "20Gi").await;
}

/// A partition that people mean is not taken for what a re-creation left.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_with_a_partition_above_every_ordinal_grows_twice() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing
        .prepare(|set| {
            set["spec"]["updateStrategy"] =
                json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 4}});
        })
        .await;
    // 1.37 adds the default of maxUnavailable, which 1.36 drops.
    let before = resizing.get(&path(&namespace, "db")).await.unwrap().ok().unwrap();
    for size in ["20Gi", "30Gi"] {
        resizing.grow(&set, size).await;
        let live = resizing.complete(&namespace, size).await;
        assert_eq!(live["spec"]["updateStrategy"], before["spec"]["updateStrategy"]);
    }
}

/// Somebody's webhook cannot be asked: its claim is named with the answer, the others grow.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_claim_behind_a_webhook_that_is_down() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(|_| {}).await;
    let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
    let label = json!({"metadata": {"labels": {"guarded": "yes"}}});
    resizing.merge(&format!("{claims}/data-db-0"), label).await.unwrap().ok().unwrap();
    let name = format!("down-{namespace}");
    let down = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "down.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 1,
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                "resources": ["persistentvolumeclaims"],
            }],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "objectSelector": {"matchLabels": {"guarded": "yes"}},
        }],
    });
    resizing.apply(down).await.unwrap();
    let change = json!({"metadata": {"annotations": {"a": "b"}}});
    resizing
        .wait_for("the webhook to be asked", LONG, async || {
            let claim = format!("{claims}/data-db-0?dryRun=All");
            Ok((resizing.merge(&claim, change.clone()).await?.status == 500).then_some(()))
        })
        .await
        .unwrap();
    resizing.grow(&set, "20Gi").await;
    resizing
        .wait_object(&format!("{}/db", records(&namespace)), LONG, |record| {
            let status = &record["status"];
            let message = status["message"].as_str().unwrap_or_default();
            status["reason"] == "PatchRefused"
                && message.starts_with("data-db-0: ")
                && message.contains("failed calling webhook")
                && record["status"]["claimsGrown"] == "2/3"
        })
        .await
        .unwrap();
    let url = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    resizing.delete(&format!("{url}/{name}"), Value::Null).await.unwrap().ok().unwrap();
    resizing.complete(&namespace, "20Gi").await;
}
