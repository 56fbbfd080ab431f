//! Deletions of claims: the last one of a set is denied through every door, and what is lost is said.

use serde_json::{Value, json};
use testbed::client::{JSON, Reply};

use crate::lab::{LONG, Lab, Request, Tenant, is_denial};

fn claim(tenant: &Tenant, name: &str) -> String {
    format!("/api/v1/namespaces/{}/persistentvolumeclaims/{name}", tenant.namespace)
}

/// Waits until the replica knows what a request can only be judged by.
async fn until(tenant: &Tenant, request: &Request, accept: impl Fn(&Reply) -> bool) -> Reply {
    testbed::wait::wait_for("the replica to have seen it", LONG, async || {
        let reply = request.send(&tenant.session).await;
        Ok(accept(&reply).then_some(reply))
    })
    .await
    .unwrap()
}

/// The API server reads the options of a DELETE from its body, if it has one.
fn dry_run(path: String) -> Request {
    let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]});
    Request { method: "DELETE", path, content_type: JSON, body }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_last_claim_of_a_set_is_denied_and_one_of_several_is_not() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("a", |_| {}).await;
    // One of two: everyday work, with a warning that says what goes.
    let warned = until(&tenant, &dry_run(claim(&tenant, "data-a-1")), |reply| {
        reply.warnings.iter().any(|warning| warning.contains("mounted by a-1"))
    })
    .await;
    assert!(warned.is_success(), "{}", warned.message());
    let warnings = warned.warnings.join("\n");
    assert!(warnings.contains("would be deleted with its volume [pvc-delete]"), "{warnings}");
    assert!(warnings.contains("data-a-1: 1Gi, volume pvc-"), "{warnings}");
    // A dry run deletes nothing, so the other one is not the last.
    let other = dry_run(claim(&tenant, "data-a-0")).send(&tenant.session).await;
    assert!(other.is_success(), "{} {}", other.status, other.message());
    let first = Request::delete(claim(&tenant, "data-a-1"));
    let second = Request::delete(claim(&tenant, "data-a-0"));
    assert!(first.send(&tenant.session).await.is_success());
    // At once: the watch may not have shown the first deletion yet.
    let denied = second.send(&tenant.session).await;
    assert!(is_denial(&denied), "{} {}", denied.status, denied.message());
    let message = denied.message();
    assert!(message.contains("the last claim of template data would be deleted"), "{message}");
    assert!(message.contains("destroy 1 claim, 1Gi, on a volume"), "{message}");
    assert!(message.contains("data-a-0: 1Gi, volume pvc-"), "{message}");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn deleting_all_claims_at_once_leaves_one_of_each_template() {
    let tenant = Lab::shared().await.tenant().await;
    tenant.running("a", |_| {}).await;
    until(&tenant, &dry_run(claim(&tenant, "data-a-1")), |reply| {
        reply.warnings.iter().any(|warning| warning.contains("volume pvc-"))
    })
    .await;
    let all = claim(&tenant, "");
    let reply = Request::delete(all.trim_end_matches('/')).send(&tenant.session).await;
    assert!(is_denial(&reply), "{} {}", reply.status, reply.message());
    let stay = tenant.claims().await.into_iter().filter(|claim| {
        let metadata = &claim["metadata"];
        metadata["deletionTimestamp"].is_null()
    });
    assert!(stay.count() >= 1, "every claim is being deleted");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_confirmation_takes_a_step_of_its_own_and_names_object_and_day() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    tenant.running("a", |set| set["spec"]["replicas"] = json!(1)).await;
    let path = claim(&tenant, "data-a-0");
    let denied = until(&tenant, &dry_run(path.clone()), is_denial).await;
    let message = denied.message().to_owned();
    assert!(
        message.contains("stateward.dev/confirm-delete=\"data-a-0 $(date -u +%F)\""),
        "{message}"
    );
    let confirm = |value: String| {
        Request::merge(
            path.clone(),
            json!({"metadata": {"annotations": {"stateward.dev/confirm-delete": value}}}),
        )
    };
    let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    for (value, why) in [
        (format!("data-a-1 {today}"), "names another object"),
        ("data-a-0 2020-01-01".to_owned(), "is for another day"),
        ("yes".to_owned(), "is no name with a day"),
    ] {
        assert!(confirm(value).send(&tenant.session).await.is_success());
        let denied = dry_run(path.clone()).send(&tenant.session).await;
        assert!(is_denial(&denied) && denied.message().contains(why), "{}", denied.message());
    }
    // The policy of this cluster names the people who may relax it: a tenant is not one of them.
    assert!(confirm(format!("data-a-0 {today}")).send(&tenant.session).await.is_success());
    let denied = dry_run(path.clone()).send(&tenant.session).await;
    assert!(denied.message().contains("the policy reserves it"), "{}", denied.message());
    let alice = lab.bed.admin().impersonate("alice@example.com", &["system:masters"]).unwrap();
    let allowed = dry_run(path.clone()).send(&alice).await;
    assert!(allowed.is_success(), "{}", allowed.message());
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_retained_volume_is_no_loss_and_a_mark_protects_without_facts() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    tenant.running("a", |set| set["spec"]["replicas"] = json!(1)).await;
    let path = claim(&tenant, "data-a-0");
    let denied = until(&tenant, &dry_run(path.clone()), is_denial).await;
    // The first step of the way out, as it is printed.
    let command = denied.message().lines().find(|line| line.contains("kubectl patch pv"));
    let command = command.unwrap_or_else(|| panic!("no command: {}", denied.message()));
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    let words: Vec<String> = words.iter().map(|word| word.trim_matches('\'').to_owned()).collect();
    lab.bed.kubectl(&words).await.unwrap().ok().unwrap();
    let allowed = until(&tenant, &dry_run(path.clone()), Reply::is_success).await;
    let warnings = allowed.warnings.join("\n");
    assert!(warnings.contains("would be deleted; its volume stays"), "{warnings}");
    let marked = json!({"metadata": {"labels": {"policy.kruise.io/delete-protection": "Always"}}});
    let edited = Request::merge(path.clone(), marked).send(&tenant.session).await;
    assert!(edited.is_success(), "{} {}", edited.status, edited.message());
    let denied = dry_run(path).send(&tenant.session).await;
    assert!(
        denied.message().contains("is protected, and would be deleted"),
        "{}",
        denied.message()
    );
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_snapshot_is_named_once_the_cluster_has_the_kind() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    tenant.running("a", |set| set["spec"]["replicas"] = json!(1)).await;
    let path = claim(&tenant, "data-a-0");
    let denied = until(&tenant, &dry_run(path.clone()), is_denial).await;
    assert!(denied.message().contains("no snapshot of the data exists"), "{}", denied.message());
    lab.bed.apply(testbed::storage::snapshot_kind()).await.unwrap();
    let snapshot = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "nightly", "namespace": tenant.namespace},
        "spec": {"source": {"persistentVolumeClaimName": "data-a-0"}},
        "status": {"readyToUse": true, "creationTime": "2026-11-19T03:00:00Z"},
    });
    testbed::wait::wait_for("the kind to be served", LONG, async || {
        Ok(lab.bed.apply(snapshot.clone()).await.ok())
    })
    .await
    .unwrap();
    until(&tenant, &dry_run(path), |reply| {
        reply.message().contains("the newest snapshot is from 2026-11-19")
            && reply.message().contains("snapshot nightly from 2026-11-19")
    })
    .await;
}

