//! `kubectl scale` reaches the rules of the scale.

use crate::webhook::{apply, cluster, path, set};

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn scaling_to_zero_warns() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("scale").await.unwrap();
    apply(testbed, &set("db", &namespace), &[]).await.ok().unwrap();
    let scale = ["scale", "statefulset/db", "--replicas=0", "-n", &namespace];
    let output = testbed.kubectl(&scale).await.unwrap();
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert!(output.stderr.contains("would be scaled to zero, 2 → 0"), "{}", output.stderr);
    let live = testbed.get(&path(&namespace, "db")).await.unwrap().body;
    assert_eq!(live["spec"]["replicas"], 0);
}
