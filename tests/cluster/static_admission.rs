//! Webhook configurations that the API server reads from its own folders, so that nobody can delete
//! them through the API.

use serde_json::json;
use testbed::{Kubernetes, Testbed};

use crate::webhook::{LONG, Webhook, path, set};

const SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";

/// The configuration of `docs/static-admission.md`, pointed at `folder`.
fn admission(folder: &std::path::Path) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/static-admission.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    // It stands in a list.
    let block = block.replace("\n   ", "\n").trim_start().to_owned();
    block.replace("/etc/kubernetes/stateward", folder.to_str().unwrap())
}

/// Kubernetes reads configurations from files since 1.37.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_configuration_from_a_file_is_out_of_reach_of_the_api() {
    let webhook = Webhook::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    for kind in ["mutating", "validating"] {
        let manifest = webhook.manifests(&["--static", kind, "--failure-policy=Fail"]);
        std::fs::create_dir(folder.path().join(kind)).unwrap();
        std::fs::write(folder.path().join(kind).join("stateward.yaml"), manifest).unwrap();
    }
    let file = folder.path().join("admission.yaml");
    std::fs::write(&file, admission(folder.path())).unwrap();
    let testbed = Testbed::builder()
        .kubernetes(Kubernetes::V1_37)
        .controllers(false)
        .api_server_argument(format!("--admission-control-config-file={}", file.display()))
        .start()
        .await
        .unwrap();
    // An administrator may delete every configuration that there is.
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let delete = ["delete", kind, "--all"];
        testbed.kubectl(&delete).await.unwrap().ok().unwrap();
        let name = "stateward.static.k8s.io";
        let found = testbed.kubectl(&["get", kind, name]).await.unwrap();
        assert!(found.ok().is_err(), "{kind} is in the API");
    }
    testbed::wait::wait_for("the webhook to be called", LONG, async || {
        let reply = testbed.create(SETS, set("db", "default")).await?;
        Ok(reply.is_success().then_some(()))
    })
    .await
    .unwrap();
    let edit = json!({"spec": {"volumeClaimTemplates": []}});
    let reply = testbed.merge(&path("default", "db"), edit).await.unwrap();
    assert!(reply.message().contains("claim template data would be removed"), "{}", reply.body);
}
