//! Anti-affinity appears on CREATE, once, and restarts nothing later.

use serde_json::json;

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
    let live = running(testbed, &manifest).await;
    assert_eq!(live.pointer(AFFINITY), None);
    let revision = |set: &serde_json::Value| set["status"]["updateRevision"].clone();
    let first = revision(&live);
    // Away and back: the second revision hashes to the first only if we add nothing.
    for (image, same) in [("postgres:18", false), ("postgres:17.2", true)] {
        manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
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
        assert_eq!(revision(&live) == first, same, "{image}");
    }
}
