//! The testbed does what a cluster does, with the storage that is played.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testbed::{Component, Testbed};

const SOON: Duration = Duration::from_secs(60);

fn set(name: &str, replicas: u32, class: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "db", "image": "db:1",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }]},
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": class,
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            }],
        },
    })
}

fn path(namespace: &str, kind: &str, name: &str) -> String {
    let root = if kind == "statefulsets" { "/apis/apps/v1" } else { "/api/v1" };
    format!("{root}/namespaces/{namespace}/{kind}/{name}")
}

async fn make(bed: &Testbed, namespace: &str, set: Value) -> Result<Value> {
    let name = set["metadata"]["name"].as_str().context("no name")?.to_owned();
    let replicas = set["spec"]["replicas"].clone();
    let collection = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    bed.create(&collection, set).await?.ok()?;
    bed.wait_object(&path(namespace, "statefulsets", &name), SOON, |set| {
        set["status"]["readyReplicas"] == replicas
    })
    .await
}

async fn grow(bed: &Testbed, claim: &str, size: &str) -> Result<()> {
    let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
    bed.merge(claim, patch).await?.ok()?;
    Ok(())
}

fn state(claim: &Value) -> &str {
    claim["status"]["allocatedResourceStatuses"]["storage"].as_str().unwrap_or("")
}

