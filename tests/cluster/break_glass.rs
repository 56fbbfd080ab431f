//! The annotation on stateward's own namespace that makes every replica allow everything.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::Testbed;

use crate::certificates::{ARGUMENTS, Replica, cluster, denies, register};
use crate::resize_commands::typed;
use crate::webhook::{LONG, Webhook, path};

const NAMESPACE: &str = "/api/v1/namespaces/stateward";

async fn annotate(testbed: &Testbed, until: Value) {
    let annotations = json!({"stateward.dev/disabled-until": until});
    let merged = testbed.merge(NAMESPACE, json!({"metadata": {"annotations": annotations}})).await;
    merged.unwrap().ok().unwrap();
}

fn ahead(seconds: i64) -> Value {
    let until = Timestamp::now() + SignedDuration::from_secs(seconds);
    until.round(jiff::Unit::Second).unwrap().to_string().into()
}

/// Waits until every replica counts itself as disabled, or not.
async fn all(replicas: &[Replica], disabled: bool) {
    let line = format!("\nstateward_disabled {}\n", u8::from(disabled));
    for replica in replicas {
        testbed::wait::wait_for("the replicas to follow the annotation", LONG, async || {
            let page = replica.page("/metrics").await.unwrap_or_default();
            Ok(page.contains(&line).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_annotation_disables_every_replica_for_a_while() {
    let (testbed, account) = cluster().await;
    let mut replicas: Vec<Replica> = (0..2).map(|_| Replica::start(&account, &ARGUMENTS)).collect();
    register(&testbed, &replicas[0]).await;
    for replica in &mut replicas {
        replica.ready().await;
    }
    denies(&testbed, "db").await;
    all(&replicas, false).await;

    annotate(&testbed, ahead(3600)).await;
    all(&replicas, true).await;
    let live = path("default", "db");
    let edit = json!({"spec": {"serviceName": "x"}});
    let reply = testbed.merge(&live, edit.clone()).await.unwrap();
    assert_eq!(reply.status, 422, "the API server's own refusal: {}", reply.message());
    // An edit that stateward alone denies goes through, with one warning.
    let retention =
        "{\"spec\":{\"persistentVolumeClaimRetentionPolicy\":{\"whenDeleted\":\"Delete\"}}}";
    let command = ["patch", "sts", "db", "--type=merge", "--dry-run=server", "-p", retention];
    let allowed = testbed.kubectl(&command).await.unwrap();
    assert!(allowed.success(), "{}", allowed.stderr);
    let warnings: Vec<&str> =
        allowed.stderr.lines().filter(|line| line.contains("Warning")).collect();
    // One from each of the two webhooks, and kubectl prints the same text once.
    assert_eq!(warnings.len(), 1, "{}", allowed.stderr);
    assert!(warnings[0].contains("stateward is disabled until"), "{}", warnings[0]);
    let page = replicas[0].page("/readyz").await.unwrap();
    assert!(page.starts_with("ok\ndisabled until "), "{page}");
    for replica in &replicas {
        assert_eq!(replica.log().matches("DISABLED by").count(), 1, "{}", replica.log());
    }
    let page = replicas[0].page("/metrics").await.unwrap();
    assert!(page.contains("outcome=\"disabled\""), "{page}");

    // Each of these ends it: a mistake, a time too far ahead, one that has passed, none.
    for ends in ["soon".into(), ahead(25 * 3600), ahead(-60), Value::Null] {
        annotate(&testbed, ends.clone()).await;
        all(&replicas, false).await;
        assert_eq!(testbed.merge(&live, edit.clone()).await.unwrap().status, 403, "{ends}");
        annotate(&testbed, ahead(600)).await;
        all(&replicas, true).await;
    }
    for replica in &replicas {
        let log = replica.log();
        assert_eq!(log.matches("NOT DISABLED").count(), 2, "{log}");
        assert!(log.contains("more than 24 h ahead") && log.contains("no time such as"), "{log}");
        assert_eq!(log.matches("ENABLED: reviews").count(), 4, "{log}");
    }

    // It ends by itself, even when the namespace cannot be read any more.
    annotate(&testbed, ahead(20)).await;
    for replica in &replicas {
        replica.counts_twice("stateward_namespace_reads_total{result=\"ok\"} ").await;
    }
    let role = "/apis/rbac.authorization.k8s.io/v1/namespaces/stateward/roles/stateward";
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"],
                        "resourceNames": ["stateward-authority"], "verbs": ["get", "update"]}]);
    testbed.merge(role, json!({"rules": rules})).await.unwrap().ok().unwrap();
    all(&replicas, true).await;
    all(&replicas, false).await;
    assert_eq!(testbed.merge(&live, edit.clone()).await.unwrap().status, 403);
    // A replica that could never read it judges, and says so once.
    annotate(&testbed, ahead(600)).await;
    let mut late = Replica::start(&account, &ARGUMENTS);
    late.ready().await;
    testbed::wait::wait_for("two failed reads", LONG, async || {
        let page = late.page("/metrics").await.unwrap_or_default();
        Ok(page.contains("stateward_namespace_reads_total{result=\"failed\"} 2").then_some(()))
    })
    .await
    .unwrap();
    let log = late.log();
    assert_eq!(log.matches("cannot read the own namespace").count(), 1, "{log}");
    all(&[late], false).await;
}

/// A person tries the switch on their own machine, before the night that needs it.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn disable_and_enable_reach_a_server_with_dev_certificates() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let missing = typed(&testbed, "stateward disable 1h").await;
    assert_eq!(missing.status, 2, "{missing:?}");
    assert!(missing.stderr.contains("namespace stateward does not exist"), "{missing:?}");
    testbed.ensure_namespace("stateward").await.unwrap();
    let kubeconfig = format!("--kubeconfig={}", testbed.kubeconfig().display());
    let webhook = Webhook::start(&[&kubeconfig]).await;
    webhook.register(&testbed, &[]).await;
    denies(&testbed, "db").await;
    let edit = json!({"spec": {"serviceName": "x"}});
    let live = path("default", "db");
    let answered = async |status: u16| {
        testbed::wait::wait_for("the switch to be read", LONG, async || {
            Ok((testbed.merge(&live, edit.clone()).await?.status == status).then_some(()))
        })
        .await
        .unwrap();
    };
    let disabled = typed(&testbed, "stateward disable 1h").await;
    assert!(disabled.status == 0 && disabled.stdout.contains("End it earlier:"), "{disabled:?}");
    answered(422).await;
    let (_, command) = disabled.stdout.split_once("End it earlier: ").unwrap();
    let enabled = typed(&testbed, command.trim()).await;
    assert_eq!(enabled.status, 0, "{enabled:?}");
    answered(403).await;
}
