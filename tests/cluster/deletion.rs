//! Deletes with each cascade.

use serde_json::json;

use crate::webhook::{apply, cluster, path, set};

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn only_a_delete_that_takes_the_claims_along_is_refused() {
    let testbed = cluster().await;
    for (retention, cascade, refused) in [
        ("Delete", "background", true),
        ("Delete", "foreground", true),
        ("Delete", "orphan", false),
        ("Retain", "background", false),
        ("Retain", "foreground", false),
    ] {
        let namespace = testbed.namespace("delete").await.unwrap();
        let mut manifest = set("db", &namespace);
        manifest["spec"]["persistentVolumeClaimRetentionPolicy"] =
            json!({"whenDeleted": retention, "whenScaled": "Retain"});
        apply(testbed, &manifest, &[]).await.ok().unwrap();
        let cascade = format!("--cascade={cascade}");
        let output = testbed
            .kubectl(&["delete", "statefulset", "db", "-n", &namespace, &cascade])
            .await
            .unwrap();
        assert_eq!(output.status == 0, !refused, "{retention} {cascade}: {}", output.stderr);
        if refused {
            assert!(output.stderr.contains("sts-delete-pvc-retention-delete"), "{}", output.stderr);
            assert!(testbed.get(&path(&namespace, "db")).await.unwrap().is_success());
        }
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_namespace_with_sets_can_be_deleted() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("gone").await.unwrap();
    let mut manifest = set("db", &namespace);
    manifest["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    apply(testbed, &manifest, &[]).await.ok().unwrap();
    let output =
        testbed.kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]).await.unwrap();
    assert_eq!(output.status, 0, "{}", output.stderr);
}
