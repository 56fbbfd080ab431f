//! Every command that a denial prints runs as pasted, and restarts no pod unless it says so.

use serde_json::{Value, json};
use testbed::Testbed;

use crate::webhook::{LONG, STORAGE, apply, cluster, path, pod_uids, running, set};

/// One denied edit.
struct Scenario {
    rule: &'static str,
    edit: fn(&mut Value),
    /// what the live set holds after the commands, where they carry the edit out
    outcome: Option<(&'static str, Value)>,
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            rule: "sts-service-name",
            edit: |set| set["spec"]["serviceName"] = json!("other"),
            outcome: Some(("/spec/serviceName", json!("other"))),
        },
        Scenario {
            rule: "sts-pod-management-policy",
            edit: |set| set["spec"]["podManagementPolicy"] = json!("OrderedReady"),
            outcome: Some(("/spec/podManagementPolicy", json!("OrderedReady"))),
        },
        Scenario {
            rule: "sts-vct-size-grow",
            edit: |set| {
                *set.pointer_mut(STORAGE).unwrap() = json!("20Gi");
                set["metadata"]["annotations"] = json!({"stateward.dev/resize": "reject"});
            },
            outcome: Some((STORAGE, json!("20Gi"))),
        },
        Scenario {
            rule: "sts-vct-size-shrink",
            edit: |set| *set.pointer_mut(STORAGE).unwrap() = json!("5Gi"),
            outcome: None,
        },
        Scenario {
            rule: "sts-vct-storage-class",
            edit: |set| {
                set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] =
                    json!("standard");
            },
            outcome: None,
        },
        Scenario {
            rule: "sts-vct-access-modes",
            edit: |set| {
                set["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] =
                    json!(["ReadWriteMany"]);
            },
            outcome: None,
        },
        Scenario {
            rule: "sts-vct-volume-mode",
            edit: |set| {
                set["spec"]["volumeClaimTemplates"][0]["spec"]["volumeMode"] = json!("Block");
            },
            outcome: None,
        },
        Scenario {
            rule: "sts-vct-metadata",
            edit: |set| {
                set["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"] =
                    json!({"chart": "db-2"});
            },
            outcome: Some((
                "/spec/volumeClaimTemplates/0/metadata/labels",
                json!({"chart": "db-2"}),
            )),
        },
        Scenario {
            rule: "sts-vct-added",
            edit: |set| {
                let mut more = set["spec"]["volumeClaimTemplates"][0].clone();
                more["metadata"]["name"] = json!("wal");
                set["spec"]["volumeClaimTemplates"].as_array_mut().unwrap().push(more);
            },
            outcome: Some(("/spec/volumeClaimTemplates/1/metadata/name", json!("wal"))),
        },
        Scenario {
            rule: "sts-vct-removed",
            edit: |set| {
                set["spec"]["volumeClaimTemplates"] = json!([]);
                set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = json!([]);
            },
            outcome: None,
        },
        Scenario {
            rule: "sts-selector",
            edit: |set| {
                set["spec"]["selector"]["matchLabels"]["tier"] = json!("x");
                set["spec"]["template"]["metadata"]["labels"]["tier"] = json!("x");
            },
            outcome: None,
        },
        Scenario {
            rule: "sts-spec-immutable",
            edit: |set| {
                set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["limits"] =
                    json!({"storage": "50Gi"});
            },
            outcome: None,
        },
        Scenario {
            rule: "sts-ordinals-start",
            edit: |set| set["spec"]["ordinals"] = json!({"start": 3}),
            outcome: None,
        },
        Scenario {
            rule: "sts-retention-to-delete",
            edit: |set| {
                set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                    json!({"whenDeleted": "Delete"});
            },
            outcome: None,
        },
        Scenario {
            rule: "sts-data-mount-removed",
            edit: |set| {
                set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["mountPath"] =
                    json!("/elsewhere");
            },
            outcome: None,
        },
    ]
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn commands_run_as_pasted_and_restart_nothing_unsaid() {
    let testbed = cluster().await;
    for scenario in scenarios() {
        // At once: each has a namespace of its own.
        tokio::join!(run(testbed, &scenario, true), run(testbed, &scenario, false));
    }
}

