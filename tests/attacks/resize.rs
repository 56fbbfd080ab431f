//! Resizes of sets that own more than pods, claims and revisions.

use serde_json::{Value, json};
use testbed::client::APPLY_PATCH;

use crate::lab::{LONG, Lab, Tenant, set};

fn template(name: &str, tenant: &Tenant, size: &str) -> Value {
    let mut template = set(name, &tenant.namespace)["spec"]["volumeClaimTemplates"].clone();
    template[0]["spec"]["resources"]["requests"]["storage"] = json!(size);
    template
}

/// Asks for 2Gi by an edit of the template.
async fn grow(tenant: &Tenant, name: &str) {
    let body = json!({"spec": {"volumeClaimTemplates": template(name, tenant, "2Gi")}});
    testbed::wait::wait_for("growth to be accepted", LONG, async || {
        let reply = tenant.session.merge(&tenant.path(name), body.clone()).await?;
        Ok(reply.is_success().then_some(()))
    })
    .await
    .unwrap();
}

/// Waits until the set was re-created with 2Gi, or the record names what blocks that. Gives the set
/// in the first case.
async fn resized(tenant: &Tenant, name: &str, blocker: &str) -> Option<Value> {
    let record = format!(
        "/apis/stateward.dev/v1alpha1/namespaces/{}/statefulsetresizes/{name}",
        tenant.namespace
    );
    let storage = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
    testbed::wait::wait_for("the resize to end", LONG, async || {
        let live = tenant.lab.get(&tenant.path(name)).await?;
        let state = tenant.lab.get(&record).await?;
        let annotations = &live.body["metadata"]["annotations"];
        if live.is_success()
            && live.body.pointer(storage) == Some(&json!("2Gi"))
            && annotations["stateward.dev/resize-unfinished"].is_null()
            && state.body["metadata"]["finalizers"].is_null()
        {
            return Ok(Some(Some(live.body)));
        }
        let status = state.body["status"].to_string();
        Ok((status.contains("Blocked") && status.contains(blocker)).then_some(None))
    })
    .await
    .unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

/// Creates an object that the set owns, and gives its path.
async fn owned(tenant: &Tenant, owner: &Value, collection: &str, mut object: Value) -> String {
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": object["controller"],
    }]);
    object.as_object_mut().unwrap().remove("controller");
    let made = tenant.lab.create(collection, object).await.unwrap().ok().unwrap();
    format!("{collection}/{}", made["metadata"]["name"].as_str().unwrap())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn objects_that_a_set_owns_stay_its_own_through_a_resize() {
    let tenant = Lab::shared().await.tenant().await;
    let live = tenant.running("a", |_| {}).await;
    let core = format!("/api/v1/namespaces/{}", tenant.namespace);
    let budgets = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", tenant.namespace);
    let mut paths = Vec::new();
    for (collection, object) in [
        (format!("{core}/configmaps"), json!({"metadata": {"name": "owned"}})),
        (format!("{core}/secrets"), json!({"metadata": {"name": "owned"}, "controller": true})),
        (
            format!("{core}/services"),
            json!({"metadata": {"name": "owned"}, "spec": {"ports": [{"port": 1}]}}),
        ),
        (
            budgets,
            json!({"metadata": {"name": "owned"},
                         "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "a"}}}}),
        ),
    ] {
        paths.push(owned(&tenant, &live, &collection, object).await);
    }
    grow(&tenant, "a").await;
    let uid = match resized(&tenant, "a", "owned").await {
        Some(new) => new["metadata"]["uid"].clone(),
        None => live["metadata"]["uid"].clone(),
    };
    for path in paths {
        testbed::wait::wait_for(&format!("{path} to have its owner"), LONG, async || {
            let object = tenant.lab.get(&path).await?.ok()?;
            Ok((object["metadata"]["ownerReferences"][0]["uid"] == uid).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_resize_leaves_the_retention_policy_to_who_owned_its_fields() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    tenant.running("a", |_| {}).await;
    let alice = lab.bed.admin().impersonate("alice@example.com", &["system:masters"]).unwrap();
    let apply = async |policy: &str, allow: bool| {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "a", "namespace": tenant.namespace},
            "spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy}},
        });
        if allow {
            object["metadata"]["annotations"] = json!({
                "stateward.dev/allow": "sts-retention-to-delete",
                "stateward.dev/allow-reason": "x"});
        }
        let path = tenant.path("a") + "?fieldManager=argocd-controller";
        let force = if allow { "&force=true" } else { "" };
        alice.request("PATCH", &(path + force), APPLY_PATCH, object).await.unwrap()
    };
    apply("Delete", true).await.ok().unwrap();
    grow(&tenant, "a").await;
    resized(&tenant, "a", "nothing").await;
    let reply = apply("Retain", false).await;
    assert_eq!(reply.status, 200, "{}", reply.message());
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_is_not_deleted_while_something_keeps_the_garbage_collector_from_orphaning() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    let name = format!("frozen-{}", tenant.namespace);
    let api = "admissionregistration.k8s.io/v1";
    lab.bed
        .apply(json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                    "resources": ["configmaps"]}]},
                "validations": [{"expression": "object.metadata.name != 'frozen'"}],
            },
        }))
        .await
        .unwrap();
    lab.bed
        .apply(json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {
                    "kubernetes.io/metadata.name": tenant.namespace}}},
            },
        }))
        .await
        .unwrap();
    let live = tenant.running("a", |_| {}).await;
    let maps = format!("/api/v1/namespaces/{}/configmaps", tenant.namespace);
    let map = owned(&tenant, &live, &maps, json!({"metadata": {"name": "frozen"}})).await;
    testbed::wait::wait_for("the policy to be in force", LONG, async || {
        let reply = lab.bed.merge(&map, json!({"data": {"a": "b"}})).await?;
        Ok((!reply.is_success()).then_some(()))
    })
    .await
    .unwrap();
    grow(&tenant, "a").await;
    let set = resized(&tenant, "a", "frozen").await;
    let live = lab.bed.get(&tenant.path("a")).await.unwrap().ok().unwrap();
    assert!(live["metadata"]["deletionTimestamp"].is_null(), "{set:?}");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_claim_that_only_bears_a_name_of_the_set_does_not_grow() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("a", |_| {}).await;
    let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", tenant.namespace);
    let claim = json!({
        "metadata": {"name": "data-a-9", "labels": {"app": "web"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "immediate",
                 "resources": {"requests": {"storage": "1Gi"}}},
    });
    tenant.session.create(&claims, claim).await.unwrap().ok().unwrap();
    let deployment = json!({
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{"name": "web", "image": "web:1",
                                    "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
                    "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data-a-9"}}],
                },
            },
        },
    });
    let deployments = format!("/apis/apps/v1/namespaces/{}/deployments", tenant.namespace);
    tenant.session.create(&deployments, deployment).await.unwrap().ok().unwrap();
    testbed::wait::wait_for("the Deployment's pod", LONG, async || {
        let live = tenant.lab.get(&format!("{deployments}/web")).await?.ok()?;
        Ok((live["status"]["readyReplicas"] == 1).then_some(()))
    })
    .await
    .unwrap();
    grow(&tenant, "a").await;
    resized(&tenant, "a", "data-a-9").await;
    let live = tenant.lab.get(&format!("{claims}/data-a-9")).await.unwrap().ok().unwrap();
    assert_eq!(live["spec"]["resources"]["requests"]["storage"], "1Gi");
}
