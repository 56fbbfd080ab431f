//! The `CustomResourceDefinition` of the record on a real API server.

use std::time::Duration;

use serde_json::{Value, json};
use stateward_resize::crd;
use testbed::{Session, Testbed};

/// Applies the definition and waits until records can be written.
pub(crate) async fn define(testbed: &Testbed) {
    testbed.apply(crd::crd()).await.unwrap();
    let path = testbed::client::path_of(&crd::crd()).unwrap();
    testbed
        .wait_object(&path, Duration::from_secs(30), |crd| {
            crd["status"]["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True")
            })
        })
        .await
        .unwrap();
}

pub(crate) fn records(namespace: &str) -> String {
    format!("/apis/{}/{}/namespaces/{namespace}/{}", crd::GROUP, crd::VERSION, crd::PLURAL)
}

pub(crate) fn record(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{}/{}", crd::GROUP, crd::VERSION),
        "kind": crd::KIND,
        "metadata": {"name": name},
        "spec": spec,
    })
}

async fn refused(session: &Session, spec: Value, said: &str) {
    let path = format!("{}?fieldValidation=Strict", records("default"));
    let reply = session.create(&path, record("wrong", &spec)).await.unwrap();
    assert!(!reply.is_success(), "{spec}");
    assert!(reply.message().contains(said), "{spec}: {}", reply.message());
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn records_are_validated_and_kept() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let names = testbed.kubectl(&["api-resources", "--no-headers"]).await.unwrap().ok().unwrap();
    assert!(!names.split_whitespace().any(|word| word == "stsr"), "{names}");
    define(&testbed).await;
    let path = testbed::client::path_of(&crd::crd()).unwrap();
    let live = testbed.get(&path).await.unwrap().ok().unwrap();
    let problems: Vec<&Value> = live["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["type"] == "NonStructuralSchema" || c["type"] == "Terminating")
        .collect();
    assert!(problems.is_empty(), "{problems:?}");

    let admin = testbed.admin();
    for size in ["20 Gi", "20GiB", "-1Gi", "", "large", "1e", "0x10", "500m", "2147483648500.5m"] {
        refused(admin, json!({"targets": {"data": {"storage": size}}}), "storage").await;
    }
    for size in ["1e30", "99999999E", "99999999Ei", "9223372036854775807", "8Ei", "1e99"] {
        let said = "a volume has less than 8Ei";
        refused(admin, json!({"targets": {"data": {"storage": size}}}), said).await;
    }
    for size in ["0.5", "1.0000001k", "1e-1"] {
        let said = "a whole number of bytes";
        refused(admin, json!({"targets": {"data": {"storage": size}}}), said).await;
    }
    refused(admin, json!({"targets": {"data": {"storage": 5}}}), "storage").await;
    refused(admin, json!({"targets": {"data": {}}}), "storage").await;
    refused(admin, json!({"hold": "Growing"}), "hold").await;
    refused(admin, json!({"pause": true}), "unknown field \"spec.pause\"").await;

    // The controller makes one with an empty spec.
    let made = admin.create(&records("default"), record("bare", &json!({}))).await.unwrap();
    assert!(made.is_success() && made.warnings.is_empty(), "{made:?}");
    for size in ["20Gi", "1.5Ti", "10737418240", "5e9", "20G", "7Ei", "1."] {
        let spec = json!({"targets": {"data": {"storage": size}}, "hold": "ClaimsGrown"});
        let path = format!("{}?dryRun=All&fieldValidation=Strict", records("default"));
        let reply = admin.create(&path, record("db", &spec)).await.unwrap();
        assert!(reply.is_success() && reply.warnings.is_empty(), "{size}: {reply:?}");
    }

    let spec = json!({"targets": {"data": {"storage": "20Gi"}}});
    let one = admin.create(&records("default"), record("db", &spec)).await.unwrap().ok().unwrap();
    assert!(one.get("status").is_none() && one["metadata"]["generation"] == 1, "{one}");
    let status = json!({
        "phase": "Migrating",
        "state": "Blocked", "reason": "ForeignFinalizer", "message": "a/b", "new": 1,
        "request": {"number": 1, "generation": 1, "setUid": "A", "targets": {"data": "20Gi"}},
        "claims": [{"name": "data-db-0", "from": "10Gi", "target": "20Gi", "another": {"a": [1]}}],
        "claimsGrown": "0/1",
        "conditions": [{"type": "Ready", "status": "Moonlight"}],
        "another": {"deep": [{"er": true}]},
    });
    let path = format!("{}/db", records("default"));
    let change = json!({"status": status, "spec": {"paused": true}});
    let written = admin.merge(&format!("{path}/status"), change).await.unwrap().ok().unwrap();
    assert_eq!(written["status"], status);
    assert_eq!(written["spec"], spec, "a write of the status touches nothing else");
    assert_eq!(written["metadata"]["generation"], 1);
    let paused = admin.merge(&path, json!({"spec": {"paused": true}, "status": null})).await;
    let paused = paused.unwrap().ok().unwrap();
    assert_eq!(paused["status"], status, "a write of the spec touches nothing else");
    assert_eq!(paused["metadata"]["generation"], 2);

    let table = testbed.kubectl(&["get", "stsr"]).await.unwrap().ok().unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "SIZES", "PHASE", "GROWN", "STATE", "REASON", "AGE"]);
    assert_eq!(rows[1][0], "bare");
    assert_eq!(
        rows[2][..6],
        ["db", r#"{"data":"20Gi"}"#, "Migrating", "0/1", "Blocked", "ForeignFinalizer"]
    );
    let wide = testbed.kubectl(&["get", "stsr", "db", "-o", "wide"]).await.unwrap().ok().unwrap();
    assert!(wide.contains("MESSAGE") && wide.contains("a/b"), "{wide}");
    let explained = ["explain", "statefulsetresizes.spec"];
    let explained = testbed.kubectl(&explained).await.unwrap().ok().unwrap();
    assert!(explained.contains("the generation that is to end"), "{explained}");
}
