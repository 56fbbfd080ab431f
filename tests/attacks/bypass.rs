//! Edits that are meant to be let through unjudged: by an annotation, an owner, size or slowness.

use std::time::Instant;

use serde_json::{Value, json};
use testbed::client::{APPLY_PATCH, JSON_PATCH, STRATEGIC_PATCH};

use crate::lab::{Lab, Request, Tenant, is_denial, set, sets, to_delete};

const ALLOWED: &str = "sts-retention-to-delete,sts-delete-pvc-retention-delete";

fn allow() -> Value {
    json!({"metadata": {"annotations": {
        "stateward.dev/allow": ALLOWED, "stateward.dev/allow-reason": "x",
    }}})
}

/// `first`, then the edit to `Delete`, then the deletion.
async fn then_destroy(tenant: &Tenant, attack: &str, name: &str, first: Vec<Request>) {
    let path = tenant.path(name);
    let mut requests = first;
    requests.push(Request::merge(&path, to_delete()));
    requests.push(Request::delete(&path));
    tenant.refused(attack, &requests).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_allow_annotation_by_somebody_without_the_right_never_counts() {
    let tenant = Lab::shared().await.tenant().await;
    let path = |name: &str| tenant.path(name);
    tenant.running("a", |_| {}).await;
    let first = vec![Request::merge(path("a"), allow())];
    then_destroy(&tenant, "annotated in an edit of its own", "a", first).await;

    tenant.running("b", |_| {}).await;
    let mut body = allow();
    body.as_object_mut().unwrap().extend(to_delete().as_object().unwrap().clone());
    then_destroy(&tenant, "annotated in the same edit", "b", vec![Request::merge(path("b"), body)])
        .await;

    tenant.running("c", |_| {}).await;
    let annotation = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "c", "namespace": tenant.namespace,
                     "annotations": allow()["metadata"]["annotations"]},
    });
    let applied = Request {
        method: "PATCH",
        path: path("c") + "?fieldManager=stateward&force=true",
        content_type: APPLY_PATCH,
        body: annotation,
    };
    then_destroy(&tenant, "applied as field manager stateward", "c", vec![applied]).await;

    tenant.running("d", |_| {}).await;
    let escaped = json!([{"op": "add", "path": "/metadata/annotations/stateward.dev~1allow",
                          "value": ALLOWED},
                         {"op": "add", "path": "/metadata/annotations/stateward.dev~1allow-reason",
                          "value": "x"}]);
    let patched =
        Request { method: "PATCH", path: path("d"), content_type: JSON_PATCH, body: escaped };
    then_destroy(&tenant, "annotated by a JSON patch", "d", vec![patched]).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_allow_annotation_on_create_by_somebody_without_the_right_never_counts() {
    let tenant = Lab::shared().await.tenant().await;
    let mut object = set("a", &tenant.namespace);
    object["metadata"]["annotations"] = allow()["metadata"]["annotations"].clone();
    let created = tenant.session.create(&sets(&tenant.namespace), object).await.unwrap();
    if is_denial(&created) {
        return;
    }
    created.ok().unwrap();
    testbed::wait::wait_for("claims", crate::lab::LONG, async || {
        Ok((tenant.claims().await.len() == 2).then_some(()))
    })
    .await
    .unwrap();
    then_destroy(&tenant, "annotated on CREATE", "a", Vec::new()).await;
}

