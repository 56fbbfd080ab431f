//! Each field that the API server lets nobody change gets our message, whoever edits it and how.

use serde_json::{Value, json};
use testbed::client::{APPLY_PATCH, JSON, MERGE_PATCH, STRATEGIC_PATCH};

use crate::webhook::{apply, cluster, path, set, with};

/// A pointer, its new value, and the rule that speaks.
fn edits() -> Vec<(&'static str, Value, &'static str)> {
    let template = |edit: fn(&mut Value)| {
        let mut templates = set("x", "x")["spec"]["volumeClaimTemplates"].clone();
        edit(&mut templates[0]);
        templates
    };
    let vct = "/spec/volumeClaimTemplates";
    vec![
        ("/spec/serviceName", json!("other"), "sts-service-name"),
        ("/spec/podManagementPolicy", json!("OrderedReady"), "sts-pod-management-policy"),
        ("/spec/selector/matchLabels", json!({"app": "db", "tier": "x"}), "sts-selector"),
        (
            vct,
            template(|t| t["spec"]["resources"]["requests"]["storage"] = json!("5Gi")),
            "sts-vct-size-shrink",
        ),
        (
            vct,
            template(|t| t["spec"]["storageClassName"] = json!("standard")),
            "sts-vct-storage-class",
        ),
        (
            vct,
            template(|t| t["spec"]["accessModes"] = json!(["ReadWriteMany"])),
            "sts-vct-access-modes",
        ),
        (vct, template(|t| t["spec"]["volumeMode"] = json!("Block")), "sts-vct-volume-mode"),
        (vct, template(|t| t["metadata"]["labels"] = json!({"chart": "2"})), "sts-vct-metadata"),
        (vct, template(|t| t["metadata"]["name"] = json!("renamed")), "sts-vct-removed"),
        (
            vct,
            template(|t| t["spec"]["volumeAttributesClassName"] = json!("gold")),
            "sts-spec-immutable",
        ),
    ]
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn every_way_of_writing_gets_our_message_with_403() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("refusals").await.unwrap();
    let mut base = set("db", &namespace);
    base["spec"]["replicas"] = json!(0);
    let path = path(&namespace, "db");
    apply(testbed, &base, &["--server-side"]).await.ok().unwrap();
    let mut sent = 0;
    for (pointer, value, rule) in edits() {
        let mut edited = with(&base, pointer, value);
        if rule == "sts-selector" {
            // Else the API server would have a second reason.
            edited["spec"]["template"]["metadata"]["labels"]["tier"] = json!("x");
        }
        // A merge patch of one list is the whole list.
        let merge = json!({"spec": edited["spec"]});
        let requests = [
            ("PUT", String::new(), JSON, edited.clone()),
            ("PATCH", String::new(), MERGE_PATCH, merge.clone()),
            ("PATCH", String::new(), STRATEGIC_PATCH, merge.clone()),
            ("PATCH", "fieldManager=other&force=true".to_owned(), APPLY_PATCH, edited.clone()),
        ];
        for (method, query, content_type, body) in requests {
            // A strategic merge patch adds templates by no key: lists of templates are atomic.
            for dry_run in ["", "dryRun=All&"] {
                let url = format!("{path}?{dry_run}{query}");
                let reply =
                    testbed.request(method, &url, content_type, body.clone()).await.unwrap();
                let message = reply.message();
                assert_eq!(reply.status, 403, "{rule} by {method} {content_type}: {message}");
                assert_eq!(reply.body["reason"], "Forbidden", "{rule}");
                assert!(message.contains(rule), "{rule} by {content_type}: {message}");
                sent += 1;
            }
        }
        let output = apply(testbed, &edited, &["--server-side", "--force-conflicts"]).await;
        assert_eq!(output.status, 1, "{rule}");
        assert!(output.stderr.contains("Error from server (Forbidden)"), "{}", output.stderr);
        assert!(output.stderr.contains(rule), "{}", output.stderr);
        let output = apply(testbed, &edited, &["--dry-run=server"]).await;
        assert_eq!(output.status, 1, "{rule} dry run");
    }
    assert_eq!(sent, edits().len() * 8);
    // Nothing of it took hold.
    let live = testbed.get(&path).await.unwrap().body;
    assert_eq!(live["metadata"]["generation"], 1);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_claim_may_grow_but_not_shrink() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("claims").await.unwrap();
    let claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "immediate",
            "resources": {"requests": {"storage": "10Gi"}}
        }
    });
    apply(testbed, &claim, &[]).await.ok().unwrap();
    let url = testbed::client::path_of(&claim).unwrap();
    testbed
        .wait_object(&url, crate::webhook::LONG, |live| {
            live["status"]["capacity"]["storage"] == "10Gi"
        })
        .await
        .unwrap();
    let shrunk = with(&claim, "/spec/resources/requests/storage", json!("5Gi"));
    let output = apply(testbed, &shrunk, &["--server-side", "--force-conflicts"]).await;
    assert!(output.stderr.contains("pvc-shrink"), "{}", output.stderr);
    // Growth is the driver's business, not ours.
    let grown = with(&claim, "/spec/resources/requests/storage", json!("20Gi"));
    apply(testbed, &grown, &[]).await.ok().unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn diff_shows_the_refusal_and_changes_nothing() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("diff").await.unwrap();
    let mut base = set("db", &namespace);
    base["spec"]["replicas"] = json!(0);
    apply(testbed, &base, &[]).await.ok().unwrap();
    let diff = async |object: &Value| {
        testbed
            .kubectl_with("admin", &["diff", "-f", "-"], Some(&object.to_string()))
            .await
            .unwrap()
    };
    let refused = diff(&with(&base, "/spec/serviceName", json!("x"))).await;
    assert!(refused.status > 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("sts-service-name"), "{}", refused.stderr);
    let growing = diff(&with(&base, crate::webhook::STORAGE, json!("20Gi"))).await;
    assert_eq!(growing.status, 1, "{}", growing.stderr);
    assert!(growing.stdout.contains("stateward.dev/resize-requested"), "{}", growing.stdout);
    let live = testbed.get(&path(&namespace, "db")).await.unwrap().body;
    assert!(live["metadata"]["annotations"]["stateward.dev/resize-requested"].is_null());
}