/// A confirmation of this deletion for today, as a merge patch.
fn confirmed(name: &str) -> Value {
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    json!({"metadata": {"annotations": {"stateward.dev/confirm-delete": format!("{name} {day}")}}})
}

async fn until_gone(path: &str) {
    let lab = Lab::shared().await;
    testbed::wait::wait_for("the object to be gone", LONG, async || {
        Ok((lab.bed.get(path).await?.status == 404).then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{path}: {error:#}"));
}

/// The volume of the one claim of a set, with its path.
async fn volume(tenant: &Tenant) -> (String, String) {
    let claims = tenant.claims().await;
    let name = claims[0]["spec"]["volumeName"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/persistentvolumes/{name}");
    (name, path)
}

/// What is gone with its namespace, and what the control plane deletes, is not held up.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_namespace_with_bound_claims_is_denied_until_it_is_confirmed_and_then_never_stuck() {
    let lab = Lab::shared().await;
    let alice = lab.bed.admin().impersonate("alice@example.com", &["system:masters"]).unwrap();
    let tenant = lab.tenant().await;
    tenant.running("a", |_| {}).await;
    let path = format!("/api/v1/namespaces/{}", tenant.namespace);
    let denied = testbed::wait::wait_for("the replica to have seen the claims", LONG, async || {
        let reply = dry_run(path.clone()).send(lab.bed.admin()).await;
        Ok(reply.message().contains("2 claims would be deleted with it").then_some(reply))
    })
    .await
    .unwrap();
    let message = denied.message();
    assert!(is_denial(&denied), "{} {message}", denied.status);
    assert!(message.contains("destroy 2 claims, 2Gi, on volumes"), "{message}");
    assert!(message.contains("data-a-0: 1Gi, volume pvc-"), "{message}");
    let how = format!("kubectl annotate namespace {} --overwrite", tenant.namespace);
    assert!(message.contains(&how), "{message}");
    let output = lab.bed.kubectl(&["delete", "namespace", &tenant.namespace]).await.unwrap();
    assert!(output.status != 0 && output.stderr.contains("namespace-delete"), "{output:?}");
    let raw = ["delete", "--raw", &path];
    let output = lab.bed.kubectl(&raw).await.unwrap();
    assert!(output.status != 0 && output.stderr.contains("namespace-delete"), "{output:?}");
    let live = lab.bed.get(&path).await.unwrap().ok().unwrap();
    assert!(live["metadata"]["deletionTimestamp"].is_null(), "{live}");

    let confirm = Request::merge(path.clone(), confirmed(&tenant.namespace));
    assert!(confirm.send(&alice).await.is_success());
    let request =
        Request { method: "DELETE", path: path.clone(), content_type: JSON, body: Value::Null };
    let reply = request.send(&alice).await;
    assert!(reply.is_success(), "{}", reply.message());
    assert!(reply.warnings.join("\n").contains("2 claims would be deleted"), "{reply:?}");
    // While it terminates, it may be deleted again, and what is in it, too.
    let again = request.send(lab.bed.admin()).await;
    assert!(!is_denial(&again), "{}", again.message());
    until_gone(&path).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_namespace_without_bound_claims_is_deleted_and_one_with_retained_volumes_warns() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    let path = format!("/api/v1/namespaces/{}", tenant.namespace);
    let empty = dry_run(path.clone()).send(lab.bed.admin()).await;
    assert!(empty.is_success() && empty.warnings.is_empty(), "{empty:?}");
    tenant.running("a", |set| set["spec"]["replicas"] = json!(1)).await;
    testbed::wait::wait_for("the replica to have seen the claim", LONG, async || {
        Ok(is_denial(&dry_run(path.clone()).send(lab.bed.admin()).await).then_some(()))
    })
    .await
    .unwrap();
    let (_, volume) = volume(&tenant).await;
    let retain = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    assert!(Request::merge(volume, retain).send(lab.bed.admin()).await.is_success());
    testbed::wait::wait_for("the replica to have seen the policy", LONG, async || {
        let reply = dry_run(path.clone()).send(lab.bed.admin()).await;
        let said = reply.warnings.join("\n").contains("the volumes stay");
        Ok((reply.is_success() && said).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_bound_volume_is_not_deleted_and_keeps_its_finalizer() {
    let lab = Lab::shared().await;
    let (admin, tenant) = (lab.bed.admin(), lab.tenant().await);
    let alice = admin.impersonate("alice@example.com", &["system:masters"]).unwrap();
    tenant.running("a", |set| set["spec"]["replicas"] = json!(1)).await;
    let (name, path) = volume(&tenant).await;
    let denied = testbed::wait::wait_for("the replica to have seen the pod", LONG, async || {
        let reply = dry_run(path.clone()).send(admin).await;
        Ok(reply.message().contains("mounted by a-0").then_some(reply))
    })
    .await
    .unwrap();
    assert!(is_denial(&denied), "{} {}", denied.status, denied.message());
    let how = format!("kubectl annotate persistentvolume {name} --overwrite");
    assert!(denied.message().contains(&how), "{}", denied.message());
    let all = Request::delete(path.clone()).send(admin).await;
    assert!(is_denial(&all), "{} {}", all.status, all.message());

    // A confirmed deletion waits for the claim, and nobody cuts that short.
    assert!(Request::merge(path.clone(), confirmed(&name)).send(&alice).await.is_success());
    let deleted = Request::delete(path.clone()).send(&alice).await;
    assert!(deleted.is_success(), "{}", deleted.message());
    let live = lab.bed.get(&path).await.unwrap().ok().unwrap();
    assert!(live["metadata"]["deletionTimestamp"].is_string(), "{live}");
    let none = json!({"metadata": {"finalizers": null}});
    for door in ["", "/status"] {
        let cut = Request::merge(format!("{path}{door}"), none.clone()).send(admin).await;
        assert!(is_denial(&cut), "{door}: {} {}", cut.status, cut.message());
        assert!(cut.message().contains("would lose its finalizer"), "{}", cut.message());
    }
    // The namespace takes all of it along.
    let namespace = format!("/api/v1/namespaces/{}", tenant.namespace);
    let confirm = Request::merge(namespace.clone(), confirmed(&tenant.namespace));
    assert!(confirm.send(&alice).await.is_success());
    assert!(Request::delete(namespace.clone()).send(&alice).await.is_success());
    until_gone(&namespace).await;
    until_gone(&path).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_retained_volume_whose_claim_is_gone_stays_retained() {
    let lab = Lab::shared().await;
    let (admin, tenant) = (lab.bed.admin(), lab.tenant().await);
    tenant.running("a", |set| set["spec"]["replicas"] = json!(1)).await;
    let (_, path) = volume(&tenant).await;
    let policy = |name: &str| {
        let body = json!({"spec": {"persistentVolumeReclaimPolicy": name}});
        Request::merge(path.clone(), body)
    };
    let retained = policy("Retain").send(admin).await;
    assert!(retained.is_success() && retained.warnings.is_empty(), "{retained:?}");
    let warned = policy("Delete").send(admin).await;
    let warnings = warned.warnings.join("\n");
    assert!(warned.is_success() && warnings.contains("would no longer be retained"), "{warned:?}");
    assert!(policy("Retain").send(admin).await.is_success());

    // Its namespace goes, and the volume stays behind.
    let namespace = format!("/api/v1/namespaces/{}", tenant.namespace);
    let delete = Request::delete(namespace.clone());
    testbed::wait::wait_for("the replica to have seen the policy", LONG, async || {
        Ok(delete.send(admin).await.is_success().then_some(()))
    })
    .await
    .unwrap();
    until_gone(&namespace).await;
    testbed::wait::wait_for("the volume to be released", LONG, async || {
        let live = lab.bed.get(&path).await?.ok()?;
        Ok((live["status"]["phase"] == "Released").then_some(()))
    })
    .await
    .unwrap();
    let denied = policy("Delete").send(admin).await;
    assert!(is_denial(&denied), "{} {}", denied.status, denied.message());
    assert!(denied.message().contains("would be deleted at once"), "{}", denied.message());
    let warned = dry_run(path.clone()).send(admin).await;
    let warnings = warned.warnings.join("\n");
    assert!(warned.is_success() && warnings.contains("the last that leads to"), "{warned:?}");
}
