//! How long a set is without its StatefulSet object, beside what a person does by hand. Figures
//! are printed and never asserted: `cargo test --test cluster resize_figures -- --nocapture`.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::resize::{Resizing, long};
use crate::webhook::{LONG, STORAGE, path, with};

/// Who takes the set away and puts it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// a resize
    Driver,
    /// `kubectl delete --cascade=orphan`, then `kubectl create`
    Kubectl,
    /// the same two requests, with nothing but reads in between until it is gone
    Bare,
}

impl Who {
    const ALL: [Self; 3] = [Self::Driver, Self::Kubectl, Self::Bare];

    async fn replaces(self, resizing: &Resizing, namespace: &str, set: &Value) {
        let larger = with(set, STORAGE, json!("20Gi"));
        let one = path(namespace, "db");
        match self {
            Self::Driver => {
                resizing.grow(set, "20Gi").await;
                resizing.complete(namespace, "20Gi").await;
            }
            Self::Kubectl => {
                let delete = ["delete", "statefulset", "db", "--cascade=orphan", "-n", namespace];
                resizing.kubectl(&delete).await.unwrap().ok().unwrap();
                let create = ["create", "-f", "-"];
                let manifest = larger.to_string();
                let created = resizing.kubectl_with("admin", &create, Some(&manifest)).await;
                created.unwrap().ok().unwrap();
            }
            Self::Bare => {
                let orphan = json!({"propagationPolicy": "Orphan"});
                resizing.delete(&one, orphan).await.unwrap().ok().unwrap();
                while resizing.get(&one).await.unwrap().status != 404 {}
                let sets = one.trim_end_matches("/db");
                resizing.create(sets, larger).await.unwrap().ok().unwrap();
            }
        }
    }
}

/// From the DELETE that was accepted to the CREATE that was, by the API server's own log.
fn away(events: &[Value], namespace: &str) -> Duration {
    let at = |verb: &str, code: u64| -> Timestamp {
        let mut found = events.iter().filter(|event| {
            let object = &event["objectRef"];
            event["verb"] == verb
                && object["resource"] == "statefulsets"
                && object["namespace"] == namespace
                && object["subresource"].is_null()
                && event["responseStatus"]["code"] == code
                && event["requestObject"]["dryRun"].is_null()
                && !event["requestURI"].as_str().unwrap_or_default().contains("dryRun")
        });
        let (event, more) = (found.next().unwrap(), found.next());
        assert!(more.is_none(), "{verb} twice");
        event["stageTimestamp"].as_str().unwrap().parse().unwrap()
    };
    let away = at("create", 201).duration_since(at("delete", 200));
    away.unsigned_abs()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn time_without_controller() {
    let resizing = Resizing::shared().await;
    let rounds = if long() { 25 } else { 3 };
    let sets = join_all((0..rounds * Who::ALL.len()).map(|_| resizing.prepare(|_| {}))).await;
    let mut times = [const { Vec::new() }; Who::ALL.len()];
    // In turn, so that whatever else the machine does is shared.
    for (number, (namespace, set)) in sets.iter().enumerate() {
        let turn = number % Who::ALL.len();
        let from = resizing.audit_position();
        Who::ALL[turn].replaces(resizing, namespace, set).await;
        times[turn].push(away(&resizing.audit_events_after(from).unwrap(), namespace));
        resizing
            .wait_object(&path(namespace, "db"), LONG, |live| live["status"]["readyReplicas"] == 3)
            .await
            .unwrap();
    }
    let [driver, kubectl, bare] = times.map(median);
    let ratio = |other: Duration| driver.as_secs_f64() / other.as_secs_f64();
    eprintln!(
        "without controller, median of {rounds}: a resize {driver:.0?}, kubectl {kubectl:.0?} \
         ({:.2} x), two bare requests {bare:.0?} ({:.2} x)",
        ratio(kubectl),
        ratio(bare)
    );
}
