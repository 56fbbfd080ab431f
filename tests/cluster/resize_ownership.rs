//! What belongs to a set, and what belongs to others: objects that name it as their owner, claims
//! whose names collide with its own, and fields of its retention policy.

use std::time::Duration;

use serde_json::{Value, json};

use crate::record::records;
use crate::resize::Resizing;
use crate::webhook::{LONG, path};

const CONFIG_MAPS: &str = "configmaps";

fn core(namespace: &str, plural: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{plural}")
}

async fn owned_config_map(resizing: &Resizing, namespace: &str) -> String {
    let live = resizing.get(&path(namespace, "db")).await.unwrap().ok().unwrap();
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db",
        "uid": live["metadata"]["uid"], "controller": true,
    });
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "db-settings", "ownerReferences": [owner]},
    });
    let maps = core(namespace, CONFIG_MAPS);
    resizing.create(&maps, object).await.unwrap().ok().unwrap();
    format!("{maps}/db-settings")
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_that_owns_a_config_map_is_not_re_created() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(|_| {}).await;
    let config_map = owned_config_map(resizing, &namespace).await;
    let uid = |live: &Value| live["metadata"]["uid"].clone();
    let before = resizing.get(&path(&namespace, "db")).await.unwrap().ok().unwrap();
    resizing.grow(&set, "20Gi").await;
    let record = format!("{}/db", records(&namespace));
    let blocked = |record: &Value| {
        let status = &record["status"];
        status["state"] == "Blocked" && status["reason"] == "OtherDependents"
    };
    let record = resizing.wait_object(&record, LONG, blocked).await.unwrap();
    assert_eq!(record["status"]["message"], "ConfigMap db-settings", "{record}");
    resizing.grown(&namespace, "20Gi").await;
    let live = resizing.get(&path(&namespace, "db")).await.unwrap().ok().unwrap();
    assert_eq!(uid(&live), uid(&before), "the set was re-created");
    let owned = resizing.get(&config_map).await.unwrap().ok().unwrap();
    assert_eq!(owned["metadata"]["ownerReferences"][0]["uid"], uid(&before), "{owned}");

    let disowned = json!({"metadata": {"ownerReferences": null}});
    resizing.merge(&config_map, disowned).await.unwrap().ok().unwrap();
    resizing.complete(&namespace, "20Gi").await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_claim_of_somebody_else_with_a_colliding_name_does_not_grow() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(|_| {}).await;
    let claims = core(&namespace, "persistentvolumeclaims");
    let own = resizing.get(&format!("{claims}/data-db-0")).await.unwrap().ok().unwrap();
    let claim = |name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "immediate",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        })
    };
    // Made by hand, and left over from a scale-down. No pod has to ask for their volumes.
    let foreign = claim("data-db-9", json!({"app": "web"}));
    let leftover = claim("data-db-8", own["metadata"]["labels"].clone());
    for object in [foreign, leftover] {
        resizing.create(&claims, object).await.unwrap().ok().unwrap();
    }
    let bound = |claim: &Value| claim["status"]["phase"] == "Bound";
    for name in ["data-db-8", "data-db-9"] {
        resizing.wait_object(&format!("{claims}/{name}"), LONG, bound).await.unwrap();
    }
    resizing.grow(&set, "20Gi").await;
    let record = resizing.ended(&namespace).await;
    assert_eq!(record["status"]["phase"], "Complete", "{record}");
    let request = async |name: &str| {
        let claim = resizing.get(&format!("{claims}/{name}")).await.unwrap().ok().unwrap();
        claim["spec"]["resources"]["requests"]["storage"].clone()
    };
    assert_eq!(request("data-db-9").await, "1Gi", "a claim of somebody else grew");
    assert_eq!(request("data-db-8").await, "20Gi", "a leftover of the set did not grow");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn fields_of_the_retention_policy_keep_their_owner() {
    let resizing = Resizing::shared().await;
    let (namespace, _) = resizing
        .prepare(|set| {
            set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
        })
        .await;
    let applied = |retention: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": namespace},
            "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": retention}},
        })
    };
    let live = path(&namespace, "db");
    let apply = async |retention: &str, force: bool| {
        let url = format!("{live}?fieldManager=argocd-controller&force={force}");
        let content = "application/apply-patch+yaml";
        resizing.request("PATCH", &url, content, applied(retention)).await.unwrap()
    };
    apply("Delete", true).await.ok().unwrap();
    // managedFields tell seconds: who writes retention in the second of the pin counts as a writer
    // after it. So the last of them was earlier, and the request writes no retention.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let request = json!({"stateward.dev/resize-requested": "{\"data\":\"20Gi\"}"});
    let request = json!({"metadata": {"annotations": request}});
    resizing.merge(&live, request).await.unwrap().ok().unwrap();
    let grown = resizing.complete(&namespace, "20Gi").await;
    let retention = &grown["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"];
    let record = resizing.ended(&namespace).await;
    assert_eq!(retention, "Delete", "{}", record["status"]);
    let fields = "/fieldsV1/f:spec/f:persistentVolumeClaimRetentionPolicy/f:whenDeleted";
    let entries = grown["metadata"]["managedFields"].as_array().unwrap();
    let owners = entries.iter().filter(|entry| entry.pointer(fields).is_some());
    let owners: Vec<&str> = owners.filter_map(|entry| entry["manager"].as_str()).collect();
    assert!(owners.contains(&"argocd-controller"), "{owners:?}");
    assert!(!owners.contains(&"stateward"), "{owners:?}");
    // The owner changes its mind without a conflict with stateward.
    let answer = apply("Retain", false).await;
    assert!(!answer.body.to_string().contains("stateward"), "{}", answer.body);
}
