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
    snapshot(&tenant, "nightly", "data-a-0").await;
    until(&tenant, &dry_run(path), |reply| {
        reply.message().contains("the newest snapshot is from 2026-11-19")
            && reply.message().contains("snapshot nightly from 2026-11-19")
    })
    .await;
}

/// Plays a snapshot of a claim that is ready to use, with its `VolumeSnapshotContent`. Returns the
/// path of the snapshot.
async fn snapshot(tenant: &Tenant, name: &str, claim: &str) -> String {
    let (bed, namespace) = (&Lab::shared().await.bed, &tenant.namespace);
    let content = format!("{namespace}-{name}");
    let group = "snapshot.storage.k8s.io/v1";
    let objects = [
        json!({
            "apiVersion": group, "kind": "VolumeSnapshotContent",
            "metadata": {"name": content},
            "spec": {"deletionPolicy": "Delete"},
        }),
        json!({
            "apiVersion": group, "kind": "VolumeSnapshot",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"source": {"persistentVolumeClaimName": claim}},
            "status": {
                "readyToUse": true, "creationTime": "2026-11-19T03:00:00Z",
                "boundVolumeSnapshotContentName": content,
            },
        }),
    ];
    for kind in testbed::storage::snapshot_kinds() {
        bed.apply(kind).await.unwrap();
    }
    for object in objects {
        testbed::wait::wait_for("the kind to be served", LONG, async || {
            Ok(bed.apply(object.clone()).await.ok())
        })
        .await
        .unwrap();
    }
    format!("/apis/{group}/namespaces/{namespace}/volumesnapshots/{name}")
}

