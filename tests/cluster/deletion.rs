//! Deletes with each cascade.

use serde_json::{Value, json};
use testbed::client::JSON;
use testbed::{Session, Testbed};

use crate::webhook::{Webhook, apply, cluster, path, set};

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

const ALICE: &str = "alice@example.com";
const MARK: &str = "stateward.dev/protected";

/// An administrator with this name.
fn person(testbed: &Testbed, name: &str) -> Session {
    testbed.admin().impersonate(name, &["system:masters"]).unwrap()
}

/// Every door through which an object of each kind can be confirmed, in the name of somebody else.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_deletion_is_confirmed_by_a_second_person() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    for kind in testbed::storage::snapshot_kinds() {
        testbed.apply(kind).await.unwrap();
    }
    let policy = tempfile::NamedTempFile::new().unwrap();
    let text = format!("version: 1\nallow: {{users: [{ALICE}], second-person: true}}\n");
    std::fs::write(policy.path(), text).unwrap();
    let webhook = Webhook::start(&[&format!("--policy={}", policy.path().display())]).await;
    webhook.register(&testbed, &[]).await;
    let (alice, bob) = (person(&testbed, ALICE), person(&testbed, "bob"));
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let shop = testbed.namespace("second").await.unwrap();
    let claim = set("db", &shop)["spec"]["volumeClaimTemplates"][0]["spec"].clone();
    let volume = json!({
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "csi": {"driver": "csi.example.com", "volumeHandle": "1"},
    });
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "spec": {"source": {"persistentVolumeClaimName": "db"}},
    });
    let of_shop = |group: &str, plural: &str| format!("/{group}/namespaces/{shop}/{plural}");
    let claims = of_shop("api/v1", "persistentvolumeclaims");
    let snapshots = of_shop("apis/snapshot.storage.k8s.io/v1", "volumesnapshots");
    let sets = of_shop("apis/apps/v1", "statefulsets");
    let spec = set("db", &shop)["spec"].clone();
    for (list, doors, body) in [
        ("/api/v1/namespaces", &["/status", "/finalize"][..], json!({})),
        ("/api/v1/persistentvolumes", &["/status"], json!({"spec": volume})),
        ("/apis/storage.k8s.io/v1/storageclasses", &[], json!({"provisioner": "example.com/a"})),
        (&claims, &["/status"], json!({"spec": claim})),
        (&sets, &["/status"], json!({"spec": spec})),
        (&snapshots, &["/status"], snapshot),
    ] {
        let object = |name: &str, annotations: Value| {
            let mut object = body.clone();
            object["metadata"] = json!({"name": name, "annotations": annotations});
            object
        };
        let confirm = |name: &str, by: &str| {
            let value = format!("{name} {day} by {by}");
            json!({"stateward.dev/confirm-delete": value})
        };
        // Confirmed when it is created.
        let created = bob.request("POST", list, JSON, object("new", confirm("new", ALICE))).await;
        let created = created.unwrap();
        assert_eq!(created.status, 403, "{list}: {}", created.message());
        let mark = json!({MARK: "true"});
        bob.request("POST", list, JSON, object("db", mark)).await.unwrap().ok().unwrap();
        let path = format!("{list}/db");
        let write = async |session: &Session, door: &str, by: &str| {
            let mut object = testbed.get(&path).await.unwrap().ok().unwrap();
            let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
            annotations.extend(confirm("db", by).as_object().unwrap().clone());
            let door = format!("{path}{door}");
            session.request("PUT", &door, JSON, object).await.unwrap()
        };
        for door in std::iter::once("").chain(doors.iter().copied()) {
            for (session, by) in [(&bob, ALICE), (&bob, "bob"), (&alice, "bob")] {
                let reply = write(session, door, by).await;
                let stored = testbed.get(&path).await.unwrap().ok().unwrap();
                let stored = &stored["metadata"]["annotations"]["stateward.dev/confirm-delete"];
                assert!(stored.is_null(), "{path}{door}: {}: {stored}", reply.message());
            }
        }
        assert!(write(&alice, "", ALICE).await.is_success(), "{path}");
        let delete = async |session: &Session| {
            let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "dryRun": ["All"]});
            session.request("DELETE", &path, JSON, options).await.unwrap()
        };
        let denied = delete(&alice).await;
        let why = "the person who deletes also confirmed it";
        assert!(denied.message().contains(why), "{path}: {}", denied.message());
        let allowed = delete(&bob).await;
        assert!(allowed.is_success(), "{path}: {}", allowed.message());
    }
}
