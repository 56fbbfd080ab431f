//! What somebody can do with a stolen token of the controller.

use serde_json::{Value, json};

use crate::lab::{Lab, set, sets, to_delete};

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_token_of_the_controller_starts_no_pod_of_its_own_choice() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    tenant.running("a", |_| {}).await;
    let thief = lab.bed.session(&lab.account).await.unwrap();
    let mut passed = Vec::new();
    let mut privileged = set("thief", "kube-system");
    privileged["spec"]["template"]["spec"]["containers"][0]["securityContext"] =
        json!({"privileged": true});
    privileged["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "root", "hostPath": {"path": "/"}}]);
    let mut account = set("thief", &tenant.namespace);
    account["spec"]["template"]["spec"]["serviceAccountName"] = json!("admin");
    for (what, namespace, object) in [
        ("a privileged set in kube-system", "kube-system", privileged),
        ("a set with another account", tenant.namespace.as_str(), account),
        ("any new set", tenant.namespace.as_str(), set("thief", &tenant.namespace)),
    ] {
        let path = sets(namespace) + "?dryRun=All&fieldManager=stateward";
        let reply = thief.create(&path, object).await.unwrap();
        if reply.is_success() {
            passed.push(what.to_owned());
        }
    }
    let image = json!([{"name": "db", "image": "thief:1"}]);
    let allow = json!({"metadata": {"annotations": {
        "stateward.dev/allow": "sts-delete-pvc-retention-delete",
        "stateward.dev/allow-reason": "x"}}});
    for (what, change) in [
        ("another image", json!({"spec": {"template": {"spec": {"containers": image}}}})),
        ("no replicas", json!({"spec": {"replicas": 0}})),
        ("an allow annotation", allow),
        ("a label", json!({"metadata": {"labels": {"a": "b"}}})),
    ] {
        let path = tenant.path("a") + "?dryRun=All&fieldManager=stateward";
        let reply = thief.merge(&path, change).await.unwrap();
        if reply.is_success() {
            passed.push(what.to_owned());
        }
    }
    assert_eq!(passed, Vec::<String>::new());
    let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", tenant.namespace);
    // A resize puts `whenDeleted: Delete` back, so that this is let through, but no DELETE follows.
    let fate = format!("{}?fieldManager=stateward", tenant.path("a"));
    thief.merge(&fate, to_delete()).await.unwrap().ok().unwrap();
    for body in [Value::Null, json!({"propagationPolicy": "Orphan"})] {
        assert_eq!(thief.delete(&tenant.path("a"), body).await.unwrap().status, 403);
    }
    for claim in tenant.claims().await {
        let path = format!("{claims}/{}", claim["metadata"]["name"].as_str().unwrap());
        assert_eq!(thief.delete(&path, Value::Null).await.unwrap().status, 403);
    }
}
