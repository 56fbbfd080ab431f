//! Two controllers work at once on one set, and both lead: each holds the Leases of a system
//! namespace of its own. It ends as with one.
//!
//! `STATEWARD_LONG=1` also lets each write of each of them arrive two seconds late, in turn.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::proxy::{Exchange, Fault, Proxy, Request};

use crate::resize::{Controller, Resizing, long};
use crate::resize_crash::{Run, UNWATCHED, difference, from_the_pin, is_event, name};
use crate::webhook::LONG;

/// Lets the controller's account hold Leases there, too.
async fn grant_leases(resizing: &Resizing, namespace: &str) {
    let rbac = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "leases", "namespace": namespace});
    let rule = json!({
        "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
        "verbs": ["get", "create", "update"],
    });
    let account = json!({
        "kind": "ServiceAccount", "name": "stateward-controller", "namespace": "stateward",
    });
    resizing.ensure_namespace(namespace).await.unwrap();
    for object in [
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "Role",
            "metadata": metadata, "rules": [rule],
        }),
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "leases"},
            "subjects": [account],
        }),
    ] {
        resizing.apply(object).await.unwrap();
    }
}

fn writes_of(namespace: &str) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
    let here = format!("/namespaces/{namespace}/");
    move |request| request.is_write() && request.path.contains(&here) && !is_event(request)
}

/// What one of the two wrote in a namespace.
fn written(proxy: &Proxy, namespace: &str) -> Vec<Exchange> {
    let matches = writes_of(namespace);
    proxy.exchanges().into_iter().filter(|one| matches(&one.request)).collect()
}

/// The end of a run, when nothing of either is on its way any more.
async fn end(resizing: &Resizing, run: &Run, from: u64, proxies: [&Proxy; 2]) -> Value {
    run.end(resizing, from).await;
    resizing
        .wait_for("late writes to arrive", LONG, async || {
            let all = proxies.iter().flat_map(|proxy| written(proxy, &run.namespace));
            Ok(all.into_iter().all(|one| one.answered.is_some()).then_some(()))
        })
        .await
        .unwrap();
    let mut end = run.end(resizing, from).await;
    if end["message"] == UNWATCHED {
        end["message"].take();
    }
    end
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn two_controllers_lead_at_once() {
    let resizing = Resizing::alone().await;
    grant_leases(&resizing, "stateward-too").await;
    let (left, right) = (resizing.proxy().await.unwrap(), resizing.proxy().await.unwrap());
    let proxies = [&left, &right];
    let first = left.kubeconfig(&resizing.account).unwrap();
    let first = Controller::start(&resizing, &first, 2);

    let run = Run::prepare(&resizing).await;
    let from = resizing.audit_position();
    resizing.grow(&run.set, "20Gi").await;
    let expected = end(&resizing, &run, from, proxies).await;
    let pinned = from_the_pin(&run.namespace);
    let alone = left.exchanges().into_iter().filter(|one| pinned(&one.request));
    let names: BTreeSet<String> = alone.map(|one| name(&one.request)).collect();

    let second = right.kubeconfig(&resizing.account).unwrap();
    let mut second = Controller::new(&resizing, &second, 2);
    second.system = "stateward-too";
    second.launch();
    second.leads(&resizing).await;
    // What the first sends meets a world in which the second has gone on, or the other way round.
    let mut delays: Vec<(&Proxy, Option<&str>, Duration)> =
        vec![(&left, None, Duration::from_millis(500))];
    if long() {
        for name in &names {
            let late = Duration::from_secs(2);
            delays.extend(proxies.map(|proxy| (proxy, Some(name.as_str()), late)));
        }
        delays.extend((0..10).map(|_| (&left, None, Duration::ZERO)));
    }
    let mut failures = Vec::new();
    for (proxy, slow, delay) in delays {
        let run = Run::prepare(&resizing).await;
        let (ours, wanted) = (writes_of(&run.namespace), slow.map(str::to_owned));
        proxy
            .on(move |one| ours(one) && wanted.as_ref().is_none_or(|wanted| name(one) == *wanted))
            .every()
            .fault(Fault::Slow(delay));
        let from = resizing.audit_position();
        resizing.grow(&run.set, "20Gi").await;
        let end = end(&resizing, &run, from, proxies).await;
        proxy.disarm();
        let who = if std::ptr::eq(proxy, &raw const left) { "first" } else { "second" };
        let case = format!("{slow:?} of the {who} {delay:?} late");
        if end != expected {
            failures.push(format!("{case}\n{}", difference(&expected, &end)));
        }
        let both = proxies.map(|proxy| written(proxy, &run.namespace));
        assert!(both.iter().all(|one| !one.is_empty()), "{case}: one of them did nothing");
        let met = |one: &Exchange| one.committed == Some(409);
        assert!(both.iter().flatten().any(met), "{case}: they never met");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    first.leads(&resizing).await;
    second.leads(&resizing).await;
}
