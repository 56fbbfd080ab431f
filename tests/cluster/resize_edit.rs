//! An edit of the set while it is away and so is the webhook: it is lost, and that is said.

use std::time::Duration;

use serde_json::{Value, json};
use testbed::Component;
use testbed::proxy::Fault;

use crate::resize::Resizing;
use crate::webhook::{LONG, STORAGE, path, pod_uids};

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_edit_while_the_set_goes_away_is_lost_loudly() {
    let resizing = Resizing::alone().await;
    let (proxy, _controller) = resizing.proxied(4).await;
    let (namespace, set) = resizing.prepare(|_| {}).await;
    let pods = pod_uids(&resizing, &namespace).await;
    let from = resizing.audit_position();
    // Without the controller manager nobody takes the finalizer off, and the set stays in the re-creation window
    // for as long as the edit needs.
    let one = path(&namespace, "db");
    let wanted = one.clone();
    let on = proxy.on(move |request| {
        request.is_write() && request.method == "DELETE" && request.path == wanted
    });
    let stopped = resizing.resizing;
    let deleted = on
        .then(move || stopped.stop(Component::ControllerManager))
        .fault(Fault::Slow(Duration::ZERO));
    resizing.grow(&set, "20Gi").await;
    deleted.hit(LONG).await.unwrap();
    let goes = |live: &Value| !live["metadata"]["deletionTimestamp"].is_null();
    resizing.wait_object(&one, LONG, goes).await.unwrap();

    let image = "/spec/template/spec/containers/0/image";
    let edit = json!({"spec": {"template": {"spec": {"containers": [{
        "name": "db", "image": "postgres:17.3",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }]}}}});
    let edited = format!("{one}?fieldManager=somebody");
    let refused = resizing.merge(&edited, edit.clone()).await.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.body);
    assert!(refused.message().contains("is being re-created"), "{}", refused.message());
    resizing.webhook(false).await;
    resizing
        .wait_for("the edit to get through", LONG, async || {
            resizing.merge(&edited, edit.clone()).await?.ok().map(Some)
        })
        .await
        .unwrap();
    resizing.resume(Component::ControllerManager).await.unwrap();

    let record = resizing.ended(&namespace).await;
    resizing.webhook(true).await;
    let status = &record["status"];
    assert_eq!(status["phase"], "Degraded", "{status}");
    assert_eq!(status["reason"], "EditLost", "{status}");
    assert_eq!(status["message"], "somebody", "{status}");
    let live = resizing.get(&one).await.unwrap().ok().unwrap();
    assert_eq!(live.pointer(image), Some(&json!("postgres:17.2")), "{live}");
    assert_eq!(live.pointer(STORAGE), Some(&json!("20Gi")), "{live}");
    assert_eq!(pod_uids(&resizing, &namespace).await, pods, "a pod restarted");
    assert_eq!(resizing.lives(&namespace, from), [(1, 1), (0, 0), (0, 0)]);
}
