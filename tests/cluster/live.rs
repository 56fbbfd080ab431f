//! `check --live`, `facts export` and `audit` against a real cluster.

use std::process::Command;

use serde_json::json;
use testbed::Testbed;

use crate::webhook::{STORAGE, cluster, running, set};

/// `stateward` with the kubeconfig of an administrator: exit code, standard output, standard error.
fn stateward(testbed: &Testbed, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(arguments)
        .env("KUBECONFIG", testbed.kubeconfig())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn what_lives_is_compared_exported_and_audited() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("live").await.unwrap();
    let manifest = set("db", &namespace);
    running(testbed, &manifest).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.json");
    let path = file.display().to_string();
    let judged = |object: &serde_json::Value, more: &[&str]| {
        std::fs::write(&file, object.to_string()).unwrap();
        let all = [&["check", "--live", "-o", "json", &path], more].concat();
        let (code, stdout, stderr) = stateward(testbed, &all);
        let report = serde_json::from_str::<serde_json::Value>(&stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {stderr}"));
        let rules: Vec<String> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["rule"].as_str().unwrap().to_owned())
            .collect();
        (code, report["judged"][0]["operation"].clone(), rules)
    };
    // What is applied already is no change, whatever the API server filled in.
    assert_eq!(judged(&manifest, &[]), (0, json!("UPDATE"), Vec::new()));
    let mut grown = manifest.clone();
    *grown.pointer_mut(STORAGE).unwrap() = json!("20Gi");
    // The namespace of a manifest that names none is asked for.
    grown["metadata"].as_object_mut().unwrap().remove("namespace");
    let (code, operation, rules) = judged(&grown, &["-n", &namespace]);
    assert_eq!((code, operation), (1, json!("UPDATE")));
    assert!(rules.contains(&"sts-vct-size-grow".to_owned()), "{rules:?}");
    // Somebody has scaled it since; a manifest that leaves replicas out keeps that.
    let scale = ["scale", "statefulset/db", "--replicas=3", "-n", &namespace];
    testbed.kubectl(&scale).await.unwrap().ok().unwrap();
    let mut lower = manifest.clone();
    lower["spec"]["replicas"] = json!(0);
    let (_, _, rules) = judged(&lower, &[]);
    assert!(rules.contains(&"sts-scale-to-zero".to_owned()), "{rules:?}");

    let (code, facts, stderr) = stateward(testbed, &["facts", "export", "-n", &namespace]);
    assert_eq!(code, 0, "{stderr}");
    assert!(facts.contains("\"complete\"") && facts.contains("data-db-0"), "{facts}");
    for secret in ["\"env\"", "\"image\"", "\"Secret\""] {
        assert!(!facts.contains(secret), "{secret} is exported");
    }
    let exported = folder.path().join("facts.json");
    std::fs::write(&exported, &facts).unwrap();
    let from_file = ["audit", "--facts", &exported.display().to_string(), "-o", "json"];
    let (code, offline, stderr) = stateward(testbed, &from_file);
    assert_eq!(code, 0, "{stderr}");
    let (_, online, _) = stateward(testbed, &["audit", "-n", &namespace, "-o", "json"]);
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(read(&offline)["summary"]["sets"], 1);
    assert_eq!(read(&offline)["findings"], read(&online)["findings"]);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_kind_that_may_not_be_listed_is_unknown_and_no_failure() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("narrow").await.unwrap();
    running(testbed, &set("db", &namespace)).await;
    let bind = ["create", "rolebinding", "viewer", "--clusterrole=view", "--user=dev", "-n"];
    testbed.kubectl(&[&bind[..], &[namespace.as_str()]].concat()).await.unwrap().ok().unwrap();
    let kubeconfig = testbed.kubeconfig_for("dev").unwrap().display().to_string();
    let asked = ["audit", "--kubeconfig", &kubeconfig, "-n", &namespace];
    let mut seen = String::new();
    for _ in 0..50 {
        let (code, stdout, stderr) = stateward(testbed, &asked);
        assert_eq!(code, 0, "{stderr}");
        seen = stdout;
        if seen.contains("1 StatefulSets") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(seen.contains("1 StatefulSets and 2 claims"), "{seen}");
    assert!(seen.contains("incomplete: needs the PersistentVolumes: "), "{seen}");
    let (code, _, stderr) = stateward(testbed, &["audit", "--context", "nowhere"]);
    assert_eq!(code, 2, "{stderr}");
}
