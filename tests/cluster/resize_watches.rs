//! Watches that say nothing, are cut again and again, or tell what is long past: a resize rests on
//! none of them.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::proxy::{Fault, Proxy, Request};

use crate::record::records;
use crate::resize::{Controller, Resizing};
use crate::resize_crash::UNWATCHED;
use crate::webhook::{LONG, path, pod_uids};

/// A resize whose record is there and rests, so that no watch need tell of it.
struct Case<'r> {
    resizing: &'r Resizing,
    namespace: String,
    set: Value,
    pods: Vec<(String, String)>,
}

const PAUSED: &str = "stateward.dev/resize-paused";

impl<'r> Case<'r> {
    async fn paused(resizing: &'r Resizing) -> Self {
        let (namespace, mut set) = resizing
            .prepare(|set| {
                set["metadata"]["annotations"][PAUSED] = json!("true");
                set["spec"]["persistentVolumeClaimRetentionPolicy"] =
                    json!({"whenDeleted": "Delete", "whenScaled": "Retain"});
            })
            .await;
        let pods = pod_uids(resizing, &namespace).await;
        resizing.grow(&set, "20Gi").await;
        let record = format!("{}/db", records(&namespace));
        let rests = |record: &Value| record["status"]["reason"] == "Paused";
        resizing.wait_object(&record, LONG, rests).await.unwrap();
        set["metadata"]["annotations"].as_object_mut().unwrap().remove(PAUSED);
        Self { resizing, namespace, set, pods }
    }

    /// Lets it go on, and asserts that it ends as any other; gives the record.
    async fn goes_on(&self) -> Value {
        let from = self.resizing.audit_position();
        let resume = json!({"metadata": {"annotations": {PAUSED: null}}});
        let set = path(&self.namespace, "db");
        self.resizing.merge(&set, resume).await.unwrap().ok().unwrap();
        self.resizing.complete(&self.namespace, "20Gi").await;
        assert_eq!(pod_uids(self.resizing, &self.namespace).await, self.pods, "a pod restarted");
        let lives = self.resizing.lives(&self.namespace, from);
        assert_eq!(lives, [(1, 1), (0, 0), (0, 0)]);
        self.resizing.ended(&self.namespace).await
    }
}

fn kind(request: &Request) -> String {
    request.path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Nothing but a watch reads as of a version: what is decided is decided by quorum reads.
fn reads_are_quorum_reads(proxy: &Proxy) {
    let mut reads = 0;
    for one in proxy.exchanges() {
        let request = one.request;
        if request.method == "GET" && !request.is_watch() {
            assert!(!request.query.contains("resourceVersion"), "{request:?}");
            reads += 1;
        }
    }
    assert!(reads > 0);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_resize_rests_on_no_watch() {
    let resizing = Resizing::alone().await;
    let (proxy, controller) = resizing.proxied(2).await;

    let case = Case::paused(&resizing).await;
    proxy.hold(Request::is_watch, None);
    let record = case.goes_on().await;
    // Nobody can have seen an edit in the last moment, which is said.
    assert_eq!(record["status"]["message"], UNWATCHED);
    proxy.release();

    let case = Case::paused(&resizing).await;
    let cut = proxy.on(Request::is_watch).every().fault(Fault::Cut(Duration::from_secs(1)));
    // Those that are open already go with the process.
    controller.kill();
    proxy.forget();
    controller.launch();
    resizing
        .wait_for("each watch to be cut twice", LONG, async || {
            let watches: Vec<String> = proxy
                .exchanges()
                .iter()
                .filter(|one| one.request.is_watch())
                .map(|one| kind(&one.request))
                .collect();
            let kinds: BTreeSet<&String> = watches.iter().collect();
            let twice =
                kinds.iter().all(|kind| watches.iter().filter(|one| one == kind).count() > 2);
            Ok((kinds.len() == 4 && twice).then_some(()))
        })
        .await
        .unwrap();
    assert!(cut.hits() >= 8);
    case.goes_on().await;
    // A request that only a watch can tell of is heard between two cuts.
    resizing.grow(&case.set, "30Gi").await;
    resizing.complete(&case.namespace, "30Gi").await;
    proxy.disarm();
    reads_are_quorum_reads(&proxy);
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn watches_tell_what_is_long_past() {
    let resizing = Resizing::alone().await;
    let (proxy, _controller) = resizing.proxied(2).await;
    proxy.hold(Request::is_watch, Some(Duration::from_secs(2)));
    let case = Case::paused(&resizing).await;
    case.goes_on().await;
    reads_are_quorum_reads(&proxy);
}

/// Waits until the controller asks nothing more about a namespace. A set that it still reconciles
/// would tell of a request without a watch.
async fn at_rest(resizing: &Resizing, proxy: &Proxy, namespace: &str) {
    // Twice as long as the controller of a test lets a set that it still reconciles rest.
    const QUIET: Duration = Duration::from_secs(2);
    let within = format!("/namespaces/{namespace}/");
    let asked = || {
        let exchanges = proxy.exchanges();
        exchanges.iter().filter(|one| one.request.path.contains(&within)).count()
    };
    let rests = resizing.wait_for("the controller to be at rest", LONG, async || {
        let before = asked();
        tokio::time::sleep(QUIET).await;
        Ok((asked() == before).then_some(()))
    });
    rests.await.unwrap();
}

/// Connections die without a word, behind a load balancer for example: what stands on the set is
/// heard by the next watch.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_request_is_heard_although_its_watch_has_died() {
    let resizing = Resizing::alone().await;
    let proxy = resizing.proxy().await.unwrap();
    let kubeconfig = proxy.kubeconfig(&resizing.account).unwrap();
    let mut controller = Controller::new(&resizing, &kubeconfig, 2);
    controller.watch = 3;
    controller.launch();
    let (namespace, set) = resizing.prepare(|_| {}).await;
    let watches = |proxy: &Proxy| {
        let of_sets = |request: &Request| request.is_watch() && kind(request) == "statefulsets";
        proxy.exchanges().iter().filter(|one| of_sets(&one.request)).count()
    };
    resizing.grow(&set, "20Gi").await;
    resizing.complete(&namespace, "20Gi").await;
    at_rest(&resizing, &proxy, &namespace).await;
    let before = watches(&proxy);
    assert!(before > 0);
    proxy.silence();
    resizing.grow(&set, "30Gi").await;
    resizing.complete(&namespace, "30Gi").await;
    assert!(watches(&proxy) > before);
}
