//! Changes that delete claims although no edit says so.

use serde_json::{Value, json};
use testbed::client::{APPLY_PATCH, JSON, STRATEGIC_PATCH};

use crate::lab::{Lab, Request, to_delete};

fn when_scaled(set: &mut Value) {
    set["spec"]["persistentVolumeClaimRetentionPolicy"] =
        json!({"whenDeleted": "Retain", "whenScaled": "Delete"});
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn scaling_down_with_when_scaled_delete_is_denied_through_every_door() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("a", when_scaled).await;
    let path = tenant.path("a");
    let scale = |replicas: u8| json!({"spec": {"replicas": replicas}});
    let whole = |replicas: u8| {
        let mut object = json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": "a", "namespace": tenant.namespace},
        });
        object["spec"] = json!({"replicas": replicas});
        object
    };
    let applied = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "a", "namespace": tenant.namespace}, "spec": {"replicas": 1},
    });
    let request =
        |method, path: String, content_type, body| Request { method, path, content_type, body };
    for (attack, one) in [
        ("by the scale subresource", Request::merge(path.clone() + "/scale", scale(1))),
        ("to zero by the scale subresource", Request::merge(path.clone() + "/scale", scale(0))),
        ("by replacing the scale", request("PUT", path.clone() + "/scale", JSON, whole(1))),
        ("by the spec", Request::merge(&path, scale(1))),
        ("to zero by the spec", Request::merge(&path, scale(0))),
        ("by a strategic patch", request("PATCH", path.clone(), STRATEGIC_PATCH, scale(1))),
        (
            "by server-side apply",
            request("PATCH", path.clone() + "?fieldManager=x&force=true", APPLY_PATCH, applied),
        ),
    ] {
        let message = tenant.refused(attack, &[one]).await;
        assert!(message.contains("data-a-1"), "{attack} names no claim: {message}");
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn scaling_down_in_the_edit_that_sets_when_scaled_delete_is_denied() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("a", |_| {}).await;
    let both = json!({"spec": {"replicas": 1,
                               "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}});
    tenant.refused("in one edit", &[Request::merge(tenant.path("a"), both)]).await;
    let first = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"}}});
    let second = Request::merge(tenant.path("a") + "/scale", json!({"spec": {"replicas": 1}}));
    tenant.refused("in two edits", &[Request::merge(tenant.path("a"), first), second]).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_deletion_that_orphans_by_the_legacy_option_is_allowed() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    for (name, query, body) in [
        ("a", "", json!({"orphanDependents": true})),
        ("b", "?orphanDependents=true", Value::Null),
        ("c", "", json!({"propagationPolicy": "Orphan"})),
    ] {
        tenant.running(name, |_| {}).await;
        // Retention as somebody had it before stateward was installed: alice may.
        let mut edit = to_delete();
        edit["metadata"] = json!({"annotations": {
            "stateward.dev/allow": "sts-retention-to-delete", "stateward.dev/allow-reason": "x"}});
        let alice = lab.bed.admin().impersonate("alice@example.com", &["system:masters"]).unwrap();
        alice.merge(&tenant.path(name), edit).await.unwrap().ok().unwrap();
        let reply = tenant.session.delete(&(tenant.path(name) + query), body).await.unwrap();
        assert_eq!(reply.status, 200, "{name}: {}", reply.message());
    }
}

/// The garbage collector deletes whatever has only owners that do not exist.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_owner_that_does_not_exist_is_denied_on_claims_and_on_sets_that_take_them_along() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    let ghost = |kind: &str| {
        json!({"metadata": {"ownerReferences": [{
            "apiVersion": "v1", "kind": kind, "name": "ghost",
            "uid": "11111111-2222-3333-4444-555555555555"}]}})
    };
    let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", tenant.namespace);
    tenant.running("a", |_| {}).await;
    for kind in ["ConfigMap", "Pod"] {
        let edit = Request::merge(format!("{claims}/data-a-0"), ghost(kind));
        tenant.refused(&format!("a {kind} that does not exist owns a claim"), &[edit]).await;
    }
    tenant
        .running("b", |set| {
            set["metadata"]["annotations"] = json!({
                "stateward.dev/allow": "sts-retention-delete-create",
                "stateward.dev/allow-reason": "x"});
            set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
        })
        .await;
    let edit = Request::merge(tenant.path("b"), ghost("ConfigMap"));
    tenant.refused("a ConfigMap that does not exist owns a set", &[edit]).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn deleting_a_claim_is_never_silent() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("a", |_| {}).await;
    let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", tenant.namespace);
    // Whoever replaces a broken replica deletes its claim, so that this is warned of. What facts add to the
    // warning is tried in deletion.rs.
    let reply = Request::delete(format!("{claims}/data-a-0")).send(&tenant.session).await;
    let warning = reply.warnings.join("; ");
    assert!(warning.contains("data-a-0: would be deleted"), "{warning}");
    assert!(warning.contains("[pvc-delete]"), "{warning}");
}
