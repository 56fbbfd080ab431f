//! Kubelets, the quota controller and the namespace controller.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Pace, is_going, is_ready, list, mounts, name, text, uid};
use crate::server::Server;
use crate::server::store::Id;

/// Pods become ready once their claims are bound, and go when they are told to.
pub(crate) fn kubelet(server: &Server, _: &Pace) -> bool {
    server.all("pods").iter().any(|pod| {
        let namespace = text(pod, "/metadata/namespace");
        let id = Id::new("pods", namespace, name(pod));
        if is_going(pod) {
            let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid(pod)}});
            return server.send("kubelet", "DELETE", &id.path(), options).is_ok();
        }
        let bound = |claim: &str| {
            let claim = server.get(&Id::new("persistentvolumeclaims", namespace, claim));
            claim.is_some_and(|claim| text(&claim, "/status/phase") == "Bound")
        };
        // A pod that crashes says so by a label of ours.
        let crashes = text(pod, "/metadata/labels/crashes") == "true";
        if is_ready(pod) != crashes || !mounts(pod).all(bound) {
            return false;
        }
        let mut object = (**pod).clone();
        let now = crate::server::seconds(server.now());
        let ready = if crashes { "False" } else { "True" };
        object["status"] = json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": now}],
        });
        server.send("kubelet", "PUT", &format!("{}/status", id.path()), object).is_ok()
    })
}

/// Counts what quotas count.
pub(crate) fn quotas(server: &Server, _: &Pace) -> bool {
    const COUNT: &str = "count/statefulsets.apps";
    server.all("resourcequotas").iter().any(|quota| {
        let namespace = text(quota, "/metadata/namespace");
        let used = server.look(|store| store.list("statefulsets", namespace).len()).to_string();
        let hard = &quota["spec"]["hard"][COUNT];
        let status = json!({"hard": {COUNT: hard}, "used": {COUNT: used}});
        if quota["status"] == status {
            return false;
        }
        let mut object = (**quota).clone();
        object["status"] = status;
        let id = Id::new("resourcequotas", namespace, name(quota));
        server.send("quota-controller", "PUT", &format!("{}/status", id.path()), object).is_ok()
    })
}

/// Empties namespaces that go, then lets them go.
pub(crate) fn namespaces(server: &Server, _: &Pace) -> bool {
    const CONTENT: [&str; 5] = [
        "statefulsets",
        "pods",
        "persistentvolumeclaims",
        "controllerrevisions",
        "statefulsetresizes",
    ];
    server.all("namespaces").iter().filter(|namespace| is_going(namespace)).any(|namespace| {
        let content: BTreeMap<Id, Value> = server.look(|store| {
            let all = CONTENT.iter().flat_map(|plural| store.list(plural, name(namespace)));
            all.map(|object| {
                let kind = crate::server::kinds::KINDS.iter().find(|k| object["kind"] == k.kind);
                let plural = kind.map_or("", |kind| kind.plural);
                (Id::new(plural, name(namespace), name(object)), (**object).clone())
            })
            .collect()
        });
        let who = "namespace-controller";
        if content.is_empty() {
            if list(namespace, "/metadata/finalizers").is_empty() {
                return false;
            }
            let id = Id::new("namespaces", "", name(namespace));
            let patch = json!({"metadata": {"finalizers": []}});
            return server.send(who, "PATCH", &id.path(), patch).is_ok();
        }
        content.iter().filter(|(_, object)| !is_going(object)).any(|(id, _)| {
            let options = json!({"propagationPolicy": "Background"});
            server.send(who, "DELETE", &id.path(), options).is_ok()
        })
    })
}
