//! The end of a pod, played the way a kubelet does it: by name and UID, with no grace left.
//!
//! kwok plays the rest of a pod's life ([`nodes`](crate::nodes)), but it deletes by name alone.
//! Where it hears of a pod's going twice it takes the next one along, and the next pod of a
//! `StatefulSet` has the same name.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::client::Session;

const STUCK: &str = "testbed.stateward.dev/stuck";
const PAUSE: Duration = Duration::from_millis(100);

/// The running player; it ends with its testbed.
#[derive(Debug)]
pub(crate) struct Kubelet(JoinHandle<()>);

impl Kubelet {
    /// Ends every pod that is going from now on.
    pub(crate) fn start(node: Session, runtime: &Handle) -> Result<Self> {
        let _guard = runtime.enter();
        let client = node.client()?;
        Ok(Self(runtime.spawn(watch(client, node))))
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn watch(client: Client, node: Session) {
    let pods = Api::<PartialObjectMeta<Pod>>::all(client);
    let pods = watcher(pods, watcher::Config::default()).default_backoff().applied_objects();
    let mut pods = pin!(pods);
    // Two deletions of one pod at once are both answered with 200.
    let mut ended = BTreeSet::new();
    while let Some(pod) = pods.next().await {
        // An API server that is away is what tests do; the watch comes back by itself.
        let Ok(pod) = pod else { continue };
        let stuck = pod.annotations().get(STUCK).is_some_and(|value| value == "true");
        let is_going = pod.metadata.deletion_timestamp.is_some() && !stuck;
        if is_going && ended.insert(pod.uid()) {
            tokio::spawn(end(node.clone(), pod));
        }
    }
}

/// Deletes one pod for good, and no other of its name.
async fn end(node: Session, pod: PartialObjectMeta<Pod>) {
    let namespace = pod.namespace().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{namespace}/pods/{}", pod.name_any());
    let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod.uid()}});
    loop {
        match node.delete(&path, options.clone()).await {
            Ok(reply) if reply.is_success() || matches!(reply.status, 404 | 409) => return,
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
