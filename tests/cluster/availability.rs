//! The webhook gone, and its certificate replaced, under real requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use testbed::Testbed;

use crate::webhook::{Webhook, apply, path, set, with};

#[tokio::test]
async fn without_the_server_edits_behave_as_without_stateward() {
    if testbed::skipped() {
        return;
    }
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
    assert!(output.stderr.contains("is invalid: spec: Forbidden"), "{}", output.stderr);
    let scale = ["scale", "statefulset/db", "--replicas=0", "-n", &namespace];
    assert_eq!(testbed.kubectl(&scale).await.unwrap().status, 0);
}

/// 200 reviews a second for ten seconds, while the leaf is replaced every second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_without_a_failed_call() {
    if testbed::skipped() {
        return;
    }
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
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut workers = Vec::new();
    for number in 0..4 {
        let (stop, sent, url) = (stop.clone(), sent.clone(), url.clone());
        let session = testbed.admin().clone();
        workers.push(tokio::spawn(async move {
            // One request reaches both webhooks, so 25 a second here are 50 reviews.
            let mut ticks = tokio::time::interval(Duration::from_millis(40));
            let mut failed = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                ticks.tick().await;
                let refuse = sent.fetch_add(1, Ordering::Relaxed) % 2 == number % 2;
                let patch = if refuse {
                    json!({"spec": {"serviceName": "x"}})
                } else {
                    json!({"metadata": {"labels": {"a": "b"}}})
                };
                let reply = session.merge(&url, patch).await.unwrap();
                let expected = if refuse { 403 } else { 200 };
                if reply.status != expected {
                    failed.push(format!("{}: {}", reply.status, reply.message()));
                }
            }
            failed
        }));
    }
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
    stop.store(true, Ordering::Relaxed);
    let mut failed = Vec::new();
    for worker in workers {
        failed.extend(worker.await.unwrap());
    }
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(serials.len(), 10, "the certificate was not replaced each time");
    let sent = sent.load(Ordering::Relaxed);
    eprintln!("{sent} requests during 10 replacements, none failed");
    assert!(sent > 0);
}