/// A dry run of the deletion, once its answer is as expected.
async fn until_admin(path: &str, accept: impl Fn(&Reply) -> bool) -> Reply {
    let (admin, request) = (Lab::shared().await.bed.admin(), dry_run(path.to_owned()));
    let last = std::sync::Mutex::new(String::new());
    testbed::wait::wait_for("the replica to have seen it", LONG, async || {
        let reply = request.send(admin).await;
        *last.lock().unwrap() =
            format!("{} {:?} {}", reply.status, reply.warnings, reply.message());
        Ok(accept(&reply).then_some(reply))
    })
    .await
    .unwrap_or_else(|error| panic!("{path}: {error:#}: {}", last.lock().unwrap()))
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

/// A claim that is bound without a pod.
async fn bound_claim(tenant: &Tenant, name: &str, class: &str) -> String {
    let bed = &Lab::shared().await.bed;
    bed.apply(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": tenant.namespace},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }))
    .await
    .unwrap();
    let path = claim(tenant, name);
    testbed::wait::wait_for("the claim to be bound", LONG, async || {
        let live = bed.get(&path).await?.ok()?;
        Ok((live["status"]["phase"] == "Bound").then_some(()))
    })
    .await
    .unwrap();
    path
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_only_copy_of_a_claim_is_denied_until_it_is_retained_or_confirmed() {
    let lab = Lab::shared().await;
    let (admin, tenant) = (lab.bed.admin(), lab.tenant().await);
    let alice = admin.impersonate("alice@example.com", &["system:masters"]).unwrap();
    let media = bound_claim(&tenant, "media", "immediate").await;
    let (old, new) =
        (snapshot(&tenant, "old", "media").await, snapshot(&tenant, "new", "media").await);
    // A tool that takes snapshots by a schedule deletes the old ones.
    let silent = |reply: &Reply| reply.is_success() && reply.warnings.is_empty();
    until_admin(&old, silent).await;
    let deleted = Request::delete(old.clone()).send(admin).await;
    assert!(silent(&deleted), "{deleted:?}");
    // At once: the watch may not have shown the first deletion yet.
    let warned = dry_run(new.clone()).send(admin).await;
    let warnings = warned.warnings.join("\n");
    assert!(
        warned.is_success()
            && warnings.contains("the last snapshot of claim media would be deleted"),
        "{warned:?}"
    );

    // Without the claim and its volume, nothing else holds the data.
    let live = lab.bed.get(&media).await.unwrap().ok().unwrap();
    let volume =
        format!("/api/v1/persistentvolumes/{}", live["spec"]["volumeName"].as_str().unwrap());
    assert!(Request::delete(media.clone()).send(admin).await.is_success());
    until_gone(&media).await;
    until_gone(&volume).await;
    let denied = until_admin(&new, is_denial).await;
    let message = denied.message();
    assert!(message.contains("the only copy of claim media would be deleted"), "{message}");
    let how = format!(
        "kubectl -n {} annotate volumesnapshot new --overwrite stateward.dev/confirm-delete",
        tenant.namespace
    );
    assert!(message.contains(&how), "{message}");
    let all = new.trim_end_matches("/new");
    let reply = Request::delete(all).send(admin).await;
    assert!(is_denial(&reply), "{} {}", reply.status, reply.message());

    // The first step of the way out, as it is printed, and back again.
    let command = message.lines().find(|line| line.contains("kubectl patch volumesnapshotcontent"));
    let command = command.unwrap_or_else(|| panic!("no command: {message}"));
    let words = command.split_whitespace().skip(1);
    let words: Vec<String> = words.map(|word| word.trim_matches('\'').to_owned()).collect();
    lab.bed.kubectl(&words).await.unwrap().ok().unwrap();
    let kept = until_admin(&new, Reply::is_success).await;
    assert!(kept.warnings.join("\n").contains("its copy stays"), "{kept:?}");
    let content =
        format!("/apis/snapshot.storage.k8s.io/v1/volumesnapshotcontents/{}-new", tenant.namespace);
    let delete = Request::merge(content, json!({"spec": {"deletionPolicy": "Delete"}}));
    assert!(delete.send(admin).await.is_success());
    until_admin(&new, is_denial).await;
    assert!(Request::merge(new.clone(), confirmed("new")).send(&alice).await.is_success());
    let deleted = Request::delete(new.clone()).send(&alice).await;
    assert!(deleted.is_success(), "{}", deleted.message());
    until_gone(&new).await;
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_class_that_is_used_is_deleted_with_a_warning_and_comes_back_from_its_manifest() {
    let lab = Lab::shared().await;
    let (admin, tenant) = (lab.bed.admin(), lab.tenant().await);
    let name = format!("class-of-{}", tenant.namespace);
    let path = format!("/apis/storage.k8s.io/v1/storageclasses/{name}");
    lab.bed
        .apply(json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": testbed::storage::PROVISIONER,
            "volumeBindingMode": "Immediate", "allowVolumeExpansion": true,
            "parameters": {"play": "controller"},
        }))
        .await
        .unwrap();
    let silent = dry_run(path.clone()).send(admin).await;
    assert!(silent.is_success() && silent.warnings.is_empty(), "{silent:?}");
    let media = bound_claim(&tenant, "media", &name).await;
    tenant
        .running("a", |set| {
            set["spec"]["replicas"] = json!(1);
            set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!(name);
        })
        .await;
    let warned = until_admin(&path, |reply| {
        reply.warnings.join("\n").contains("2 claims and 1 StatefulSet use it [class-delete]")
    })
    .await;
    assert!(warned.is_success(), "{}", warned.message());

    // The way out, as the rule prints it.
    let manifest = lab.bed.kubectl(&["get", "storageclass", &name, "-o", "yaml"]).await.unwrap();
    let manifest = manifest.ok().unwrap();
    let kept: Vec<&str> =
        manifest.lines().filter(|line| !line.starts_with("  resourceVersion:")).collect();
    assert!(kept.len() < manifest.lines().count(), "{manifest}");
    let deleted = Request::delete(path.clone()).send(admin).await;
    assert!(deleted.is_success(), "{}", deleted.message());
    let grow = |size: &str| {
        let body = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        Request::merge(media.clone(), body)
    };
    let refused = testbed::wait::wait_for("the class to be missed", LONG, async || {
        let mut request = grow("2Gi");
        request.path.push_str("?dryRun=All");
        let reply = request.send(admin).await;
        Ok((!reply.is_success()).then_some(reply))
    })
    .await
    .unwrap();
    assert!(refused.message().contains(&format!("{name} is missing")), "{}", refused.message());
    let create = ["create", "-f", "-"];
    lab.bed.kubectl_with("admin", &create, Some(&kept.join("\n"))).await.unwrap().ok().unwrap();
    testbed::wait::wait_for("the claim to grow", LONG, async || {
        Ok(grow("2Gi").send(admin).await.is_success().then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_ways_to_keep_the_data_of_a_claim_run_as_they_are_printed() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    for kind in testbed::storage::snapshot_kinds() {
        lab.bed.apply(kind).await.unwrap();
    }
    let class = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
        "metadata": {"name": "copies"},
        "driver": testbed::storage::PROVISIONER, "deletionPolicy": "Delete",
    });
    testbed::wait::wait_for("the kind to be served", LONG, async || {
        Ok(lab.bed.apply(class.clone()).await.ok())
    })
    .await
    .unwrap();
    tenant.running("a", |set| set["spec"]["replicas"] = json!(1)).await;
    let path = claim(&tenant, "data-a-0");
    let denied = until_admin(&path, |reply| {
        is_denial(reply) && reply.message().contains("\"volumeSnapshotClassName\":\"copies\"")
    })
    .await;
    let message = denied.message();
    let commands = message.lines().filter(|line| line.starts_with("     ")).map(str::trim);
    let commands: Vec<&str> = commands.collect();
    let [retain, snapshot] = commands[..] else { panic!("two commands: {message}") };
    assert!(retain.starts_with("kubectl patch pv") && snapshot.starts_with("echo"), "{message}");
    let kubectl = lab.bed.tools().kubectl.parent().unwrap().display().to_string();
    for command in commands {
        let output = std::process::Command::new("sh")
            .args(["-ec", command])
            .env("PATH", format!("{kubectl}:{}", std::env::var("PATH").unwrap()))
            .env("KUBECONFIG", lab.bed.kubeconfig())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let all =
        format!("/apis/snapshot.storage.k8s.io/v1/namespaces/{}/volumesnapshots", tenant.namespace);
    let all = lab.bed.get(&all).await.unwrap().ok().unwrap();
    let [taken] = &all["items"].as_array().unwrap()[..] else { panic!("one snapshot: {all}") };
    assert_eq!(taken["spec"]["source"]["persistentVolumeClaimName"], "data-a-0");
    assert_eq!(taken["spec"]["volumeSnapshotClassName"], "copies");
    let kept = until_admin(&path, Reply::is_success).await;
    assert!(kept.warnings.join("\n").contains("its volume stays"), "{kept:?}");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_kind_that_may_not_be_read_is_reported_and_leaves_the_replica_ready() {
    let lab = Lab::shared().await;
    let (bed, namespace) = (&lab.bed, lab.bed.namespace("blind").await.unwrap());
    bed.apply(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": namespace},
        "rules": [{
            "apiGroups": ["", "snapshot.storage.k8s.io"],
            "resources": ["persistentvolumeclaims", "persistentvolumes", "volumesnapshots"],
            "verbs": ["list", "watch"],
        }],
    }))
    .await
    .unwrap();
    let account = format!("--serviceaccount={namespace}:blind");
    let role = format!("--clusterrole={namespace}");
    for line in [
        ["create", "serviceaccount", "blind", "-n", &namespace],
        ["create", "clusterrolebinding", &namespace, &role, &account],
    ] {
        bed.kubectl(&line).await.unwrap().ok().unwrap();
    }
    let kubeconfig = bed.kubeconfig_for_service_account(&namespace, "blind").await.unwrap();
    let replica = lab.replica_with(&kubeconfig).await;
    let page = async |path: &str| replica.page(path).await;
    testbed::wait::wait_for("what is not known to be reported", LONG, async || {
        let ready = page("/readyz").await;
        let told = ready.contains("rules judge without the Nodes: ")
            && ready.contains("cannot list resource")
            && !ready.contains("not yet read");
        Ok((ready.starts_with("ok\n") && told).then_some(()))
    })
    .await
    .unwrap();
    let ready = page("/readyz").await;
    for known in ["PersistentVolumeClaims", "PersistentVolumes", "the VolumeSnapshots"] {
        assert!(!ready.contains(known), "{known}: {ready}");
    }
    let metrics = page("/metrics").await;
    for (kind, value) in [("Node", 1), ("PersistentVolumeClaim", 0), ("VolumeSnapshot", 0)] {
        let line = format!("stateward_facts_unknown{{kind=\"{kind}\"}} {value}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    // The replica with all rights knows every kind, whether or not the cluster serves it.
    testbed::wait::wait_for("the replica to know all kinds", LONG, async || {
        Ok((lab.webhook.page("/readyz").await == "ok\n").then_some(()))
    })
    .await
    .unwrap();
}