async fn run(testbed: &Testbed, scenario: &Scenario, injected: bool) {
    let rule = scenario.rule;
    let namespace = testbed.namespace("remedy").await.unwrap();
    let mut manifest = set("db", &namespace);
    if !injected {
        // As if the set had been there before stateward was installed.
        manifest["metadata"]["annotations"] = json!({"stateward.dev/anti-affinity": "none"});
    }
    running(testbed, &manifest).await;
    if !injected {
        let patch = json!({"metadata": {"annotations": {"stateward.dev/anti-affinity": null}}});
        testbed.merge(&path(&namespace, "db"), patch).await.unwrap().ok().unwrap();
        manifest["metadata"].as_object_mut().unwrap().remove("annotations");
    }
    let before = pod_uids(testbed, &namespace).await;
    (scenario.edit)(&mut manifest);
    let output = apply(testbed, &manifest, &[]).await;
    assert_eq!(output.status, 1, "{rule} was not denied");
    assert!(output.stderr.contains(rule), "{rule}: {}", output.stderr);
    let folder = tempfile::tempdir().unwrap();
    let mut restarts = false;
    let mut lines = output.stderr.lines().peekable();
    while let Some(line) = lines.next() {
        let step = line.trim_start();
        let numbered = step.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
        if !numbered || !line.starts_with("  ") {
            continue;
        }
        restarts |=
            ["they restart", "then restart one at a time"].iter().any(|words| step.contains(words));
        if let Some(command) = lines.next_if(|line| line.starts_with("     ")) {
            shell(testbed, folder.path(), command.trim(), rule).await;
        }
    }
    // A set has settled once it has adopted its pods and a rollout, if there is one, is over. After
    // that nothing replaces a pod any more.
    let settled = testbed
        .wait_object(&path(&namespace, "db"), LONG, |live| {
            let status = &live["status"];
            status["observedGeneration"] == live["metadata"]["generation"]
                && status["readyReplicas"] == 2
                && (status["updatedReplicas"] == 2
                    || live["spec"]["updateStrategy"]["type"] == "OnDelete")
        })
        .await
        .unwrap_or_else(|error| panic!("{rule}: {error:#}"));
    owned(testbed, &namespace, &settled["metadata"]["uid"]).await;
    let live = testbed.get(&path(&namespace, "db")).await.unwrap().body;
    if let Some((pointer, value)) = &scenario.outcome {
        assert_eq!(live.pointer(pointer), Some(value), "{rule}: {}", output.stderr);
    }
    let after = pod_uids(testbed, &namespace).await;
    if restarts {
        assert_ne!(before, after, "{rule} says that pods restart, and none did");
    } else {
        assert_eq!(before, after, "{rule} (injected: {injected}): {}", output.stderr);
    }
}

/// Waits until the set with this UID controls every pod of the namespace.
async fn owned(testbed: &Testbed, namespace: &str, set: &Value) {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    testbed
        .wait_object(&pods, LONG, |pods| {
            let pods = pods["items"].as_array().unwrap();
            pods.iter().all(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == *set)
        })
        .await
        .unwrap();
}

