//! Everything at once: a disk is full, a pod crash-loops, a rollout is stuck, the controller is
//! killed, the API server restarts. Claims still grow, and the set follows when it can.
//!
//! `scripts/worst-night` runs this with its story on the terminal; `docs/worst-night.md` tells it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::{Component, Testbed};

use crate::record::records;
use crate::resize::{Controller, Resizing};
use crate::webhook::{LONG, path};

/// What a person on call would see, with the time since the night began.
struct Night(Instant);

impl Night {
    #[expect(clippy::print_stdout, reason = "the script shows it to a person")]
    fn tell(&self, text: &str) {
        println!("{:>5.1} s  {text}", self.0.elapsed().as_secs_f32());
    }
}

/// Makes the pods of the set crash-loop, or lets them be well again.
async fn crash(resizing: &Resizing, namespace: &str, name: &str, crashes: bool) {
    let ready = if crashes { json!("false") } else { Value::Null };
    let pod = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    let change = json!({"metadata": {"annotations": {"testbed.stateward.dev/ready": ready}}});
    resizing.merge(&pod, change).await.unwrap().ok().unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn claims_grow_in_the_worst_night() {
    let resizing = Resizing::start(Testbed::builder()).await;
    let controller = Controller::start(&resizing, &resizing.account, 2);
    let (namespace, mut set) = resizing
        .prepare(|set| {
            set["spec"]["podManagementPolicy"] = json!("OrderedReady");
            set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
        })
        .await;
    let night = Night(Instant::now());
    let claims: Vec<Value> = resizing.list(&namespace, "persistentvolumeclaims").await;
    let uids = |claims: &[Value]| -> Vec<Value> {
        claims.iter().map(|claim| claim["metadata"]["uid"].clone()).collect()
    };
    let before = uids(&claims);
    night.tell("three pods run, their claims of 10Gi are full, and go when the set goes");

    set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("postgres:17.3");
    set["spec"]["template"]["metadata"]["annotations"] =
        json!({"testbed.stateward.dev/ready": "false"});
    crate::webhook::apply(&resizing, &set, &[]).await.ok().unwrap();
    resizing
        .wait_for("the rollout to be stuck", LONG, async || {
            let pods = resizing.list(&namespace, "pods").await;
            let image = |pod: &Value| pod["spec"]["containers"][0]["image"].clone();
            let stuck = pods.len() == 3
                && image(&pods[2]) == "postgres:17.3"
                && image(&pods[0]) == "postgres:17.2";
            Ok(stuck.then_some(()))
        })
        .await
        .unwrap();
    crash(&resizing, &namespace, "db-0", true).await;
    night.tell("a rollout is stuck at db-2, which never becomes ready; db-0 crash-loops");

    resizing.grow(&set, "40Gi").await;
    night.tell("somebody applies the manifest with 40Gi: accepted");
    resizing.grown(&namespace, "40Gi").await;
    night.tell("every claim has 40Gi, whatever the pods do");
    let record = format!("{}/db", records(&namespace));
    resizing
        .wait_object(&record, LONG, |record| record["status"]["phase"] == "ClaimsGrown")
        .await
        .unwrap();
    let live = resizing.get(&path(&namespace, "db")).await.unwrap().ok().unwrap();
    let old = &live["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"];
    assert_eq!(*old, "10Gi", "the set was touched in the middle of a rollout");
    night.tell("the set is left alone: it is in the middle of a rollout");

    controller.kill();
    night.tell("the controller is killed");
    resizing.stop(Component::ApiServer);
    tokio::time::sleep(Duration::from_secs(1)).await;
    resizing.resume(Component::ApiServer).await.unwrap();
    night.tell("the API server was away and is back");
    controller.launch();

    resizing.grow(&set, "50Gi").await;
    resizing.grown(&namespace, "50Gi").await;
    night.tell("40Gi were not enough: 50Gi are asked for, and every claim has them");

    set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("postgres:17.2");
    set["spec"]["template"]["metadata"].as_object_mut().unwrap().remove("annotations");
    *set.pointer_mut(crate::webhook::STORAGE).unwrap() = json!("50Gi");
    crate::webhook::apply(&resizing, &set, &[]).await.ok().unwrap();
    // The StatefulSet controller does not replace a pod that never became ready; a person does, once
    // the controller has seen the old image, or it would bring the broken one again.
    resizing
        .wait_object(&path(&namespace, "db"), LONG, |live| {
            live["status"]["observedGeneration"] == live["metadata"]["generation"]
        })
        .await
        .unwrap();
    let pod = format!("/api/v1/namespaces/{namespace}/pods/db-2");
    resizing.delete(&pod, Value::Null).await.unwrap().ok().unwrap();
    crash(&resizing, &namespace, "db-0", false).await;
    night.tell("morning: the image goes back, db-2 is deleted by hand, db-0 recovers");

    let live = resizing.complete(&namespace, "50Gi").await;
    let retention = json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
    assert_eq!(live["spec"]["persistentVolumeClaimRetentionPolicy"], retention);
    let after = uids(&resizing.list(&namespace, "persistentvolumeclaims").await);
    assert_eq!(after, before, "a claim was lost");
    night.tell("the set was re-created around its pods: template 50Gi, no claim lost");
}
