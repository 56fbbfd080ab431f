//! Parts of the control plane go away in the middle of a resize, and come back.

use std::time::Duration;

use serde_json::json;
use testbed::Component;
use testbed::proxy::Fault;

use crate::resize::Resizing;
use crate::webhook::{LONG, pod_uids};

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_part_of_the_control_plane_is_away_in_the_window() {
    let resizing = Resizing::alone().await;
    let (proxy, _controller) = resizing.proxied(4).await;
    // Without the controller manager the orphaned set stays; without the others nothing is heard.
    for (component, method) in [
        (Component::ControllerManager, "DELETE"),
        (Component::ApiServer, "POST"),
        (Component::Etcd, "POST"),
    ] {
        let (namespace, set) = resizing
            .prepare(|set| {
                set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                    json!({"whenDeleted": "Delete", "whenScaled": "Retain"});
            })
            .await;
        let pods = pod_uids(&resizing, &namespace).await;
        let from = resizing.audit_position();
        let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
        let on = proxy.on(move |request| {
            request.is_write() && request.method == method && request.path.starts_with(&sets)
        });
        let stopped = resizing.resizing;
        let armed = on.then(move || stopped.stop(component)).fault(Fault::Slow(Duration::ZERO));
        resizing.grow(&set, "20Gi").await;
        armed.hit(LONG).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        resizing.resume(component).await.unwrap();

        resizing.complete(&namespace, "20Gi").await;
        assert_eq!(pod_uids(&resizing, &namespace).await, pods, "{component:?}: a pod restarted");
        let lives = resizing.lives(&namespace, from);
        assert_eq!(lives, [(1, 1), (0, 0), (0, 0)], "{component:?}");
    }
}
