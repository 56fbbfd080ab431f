//! The admission policies that hold the controller's account to what a resize writes.
//!
//! RBAC lets the controller create, patch and delete every StatefulSet, and with that whoever
//! steals its token. These policies narrow that to the writes of [`Action`](super::Action). What
//! they cannot see is another object: that a set which is created was there before.

use serde_json::{Value, json};
use stateward_core::annotations::{RESIZE_ID, RESIZE_REQUESTED, RESIZE_UNFINISHED};

use super::crd;
use super::rights::CONTROLLER;

/// Namespaces of the control plane, in which nothing is resized.
const RESERVED: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// The capabilities that keep a container inside: those of the Pod Security Standard "baseline", and
/// those that databases ask for.
const CAPABILITIES: [&str; 17] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "IPC_LOCK",
    "NET_RAW",
    "SYS_NICE",
    "SYS_RESOURCE",
];

/// One thing that the controller never does.
struct Rule {
    /// CEL that is true for what the controller does
    allowed: String,
    message: &'static str,
}

/// The policies and their bindings, for the controller's account in `namespace`.
pub fn policies(namespace: &str) -> Vec<Value> {
    let sets = policy(
        "controller-sets.stateward.dev",
        namespace,
        ("apps", "v1", "statefulsets"),
        &["CREATE", "UPDATE", "DELETE"],
        sets(namespace),
    );
    let claims = policy(
        "controller-claims.stateward.dev",
        namespace,
        ("", "v1", "persistentvolumeclaims"),
        &["UPDATE"],
        claims(namespace),
    );
    let records = policy(
        "controller-records.stateward.dev",
        namespace,
        (crd::GROUP, crd::VERSION, crd::PLURAL),
        &["CREATE", "UPDATE"],
        records(),
    );
    [sets, claims, records].into_iter().flatten().collect()
}

fn sets(namespace: &str) -> Vec<Rule> {
    let annotation = |key: &str| format!("object.metadata.?annotations[?'{key}']");
    let (id, unfinished) = (annotation(RESIZE_ID), annotation(RESIZE_UNFINISHED));
    let (requested, before) = (
        annotation(RESIZE_REQUESTED),
        annotation(RESIZE_REQUESTED).replace("object.", "oldObject."),
    );
    let pod = "object.spec.template.spec";
    // The two lists have types of their own, so they cannot be joined.
    let escapes = |containers: &str| {
        format!(
            "{containers}.exists(c, c.?securityContext.?privileged.orValue(false) || \
             c.?securityContext.?windowsOptions.?hostProcess.orValue(false) || \
             c.?securityContext.?capabilities.?add.orValue([]).exists(a, !(a in {})))",
            list(&CAPABILITIES)
        )
    };
    let (containers, init) = (
        escapes(&format!("{pod}.containers")),
        escapes(&format!("{pod}.?initContainers.orValue([])")),
    );
    vec![
        elsewhere(namespace),
        Rule {
            allowed: on(
                "CREATE",
                &format!(
                    "{id}.orValue('').matches('^[0-9a-f-]{{36}}/[0-9a-f-]{{36}}$') && \
                     {unfinished} == {id} && \
                     has(object.spec.volumeClaimTemplates)"
                ),
            ),
            message: "it creates only a StatefulSet with claim templates that a resize replaces",
        },
        Rule {
            allowed: on(
                "CREATE",
                "object.spec.?persistentVolumeClaimRetentionPolicy.?whenDeleted.orValue('Retain') \
                     == 'Retain' && \
                     object.spec.?persistentVolumeClaimRetentionPolicy.?whenScaled.orValue('Retain') \
                     == 'Retain' && \
                     (object.spec.?updateStrategy.?type.orValue('') == 'OnDelete' || \
                     object.spec.?updateStrategy.?rollingUpdate.?partition.orValue(0) > \
                     object.spec.?ordinals.?start.orValue(0) + object.spec.?replicas.orValue(1))",
            ),
            message: "it creates a StatefulSet with retention Retain and a partition above all pods",
        },
        Rule {
            allowed: on(
                "CREATE",
                &format!(
                    "namespaceObject.metadata.?labels[?'pod-security.kubernetes.io/enforce'].orValue('') \
                     == 'privileged' || \
                     (!{pod}.?hostNetwork.orValue(false) && !{pod}.?hostPID.orValue(false) && \
                     !{pod}.?hostIPC.orValue(false) && \
                     !{pod}.?volumes.orValue([]).exists(v, has(v.hostPath)) && \
                     !{containers} && !{init})"
                ),
            ),
            message: "it re-creates a StatefulSet whose pods reach into their node only in a namespace \
                      with the label pod-security.kubernetes.io/enforce: privileged",
        },
        Rule {
            allowed: on(
                "UPDATE",
                "object.spec.template == oldObject.spec.template && \
                 object.spec.?replicas == oldObject.spec.?replicas && \
                 object.spec.?ordinals == oldObject.spec.?ordinals && \
                 object.spec.?minReadySeconds == oldObject.spec.?minReadySeconds && \
                 object.spec.?revisionHistoryLimit == oldObject.spec.?revisionHistoryLimit && \
                 object.spec.?updateStrategy.?type == oldObject.spec.?updateStrategy.?type && \
                 object.spec.?updateStrategy.?rollingUpdate.?maxUnavailable == \
                 oldObject.spec.?updateStrategy.?rollingUpdate.?maxUnavailable",
            ),
            message: "of the spec of a StatefulSet it changes only retention policy and partition",
        },
        Rule {
            allowed: on(
                "UPDATE",
                &format!(
                    "{} && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences",
                    metadata(&[RESIZE_ID, RESIZE_UNFINISHED, RESIZE_REQUESTED])
                ),
            ),
            message: "of the metadata of a StatefulSet it changes only its own annotations",
        },
        Rule {
            allowed: on("UPDATE", &format!("!{requested}.hasValue() || {requested} == {before}")),
            message: "it removes a request for growth, and never makes one",
        },
        Rule {
            allowed: on(
                "DELETE",
                // Whether the set could be deleted is asked before its retention is changed.
                "request.options.?propagationPolicy.orValue('') == 'Orphan' && \
                 (request.?dryRun.orValue(false) || \
                 oldObject.spec.?persistentVolumeClaimRetentionPolicy.?whenDeleted.orValue('Retain') \
                 == 'Retain')",
            ),
            message: "it deletes a StatefulSet only with its pods orphaned and its claims retained",
        },
    ]
}