/// The role `edit` does not grant the subresource; other roles do.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn annotations_and_owners_set_through_the_status_subresource_never_count() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    let role = [
        "create",
        "role",
        "status",
        "--verb=patch,update",
        "--resource=statefulsets/status",
        "-n",
        &tenant.namespace,
    ];
    lab.bed.kubectl(&role).await.unwrap().ok().unwrap();
    let bind =
        ["create", "rolebinding", "status", "--role=status", "--user=dev", "-n", &tenant.namespace];
    lab.bed.kubectl(&bind).await.unwrap().ok().unwrap();
    for (name, body) in [
        ("a", allow()),
        ("b", json!({"metadata": {"ownerReferences": [tenant.owner(true).await]}})),
        (
            "c",
            json!({"metadata": {"finalizers": ["x.y/z"], "annotations": allow()["metadata"]["annotations"]}}),
        ),
    ] {
        tenant.running(name, |_| {}).await;
        let status = Request::merge(tenant.path(name) + "/status", body.clone());
        testbed::wait::wait_for("the right to the status", crate::lab::LONG, async || {
            let path = tenant.path(name) + "/status?dryRun=All";
            let reply = tenant.session.merge(&path, json!({})).await?;
            Ok((reply.status == 200).then_some(()))
        })
        .await
        .unwrap();
        then_destroy(&tenant, &format!("through the status: {body}"), name, vec![status]).await;
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_owner_that_a_tenant_names_exempts_nothing() {
    let tenant = Lab::shared().await.tenant().await;
    let own = |owner: Value| json!({"metadata": {"ownerReferences": [owner]}});
    let mut same = own(tenant.owner(true).await);
    same.as_object_mut().unwrap().extend(to_delete().as_object().unwrap().clone());
    let mut deployment = tenant.owner(true).await;
    deployment["apiVersion"] = json!("apps/v1");
    deployment["kind"] = json!("Deployment");
    let mut cluster = tenant.owner(true).await;
    cluster["apiVersion"] = json!("postgresql.cnpg.io/v1");
    cluster["kind"] = json!("Cluster");
    for (name, attack, first) in [
        ("a", "an owner in an edit of its own", own(tenant.owner(true).await)),
        ("b", "an owner in the same edit", same),
        ("c", "an owner of a kind that does not match its UID", own(deployment)),
        ("d", "an owner of a kind that does not exist", own(cluster)),
    ] {
        tenant.running(name, |_| {}).await;
        let first = vec![Request::merge(tenant.path(name), first)];
        then_destroy(&tenant, attack, name, first).await;
    }
    let owner = tenant.owner(true).await;
    let mut created = set("e", &tenant.namespace);
    created["metadata"]["ownerReferences"] = json!([owner]);
    let reply = tenant.session.create(&sets(&tenant.namespace), created).await.unwrap();
    if !is_denial(&reply) {
        reply.ok().unwrap();
        testbed::wait::wait_for("claims", crate::lab::LONG, async || {
            Ok((tenant.claims().await.len() == 10).then_some(()))
        })
        .await
        .unwrap();
        then_destroy(&tenant, "an owner on CREATE", "e", Vec::new()).await;
    }
}

/// Text that the API server writes in six bytes, so that a review is larger than what was sent.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn padding_never_makes_a_review_too_large_to_be_judged() {
    let tenant = Lab::shared().await.tenant().await;
    let names = ["a", "b", "c", "d", "e"];
    for (name, padding) in names.into_iter().zip(["<", ">", "&", "\u{2028}", "\\"]) {
        tenant.running(name, |_| {}).await;
        let mut owner = tenant.owner(false).await;
        // The API server takes 3 MiB of JSON, in which a backslash takes two bytes.
        owner["name"] = json!(padding.repeat(1_300_000 / padding.len()));
        let mut both = json!({"metadata": {"ownerReferences": [owner]}});
        let alone = both.clone();
        both.as_object_mut().unwrap().extend(to_delete().as_object().unwrap().clone());
        let path = tenant.path(name);
        tenant
            .refused(
                &format!("padded with {padding:?} in the same edit"),
                &[Request::merge(&path, both), Request::delete(&path)],
            )
            .await;
        let first = vec![Request::merge(&path, alone)];
        then_destroy(&tenant, &format!("padded with {padding:?} before"), name, first).await;
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn padding_in_an_environment_variable_never_makes_a_review_too_large() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("a", |_| {}).await;
    let mut body = to_delete();
    body["spec"]["template"]["spec"]["containers"] = json!([{
        "name": "db", "env": [{"name": "PAD", "value": "<".repeat(1_400_000)}],
    }]);
    let path = tenant.path("a");
    let padded =
        Request { method: "PATCH", path: path.clone(), content_type: STRATEGIC_PATCH, body };
    tenant.refused("padded in a variable", &[padded, Request::delete(&path)]).await;
}

/// Lists so long that a comparison of each with each takes longer than a review may.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn long_lists_never_make_a_review_too_slow_to_be_judged() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("kept", |_| {}).await;
    for (list, count) in [
        ("mounts", 20_000),
        ("containers", 4_000),
        ("variables", 20_000),
        ("ports", 10_000),
        ("volumes", 10_000),
    ] {
        let mut times = Vec::new();
        for count in [count / 2, count] {
            let name = format!("{list}-{count}");
            let mut object = set(&name, &tenant.namespace);
            object["spec"]["replicas"] = json!(0);
            object["metadata"]["managedFields"] = json!([{}]);
            object["spec"]["template"]["spec"]["containers"] = items(list, count, "a");
            object["spec"]["template"]["spec"]["volumes"] = volumes(list, count, "a");
            let created = tenant.lab.create(&sets(&tenant.namespace), object).await.unwrap();
            if is_denial(&created) {
                times.push(format!("{count} denied on CREATE"));
                continue;
            }
            created.ok().unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let mut edit = to_delete();
            edit["metadata"] = json!({"managedFields": [{}]});
            edit["spec"]["template"] = json!({"spec": {
                "containers": items(list, count, "b"), "volumes": volumes(list, count, "b"),
            }});
            let start = Instant::now();
            let path = tenant.path(&name);
            let reply = Request::merge(&path, edit).send(&tenant.session).await;
            // The set has no pods, so that the rule may only warn.
            let said = format!("{} {}", reply.message(), reply.warnings.join("; "));
            // Not the rule's name: it stands last, and a warning ends after 120 characters.
            let judged = said.contains("claims would be deleted with the set");
            assert!(judged || is_denial(&reply), "{name}: not judged: {} {said}", reply.status);
            let judged = if judged { "judged" } else { "denied" };
            times.push(format!("{count} {judged} in {:.2?}", start.elapsed()));
        }
        println!("{list}: {}", times.join(", "));
    }
}

/// Containers with so many of these.
fn items(list: &str, count: usize, version: &str) -> Value {
    let container = |name: &str| {
        json!({"name": name, "image": "postgres:17.2",
               "volumeMounts": [{"name": "data", "mountPath": "/data"}]})
    };
    if list == "containers" {
        return (0..count).map(|n| container(&format!("{version}{n}"))).collect();
    }
    let mut one = container("db");
    match list {
        "mounts" => {
            one["volumeMounts"] = (0..count)
                .map(|n| json!({"name": "data", "mountPath": format!("/{version}{n}")}))
                .collect();
        }
        "variables" => {
            one["env"] = (0..count)
                .map(|n| json!({"name": format!("{version}{n}"), "value": "/data"}))
                .collect();
        }
        "ports" => {
            one["ports"] = (0..count)
                .map(|n| json!({"name": format!("{version}{n}"), "containerPort": 1 + n}))
                .collect();
        }
        _ => {}
    }
    json!([one])
}

/// Volumes, so many if they are the list.
fn volumes(list: &str, count: usize, version: &str) -> Value {
    let count = if list == "volumes" { count } else { 0 };
    (0..count).map(|n| json!({"name": format!("{version}{n}"), "emptyDir": {}})).collect()
}
