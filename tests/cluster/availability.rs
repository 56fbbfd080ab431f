//! The webhook gone, and its certificate replaced, under real requests.

use std::time::Duration;

use serde_json::json;
use testbed::{Kubernetes, Testbed};

use crate::load::Load;
use crate::webhook::{Webhook, apply, path, set, with};

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn without_the_server_edits_behave_as_without_stateward() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let webhook = Webhook::start(&[]).await;
    webhook.register(&testbed, &[]).await;
    drop(webhook);
    let namespace = testbed.namespace("ignore").await.unwrap();
    let base = set("db", &namespace);
    apply(&testbed, &base, &[]).await.ok().unwrap();
    let live = testbed.get(&path(&namespace, "db")).await.unwrap().body;
    assert!(live["metadata"]["annotations"]["stateward.dev/injected"].is_null());
    let output = apply(&testbed, &with(&base, "/spec/serviceName", json!("x")), &[]).await;
    let refusal = Kubernetes::from_environment().unwrap().immutable_field_message();
    assert!(output.stderr.contains(refusal), "{}", output.stderr);
    let scale = ["scale", "statefulset/db", "--replicas=0", "-n", &namespace];
    assert_eq!(testbed.kubectl(&scale).await.unwrap().status, 0);
}

/// 200 reviews a second for ten seconds, while the leaf is replaced every second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn certificates_are_replaced_without_a_failed_call() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let dev = Webhook::start(&[]).await;
    let pair = [
        format!("--tls-cert={}", dev.certs.join("tls.crt").display()),
        format!("--tls-key={}", dev.certs.join("tls.key").display()),
        "--certificate-poll=100ms".to_owned(),
    ];
    let arguments: Vec<&str> = pair.iter().map(String::as_str).collect();
    let webhook = Webhook::start_without_dev(&dev.certs, &arguments).await;
    webhook.register(&testbed, &["--failure-policy=Fail"]).await;
    let namespace = testbed.namespace("rotation").await.unwrap();
    apply(&testbed, &set("db", &namespace), &[]).await.ok().unwrap();
    let url = path(&namespace, "db") + "?dryRun=All";
    let load = Load::start(&testbed, &url);
    let mut serials = std::collections::BTreeSet::new();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Removing the leaf makes the next start of the dev server issue another one.
        for file in ["tls.crt", "tls.key"] {
            std::fs::remove_file(dev.certs.join(file)).unwrap();
        }
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
            .args(["certs", "--dir"])
            .arg(&dev.certs)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serials.insert(std::fs::read(dev.certs.join("tls.crt")).unwrap());
    }
    let (sent, failed) = load.stop().await;
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(serials.len(), 10, "the certificate was not replaced each time");
    eprintln!("{sent} requests during 10 replacements, none failed");
    assert!(sent > 0);
}
