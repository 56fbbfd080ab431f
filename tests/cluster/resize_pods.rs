//! Pods that must restart, must stop, or are not ready: what a resize does to them, and what it
//! waits for.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::record::records;
use crate::resize::{Controller, Resizing};
use crate::webhook::{LONG, path, pod_uids};

fn of_class(class: &str) -> impl Fn(&mut Value) {
    move |set| {
        set["metadata"]["annotations"]["stateward.dev/resize-restart"] = json!("evict");
        set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!(class);
    }
}

/// Waits until the record rests for this reason; gives it.
async fn rests(resizing: &Resizing, namespace: &str, reason: &str) -> Value {
    let record = format!("{}/db", records(namespace));
    let rests = |record: &Value| record["status"]["reason"] == reason;
    resizing.wait_object(&record, LONG, rests).await.unwrap()
}

fn uid(set: &Value) -> Value {
    set["metadata"]["uid"].clone()
}

async fn live(resizing: &Resizing, namespace: &str) -> Value {
    resizing.get(&path(namespace, "db")).await.unwrap().ok().unwrap()
}

fn at(event: &Value, moment: &str) -> Timestamp {
    event[moment].as_str().unwrap().parse().unwrap()
}

/// What was asked of a pod of the namespace: verb, subresource, name, status, and when.
fn asked<'e>(
    events: &'e [Value],
    namespace: &'e str,
    subresource: &'e str,
    code: u64,
) -> impl Iterator<Item = &'e Value> {
    events.iter().filter(move |event| {
        let object = &event["objectRef"];
        object["resource"] == "pods"
            && object["namespace"] == namespace
            && object["subresource"] == subresource
            && event["responseStatus"]["code"] == code
    })
}

