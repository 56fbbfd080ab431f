//! What resizes ask of the API server, in one table.
//!
//! The roles that `stateward manifests` prints and the chart installs are made from it. Nothing in
//! it deletes a claim or reads a Secret.

use std::collections::BTreeMap;

use serde_json::{Value, json};
pub use stateward_core::decide::CONTROLLER_ACCOUNT as CONTROLLER;

use super::{admission_policy, crd};
use crate::CAN_RESIZE;

/// The service account of the webhook.
pub const WEBHOOK: &str = "stateward";
/// The user role that makes and changes records.
pub const RESIZER: &str = "stateward-resizer";
/// The user role that reads records, part of everybody's `view`.
pub const VIEWER: &str = "stateward-resize-viewer";

/// Whom a right is for, and so which role carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// the controller
    Controller,
    /// the webhook, which looks facts up
    Webhook,
}

impl Holder {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Controller, Self::Webhook];

    /// The name of its roles.
    pub const fn role(self) -> &'static str {
        match self {
            Self::Controller => CONTROLLER,
            Self::Webhook => "stateward-webhook",
        }
    }

    /// Its service account.
    pub const fn account(self) -> &'static str {
        match self {
            Self::Controller => CONTROLLER,
            Self::Webhook => WEBHOOK,
        }
    }
}

/// Where a right holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// in every namespace, and on what has none
    Cluster,
    /// in stateward's own namespace
    System,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// whom it is for
    pub holder: Holder,
    /// where it holds
    pub scope: Scope,
    /// the API group; empty for the core
    pub group: &'static str,
    /// the resource in URLs, with its subresource
    pub resource: &'static str,
    /// the objects, where they are known by name
    pub names: &'static [&'static str],
    /// what is done with them
    pub verbs: &'static [&'static str],
    /// what it is for
    pub why: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];
const WATCH: &[&str] = &["list", "watch"];

const fn controller(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    Right {
        holder: Holder::Controller,
        scope: Scope::Cluster,
        group,
        resource,
        names: &[],
        verbs,
        why,
    }
}

const fn webhook(group: &'static str, resource: &'static str, why: &'static str) -> Right {
    Right {
        holder: Holder::Webhook,
        scope: Scope::Cluster,
        group,
        resource,
        names: &[],
        verbs: WATCH,
        why,
    }
}

/// Everything that is asked.
pub const RIGHTS: &[Right] = &[
    controller(
        "apps",
        "statefulsets",
        &["get", "list", "watch", "create", "delete", "patch"],
        "pins retention, deletes a set and orphans its pods, re-creates it",
    ),
    controller("", "persistentvolumeclaims", &["get", "list", "watch", "patch"], "grows claims"),
    controller("", "pods", &["list", "watch"], "preflight checks: whether a rollout is under way"),
    controller("", "pods/eviction", &["create"], "restarts a pod where a driver needs it, on wish"),
    controller("apps", "controllerrevisions", &["get"], "tells a deletion of ours from others'"),
    controller(
        "apps",
        "daemonsets",
        &["list"],
        "preflight checks: which controllers would adopt the pods",
    ),
    controller(
        "apps",
        "replicasets",
        &["list"],
        "preflight checks: which controllers would adopt the pods",
    ),
    controller(
        "",
        "replicationcontrollers",
        &["list"],
        "preflight checks: which controllers would adopt the pods",
    ),
    controller(
        "batch",
        "jobs",
        &["list"],
        "preflight checks: which controllers would adopt the pods",
    ),
    controller("", "configmaps", &["list"], "preflight checks: what names the set as its owner"),
    controller("", "services", &["list"], "preflight checks: what names the set as its owner"),
    controller(
        "",
        "serviceaccounts",
        &["list"],
        "preflight checks: what names the set as its owner",
    ),
    controller(
        "policy",
        "poddisruptionbudgets",
        &["list"],
        "preflight checks: what names the set as its owner",
    ),
    controller("storage.k8s.io", "storageclasses", &["list"], "whether claims can grow"),
    controller("", "persistentvolumes", &["get"], "whether claims can grow"),
    controller("", "namespaces", &["get"], "resize-max, and whether a namespace goes away"),
    controller(
        crd::GROUP,
        crd::PLURAL,
        &["get", "list", "watch", "create", "patch"],
        "the record; its finalizer",
    ),
    controller(crd::GROUP, "statefulsetresizes/status", &["update"], "the record's status"),
    controller("", "events", &["create"], "says on set and record what is done"),
    Right {
        names: &[admission_policy::NAME],
        ..controller(
            "admissionregistration.k8s.io",
            "validatingadmissionpolicies",
            &["get"],
            "whether a request proves the right to grow",
        )
    },
    Right {
        names: &[admission_policy::NAME],
        ..controller(
            "admissionregistration.k8s.io",
            "validatingadmissionpolicybindings",
            &["get"],
            "whether a request proves the right to grow",
        )
    },
    controller(
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        &["create"],
        "whether it has these rights",
    ),
    Right {
        scope: Scope::System,
        ..controller(
            "coordination.k8s.io",
            "leases",
            &["get", "create", "update"],
            "who leads, and that resizes are carried out",
        )
    },
    Right {
        scope: Scope::System,
        names: &[CAN_RESIZE],
        ..webhook("coordination.k8s.io", "leases", "that resizes are carried out")
    },
    webhook("apps", "statefulsets", "the retention, replicas and owner of the set that is scaled"),
    webhook(crd::GROUP, crd::PLURAL, "which sets are being re-created"),
    webhook("", "persistentvolumeclaims", "whether claims can grow, and whether a set is new"),
    webhook(
        "",
        "pods",
        "whether a set is new, what was injected into its pods, and which claims are mounted",
    ),
    webhook("", "persistentvolumes", "whether claims can grow, and what becomes of their data"),
    webhook("snapshot.storage.k8s.io", "volumesnapshots", "whether a copy of the data exists"),
    webhook(
        "snapshot.storage.k8s.io",
        "volumesnapshotcontents",
        "whether a copy stays if its snapshot is deleted",
    ),
    webhook(
        "snapshot.storage.k8s.io",
        "volumesnapshotclasses",
        "whether a snapshot can be taken before data is deleted",
    ),
    webhook("storage.k8s.io", "storageclasses", "whether claims can grow"),
    webhook(
        "storage.k8s.io",
        "volumeattributesclasses",
        "whether the attributes that a claim asks for exist, and fit its driver",
    ),
    webhook("", "resourcequotas", "whether the quota has room"),
    webhook(
        "",
        "services",
        "whether the Service of a set exists, and which pods a Service would lose",
    ),
    webhook("policy", "poddisruptionbudgets", "whether drains of nodes hang, or stop a majority"),
    webhook("autoscaling", "horizontalpodautoscalers", "which sets an autoscaler scales"),
    webhook("", "nodes", "whether pods that keep apart find enough nodes and zones"),
    webhook("", "namespaces", "resize-max, and whether a namespace goes away"),
];