async fn shell(testbed: &Testbed, folder: &std::path::Path, command: &str, rule: &str) {
    let kubectl = testbed.tools().kubectl.parent().unwrap().to_owned();
    let path = format!("{}:{}", kubectl.display(), std::env::var("PATH").unwrap());
    let output = tokio::process::Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder)
        .env("PATH", path)
        .env("KUBECONFIG", testbed.kubeconfig())
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{rule}: {command}\n{stderr}");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn deleting_with_the_claims_has_a_way_out_that_keeps_them() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("remedy").await.unwrap();
    let mut manifest = set("db", &namespace);
    manifest["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    running(testbed, &manifest).await;
    let output = testbed.kubectl(&["delete", "statefulset", "db", "-n", &namespace]).await.unwrap();
    assert_eq!(output.status, 1);
    let commands: Vec<&str> =
        output.stderr.lines().filter(|line| line.starts_with("     ")).map(str::trim).collect();
    assert!(!commands.is_empty(), "{}", output.stderr);
    let folder = tempfile::tempdir().unwrap();
    for command in commands {
        shell(testbed, folder.path(), command, "sts-delete-pvc-retention-delete").await;
    }
    let live = path(&namespace, "db");
    testbed::wait::wait_for("the set to be deleted", LONG, async || {
        Ok((testbed.get(&live).await?.status == 404).then_some(()))
    })
    .await
    .unwrap();
    // The garbage collector deletes a claim only if it has an owner that is gone.
    let claims = testbed
        .get(&format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"))
        .await
        .unwrap()
        .body;
    let claims = claims["items"].as_array().unwrap();
    assert_eq!(claims.len(), 2, "{}", output.stderr);
    for claim in claims {
        assert!(claim["metadata"]["deletionTimestamp"].is_null(), "a claim is being deleted");
        assert!(
            claim["metadata"]["ownerReferences"].is_null(),
            "a claim would be deleted: {claim}"
        );
    }
}

/// The claims of a namespace by name and UID. None may be about to be deleted.
async fn claims(testbed: &Testbed, namespace: &str) -> Vec<(String, String)> {
    let list = testbed
        .get(&format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims"))
        .await
        .unwrap()
        .body;
    let claims = list["items"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found: Vec<_> = claims
        .iter()
        .map(|claim| {
            let metadata = &claim["metadata"];
            assert!(metadata["deletionTimestamp"].is_null(), "{} is deleted", metadata["name"]);
            let owners = metadata["ownerReferences"].as_array();
            let pod = owners.is_some_and(|owners| owners.iter().any(|o| o["kind"] == "Pod"));
            assert!(!pod, "{} is deleted with its pod", metadata["name"]);
            (text(&metadata["name"]), text(&metadata["uid"]))
        })
        .collect();
    found.sort();
    found
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn remedies_keep_every_claim_under_each_retention_policy() {
    let testbed = cluster().await;
    for when_deleted in ["Retain", "Delete"] {
        for when_scaled in ["Retain", "Delete"] {
            retained(testbed, when_deleted, when_scaled).await;
        }
    }
}

async fn retained(testbed: &Testbed, when_deleted: &str, when_scaled: &str) {
    let policies = format!("whenDeleted {when_deleted}, whenScaled {when_scaled}");
    let namespace = testbed.namespace("retention").await.unwrap();
    let mut manifest = set("db", &namespace);
    manifest["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenDeleted": when_deleted, "whenScaled": when_scaled});
    running(testbed, &manifest).await;
    let before = claims(testbed, &namespace).await;
    assert_eq!(before.len(), 2);

    // Re-created by the commands of a denial.
    manifest["spec"]["serviceName"] = json!("other");
    let output = apply(testbed, &manifest, &[]).await;
    assert_eq!(output.status, 1, "{policies}");
    let folder = tempfile::tempdir().unwrap();
    for command in output.stderr.lines().filter(|line| line.starts_with("     ")) {
        shell(testbed, folder.path(), command.trim(), &policies).await;
    }
    let live = testbed
        .wait_object(&path(&namespace, "db"), LONG, |live| {
            live["spec"]["serviceName"] == "other"
                && live["status"]["observedGeneration"] == live["metadata"]["generation"]
                && live["status"]["readyReplicas"] == 2
        })
        .await
        .unwrap();
    let retention = &live["spec"]["persistentVolumeClaimRetentionPolicy"];
    assert_eq!(retention["whenDeleted"], when_deleted, "{policies}: {}", output.stderr);
    owned(testbed, &namespace, &live["metadata"]["uid"]).await;
    assert_eq!(claims(testbed, &namespace).await, before, "{policies}: {}", output.stderr);

    // Scaled down as the denial says: with Retain in the same edit.
    manifest["spec"]["replicas"] = json!(1);
    let output = apply(testbed, &manifest, &["--server-side", "--force-conflicts"]).await;
    assert_eq!(output.status == 1, when_scaled == "Delete", "{policies}: {}", output.stderr);
    if when_scaled == "Delete" {
        assert!(output.stderr.contains("sts-scale-down-deletes-claims"), "{}", output.stderr);
        assert!(output.stderr.contains("data-db-1"), "{}", output.stderr);
        manifest["spec"]["persistentVolumeClaimRetentionPolicy"]["whenScaled"] = json!("Retain");
        apply(testbed, &manifest, &["--server-side", "--force-conflicts"]).await.ok().unwrap();
    }
    testbed
        .wait_object(&path(&namespace, "db"), LONG, |live| {
            live["status"]["observedGeneration"] == live["metadata"]["generation"]
                && live["status"]["replicas"] == 1
        })
        .await
        .unwrap();
    let pod = format!("/api/v1/namespaces/{namespace}/pods/db-1");
    testbed
        .wait_for("db-1 to be gone", LONG, async || {
            Ok((testbed.get(&pod).await?.status == 404).then_some(()))
        })
        .await
        .unwrap();
    assert_eq!(claims(testbed, &namespace).await, before, "{policies}: scaled down");
}