fn claims(namespace: &str) -> Vec<Rule> {
    let storage = "spec.resources.requests.storage";
    vec![
        elsewhere(namespace),
        Rule {
            allowed: format!(
                "quantity(dyn(object).{storage}).compareTo(quantity(dyn(oldObject).{storage})) >= 0"
            ),
            message: "it never asks for less storage",
        },
        Rule {
            allowed: "object.spec.?accessModes == oldObject.spec.?accessModes && \
                      object.spec.?volumeAttributesClassName == \
                      oldObject.spec.?volumeAttributesClassName && \
                      object.spec.?volumeName == oldObject.spec.?volumeName"
                .to_owned(),
            message: "of the spec of a claim it changes only the size",
        },
        Rule {
            allowed: format!(
                "{} && object.metadata.?ownerReferences.orValue([]).all(o, \
                 o in oldObject.metadata.?ownerReferences.orValue([]))",
                metadata(&[RESIZE_ID])
            ),
            message: "of the metadata of a claim it changes only its own annotation, and removes owners",
        },
    ]
}

/// A record is a person's wish; the controller makes only empty ones, for requests by annotation.
fn records() -> Vec<Rule> {
    vec![
        Rule {
            allowed: on("CREATE", "!object.?spec.?targets.hasValue()"),
            message: "it makes no wish for growth",
        },
        Rule {
            allowed: on("UPDATE", "object.?spec == oldObject.?spec"),
            message: "it changes no wish for growth",
        },
    ]
}

/// Nothing is resized beside the control plane and stateward itself.
fn elsewhere(namespace: &str) -> Rule {
    let mut reserved = RESERVED.to_vec();
    reserved.push(namespace);
    Rule {
        allowed: format!("!(request.namespace in {})", list(&reserved)),
        message: "it changes nothing in the namespaces of the control plane and in its own",
    }
}

/// `rule`, where the request is of this operation.
fn on(operation: &str, rule: &str) -> String {
    format!("request.operation != '{operation}' || ({rule})")
}

/// Labels, finalizers and all annotations but `own` are as before.
fn metadata(own: &[&str]) -> String {
    let own = list(own);
    let (new, old) =
        ("object.metadata.?annotations.orValue({})", "oldObject.metadata.?annotations.orValue({})");
    format!(
        "object.metadata.?labels == oldObject.metadata.?labels && \
         object.metadata.?finalizers == oldObject.metadata.?finalizers && \
         {new}.all(k, k in {own} || (k in {old} && {new}[k] == {old}[k])) && \
         {old}.all(k, k in {own} || k in {new})"
    )
}

/// A list of texts in CEL.
fn list(texts: &[&str]) -> String {
    format!("['{}']", texts.join("', '"))
}

/// A policy with its binding. Fields that the API server would fill in are written out.
fn policy(
    name: &str,
    namespace: &str,
    (group, version, resource): (&str, &str, &str),
    operations: &[&str],
    rules: Vec<Rule>,
) -> [Value; 2] {
    let labels = json!({"app.kubernetes.io/name": "stateward"});
    let validation = |rule: Rule| {
        let message = format!("this is not part of a resize: {}", rule.message);
        json!({"expression": rule.allowed, "reason": "Forbidden", "message": message})
    };
    let validations: Vec<Value> = rules.into_iter().map(validation).collect();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": {},
                "objectSelector": {},
                "resourceRules": [{
                    "apiGroups": [group],
                    "apiVersions": [version],
                    "resources": [resource],
                    "operations": operations,
                    "scope": "Namespaced",
                }],
            },
            "matchConditions": [{
                "name": "by-the-controller",
                "expression": format!(
                    "request.userInfo.username == 'system:serviceaccount:{namespace}:{CONTROLLER}'"
                ),
            }],
            "validations": validations,
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name, "labels": labels},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    [policy, binding]
}