/// When a pod that was created after `since` was told to be ready.
fn ready_after(
    events: &[Value],
    namespace: &str,
    name: &str,
    since: Timestamp,
) -> Option<Timestamp> {
    let is_ready = |event: &&Value| {
        let pod = &event["responseObject"];
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|one| one["type"] == "Ready" && one["status"] == "True");
        let created = pod["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
        let created: Option<Timestamp> = created.parse().ok();
        // Whole seconds: the pod before is older by more.
        let new = created.is_some_and(|created| created.as_second() >= since.as_second());
        pod["metadata"]["name"] == name && new && ready.next().is_some()
    };
    let written = asked(events, namespace, "status", 200).find(is_ready)?;
    Some(at(written, "requestReceivedTimestamp"))
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn pods_restart_one_by_one_within_their_budget() {
    let resizing = &*Resizing::alone().await;
    let mut controller = Controller::new(resizing, &resizing.account, 2);
    // The played kubelet does its step after the pod is ready, and takes seconds on a busy machine.
    controller.just_changed = 12;
    controller.launch();
    let (namespace, set) = resizing.prepare(of_class("restart")).await;
    let budget = |least: u8| {
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "db", "namespace": namespace},
            "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": "db"}}},
        })
    };
    resizing.apply(budget(3)).await.unwrap();
    let before = pod_uids(resizing, &namespace).await;
    let from = resizing.audit_position();
    resizing.grow(&set, "20Gi").await;
    resizing
        .wait_for("the budget to refuse twice", LONG, async || {
            let events = resizing.audit_events_after(from)?;
            Ok((asked(&events, &namespace, "eviction", 429).count() > 1).then_some(()))
        })
        .await
        .unwrap();
    // Nothing but the restart waits, and the record quotes the API server.
    resizing
        .wait_object(&format!("{}/db", records(&namespace)), LONG, |record| {
            let status = &record["status"];
            let message = status["message"].as_str().unwrap_or_default();
            record["status"]["phase"] == "Verifying"
                && status["reason"] == "EvictionRefused"
                && message.contains("disruption budget")
        })
        .await
        .unwrap();
    assert_eq!(pod_uids(resizing, &namespace).await, before, "the budget was passed over");

    resizing.apply(budget(2)).await.unwrap();
    resizing.complete(&namespace, "20Gi").await;
    resizing.grown(&namespace, "20Gi").await;
    let events = resizing.audit_events_after(from).unwrap();
    let meant = |event: &Value| {
        let options = &event["requestObject"]["deleteOptions"];
        options["preconditions"]["uid"].as_str().unwrap().to_owned()
    };
    // The eviction in a record may be sent again before the pod goes, and reaches no other pod.
    let mut evictions: Vec<&Value> = asked(&events, &namespace, "eviction", 201).collect();
    evictions.dedup_by_key(|event| meant(event));
    let mut evicted: Vec<String> = evictions.iter().map(|event| meant(event)).collect();
    evicted.sort();
    let mut before: Vec<String> = before.into_iter().map(|(_, uid)| uid).collect();
    before.sort();
    assert_eq!(evicted, before, "each pod once, and none that came after it");
    let pod = |event: &Value| event["objectRef"]["name"].as_str().unwrap().to_owned();
    for pair in evictions.windows(2) {
        let (name, evicted) = (pod(pair[0]), at(pair[0], "requestReceivedTimestamp"));
        let ready = ready_after(&events, &namespace, &name, evicted).unwrap();
        let next = at(pair[1], "requestReceivedTimestamp");
        assert!(ready < next, "{} was evicted before {name} was ready again", pod(pair[1]));
    }
    // The set was re-created around them, and the kubelet ended what was evicted.
    assert_eq!(resizing.lives(&namespace, from), [(1, 1), (3, 3), (0, 0)]);
    let deleted = events.iter().filter(|event| {
        let object = &event["objectRef"];
        event["verb"] == "delete"
            && object["resource"] == "pods"
            && object["namespace"] == *namespace
    });
    for event in deleted {
        assert_eq!(event["user"]["username"], "system:node:testbed", "{event}");
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_driver_that_grows_detached_volumes_only_waits_for_a_person() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(of_class("offline")).await;
    let pods = pod_uids(resizing, &namespace).await;
    let before = uid(&live(resizing, &namespace).await);
    let from = resizing.audit_position();
    resizing.grow(&set, "20Gi").await;
    let record = rests(resizing, &namespace, "OfflineOnly").await;
    assert_eq!(record["status"]["state"], "Blocked", "{}", record["status"]);
    // A restarted pod would hold the volume as the one before: none is restarted for it.
    assert_eq!(pod_uids(resizing, &namespace).await, pods);
    assert_eq!(uid(&live(resizing, &namespace).await), before);
    let events = resizing.audit_events_after(from).unwrap();
    let evictions = events.iter().filter(|event| {
        event["objectRef"]["subresource"] == "eviction"
            && event["objectRef"]["namespace"] == *namespace
    });
    assert_eq!(evictions.count(), 0);

    let scale = async |replicas: u8| {
        let change = json!({"spec": {"replicas": replicas}});
        resizing.merge(&path(&namespace, "db"), change).await.unwrap().ok().unwrap();
    };
    scale(0).await;
    resizing.complete(&namespace, "20Gi").await;
    scale(3).await;
    resizing.grown(&namespace, "20Gi").await;
    assert_eq!(resizing.lives(&namespace, from)[2], (0, 0), "a claim was replaced");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_ordered_set_with_an_unready_pod_is_left_alone() {
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing
        .prepare(|set| {
            set["spec"]["podManagementPolicy"] = json!("OrderedReady");
            set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
        })
        .await;
    let ready = async |ready: Value, count: u64| {
        let pod = format!("/api/v1/namespaces/{namespace}/pods/db-0");
        let change = json!({"metadata": {"annotations": {"testbed.stateward.dev/ready": ready}}});
        resizing.merge(&pod, change).await.unwrap().ok().unwrap();
        let path = path(&namespace, "db");
        let told = |live: &Value| live["status"]["readyReplicas"].as_u64().unwrap_or(0) == count;
        resizing.wait_object(&path, LONG, told).await.unwrap();
    };
    let pods = pod_uids(resizing, &namespace).await;
    let before = live(resizing, &namespace).await;
    ready(json!("false"), 2).await;
    let from = resizing.audit_position();
    resizing.grow(&set, "20Gi").await;
    let record = rests(resizing, &namespace, "PodsNotReady").await;
    resizing.grown(&namespace, "20Gi").await;
    assert_eq!(record["status"]["phase"], "ClaimsGrown", "{}", record["status"]);
    assert_eq!(record["status"]["state"], "Waiting", "{}", record["status"]);
    let held = live(resizing, &namespace).await;
    let retention = "/spec/persistentVolumeClaimRetentionPolicy";
    // The retention pin needs pods that are ready, so it is not begun either.
    assert_eq!(held.pointer(retention), before.pointer(retention));
    assert_eq!(uid(&held), uid(&before));
    assert_eq!(resizing.lives(&namespace, from), [(0, 0); 3]);

    ready(Value::Null, 3).await;
    let after = resizing.complete(&namespace, "20Gi").await;
    assert_ne!(uid(&after), uid(&before));
    assert_eq!(after.pointer(retention), before.pointer(retention));
    assert_eq!(pod_uids(resizing, &namespace).await, pods, "a pod was restarted");
    assert_eq!(resizing.lives(&namespace, from), [(1, 1), (0, 0), (0, 0)]);
}
