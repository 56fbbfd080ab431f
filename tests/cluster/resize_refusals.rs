//! What holds up one resize, and must hold up no other: reads that take long, writes that are refused.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::proxy::{Fault, Request};

use crate::record::{record, records};
use crate::resize::Resizing;
use crate::webhook::{LONG, set};

/// More sets than the controller reconciles at the same time.
const SETS: usize = 20;
/// A quarter of the sets that the controller reconciles at the same time.
const PART: usize = 4;

/// A set without pods, whose record asks for growth.
async fn asks(resizing: &Resizing, namespace: &str, name: &str) {
    let mut set = set(name, namespace);
    set["spec"]["replicas"] = json!(0);
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    resizing.create(&sets, set).await.unwrap().ok().unwrap();
    let spec = json!({"targets": {"data": {"storage": "20Gi"}}});
    resizing.create(&records(namespace), record(name, &spec)).await.unwrap().ok().unwrap();
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn a_namespace_that_is_slow_to_read_holds_up_no_other() {
    let resizing = Resizing::alone().await;
    let (proxy, controller) = resizing.proxied(15).await;
    controller.leads(&resizing).await;
    let (namespace, larger) = resizing.prepare(|_| {}).await;
    let slow = resizing.namespace("slow").await.unwrap();
    let within = format!("/namespaces/{slow}/");
    let reads = move |request: &Request| {
        request.method == "GET" && !request.is_watch() && request.path.contains(&within)
    };
    let slowed = proxy.on(reads).every().fault(Fault::Slow(Duration::from_secs(8)));
    for n in 0..SETS {
        asks(&resizing, &slow, &format!("db{n}")).await;
    }
    slowed.hit(LONG).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // A reconcile begins with the record: no more begin than are the part of one namespace.
    let of_slow = records(&slow);
    let exchanges = proxy.exchanges();
    let reconciles = exchanges.iter().filter(|one| {
        one.answered.is_none() && one.request.path.starts_with(&of_slow) && !one.request.is_watch()
    });
    let reconciles = reconciles.count();
    assert!((1..=PART).contains(&reconciles), "{reconciles}");

    let began = Instant::now();
    resizing.grow(&larger, "20Gi").await;
    resizing.complete(&namespace, "20Gi").await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");

    // They come to their end as well.
    proxy.disarm();
    for n in 0..SETS {
        let path = format!("{of_slow}/db{n}");
        let done = |record: &Value| record["status"]["phase"] == "Complete";
        resizing.told(&slow, resizing.wait_object(&path, LONG, done)).await;
    }
}
