//! Sizes that come through a door that nobody watches.

use serde_json::{Value, json};

use crate::lab::{LONG, Lab, Request, Tenant, set, sets};

const RECORD: &str = "/apis/stateward.dev/v1alpha1/namespaces";

fn requested(size: &str) -> Value {
    json!({"stateward.dev/resize-requested": json!({"data": size}).to_string()})
}

/// Whether a claim of the namespace asks for more than 1Gi.
async fn grown(tenant: &Tenant) -> Vec<String> {
    let claims = tenant.claims().await;
    let size = |claim: &Value| claim["spec"]["resources"]["requests"]["storage"].to_string();
    claims.iter().map(size).filter(|size| size != "\"1Gi\"").collect()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_hundredthousandfold_size_is_denied_through_every_door() {
    let tenant = Lab::shared().await.tenant().await;
    let mut passed = Vec::new();
    for (number, size) in ["100Ti", "102400Gi", "1e30", "99999999E"].into_iter().enumerate() {
        let mut object = set(&format!("created{number}"), &tenant.namespace);
        object["metadata"]["annotations"] = requested(size);
        let reply = tenant.session.create(&sets(&tenant.namespace), object).await.unwrap();
        if reply.is_success() {
            passed.push(format!("CREATE with {size}: {:?}", reply.warnings));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");

    tenant.running("a", |_| {}).await;
    let path = tenant.path("a");
    let finalizers = |finalizers: Value, annotations: Value| json!({"metadata": {"finalizers": finalizers, "annotations": annotations}});
    tenant
        .refused(
            "by an annotation",
            &[Request::merge(&path, json!({"metadata": {"annotations": requested("100Ti")}}))],
        )
        .await;
    tenant
        .refused(
            "in the edit that removes the last finalizer",
            &[
                Request::merge(&path, finalizers(json!(["x.y/z"]), json!({}))),
                Request::merge(&path, finalizers(Value::Null, requested("100Ti"))),
            ],
        )
        .await;
    let mut template = set("a", &tenant.namespace)["spec"]["volumeClaimTemplates"].clone();
    template[0]["spec"]["resources"]["requests"]["storage"] = json!("100Ti");
    let template = json!({"spec": {"volumeClaimTemplates": template}});
    tenant.refused("by the template", &[Request::merge(&path, template)]).await;
    assert_eq!(grown(&tenant).await, Vec::<String>::new());
}

/// The role `edit` does not grant records; `stateward-resizer` does.
async fn resizer(lab: &Lab, tenant: &Tenant) {
    let bind = [
        "create",
        "rolebinding",
        "resizer",
        "--clusterrole=stateward-resizer",
        "--user=dev",
        "-n",
        &tenant.namespace,
    ];
    lab.bed.kubectl(&bind).await.unwrap().ok().unwrap();
    let records = format!("{RECORD}/{}/statefulsetresizes", tenant.namespace);
    testbed::wait::wait_for("the right to resize", LONG, async || {
        Ok((tenant.session.get(&records).await?.status == 200).then_some(()))
    })
    .await
    .unwrap();
}

fn record(name: &str, size: &str) -> Value {
    json!({
        "apiVersion": "stateward.dev/v1alpha1", "kind": "StatefulSetResize",
        "metadata": {"name": name},
        "spec": {"targets": {"data": {"storage": size}}},
    })
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_record_cannot_ask_for_a_hundredthousandfold_size() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    resizer(lab, &tenant).await;
    tenant.running("a", |_| {}).await;
    let records = format!("{RECORD}/{}/statefulsetresizes", tenant.namespace);
    let reply = tenant.session.create(&records, record("a", "100Ti")).await.unwrap();
    if reply.is_success() {
        testbed::wait::wait_for("the record to be blocked", LONG, async || {
            assert_eq!(grown(&tenant).await, Vec::<String>::new());
            let live = lab.bed.get(&format!("{records}/a")).await?.ok()?;
            Ok(live["status"].to_string().contains("Blocked").then_some(()))
        })
        .await
        .unwrap();
    } else {
        assert!(reply.status == 403 || reply.status == 422, "{}", reply.body);
    }
    assert_eq!(grown(&tenant).await, Vec::<String>::new());
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_record_cannot_ask_for_a_size_that_the_api_server_would_round() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    resizer(lab, &tenant).await;
    let records = format!("{RECORD}/{}/statefulsetresizes", tenant.namespace);
    for size in ["2147483648500.5m", "2147483648500m", "1.5"] {
        let path = records.clone() + "?dryRun=All";
        let reply = tenant.session.create(&path, record("a", size)).await.unwrap();
        assert!(reply.status == 403 || reply.status == 422, "{size}: {}", reply.body);
    }
}

/// The answer, a denial or a warning, names what stands in the way.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn growth_that_cannot_be_carried_out_is_not_accepted_in_silence() {
    let tenant = Lab::shared().await.tenant().await;
    let grow = |name: &str| {
        let mut template = set(name, &tenant.namespace)["spec"]["volumeClaimTemplates"].clone();
        template[0]["spec"]["resources"]["requests"]["storage"] = json!("2Gi");
        json!({"spec": {"volumeClaimTemplates": template}})
    };
    tenant.running("finalizer", |set| set["metadata"]["finalizers"] = json!(["x.y/z"])).await;
    tenant
        .running("unfinished", |set| {
            set["metadata"]["annotations"]["stateward.dev/resize-unfinished"] = json!("x");
        })
        .await;
    tenant.running("sibling", |_| {}).await;
    tenant
        .running("other", |set| {
            set["spec"]["selector"] = json!({"matchLabels": {"app": "sibling"}});
            set["spec"]["template"]["metadata"]["labels"] = json!({"app": "sibling"});
        })
        .await;
    let mut silent = Vec::new();
    for (name, blocker) in
        [("finalizer", "x.y/z"), ("unfinished", "resize-unfinished"), ("sibling", "other")]
    {
        let path = tenant.path(name) + "?dryRun=All";
        let reply = tenant.session.merge(&path, grow(name)).await.unwrap();
        let said = format!("{} {}", reply.message(), reply.warnings.join(" "));
        if !said.contains(blocker) {
            silent.push(format!("{name}: {} {said}", reply.status));
        }
    }
    let free = json!({"metadata": {"finalizers": null}});
    tenant.session.merge(&tenant.path("finalizer"), free).await.unwrap();
    assert!(silent.is_empty(), "{silent:#?}");
}
