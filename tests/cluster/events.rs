//! Events about denials, on the object.

use serde_json::{Value, json};
use testbed::Testbed;

use crate::certificates::{ARGUMENTS, Replica, cluster, register};
use crate::webhook::{LONG, apply, path, set};

/// What `kubectl get events` would list, oldest first.
async fn events(testbed: &Testbed, namespace: &str) -> Vec<Value> {
    let path = format!("/api/v1/namespaces/{namespace}/events");
    let list = testbed.get(&path).await.unwrap().ok().unwrap();
    list["items"].as_array().unwrap().clone()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_denial_writes_one_event_on_the_object() {
    let (testbed, account) = cluster().await;
    let mut arguments = ARGUMENTS.to_vec();
    arguments.push("--events");
    let mut replica = Replica::start(&account, &arguments);
    register(&testbed, &replica).await;
    replica.ready().await;
    let namespace = testbed.namespace("shop").await.unwrap();
    let created = apply(&testbed, &set("db", &namespace), &[]).await;
    created.ok().unwrap();
    let live = path(&namespace, "db");
    let uid = testbed.get(&live).await.unwrap().body["metadata"]["uid"].clone();
    let edit = json!({"spec": {"serviceName": "x"}});
    // A dry run leaves no trace, here as everywhere.
    let dry = testbed.merge(&format!("{live}?dryRun=All"), edit.clone()).await.unwrap();
    assert_eq!(dry.status, 403);
    let found = testbed::wait::wait_for("an event", LONG, async || {
        assert_eq!(testbed.merge(&live, edit.clone()).await?.status, 403);
        let found = events(&testbed, &namespace).await;
        Ok((!found.is_empty()).then_some(found))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {}", replica.log()));
    for _ in 0..4 {
        assert_eq!(testbed.merge(&live, edit.clone()).await.unwrap().status, 403);
    }
    assert_eq!(found.len(), 1, "{found:?}");
    let object = &found[0]["involvedObject"];
    assert_eq!(object["uid"], uid);
    assert_eq!((&object["kind"], &object["name"]), (&"StatefulSet".into(), &"db".into()));
    assert_eq!((&found[0]["type"], &found[0]["reason"]), (&"Warning".into(), &"Denied".into()));
    let message = found[0]["message"].as_str().unwrap();
    assert!(message.contains("serviceName") && message.contains("admin"), "{message}");
    let page = replica.page("/metrics").await.unwrap();
    assert!(page.contains("stateward_events_total{result=\"sent\"} 1"), "{page}");
    let limited = "stateward_events_total{result=\"limited\"} ";
    let limited = page.lines().find_map(|line| line.strip_prefix(limited)).unwrap();
    assert!(limited.parse::<u32>().unwrap() >= 4, "{page}");
    // A person finds it where people look.
    let described = testbed.kubectl(&["describe", "sts", "db", "-n", &namespace]).await.unwrap();
    let text = described.ok().unwrap();
    assert!(text.contains("Warning  Denied"), "{text}");

    // Another rule about another kind, on a claim that exists.
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "one", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "immediate",
                 "resources": {"requests": {"storage": "1Gi"}}}
    });
    apply(&testbed, &claim, &[]).await.ok().unwrap();
    let url = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/one");
    let shrink = json!({"spec": {"storageClassName": "other"}});
    testbed::wait::wait_for("an event about the claim", LONG, async || {
        assert_eq!(testbed.merge(&url, shrink.clone()).await?.status, 403);
        let found = events(&testbed, &namespace).await;
        let about = |event: &&Value| event["involvedObject"]["kind"] == "PersistentVolumeClaim";
        Ok(found.iter().find(about).map(|event| assert_eq!(event["involvedObject"]["name"], "one")))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {}", replica.log()));
}