/// The rules of one role: resources of one group with the same names and verbs share a rule.
pub fn rules(holder: Holder, scope: Scope) -> Vec<Value> {
    let mut order = Vec::new();
    let mut together = BTreeMap::<_, Vec<&str>>::new();
    for right in RIGHTS.iter().filter(|right| right.holder == holder && right.scope == scope) {
        let key = (right.group, right.names, right.verbs);
        if !together.contains_key(&key) {
            order.push(key);
        }
        together.entry(key).or_default().push(right.resource);
    }
    let rule = |key: &(&str, &[&str], &[&str])| {
        let (group, names, verbs) = key;
        let mut rule = json!({"apiGroups": [group], "resources": together[key], "verbs": verbs});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    };
    order.iter().map(rule).collect()
}

/// The controller's service account in `namespace`, and what it and the webhook's may do.
pub fn roles(namespace: &str) -> Vec<Value> {
    let mut all = vec![json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": metadata(CONTROLLER, Some(namespace)),
        // The pods ask for their token by themselves.
        "automountServiceAccountToken": false,
    })];
    for holder in Holder::ALL {
        for scope in [Scope::Cluster, Scope::System] {
            let (prefix, within) = match scope {
                Scope::Cluster => ("Cluster", None),
                Scope::System => ("", Some(namespace)),
            };
            let name = holder.role();
            all.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{prefix}Role"),
                "metadata": metadata(name, within),
                "rules": rules(holder, scope),
            }));
            all.push(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{prefix}RoleBinding"),
                "metadata": metadata(name, within),
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": format!("{prefix}Role"),
                    "name": name,
                },
                "subjects": [
                    {"kind": "ServiceAccount", "name": holder.account(), "namespace": namespace}
                ],
            }));
        }
    }
    all
}

/// The roles for people. Making a record is not part of `edit`: it grows claims and re-creates a
/// set with the controller's rights.
pub fn user_roles() -> Vec<Value> {
    let role = |name: &str, verbs: &[&str]| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": metadata(name, None),
            "rules": [{"apiGroups": [crd::GROUP], "resources": [crd::PLURAL], "verbs": verbs}],
        })
    };
    let mut viewer = role(VIEWER, READ);
    viewer["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] = "true".into();
    let all = ["get", "list", "watch", "create", "update", "patch", "delete"];
    vec![role(RESIZER, &all), viewer]
}

fn metadata(name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name, "labels": {"app.kubernetes.io/name": "stateward"}});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_right_deletes_a_claim_or_reads_a_secret() {
        for right in RIGHTS {
            let all = right.verbs.contains(&"*") || right.group == "*" || right.resource == "*";
            assert!(!all, "{right:?}");
            let deletes = right.verbs.iter().any(|verb| verb.starts_with("delete"));
            let sets = right.resource == "statefulsets" && right.holder == Holder::Controller;
            assert_eq!(deletes, sets, "{right:?}");
            assert!(!right.resource.starts_with("secrets"), "{right:?}");
            let reads = right.verbs.iter().all(|verb| READ.contains(verb));
            assert!(reads || right.holder == Holder::Controller, "{right:?}");
        }
    }

    #[test]
    fn every_right_is_in_one_rule_of_its_role() {
        for right in RIGHTS {
            let rules = rules(right.holder, right.scope);
            let holds = |rule: &&Value| {
                rule["apiGroups"] == json!([right.group])
                    && rule["resources"].as_array().unwrap().contains(&right.resource.into())
                    && rule["verbs"] == json!(right.verbs)
            };
            assert_eq!(rules.iter().filter(holds).count(), 1, "{right:?}");
        }
        let count = |holder| rules(holder, Scope::Cluster).len();
        assert!(Holder::ALL.into_iter().all(|holder| count(holder) > 0));
    }

    #[test]
    fn only_reading_is_part_of_view_and_nothing_of_edit() {
        let roles = user_roles();
        let labels = |role: &Value| role["metadata"]["labels"].to_string();
        assert!(!labels(&roles[0]).contains("aggregate"));
        assert_eq!(roles[1]["rules"][0]["verbs"], json!(READ));
        assert!(labels(&roles[1]).contains("aggregate-to-view"));
        assert!(!roles.iter().any(|role| labels(role).contains("aggregate-to-edit")));
    }
}
