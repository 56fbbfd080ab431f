//! Whether denials arrive, and what is said where they do not.

use std::path::Path;

use serde_json::{Value, json};
use testbed::Testbed;

use crate::certificates::{ARGUMENTS, Replica, cluster, register};
use crate::rights::{apply_stream, printed};
use crate::webhook::LONG;

const SETS: &str = "/apis/apps/v1/namespaces/stateward-canary/statefulsets";
const VALIDATING: &str =
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stateward";

/// `stateward status` as an administrator runs it: exit code and text.
fn status(testbed: &Testbed, arguments: &[String]) -> (i32, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .env("KUBECONFIG", testbed.kubeconfig())
        .arg("status")
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

/// Waits until the replica has found this cause, says it in its log and in its metrics, and
/// `stateward status` says the same.
async fn found(testbed: &Testbed, replica: &Replica, name: &str, said: &str) {
    let line = format!("stateward_canaries_total{{result=\"{name}\"}}");
    testbed::wait::wait_for(said, LONG, async || {
        let page = replica.page("/metrics").await.unwrap_or_default();
        let known = page.contains(&line) && replica.log().contains(said);
        Ok((known && page.contains("\nstateward_enforcing 0\n")).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {}", replica.log()));
    let (code, text) = status(testbed, &[]);
    assert!(text.starts_with("enforcing    no: ") && text.contains(said), "{said}: {text}");
    assert_eq!(code, 1);
}

async fn arrives(replica: &Replica) {
    testbed::wait::wait_for("a canary to be refused", LONG, async || {
        let page = replica.page("/metrics").await.unwrap_or_default();
        Ok(page.contains("\nstateward_enforcing 1\n").then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {}", replica.log()));
}

async fn patch(testbed: &Testbed, change: Value) {
    let json_patch = testbed::client::JSON_PATCH;
    testbed.request("PATCH", VALIDATING, json_patch, change).await.unwrap().ok().unwrap();
}

fn policy(folder: &Path, mode: &str) {
    let text = format!("version: 1\nmode: {mode}\n");
    std::fs::write(folder.join("new.yaml"), text).unwrap();
    std::fs::rename(folder.join("new.yaml"), folder.join("stateward.yaml")).unwrap();
}

/// Waits until `stateward status` says this of the facts; what it prints.
async fn told(testbed: &Testbed, known: &str) -> String {
    testbed::wait::wait_for("the facts to be reported", LONG, async || {
        let (code, text) = status(testbed, &[]);
        assert_eq!(code, 0, "{text}");
        Ok(text.contains(&format!("\nfacts        {known}")).then_some(text))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}: {}", status(testbed, &[]).1))
}

/// The account has the rights that certificates need, and gets that to read everything.
async fn facts_become_known(testbed: &Testbed) -> String {
    told(testbed, "rules judge without the Nodes: nodes is forbidden").await;
    apply_stream(testbed, &printed(&["--crds"])).await;
    let group = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRole",
        "metadata": {"name": "reads-everything"},
        "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["list", "watch"]}],
    });
    let binding = json!({
        "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
        "metadata": {"name": "reads-everything"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "reads-everything"},
        "subjects": [{"kind": "ServiceAccount", "name": "stateward", "namespace": "stateward"}],
    });
    for object in [role, binding] {
        testbed.apply(object).await.unwrap();
    }
    told(testbed, "all kinds are known\n").await
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_canary_reports_whether_denials_arrive() {
    let (testbed, account) = cluster().await;
    let folder = tempfile::tempdir().unwrap();
    policy(folder.path(), "enforce");
    let file = format!("--policy={}", folder.path().join("stateward.yaml").display());
    let mut arguments = ARGUMENTS.to_vec();
    arguments.extend(["--canary-namespace=stateward-canary", "--canary-interval=300ms"]);
    arguments.extend([file.as_str(), "--certificate-poll=50ms"]);
    let mut replica = Replica::start(&account, &arguments);
    let (code, text) = status(&testbed, &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("enforcing    no: stateward is not installed"), "{text}");
    register(&testbed, &replica).await;
    replica.ready().await;
    arrives(&replica).await;
    let text = facts_become_known(&testbed).await;
    let lines: Vec<&str> = text.lines().collect();
    let yes = "enforcing    yes: both webhooks refused a canary in namespace stateward-canary";
    assert_eq!(lines[0], yes);
    assert!(lines[2].starts_with("authority    expires at ") && lines[2].contains(" days"));
    assert!(lines[3].starts_with("certificate  expires at ") && lines[3].contains("in 6 days"));
    let (code, text) = status(&testbed, &["--connect=127.0.0.1:1".to_owned()]);
    assert!(
        code == 0 && text.contains("certificate  not seen from here: cannot connect"),
        "{text}"
    );
    let page = replica.page("/metrics").await.unwrap();
    assert!(page.contains("stateward_canary_last_success_timestamp_seconds 1"), "{page}");
    assert!(page.contains("outcome=\"canary\""), "{page}");
    assert!(!page.contains("outcome=\"denied\""), "a canary counts as a denial: {page}");

    policy(folder.path(), "audit");
    found(&testbed, &replica, "audit", "mode: audit").await;
    assert!(replica.log().contains("not enforcing, as intended"), "{}", replica.log());
    policy(folder.path(), "enforce");
    arrives(&replica).await;

    let namespace = "/api/v1/namespaces/stateward";
    let until = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(9)).to_string();
    let annotations = |until: Value| json!({"metadata": {"annotations": {"stateward.dev/disabled-until": until}}});
    testbed.merge(namespace, annotations(until.into())).await.unwrap().ok().unwrap();
    found(&testbed, &replica, "disabled", "is disabled by stateward.dev/disabled-until").await;
    testbed.merge(namespace, annotations(Value::Null)).await.unwrap().ok().unwrap();
    arrives(&replica).await;

    let live = testbed.get(VALIDATING).await.unwrap().ok().unwrap();
    let webhook = &live["webhooks"][0];
    let selector = "/webhooks/0/namespaceSelector/matchExpressions/0/values/-";
    patch(&testbed, json!([{"op": "add", "path": selector, "value": "stateward-canary"}])).await;
    found(&testbed, &replica, "selector", "the namespaceSelector of validate.stateward.dev").await;
    let selector = "/webhooks/0/namespaceSelector";
    let value = webhook["namespaceSelector"].clone();
    patch(&testbed, json!([{"op": "replace", "path": selector, "value": value}])).await;
    arrives(&replica).await;

    // Nobody listens there. Fail says so to everybody, Ignore to nobody.
    let elsewhere = "https://127.0.0.1:1/validate";
    let url = "/webhooks/0/clientConfig/url";
    patch(&testbed, json!([{"op": "replace", "path": url, "value": elsewhere}])).await;
    found(&testbed, &replica, "unreachable", "connection refused").await;
    let policy = "/webhooks/0/failurePolicy";
    patch(&testbed, json!([{"op": "replace", "path": policy, "value": "Ignore"}])).await;
    found(&testbed, &replica, "unreachable", "on private GKE the firewall").await;
    let (_, text) = status(&testbed, &[]);
    assert!(text.contains(&format!("validate.stateward.dev at {elsewhere}")), "{text}");
    let value = webhook["clientConfig"]["url"].clone();
    patch(&testbed, json!([{"op": "replace", "path": url, "value": value}])).await;
    arrives(&replica).await;

    // Nothing was made.
    let made = testbed.get(SETS).await.unwrap().ok().unwrap();
    assert_eq!(made["items"], json!([]));

    // The bundle is empty, and there is no replica left that would mend it.
    drop(replica);
    let bundle = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    let mutating = VALIDATING.replace("validating", "mutating");
    let json_patch = testbed::client::JSON_PATCH;
    let edits = [
        bundle.as_array().unwrap()[0].clone(),
        json!({"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}),
    ];
    testbed.request("PATCH", &mutating, json_patch, json!(edits)).await.unwrap().ok().unwrap();
    testbed::wait::wait_for("the cause to be the bundle", LONG, async || {
        let (code, text) = status(&testbed, &[]);
        let empty = text.contains("the caBundle of mutate.stateward.dev is empty");
        Ok((code == 1 && empty).then_some(()))
    })
    .await
    .unwrap();
    // Without the namespace nothing can be said.
    let (code, text) = status(&testbed, &["--canary-namespace=nowhere".to_owned()]);
    assert_eq!(code, 2);
    assert!(text.starts_with("enforcing    unknown: namespace nowhere for the canary"), "{text}");
}
