//! The straight path of a resize, for each kind of set.

use serde_json::{Value, json};

use crate::resize::Resizing;
use crate::webhook::{path, pod_uids};

/// Grows a set made by `change`, and asserts that nothing but its size is different afterwards.
async fn grows(change: impl Fn(&mut Value)) {
    if testbed::skipped() {
        return;
    }
    let resizing = Resizing::shared().await;
    let (namespace, set) = resizing.prepare(change).await;
    let before = resizing.get(&path(&namespace, "db")).await.unwrap().ok().unwrap();
    let pods = pod_uids(resizing, &namespace).await;
    let claims = claim_uids(resizing, &namespace).await;
    let from = resizing.audit_events().unwrap().len();

    resizing.grow(&set, "20Gi").await;
    let after = resizing.complete(&namespace, "20Gi").await;

    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert_eq!(pod_uids(resizing, &namespace).await, pods, "a pod was restarted");
    assert_eq!(claim_uids(resizing, &namespace).await, claims);
    let mut expected = before["spec"].clone();
    expected["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = json!("20Gi");
    assert_eq!(after["spec"], expected);
    assert_eq!(resizing.lives(&namespace, "statefulsets", from), (1, 1));
    assert_eq!(resizing.lives(&namespace, "pods", from), (0, 0));
    assert_eq!(resizing.lives(&namespace, "persistentvolumeclaims", from), (0, 0));
    // Whoever applied before applies again, without a conflict.
    resizing.grow(&set, "20Gi").await;
}

async fn claim_uids(resizing: &Resizing, namespace: &str) -> Vec<(Value, Value)> {
    let claims = resizing.list(namespace, "persistentvolumeclaims").await;
    let pair =
        |claim: &Value| (claim["metadata"]["name"].clone(), claim["metadata"]["uid"].clone());
    claims.iter().map(pair).collect()
}

#[tokio::test]
async fn a_parallel_set() {
    grows(|_| {}).await;
}
