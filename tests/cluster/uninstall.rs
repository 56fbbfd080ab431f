//! The commands of docs/uninstall.md leave nothing behind.

use serde_json::{Value, json};
use testbed::Testbed;

use crate::record::{record, records};
use crate::resize_commands::typed;
use crate::webhook::{apply, path, set};

/// The shell blocks of the page.
fn blocks() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/uninstall.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(str::to_owned).collect()
}

/// Runs the block of the page that holds `part`; gives what it prints.
async fn run(testbed: &Testbed, part: &str) -> String {
    let blocks = blocks();
    let mut with = blocks.iter().filter(|block| block.contains(part));
    let block = with.next().unwrap_or_else(|| panic!("no block with {part}"));
    assert!(with.next().is_none(), "two blocks with {part}");
    let output = typed(testbed, block).await;
    assert_eq!(output.status, 0, "{block}\n{output:?}");
    output.stdout
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_page_removes_everything() {
    let testbed = Testbed::builder().start().await.unwrap();
    let install = "stateward manifests --install | kubectl apply --server-side -f -";
    let output = typed(&testbed, install).await;
    assert_eq!(output.status, 0, "{output:?}");
    testbed
        .wait_for("the kind of records", crate::webhook::LONG, async || {
            Ok(testbed.get(&records("default")).await?.ok().ok())
        })
        .await
        .unwrap();
    for (api, kind, name) in [
        ("v1", "Secret", "stateward-authority"),
        ("coordination.k8s.io/v1", "Lease", "stateward-can-resize"),
        ("coordination.k8s.io/v1", "Lease", "stateward-controller"),
    ] {
        let metadata = json!({"name": name, "namespace": "stateward"});
        let object = json!({"apiVersion": api, "kind": kind, "metadata": metadata});
        testbed.apply(object).await.unwrap();
    }
    // As after a hook whose image could not be pulled.
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "a", "image": "none"}]});
    let (job, test) = ("stateward-uninstall", "stateward-test");
    for object in [
        json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": job, "namespace": "stateward"},
            "spec": {"template": {"spec": pod}}}),
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": test, "namespace": "stateward"}, "spec": pod}),
    ] {
        testbed.apply(object).await.unwrap();
    }
    testbed.ensure_namespace("shop").await.unwrap();
    let annotated = json!({"metadata": {"annotations": {
        "stateward.dev/injected": "[]", "stateward.dev/resize-id": "a/b", "example.com/team": "db",
    }}});
    let mut object = set("db", "shop");
    object["metadata"]["annotations"] = annotated["metadata"]["annotations"].clone();
    apply(&testbed, &object, &[]).await.ok().unwrap();
    testbed.merge("/api/v1/namespaces/shop", annotated).await.unwrap().ok().unwrap();
    let unfinished = record("db", &json!({"targets": {"data": {"storage": "20Gi"}}}));
    let mut held = unfinished.clone();
    held["metadata"]["finalizers"] = json!(["stateward.dev/resize"]);
    testbed.admin().create(&records("shop"), held).await.unwrap().ok().unwrap();
    testbed.admin().create(&records("default"), unfinished).await.unwrap().ok().unwrap();

    // What is unfinished is named, and nothing else.
    let unfinished = "{{- if eq . \"stateward.dev/resize\"}}";
    assert_eq!(run(&testbed, unfinished).await, "shop/db\n");
    let free = json!({"metadata": {"finalizers": []}});
    testbed.merge(&format!("{}/db", records("shop")), free).await.unwrap().ok().unwrap();
    assert_eq!(run(&testbed, unfinished).await, "");

    run(&testbed, "kubectl delete secret stateward-authority").await;
    for left in [
        format!("/apis/batch/v1/namespaces/stateward/jobs/{job}"),
        format!("/api/v1/namespaces/stateward/pods/{test}"),
    ] {
        let found = testbed.get(&left).await.unwrap().ok().ok();
        let terminating =
            found.is_none_or(|object| object["metadata"]["deletionTimestamp"].is_string());
        assert!(terminating, "{left} stays");
    }
    run(&testbed, "stateward manifests --install | kubectl delete").await;
    run(&testbed, "kubectl delete namespace stateward").await;
    run(&testbed, "kubectl annotate").await;
    assert_eq!(run(&testbed, "nothing is left").await, "nothing is left\n");
    for path in [path("shop", "db"), "/api/v1/namespaces/shop".to_owned()] {
        let live = testbed.get(&path).await.unwrap().ok().unwrap();
        let annotations = live["metadata"]["annotations"].as_object().unwrap();
        let ours = |key: &&String| key.starts_with("stateward.dev/");
        assert_eq!(annotations.keys().find(ours), None, "{path}");
        assert_eq!(annotations["example.com/team"], Value::from("db"), "{path}");
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_dry_run_names_what_would_be_deleted_and_deletes_nothing() {
    let testbed = Testbed::builder().controllers(false).start().await.unwrap();
    let install = "stateward manifests --install | kubectl apply --server-side -f -";
    assert_eq!(typed(&testbed, install).await.status, 0);
    let configurations =
        "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o name";
    let before = typed(&testbed, configurations).await.stdout;
    let dry = typed(&testbed, "stateward prepare-uninstall --dry-run").await;
    assert_eq!(dry.status, 0, "{dry:?}");
    assert_eq!(dry.stdout.matches(" stateward would be deleted\n").count(), 2, "{dry:?}");
    assert_eq!(typed(&testbed, configurations).await.stdout, before);
    let real = typed(&testbed, "stateward prepare-uninstall").await;
    assert_eq!(real.stdout.matches(" stateward is deleted\n").count(), 2, "{real:?}");
    assert_ne!(typed(&testbed, configurations).await.stdout, before);
}