async fn pods(bed: &Testbed, namespace: &str, name: &str) -> Result<Vec<(String, String)>> {
    let list = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{name}");
    let list = bed.get(&list).await?.ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pods = list["items"].as_array().context("no items")?.iter();
    Ok(pods.map(|pod| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]))).collect())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_set_runs_grows_and_is_adopted() -> Result<()> {
    let start = Instant::now();
    let bed = Testbed::shared().await?;
    eprintln!("ready after {:.2?}", start.elapsed());
    let namespace = bed.namespace("smoke").await?;
    let set_path = path(&namespace, "statefulsets", "db");

    let start = Instant::now();
    make(bed, &namespace, set("db", 3, "standard")).await?;
    eprintln!("3 pods ready after {:.2?}", start.elapsed());
    for ordinal in 0..3 {
        let claim = path(&namespace, "persistentvolumeclaims", &format!("data-db-{ordinal}"));
        let claim = bed.get(&claim).await?.ok()?;
        assert_eq!(claim["status"]["phase"], "Bound");
        assert_eq!(claim["status"]["capacity"]["storage"], "10Gi");
    }

    let start = Instant::now();
    let claim = path(&namespace, "persistentvolumeclaims", "data-db-1");
    grow(bed, &claim, "20Gi").await?;
    let grown = bed
        .wait_object(&claim, SOON, |claim| claim["status"]["capacity"]["storage"] == "20Gi")
        .await?;
    eprintln!("claim grown after {:.2?}", start.elapsed());
    assert_eq!(grown["status"]["allocatedResources"]["storage"], "20Gi");
    assert!(grown["status"]["conditions"].is_null(), "{}", grown["status"]);
    assert_eq!(state(&grown), "");

    let scale = format!("{set_path}/scale");
    bed.merge(&scale, json!({"spec": {"replicas": 4}})).await?.ok()?;
    bed.wait_object(&set_path, SOON, |set| set["status"]["readyReplicas"] == 4).await?;
    bed.merge(&scale, json!({"spec": {"replicas": 3}})).await?.ok()?;
    bed.wait_for("the fourth pod to go", SOON, async || {
        Ok((pods(bed, &namespace, "db").await?.len() == 3).then_some(()))
    })
    .await?;

    let before = pods(bed, &namespace, "db").await?;
    let start = Instant::now();
    bed.delete(&set_path, json!({"propagationPolicy": "Orphan"})).await?.ok()?;
    bed.wait_for("the set to go", SOON, async || {
        Ok((bed.get(&set_path).await?.status == 404).then_some(()))
    })
    .await?;
    let made = make(bed, &namespace, set("db", 3, "standard")).await?;
    for (name, _) in &before {
        let uid = made["metadata"]["uid"].clone();
        bed.wait_object(&path(&namespace, "pods", name), SOON, |pod| {
            pod["metadata"]["ownerReferences"][0]["uid"] == uid
        })
        .await?;
    }
    eprintln!("re-created and adopted after {:.2?}", start.elapsed());
    assert_eq!(before, pods(bed, &namespace, "db").await?);
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn each_class_grows_claims_in_its_own_way() -> Result<()> {
    let bed = Testbed::shared().await?;
    let namespace = bed.namespace("drivers").await?;
    let classes = ["restart", "offline", "rounding", "infeasible", "stuck", "rigid"];
    for class in classes {
        make(bed, &namespace, set(class, 1, class)).await?;
    }
    let claim =
        |class: &str| path(&namespace, "persistentvolumeclaims", &format!("data-{class}-0"));
    let capacity = async |class: &str, size: &str| {
        let accept = |claim: &Value| claim["status"]["capacity"]["storage"] == size;
        bed.wait_object(&claim(class), SOON, accept).await
    };

    let patch = json!({"spec": {"resources": {"requests": {"storage": "20Gi"}}}});
    let refused = bed.merge(&claim("rigid"), patch).await?;
    assert_eq!(refused.status, 403, "{}", refused.message());

    grow(bed, &claim("restart"), "20Gi").await?;
    grow(bed, &claim("offline"), "20Gi").await?;
    grow(bed, &claim("rounding"), "10.5Gi").await?;
    grow(bed, &claim("infeasible"), "50Gi").await?;
    grow(bed, &claim("stuck"), "20Gi").await?;

    capacity("rounding", "11Gi").await?;
    let infeasible = |claim: &Value| state(claim) == "ControllerResizeInfeasible";
    bed.wait_object(&claim("infeasible"), SOON, infeasible).await?;
    grow(bed, &claim("infeasible"), "12Gi").await?;
    capacity("infeasible", "12Gi").await?;

    let pending = |claim: &Value| {
        let conditions = claim["status"]["conditions"].as_array();
        conditions.is_some_and(|list| list.iter().any(|c| c["type"] == "FileSystemResizePending"))
    };
    bed.wait_object(&claim("restart"), SOON, pending).await?;
    bed.delete(&path(&namespace, "pods", "restart-0"), Value::Null).await?.ok()?;
    capacity("restart", "20Gi").await?;

    let waiting = bed.get(&claim("offline")).await?.ok()?;
    assert_eq!(state(&waiting), "ControllerResizeInProgress");
    assert_eq!(waiting["status"]["capacity"]["storage"], "10Gi");
    let scale = format!("{}/scale", path(&namespace, "statefulsets", "offline"));
    bed.merge(&scale, json!({"spec": {"replicas": 0}})).await?.ok()?;
    bed.wait_object(&claim("offline"), SOON, pending).await?;
    bed.merge(&scale, json!({"spec": {"replicas": 1}})).await?.ok()?;
    capacity("offline", "20Gi").await?;

    assert!(bed.get(&claim("stuck")).await?.ok()?["status"]["allocatedResources"].is_null());
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn annotations_make_pods_unready_or_stuck() -> Result<()> {
    let bed = Testbed::shared().await?;
    let namespace = bed.namespace("pods").await?;
    make(bed, &namespace, set("db", 1, "standard")).await?;
    let pod = path(&namespace, "pods", "db-0");
    let ready = |status: &'static str| {
        move |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions.is_some_and(|list| {
                list.iter().any(|c| c["type"] == "Ready" && c["status"] == status)
            })
        }
    };
    let annotate = async |key: &str, value: Value| {
        let key = format!("testbed.stateward.dev/{key}");
        bed.merge(&pod, json!({"metadata": {"annotations": {key: value}}})).await?.ok()
    };
    annotate("ready", "false".into()).await?;
    bed.wait_object(&pod, SOON, ready("False")).await?;
    annotate("ready", Value::Null).await?;
    bed.wait_object(&pod, SOON, ready("True")).await?;

    let uid = annotate("stuck", "true".into()).await?["metadata"]["uid"].clone();
    bed.delete(&pod, Value::Null).await?.ok()?;
    // A pod that is deleted after it and is not stuck is replaced.
    make(bed, &namespace, set("other", 1, "standard")).await?;
    let other = path(&namespace, "pods", "other-0");
    let replaced = bed.get(&other).await?.ok()?["metadata"]["uid"].clone();
    bed.delete(&other, Value::Null).await?.ok()?;
    bed.wait_object(&other, SOON, |pod| pod["metadata"]["uid"] != replaced).await?;
    let dying = bed.get(&pod).await?.ok()?;
    assert!(dying["metadata"]["uid"] == uid && !dying["metadata"]["deletionTimestamp"].is_null());
    annotate("stuck", Value::Null).await?;
    bed.wait_object(&pod, SOON, |pod| pod["metadata"]["uid"] != uid).await?;
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn users_have_only_their_rights() -> Result<()> {
    let bed = Testbed::shared().await?;
    let namespace = bed.namespace("users").await?;
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    let dev = bed.user("dev").await?;
    let refused = dev.get(&sets).await?;
    assert_eq!((refused.status, refused.body["reason"].as_str()), (403, Some("Forbidden")));
    bed.apply(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"namespace": namespace, "name": "devs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"}],
    }))
    .await?;
    bed.wait_for("the right", SOON, async || {
        Ok((dev.get(&sets).await?.status == 200).then_some(()))
    })
    .await?;
    let as_dev = bed.impersonate("somebody", &["devs"])?;
    assert_eq!(as_dev.get(&sets).await?.status, 200);

    let arguments = ["--namespace", &namespace, "get", "statefulsets"];
    assert!(bed.kubectl_with("dev", &arguments, None).await?.success());
    let refused = bed.kubectl_with("ci", &arguments, None).await?;
    assert_eq!(refused.status, 1);
    assert!(refused.stderr.contains("Forbidden"), "{}", refused.stderr);

    bed.wait_object(&path(&namespace, "serviceaccounts", "default"), SOON, |_| true).await?;
    let account = bed.kubeconfig_for_service_account(&namespace, "default").await?;
    let me = bed.session(&account).await?;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let me = me.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await?.ok()?;
    let expected = format!("system:serviceaccount:{namespace}:default");
    assert_eq!(me["status"]["userInfo"]["username"], expected);

    let warned = bed.create("/api/v1/namespaces/default/pods?dryRun=All", json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "warned", "annotations": {"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}},
        "spec": {"containers": [{"name": "c", "image": "c"}], "unknown": true},
    })).await?;
    assert!(warned.is_success() && !warned.warnings.is_empty(), "{warned:?}");
    assert!(bed.helm(&["list"]).await?.success());
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn stopped_components_resume() -> Result<()> {
    let start = Instant::now();
    let bed = Testbed::builder().controllers(false).audit_log(true).start().await?;
    eprintln!("bare API server ready after {:.2?}", start.elapsed());
    let namespace = bed.namespace("restart").await?;
    let here = format!("/api/v1/namespaces/{namespace}");
    for component in [Component::ApiServer, Component::Etcd] {
        let start = Instant::now();
        bed.restart(component).await?;
        eprintln!("{} is back after {:.2?}", component.name(), start.elapsed());
        assert_eq!(bed.get(&here).await?.status, 200);
    }
    bed.stop(Component::ApiServer);
    assert!(bed.get(&here).await.is_err());
    bed.resume(Component::ApiServer).await?;
    let named = |event: &Value| event["objectRef"]["namespace"] == namespace.as_str();
    assert!(bed.audit_events()?.iter().any(named));

    let folder = bed.folder().to_owned();
    let start = Instant::now();
    drop(bed);
    eprintln!("stopped after {:.2?}", start.elapsed());
    assert!(!folder.exists());
    Ok(())
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_start_that_fails_shows_the_log() {
    let builder = Testbed::builder().controllers(false).api_server_argument("--no-such-flag");
    let error = format!("{:#}", builder.start().await.unwrap_err());
    assert!(error.contains("kube-apiserver ended with exit status: 1"), "{error}");
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
}
