//! Who counts as an operator, asked of a real authorizer.

use serde_json::{Value, json};
use testbed::Testbed;

use crate::webhook::{cluster, path, running, set};

/// A set that a `RabbitmqCluster` controls, with this many owners.
async fn owned(testbed: &Testbed, namespace: &str, name: &str, owners: usize) {
    let mut manifest = set(name, namespace);
    let controller = json!({
        "apiVersion": "rabbitmq.com/v1beta1", "kind": "RabbitmqCluster", "name": "queue",
        "uid": "00000000-0000-0000-0000-000000000001", "controller": true,
    });
    let others = (1..owners).map(|number| {
        let uid = format!("00000000-0000-0000-0001-{number:012}");
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": uid})
    });
    let all: Vec<Value> = others.chain([controller]).collect();
    manifest["metadata"]["ownerReferences"] = json!(all);
    // The garbage collector does not know the kind, so it does not miss the owner.
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    testbed.create(&sets, manifest).await.unwrap().ok().unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_account_of_the_namespace_is_an_operator_only_with_the_right_to_update_status() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("operator").await.unwrap();
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let rules = |resource: &str| {
        json!([
            {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["*"]},
            {"apiGroups": ["rabbitmq.com"], "resources": [resource], "verbs": ["*"]},
        ])
    };
    for (account, resource) in [("tenant", "rabbitmqclusters"), ("real", "rabbitmqclusters/status")]
    {
        let metadata = json!({"name": account});
        let role = json!({"metadata": metadata, "rules": rules(resource)});
        testbed.create(&format!("{rbac}/roles"), role).await.unwrap().ok().unwrap();
        let binding = json!({
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        });
        testbed.create(&format!("{rbac}/rolebindings"), binding).await.unwrap().ok().unwrap();
    }
    owned(testbed, &namespace, "db", 1).await;
    owned(testbed, &namespace, "many", 8_000).await;
    for (account, name, denied) in
        [("tenant", "db", true), ("real", "db", false), ("real", "many", true)]
    {
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let session = testbed.admin().impersonate(&user, &["system:authenticated"]).unwrap();
        let to_delete = json!({"spec": {
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"},
        }});
        let path = format!("{}?dryRun=All", path(&namespace, name));
        let reply = session.merge(&path, to_delete).await.unwrap();
        let text = reply.body.to_string();
        assert_eq!(reply.status == 403, denied, "{account} {name}: {text}");
        assert_eq!(text.contains("sts-retention-to-delete"), denied, "{account} {name}: {text}");
    }
}

/// Whoever removes the finalizer that frees the claims of a set ends the orphan delete.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn finalizers_on_which_claims_depend_are_sent_to_the_webhook() {
    let testbed = cluster().await;
    let namespace = testbed.namespace("finalizers").await.unwrap();
    // A pod uses the claim, so that the control plane leaves the finalizer where it is.
    running(testbed, &set("db", &namespace)).await;
    let one = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-db-0");
    let without = |kept: &[&str]| json!({"metadata": {"finalizers": kept}});
    let both = without(&["kubernetes.io/pvc-protection", "x.y/z"]);
    testbed.merge(&one, both).await.unwrap().ok().unwrap();
    testbed.delete(&one, json!({})).await.unwrap().ok().unwrap();
    let path = format!("{one}?dryRun=All");
    let reply = testbed.merge(&path, without(&["x.y/z"])).await.unwrap();
    assert_eq!(reply.status, 403, "{}", reply.body);
    assert!(reply.body.to_string().contains("pvc-protection-removed"), "{}", reply.body);
    let kept = without(&["kubernetes.io/pvc-protection"]);
    testbed.merge(&path, kept).await.unwrap().ok().unwrap();
}
