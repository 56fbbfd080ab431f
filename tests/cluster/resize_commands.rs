//! `stateward resize` as people type it, against a real control plane.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use stateward_core::record::snapshot;
use testbed::{Output, Testbed};
use tokio::process::Command;

use crate::record::{define, record, records};
use crate::resize::{Controller, Resizing};
use crate::webhook::{LONG, STORAGE, path, pod_uids, running};

/// Runs a command line with kubectl and stateward in the path, as in a shell.
fn shell(testbed: &Testbed, line: &str) -> Command {
    let folder = testbed.folder().join("commands");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, program) in [
        ("stateward", std::path::Path::new(env!("CARGO_BIN_EXE_stateward"))),
        ("kubectl-stateward", std::path::Path::new(env!("CARGO_BIN_EXE_stateward"))),
        ("kubectl", &testbed.tools().kubectl),
    ] {
        let tool = folder.join(name);
        if !tool.exists() {
            // Two tests may come here at once.
            let _ = std::os::unix::fs::symlink(program, tool);
        }
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command
        .args(["-o", "pipefail", "-c", line])
        .env("PATH", path)
        .env("KUBECONFIG", testbed.kubeconfig())
        .env("KUBECACHEDIR", testbed.folder().join("kubectl"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn typed(testbed: &Testbed, line: &str) -> Output {
    let output = shell(testbed, line).output().await.unwrap();
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs it, and asserts its exit code; gives all that it printed.
async fn ends(testbed: &Testbed, line: &str, code: i32) -> String {
    let output = typed(testbed, line).await;
    let all = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.status, code, "{line}\n{all}");
    all
}

async fn resize(testbed: &Testbed, namespace: &str, arguments: &str, code: i32) -> String {
    ends(testbed, &format!("stateward resize {arguments} -n {namespace}"), code).await
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

async fn storage(testbed: &Testbed, namespace: &str) -> Value {
    let live = testbed.get(&path(namespace, "db")).await.unwrap().ok().unwrap();
    live.pointer(STORAGE).unwrap().clone()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_resize_is_planned_applied_and_looked_at() {
    let resizing = Resizing::shared().await;
    let (namespace, _) = resizing.prepare(|_| ()).await;
    let pods = pod_uids(resizing, &namespace).await;
    let plan = format!("plan sts/db --size 20Gi -n {namespace}");
    // As a plugin of kubectl, too; young pods and revision are waited for.
    let text = ends(resizing, &format!("kubectl stateward resize {plan} -v"), 0).await;
    let begin = format!("kubectl stateward resize apply db -n {namespace} --size data=20Gi");
    has(&text, &[&begin, "ok       a resize controller is running"]);
    has(
        &text,
        &["claim template data 10Gi → 20Gi", "1 Growing", "data-db-2", "Pods that restart: none"],
    );
    has(&text, &["ok       a dry run of the orphan delete is accepted"]);
    has(&text, &["ok       no webhook changes the set when it is created"]);
    let text = ends(resizing, &format!("stateward resize {plan} --format json"), 0).await;
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["claims"].as_array().unwrap().len(), 3);
    assert_eq!(plan["secondsWithoutController"], 1);

    let text =
        resize(resizing, &namespace, "apply statefulset/db --size data=20Gi --wait", 0).await;
    has(&text, &["Asked for: data to 20Gi", "+            storage: 20Gi", "data-db-1", "Complete"]);
    resizing.complete(&namespace, "20Gi").await;
    assert_eq!(pod_uids(resizing, &namespace).await, pods);
    has(&resize(resizing, &namespace, "status db", 0).await, &["Complete", "data-db-0", "done"]);
    has(&resize(resizing, &namespace, "status", 0).await, &["SET  GROWN", "3/3", "Complete"]);
    let every = ends(resizing, "stateward resize status -A; true", 0).await;
    has(&every, &["NAMESPACE", &namespace]);
    has(&resize(resizing, &namespace, "apply db --size 20Gi", 0).await, &["Nothing to do"]);
    has(&resize(resizing, &namespace, "abort db", 0).await, &["Nothing to do"]);

    // What would shrink or is not there is refused before anything is written.
    let text = resize(resizing, &namespace, "apply db --size 5Gi", 1).await;
    has(&text, &["nothing was changed", "claims cannot shrink"]);
    let text = resize(resizing, &namespace, "plan db --size dada=30Gi", 2).await;
    has(&text, &["no claim template \"dada\"; did you mean \"data\"?"]);
    has(&resize(resizing, &namespace, "plan dc --size 1Gi", 2).await, &["there is no StatefulSet"]);
    has(&resize(resizing, &namespace, "finish nothing", 2).await, &["there is no resize of"]);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn claims_grow_first_and_the_set_when_it_suits() {
    let resizing = Resizing::shared().await;
    let (namespace, _) = resizing.prepare(|_| ()).await;
    resize(resizing, &namespace, "apply db --size 20Gi --claims-only --wait", 0).await;
    assert_eq!(storage(resizing, &namespace).await, "10Gi");
    for claim in resizing.list(&namespace, "persistentvolumeclaims").await {
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "20Gi", "{claim}");
    }
    let text = resize(resizing, &namespace, "status db", 0).await;
    has(
        &text,
        &["says to leave the set alone", &format!("stateward resize finish db -n {namespace}")],
    );
    resize(resizing, &namespace, "pause db", 0).await;
    let text = resize(resizing, &namespace, "finish db --wait --timeout 30s", 1).await;
    has(&text, &["the resize is paused", &format!("stateward resize resume db -n {namespace}")]);
    assert_eq!(storage(resizing, &namespace).await, "10Gi");
    resize(resizing, &namespace, "resume db", 0).await;
    resizing.complete(&namespace, "20Gi").await;
    has(&resize(resizing, &namespace, "finish db --wait", 0).await, &["Nothing to do"]);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_template_follows_claims_that_were_grown_by_hand() {
    let resizing = Resizing::shared().await;
    let (namespace, _) = resizing.prepare(|_| ()).await;
    has(&resize(resizing, &namespace, "sync db", 0).await, &["Nothing to do"]);
    for (ordinal, size) in [(0, "30Gi"), (1, "20Gi"), (2, "20Gi")] {
        let claim =
            format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-db-{ordinal}");
        let change = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        resizing.merge(&claim, change).await.unwrap().ok().unwrap();
    }
    let text = resize(resizing, &namespace, "sync db --print-only", 0).await;
    has(&text, &["Each claim of data is at least 20Gi", "The largest is 30Gi"]);
    has(&text, &["-            storage: 10Gi\n+            storage: 20Gi\n"]);
    let text = resize(resizing, &namespace, "sync db --wait", 0).await;
    has(&text, &["Complete"]);
    assert_eq!(storage(resizing, &namespace).await, "20Gi");
    let sizes: Vec<Value> = resizing
        .list(&namespace, "persistentvolumeclaims")
        .await
        .iter()
        .map(|claim| claim["spec"]["resources"]["requests"]["storage"].clone())
        .collect();
    assert_eq!(sizes, ["30Gi", "20Gi", "20Gi"], "a claim grew along");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn what_does_not_grow_says_what_to_do() {
    let resizing = Resizing::shared().await;
    let class = |class: &'static str| {
        move |set: &mut Value| {
            set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!(class);
        }
    };
    let (namespace, _) = resizing.prepare(class("rigid")).await;
    let text = resize(resizing, &namespace, "apply db --size 20Gi", 1).await;
    has(&text, &["nothing was changed", "StorageClass rigid, which does not allow expansion"]);
    let reply = resizing.get(&format!("{}/db", records(&namespace))).await.unwrap();
    assert_eq!(reply.status, 404, "a record was made");

    let (namespace, _) = resizing.prepare(class("infeasible")).await;
    let text = resize(resizing, &namespace, "apply db --size 20Gi --wait --timeout 60s", 1).await;
    has(&text, &["Degraded", "cannot make the volume this large", "patch pvc data-db-"]);
    let text = resize(resizing, &namespace, "status db", 1).await;
    // The printed command runs as pasted, and the driver can make the next size.
    let lower = text.lines().find(|line| line.contains("stateward resize abort")).unwrap();
    ends(resizing, lower.trim(), 0).await;
    let text = resize(resizing, &namespace, "apply db --size 12Gi --wait --timeout 60s", 0).await;
    has(&text, &["Complete"]);
    resizing.grown(&namespace, "12Gi").await;

    let (namespace, _) = resizing.prepare(class("stuck")).await;
    let line = format!("exec stateward resize apply db -n {namespace} --size 20Gi --wait");
    let child = shell(resizing, &line).spawn().unwrap();
    let pid = child.id().unwrap().to_string();
    let record = format!("{}/db", records(&namespace));
    resizing
        .wait_object(&record, Duration::from_secs(60), |record| {
            record["status"]["reason"] == "ClaimsGrowing"
        })
        .await
        .unwrap();
    // Where it waits by now, a signal finds it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    has(&text, &["goes on without this command", "resize abort db"]);
    resize(resizing, &namespace, "abort db", 0).await;
    let ended = resizing.ended(&namespace).await;
    assert_eq!(ended["status"]["phase"], "Aborted", "{ended}");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn without_a_controller_claims_grow_from_here_and_a_set_comes_back_by_hand() {
    let testbed = Testbed::builder().start().await.unwrap();
    testbed.play_storage().await.unwrap();
    let namespace = testbed.namespace("here").await.unwrap();
    let mut set = crate::webhook::set("db", &namespace);
    set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("standard");
    let live = running(&testbed, &set).await;
    let pods = pod_uids(&testbed, &namespace).await;
    let text = resize(&testbed, &namespace, "apply db --size 20Gi", 1).await;
    has(&text, &["No controller would carry this out: this cluster does not know", "--here"]);
    has(&text, &["manifests --crds", "stateward controller --system-namespace stateward"]);
    // The plan says the same.
    let text = resize(&testbed, &namespace, "plan db --size 20Gi", 1).await;
    has(&text, &["BLOCKED", "this cluster does not know StatefulSetResize", "--here"]);
    let text = resize(&testbed, &namespace, "status", 1).await;
    has(&text, &["does not know StatefulSetResize", "manifests --crds"]);
    let text = resize(&testbed, &namespace, "apply db --size 20Gi", 1).await;
    let offered = text.lines().find(|line| line.ends_with("--here")).unwrap().trim();
    let text = ends(&testbed, offered, 0).await;
    has(&text, &["data-db-1", "done", "All claims have grown"]);
    assert_eq!(storage(&testbed, &namespace).await, "10Gi");
    let text = resize(&testbed, &namespace, "plan db --size 20Gi --format json", 1).await;
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["verdict"], "blocked");
    assert!(plan["claims"].as_array().unwrap().iter().all(|claim| claim["state"] == "Done"));

    // stateward vanished in the re-creation window: the plan's own words bring the set back.
    define(&testbed).await;
    let made = record("db", &json!({}));
    let mut made = testbed.create(&records(&namespace), made).await.unwrap().ok().unwrap();
    made["status"] = json!({"phase": "Deleting", "snapshot": snapshot::encode(&live).unwrap()});
    let status = format!("{}/db/status", records(&namespace));
    testbed.replace(&status, made).await.unwrap().ok().unwrap();
    let options = json!({"propagationPolicy": "Orphan"});
    testbed.delete(&path(&namespace, "db"), options).await.unwrap().ok().unwrap();
    testbed
        .wait_for("the set to be gone", LONG, async || {
            Ok((testbed.get(&path(&namespace, "db")).await?.status == 404).then_some(()))
        })
        .await
        .unwrap();
    let step = plan["steps"].as_array().unwrap().iter().find(|step| step["phase"] == "Deleting");
    let manual_recovery = step.unwrap()["manualRecovery"].as_array().unwrap();
    let command = manual_recovery.last().unwrap()["command"].as_str().unwrap();
    ends(&testbed, command, 0).await;
    testbed
        .wait_object(&path(&namespace, "db"), LONG, |live| live["status"]["readyReplicas"] == 2)
        .await
        .unwrap();
    assert_eq!(pod_uids(&testbed, &namespace).await, pods);

    // Somebody else deleted it, with its pods: finish brings it back with the size asked.
    let live = testbed.get(&path(&namespace, "db")).await.unwrap().ok().unwrap();
    testbed.delete(&path(&namespace, "db"), json!({})).await.unwrap().ok().unwrap();
    let mut record =
        testbed.get(&format!("{}/db", records(&namespace))).await.unwrap().ok().unwrap();
    record["status"] = json!({
        "phase": "Aborted",
        "state": "Ended", "reason": "DeletedByOther",
        "snapshot": snapshot::encode(&live).unwrap(),
        "request": {
            "number": 1, "generation": 1, "setUid": live["metadata"]["uid"],
            "targets": {"data": "20Gi"},
        },
    });
    testbed.replace(&status, record).await.unwrap().ok().unwrap();
    has(&resize(&testbed, &namespace, "status db", 1).await, &["someone else deleted the set"]);
    has(&resize(&testbed, &namespace, "finish db", 0).await, &["is there again"]);
    assert_eq!(storage(&testbed, &namespace).await, "20Gi");
    let back = testbed
        .wait_object(&path(&namespace, "db"), LONG, |live| live["status"]["readyReplicas"] == 2)
        .await
        .unwrap();
    assert_eq!(back["spec"]["updateStrategy"], live["spec"]["updateStrategy"]);
    has(&resize(&testbed, &namespace, "finish db", 0).await, &["exists again"]);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_that_others_delete_before_its_re_creation_comes_back_by_the_printed_command() {
    let resizing = Resizing::shared().await;
    let (namespace, _) = resizing.prepare(|_| ()).await;
    resize(resizing, &namespace, "apply db --size 20Gi --claims-only --wait", 0).await;
    let pods = pod_uids(resizing, &namespace).await;
    ends(resizing, &format!("kubectl delete sts db -n {namespace} --cascade=orphan"), 0).await;
    let record = format!("{}/db", records(&namespace));
    resizing
        .wait_object(&record, LONG, |record| record["status"]["reason"] == "SetGone")
        .await
        .unwrap();
    let text = resize(resizing, &namespace, "status db", 1).await;
    let finish = format!("stateward resize finish db -n {namespace}");
    has(&text, &["the set was deleted by someone else", &finish]);
    ends(resizing, &finish, 0).await;
    let back = |live: &Value| live["status"]["readyReplicas"] == 3;
    resizing.wait_object(&path(&namespace, "db"), LONG, back).await.unwrap();
    assert_eq!(storage(resizing, &namespace).await, "20Gi");
    assert_eq!(pod_uids(resizing, &namespace).await, pods, "a pod was restarted");
}

/// Commands look at the set and at the newest request, not only at the status that the controller wrote.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn what_the_controller_has_not_seen_is_neither_lost_nor_hidden() {
    let resizing = &*Resizing::alone().await;
    let controller = Controller::start(resizing, &resizing.account, 2);
    let (namespace, set) = resizing.prepare(|_| ()).await;
    resizing.grow(&set, "20Gi").await;
    resizing.complete(&namespace, "20Gi").await;
    controller.kill();

    // A request that follows an earlier one, and is taken back before anybody has read it.
    let record = format!("{}/db", records(&namespace));
    let ask = json!({"spec": {"targets": {"data": {"storage": "30Gi"}}}});
    resizing.merge(&record, ask.clone()).await.unwrap().ok().unwrap();
    resize(resizing, &namespace, "pause db", 0).await;
    let record_now = resizing.get(&record).await.unwrap().ok().unwrap();
    assert_eq!(record_now["spec"]["paused"], true, "{record_now}");
    resize(resizing, &namespace, "resume db", 0).await;
    has(&resize(resizing, &namespace, "abort db", 0).await, &["Asked for the end of it"]);
    controller.launch();
    let read =
        |record: &Value| record["status"]["observedGeneration"] == record["metadata"]["generation"];
    resizing.wait_object(&record, LONG, read).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    resizing.grown(&namespace, "20Gi").await;
    assert_eq!(storage(resizing, &namespace).await, "20Gi");

    // The next one is carried out, and the set goes while no controller runs.
    let mut ask = ask;
    ask["spec"]["hold"] = json!("ClaimsGrown");
    resizing.merge(&record, ask).await.unwrap().ok().unwrap();
    let held = |record: &Value| record["status"]["reason"] == "Held";
    resizing.wait_object(&record, LONG, held).await.unwrap();
    controller.kill();
    let delete = format!("kubectl delete sts db -n {namespace} --cascade=orphan");
    ends(resizing, &delete, 0).await;
    let text = resize(resizing, &namespace, "status db", 1).await;
    let finish = format!("stateward resize finish db -n {namespace}");
    has(&text, &["The StatefulSet does not exist", &finish]);
    has(&ends(resizing, &finish, 0).await, &["is there again"]);
    controller.launch();
    resizing.complete(&namespace, "30Gi").await;
    resizing.grown(&namespace, "30Gi").await;
}
