//! The controller of the chart, as its Deployment runs it, with the rights of its account.

use serde_json::{Value, json};
use testbed::Testbed;

use crate::certificates::Replica;
use crate::chart::{CHART, PORT, Pod, asked, command_line, granted, helm};
use crate::record::records;
use crate::webhook::{LONG, STORAGE, apply, path, set};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/stateward/deployments/stateward-controller";
const ACCOUNT: &str = "stateward-controller";

/// What the API server refused the account for want of a right.
fn refused(testbed: &Testbed) -> Vec<Value> {
    let user = format!("system:serviceaccount:stateward:{ACCOUNT}");
    let mut events = testbed.audit_events().unwrap();
    events.retain(|event| {
        event["user"]["username"] == user.as_str()
            && event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    });
    events
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_controller_of_the_chart_has_the_rights_that_a_resize_takes() {
    let testbed = Testbed::builder().audit_log(true).start().await.unwrap();
    testbed.play_storage().await.unwrap();
    let sooner = "--set=controller.extraArgs={--just-changed=2s,--resync=1s}";
    let install = ["install", "stateward", CHART, "--create-namespace", PORT, sooner];
    helm(&testbed, &install).await.ok().unwrap();
    let _webhook = Pod::start(&testbed).await;
    let health = format!("127.0.0.1:{}", testbed::free_port().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let line = command_line(&testbed, DEPLOYMENT, &folder, &[("--listen", health.clone())]).await;
    let mut controller = Replica::run(0, health, &line);
    controller.ready().await;

    let namespace = testbed.namespace("growth").await.unwrap();
    let mut set = set("db", &namespace);
    set["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenDeleted": "Delete", "whenScaled": "Delete"});
    apply(&testbed, &set, &[]).await.ok().unwrap();
    testbed
        .wait_object(&path(&namespace, "db"), LONG, |live| {
            live["status"]["readyReplicas"] == live["spec"]["replicas"]
        })
        .await
        .unwrap();
    *set.pointer_mut(STORAGE).unwrap() = json!("20Gi");
    testbed
        .wait_for("growth to be accepted", LONG, async || {
            apply(&testbed, &set, &[]).await.ok().map(Some)
        })
        .await
        .unwrap();
    let record = format!("{}/db", records(&namespace));
    testbed
        .wait_object(&record, LONG, |record| record["status"]["phase"] == "Complete")
        .await
        .unwrap_or_else(|error| panic!("{error:#}: {}", controller.log()));
    assert_eq!(refused(&testbed), Vec::<Value>::new(), "{}", controller.log());
    let (asked, granted) = (asked(&testbed, ACCOUNT), granted(&testbed, ACCOUNT).await);
    let named = |right: &&String| {
        let general = right.rsplit_once(' ').map(|(right, _)| format!("{right} "));
        granted.contains(*right) || general.is_some_and(|general| granted.contains(&general))
    };
    let beyond: Vec<&String> = asked.iter().filter(|right| !named(right)).collect();
    assert!(asked.len() > 20 && beyond.is_empty(), "{beyond:?} of {asked:?}");
}
