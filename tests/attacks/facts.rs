//! Objects that a tenant stores so that a replica which starts later knows nothing of the cluster.

use serde_json::{Value, json};

use crate::lab::{LONG, Lab, Tenant, set, sets};
use crate::server::{client, post};

const JSON_PATCH: &str = "application/json-patch+json";

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_object_that_cannot_be_decoded_hides_no_other_from_a_new_replica() {
    let lab = Lab::shared().await;
    let victim = lab.tenant().await;
    let live = victim
        .running("a", |set| {
            set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                json!({"whenDeleted": "Retain", "whenScaled": "Delete"});
        })
        .await;
    let tenant = lab.tenant().await;
    let mut odd = set("odd", &tenant.namespace);
    odd["metadata"]["labels"] = json!({"x": "y"});
    odd["spec"]["replicas"] = json!(0);
    odd["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "POSTGRES_PASSWORD", "value": "hunter2"}]);
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "odd", "labels": {"x": "y"}},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", tenant.namespace);
    for (path, object) in [(sets(&tenant.namespace), odd), (claims, claim)] {
        store_with_a_late_time(&tenant, &path, object).await;
    }

    let replica = lab.replica().await;
    let client = client(&replica).await;
    let uid = live["metadata"]["uid"].clone();
    let review = scale_down(&victim.namespace, "a", &uid);
    testbed::wait::wait_for("the new replica to deny the scale-down", LONG, async || {
        let (status, answer) = post(&client, "/validate", &review).await;
        // If the claims were unknown, it would name them only "as far as they exist".
        let known = answer.contains("data-a-1") && !answer.contains("as far as they exist");
        Ok((status == 200 && known).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", replica.process.tail()));
    let log = replica.process.tail();
    assert!(!log.contains("hunter2"), "the log quotes an object: {log}");
}

/// Stores an object whose `managedFields` have a time that kube's types cannot decode.
async fn store_with_a_late_time(tenant: &Tenant, path: &str, object: Value) {
    let created = tenant.session.create(path, object).await.unwrap().ok().unwrap();
    let mut managed = created["metadata"]["managedFields"].clone();
    // The API server writes the time of the caller's own manager anew.
    managed[0]["manager"] = json!("zz");
    managed[0]["time"] = json!("9999-12-31T23:59:59Z");
    let edit = json!([{"op": "replace", "path": "/metadata/managedFields", "value": managed}]);
    let path = format!("{path}/odd");
    let patched = tenant.session.request("PATCH", &path, JSON_PATCH, edit).await.unwrap();
    let stored = patched.ok().unwrap().to_string();
    assert!(stored.contains("9999-12-31"), "{stored}");
}

/// A review of an edit of the scale from 2 to 1, as the API server sends it.
fn scale_down(namespace: &str, name: &str, uid: &Value) -> Value {
    let scale = |replicas: u8| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "spec": {"replicas": replicas}, "status": {"replicas": 2},
        })
    };
    let kind = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
    let resource = json!({"group": "apps", "version": "v1", "resource": "statefulsets"});
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "UPDATE", "namespace": namespace, "name": name,
            "kind": kind, "requestKind": kind, "resource": resource, "requestResource": resource,
            "subResource": "scale", "requestSubResource": "scale",
            "userInfo": {"username": "dev", "groups": ["system:authenticated"]},
            "object": scale(1), "oldObject": scale(2), "options": {}, "dryRun": false,
        },
    })
}
