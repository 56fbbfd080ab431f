//! What anybody can do who reaches the ports, without any credential.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::client::MERGE_PATCH;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::lab::{Lab, Webhook, set};

/// The most memory in KiB that a replica may take, half of the limit in the chart.
const MEMORY: u64 = 256 * 1024;

/// The status line of an answer on the health port, if there is one in time.
async fn probe(port: u16) -> Option<String> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
            .await
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.lines().next().map(str::to_owned)
    };
    // A kubelet waits for a second by default; what counts here is whether an answer comes at all.
    tokio::time::timeout(Duration::from_secs(20), ask).await.ok()?
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn probes_are_answered_whatever_is_left_open_on_the_health_port() {
    let webhook = &Lab::shared().await.webhook;
    for (what, sent) in [
        ("silent", ""),
        ("half a head", "GET /livez HTTP/1.1\r\nho"),
        ("idle after an answer", "GET /livez HTTP/1.1\r\nhost: h\r\n\r\n"),
        ("metrics that nobody reads", "GET /metrics HTTP/1.1\r\nhost: h\r\n\r\n"),
    ] {
        let mut open = Vec::new();
        for _ in 0..300 {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", webhook.health)).await else {
                continue;
            };
            // The server may have closed it at once.
            let _ = stream.write_all(sent.as_bytes()).await;
            open.push(stream);
        }
        let mut answered = 0;
        for _ in 0..20 {
            answered +=
                usize::from(probe(webhook.health).await.as_deref() == Some("HTTP/1.1 200 OK"));
        }
        println!("{what}: {answered} of 20 probes answered beside {} connections", open.len());
        assert_eq!(answered, 20, "{what}");
    }
}

/// A client of the review port, with the authority that `--dev` made.
pub(crate) async fn client(webhook: &Webhook) -> kube::Client {
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nusers: [{{name: u, user: {{}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: \
         {{server: 'https://127.0.0.1:{}', certificate-authority: {}}}}}]\n",
        webhook.port,
        webhook.certs.join("ca.crt").display(),
    );
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Sends a review as anybody could; gives status and body.
pub(crate) async fn post(client: &kube::Client, path: &str, review: &Value) -> (u16, String) {
    let request = hyper::Request::post(path)
        .header("content-type", "application/json")
        .body(kube::client::Body::from(serde_json::to_vec(review).unwrap()))
        .unwrap();
    let response = client.send(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect_bytes().await.unwrap();
    (status, String::from_utf8_lossy(&bytes).into_owned())
}

fn review(namespace: &str, old: &Value, new: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "operation": "UPDATE", "namespace": namespace, "name": new["metadata"]["name"],
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "requestKind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "requestResource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "userInfo": {"username": "alice@example.com", "groups": ["system:authenticated"]},
            "object": new, "oldObject": old, "options": {}, "dryRun": false,
        },
    })
}

/// Claim templates that are short to write and long to hold.
fn templates(count: usize) -> Value {
    (0..count).map(|_| json!({"metadata": {"name": "data"}, "spec": {"resources": {}}})).collect()
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn memory_is_bounded_under_reviews_with_long_lists() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    tenant.running("a", |_| {}).await;
    let before = lab.webhook.memory("VmRSS");
    let body = json!({"spec": {"volumeClaimTemplates": templates(24_000)}});
    let path = tenant.path("a") + "?dryRun=All";
    let edits = (0..8).map(|_| tenant.session.request("PATCH", &path, MERGE_PATCH, body.clone()));
    for reply in futures_util::future::join_all(edits).await {
        let reply = reply.unwrap();
        assert!(!reply.is_success(), "{}", reply.body);
    }
    println!(
        "8 edits of 24,000 templates: {before} KiB before, {} KiB at most, {} KiB afterwards",
        lab.webhook.memory("VmHWM"),
        lab.webhook.memory("VmRSS")
    );
    assert!(lab.webhook.memory("VmHWM") < MEMORY, "{} KiB", lab.webhook.memory("VmHWM"));

    let client = client(&lab.webhook).await;
    let mut old = set("a", &tenant.namespace);
    let mut new = old.clone();
    old["spec"]["volumeClaimTemplates"] = templates(50_000);
    new["spec"]["volumeClaimTemplates"] = templates(49_999);
    let review = review(&tenant.namespace, &old, &new);
    let posts = (0..4).map(|_| post(&client, "/mutate", &review));
    let answers = futures_util::future::join_all(posts).await;
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    println!(
        "4 reviews of 50,000 templates: {statuses:?}, {} KiB at most",
        lab.webhook.memory("VmHWM")
    );
    assert!(lab.webhook.memory("VmHWM") < MEMORY, "{} KiB", lab.webhook.memory("VmHWM"));
}

/// A container that is given one long part and many short ones that refer to it.
fn long_parts(edit: &str) -> Vec<Value> {
    let many = |value: &dyn Fn(usize) -> String| (0..16_000).map(value).collect::<Vec<_>>();
    let folders = many(&|n| format!("--data-dirs={n}"));
    let flags = many(&|n| format!("--a{n}-data-dir=/data/{n}"));
    let one = [format!("--data-dir=/e/{}", "x".repeat(400_000))];
    let parts = format!("{edit}/").repeat(600_000);
    vec![
        json!({"args": folders, "workingDir": format!("/{edit}/{}", "x".repeat(400_000))}),
        if edit == "a" { json!({"args": flags}) } else { json!({"args": one}) },
        json!({"volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": parts}]}),
        json!({"args": [format!("db {}", format!("-{edit} /{edit} ").repeat(100_000))]}),
    ]
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn memory_is_bounded_under_reviews_with_long_parts() {
    let lab = Lab::shared().await;
    let tenant = lab.tenant().await;
    let client = client(&lab.webhook).await;
    for (old_part, new_part) in long_parts("a").into_iter().zip(long_parts("b")) {
        let with = |part: &Value| {
            let mut object = set("a", &tenant.namespace);
            let container = &mut object["spec"]["template"]["spec"]["containers"][0];
            for (field, value) in part.as_object().unwrap() {
                container[field] = value.clone();
            }
            object
        };
        let review = review(&tenant.namespace, &with(&old_part), &with(&new_part));
        let posts = (0..4).map(|_| post(&client, "/validate", &review));
        let answers = futures_util::future::join_all(posts).await;
        let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
        let fields: Vec<_> = old_part.as_object().unwrap().keys().collect();
        let most = lab.webhook.memory("VmHWM");
        println!("4 reviews with a long part, {fields:?}: {statuses:?}, {most} KiB at most");
        assert!(most < MEMORY, "{most} KiB");
        assert!(answers.iter().any(|(_, answer)| answer.contains(r#""allowed":false"#)));
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_forged_review_learns_no_fact_of_the_cluster() {
    let lab = Lab::shared().await;
    let victim = lab.tenant().await;
    victim.running("a", |_| {}).await;
    let quota = json!({"metadata": {"name": "secretquota"},
                       "spec": {"hard": {"requests.storage": "33Gi"}}});
    let quotas = format!("/api/v1/namespaces/{}/resourcequotas", victim.namespace);
    lab.bed.create(&quotas, quota).await.unwrap().ok().unwrap();
    let client = client(&lab.webhook).await;

    let old = set("a", &victim.namespace);
    let mut new = old.clone();
    new["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] =
        json!("40Gi");
    let (status, answer) = post(&client, "/mutate", &review(&victim.namespace, &old, &new)).await;
    for secret in ["secretquota", "33Gi", "31Gi", "32Gi"] {
        assert!(!answer.contains(secret), "{status}: {secret} is disclosed: {answer}");
    }
}
