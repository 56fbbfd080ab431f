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

/// A rule about a resource that nobody serves matches no request, until somebody serves it.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_cluster_without_snapshots_is_guarded_and_judges_them_once_it_has_them() {
    let testbed = cluster().await;
    let group = "/apis/snapshot.storage.k8s.io/v1";
    assert_eq!(testbed.get(group).await.unwrap().status, 404);
    let configuration =
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stateward";
    let configuration = testbed.get(configuration).await.unwrap().ok().unwrap();
    let rules = configuration["webhooks"][0]["rules"].to_string();
    assert!(rules.contains("volumesnapshots"), "{rules}");
    let namespace = testbed.namespace("snapshots").await.unwrap();
    let mut manifest = set("db", &namespace);
    manifest["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    apply(testbed, &manifest, &[]).await.ok().unwrap();
    let delete = ["delete", "statefulset", "db", "-n", &namespace];
    let output = testbed.kubectl(&delete).await.unwrap();
    assert!(output.stderr.contains("sts-delete-pvc-retention-delete"), "{}", output.stderr);

    for kind in testbed::storage::snapshot_kinds() {
        testbed.apply(kind).await.unwrap();
    }
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "nightly", "namespace": namespace},
        "spec": {"source": {"persistentVolumeClaimName": "data-db-0"}},
        "status": {"readyToUse": true, "creationTime": "2026-11-19T03:00:00Z"},
    });
    testbed::wait::wait_for(
        "the kind to be served",
        std::time::Duration::from_secs(60),
        async || Ok(testbed.apply(snapshot.clone()).await.ok()),
    )
    .await
    .unwrap();
    // This replica watches no cluster, so it says what it lacks.
    let output =
        testbed.kubectl(&["delete", "volumesnapshot", "nightly", "-n", &namespace]).await.unwrap();
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert!(output.stderr.contains("snapshot-delete was not judged"), "{}", output.stderr);
}
