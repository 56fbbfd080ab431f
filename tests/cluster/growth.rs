//! A growing claim template is accepted, whichever tool sends it, and becomes a request.

use serde_json::{Value, json};
use testbed::Testbed;

use crate::webhook::{STORAGE, apply, cluster, path, set, with};

async fn assert_requested(testbed: &Testbed, namespace: &str, size: &str) {
    let live = testbed.get(&path(namespace, "db")).await.unwrap().body;
    assert_eq!(live.pointer(STORAGE), Some(&json!("10Gi")), "the live template has changed");
    let annotation = &live["metadata"]["annotations"]["stateward.dev/resize-requested"];
    assert_eq!(*annotation, json!(format!("{{\"data\":\"{size}\"}}")));
    assert_eq!(live["metadata"]["generation"], 1, "the spec has changed");
}

fn small(namespace: &str) -> Value {
    with(&set("db", namespace), "/spec/replicas", json!(0))
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn kubectl_applies_twice_in_a_row() {
    let testbed = cluster().await;
    for arguments in [&[][..], &["--server-side"][..]] {
        let namespace = testbed.namespace("growth").await.unwrap();
        let base = small(&namespace);
        apply(testbed, &base, arguments).await.ok().unwrap();
        let grown = with(&base, STORAGE, json!("20Gi"));
        let mut dry = arguments.to_vec();
        dry.push("--dry-run=server");
        let output = apply(testbed, &grown, &dry).await;
        assert_eq!(output.status, 0, "{}", output.stderr);
        for _ in 0..2 {
            let output = apply(testbed, &grown, arguments).await;
            assert_eq!(output.status, 0, "{}", output.stderr);
            assert!(
                output.stderr.contains("growth of claim template data accepted"),
                "{}",
                output.stderr
            );
            assert_requested(testbed, &namespace, "20Gi").await;
        }
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_old_manifest_applied_again_withdraws_the_request() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("withdraw").await.unwrap();
    let base = small(&namespace);
    apply(testbed, &base, &[]).await.ok().unwrap();
    apply(testbed, &with(&base, STORAGE, json!("20Gi")), &[]).await.ok().unwrap();
    assert_requested(testbed, &namespace, "20Gi").await;
    apply(testbed, &base, &[]).await.ok().unwrap();
    let live = testbed.get(&path(&namespace, "db")).await.unwrap().body;
    assert!(live["metadata"]["annotations"]["stateward.dev/resize-requested"].is_null());
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn helm_upgrades_twice() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("helm").await.unwrap();
    let chart = tempfile::tempdir().unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: db\nversion: 1.0.0\n")
        .unwrap();
    std::fs::write(chart.path().join("values.yaml"), "size: 10Gi\n").unwrap();
    let template = with(&small(&namespace), STORAGE, json!("{{ .Values.size }}"));
    std::fs::write(chart.path().join("templates/set.yaml"), template.to_string()).unwrap();
    let chart = chart.path().to_str().unwrap();
    let upgrade = async |size: &str| {
        let size = format!("size={size}");
        testbed
            .helm(&["upgrade", "--install", "db", chart, "-n", &namespace, "--set", &size])
            .await
            .unwrap()
    };
    upgrade("10Gi").await.ok().unwrap();
    for _ in 0..2 {
        let output = upgrade("20Gi").await;
        assert_eq!(output.status, 0, "{}", output.stderr);
        assert_requested(testbed, &namespace, "20Gi").await;
    }
    // A rollback shows nothing of its intent, so the request stays: the warning says so.
    testbed.helm(&["rollback", "db", "1", "-n", &namespace]).await.unwrap().ok().unwrap();
    assert_requested(testbed, &namespace, "20Gi").await;
    // What is refused is told in the words of values.
    let output = upgrade("5Gi").await;
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("sts-vct-size-shrink"), "{}", output.stderr);
    assert!(output.stderr.contains("values"), "{}", output.stderr);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn growth_beyond_reason_is_refused() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("huge").await.unwrap();
    let base = small(&namespace);
    apply(testbed, &base, &[]).await.ok().unwrap();
    let output = apply(testbed, &with(&base, STORAGE, json!("10Ti")), &[]).await;
    assert_eq!(output.status, 1);
    assert!(output.stderr.contains("pvc-fractional-or-huge"), "{}", output.stderr);
}
