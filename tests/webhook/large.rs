//! Reviews of objects that a tenant has padded, against the binary: size is no way around the rules.

use serde_json::{Value, json};

use crate::soak::server::{Server, post_to};

/// As the API server writes a `<`.
const ESCAPED: &str = r"\u003c";

/// An edit that sets the retention to `Delete`, with `padding` in place of `PADDING` on both sides.
fn review(padding: &str, user: &str, namespace: &str) -> Vec<u8> {
    let set = |retention: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {
                "name": "db", "namespace": namespace, "uid": "u-1",
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "ConfigMap", "name": "PADDING", "uid": "u-2"},
                ],
            },
            "spec": {
                "replicas": 1, "serviceName": "db",
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [{"name": "db", "image": "db"}]},
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }],
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": retention},
            },
        })
    };
    let head = json!({
        "uid": "review-1",
        "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
        "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
        "name": "db", "namespace": namespace, "operation": "UPDATE", "userInfo": {"username": user},
    });
    // The API server writes both objects last.
    let head = head.to_string();
    let request = format!(
        r#"{},"object":{},"oldObject":{}}}"#,
        head.strip_suffix('}').unwrap(),
        set("Delete"),
        set("Retain")
    );
    format!(
        r#"{{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{request}}}"#
    )
    .replace("PADDING", padding)
    .into_bytes()
}

async fn ask(server: &Server, review: Vec<u8>) -> (u16, Value) {
    let mut connection = server.connect().await.unwrap();
    let (status, answer) = post_to(&mut connection, "/validate?timeout=60s", review).await.unwrap();
    (status, serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
}

#[tokio::test]
async fn a_padded_review_is_judged_like_any_other() {
    // A debug build takes longer than an API server waits.
    let server = Server::start_with(env!("CARGO_BIN_EXE_stateward"), &["--review-timeout=60s"]);
    // 1.3 MB of `<` on both sides is 15.6 MB, the body that went through unjudged.
    for padding in ["x".to_owned(), ESCAPED.repeat(1_300_000), ESCAPED.repeat(2_900_000)] {
        let (status, answer) = ask(&server, review(&padding, "dev", "prod")).await;
        assert_eq!(status, 200);
        let response = &answer["response"];
        assert_eq!(response["allowed"], false, "{}", padding.len());
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains("sts-retention-to-delete"), "{message}");
    }
}

#[tokio::test]
async fn a_review_that_is_too_large_to_judge_is_denied_in_words() {
    let server = Server::start(env!("CARGO_BIN_EXE_stateward"));
    let many = r#""},{"name":""#.repeat(700_000);
    for padding in [ESCAPED.repeat(3_200_000), many] {
        let (status, answer) = ask(&server, review(&padding, "dev", "prod")).await;
        assert_eq!(status, 200, "{answer}");
        let response = &answer["response"];
        assert_eq!(response["uid"], "review-1");
        assert_eq!(response["allowed"], false);
        assert_eq!(response["status"]["code"], 403);
        let message = response["status"]["message"].as_str().unwrap();
        let first = "StatefulSet prod/db was not judged: the review is too large to judge\n";
        assert!(message.starts_with(first), "{message}");

        // Nobody gets stuck whom a denial would wedge.
        for (user, namespace) in [
            ("system:serviceaccount:kube-system:generic-garbage-collector", "prod"),
            ("dev", "kube-system"),
        ] {
            let (_, answer) = ask(&server, review(&padding, user, namespace)).await;
            assert_eq!(answer["response"]["allowed"], true, "{user} {namespace}");
        }
    }
}
