//! The webhook configurations as documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use stateward_core::annotations::OWNER_MANAGED;
use stateward_core::decide::CONTROLLER_ACCOUNT;
use stateward_core::decide::{CONTROL_PLANE, OWN_MANAGER};

use super::{FailurePolicy, Requirement, Service};

/// False if an operator edits what it owns: a service account of another namespace that is no `GitOps`
/// tool writes an object that a controller owns before and after. Whoever else writes an owner into
/// an object gains nothing by it. On DELETE `object` is null, on CREATE `oldObject` is. A Scale names
/// no owner and is always judged.
fn not_left_to_owner() -> String {
    format!(
        "!(request.userInfo.username.startsWith('system:serviceaccount:') && \
        !request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':') && \
        !request.userInfo.username.matches('^system:serviceaccount:(flux-system:|[^:]+:\
        (argocd-|kustomize-controller$|helm-controller$))')) || \
        [object, oldObject].exists(x, x != null && \
        (x.metadata.?ownerReferences.orValue([]).all(o, !o.?controller.orValue(false) || \
        (request.resource.resource == 'persistentvolumeclaims' && \
        o.kind in ['StatefulSet', 'Pod'])) || \
        x.metadata.?annotations[?'{OWNER_MANAGED}'].orValue('') == 'allow'))"
    )
}

/// False on an UPDATE that leaves the spec of a terminating object alone, such as the one that
/// empties its finalizers: under `Fail` it would be stuck while the webhook is away.
const NOT_GOING_AWAY: &str = "object == null || oldObject == null || \
    !has(oldObject.metadata.deletionTimestamp) || object.?spec != oldObject.?spec";

/// The API server takes metadata through the subresource `status`. Its controllers write there all the
/// time, and nothing of that is judged unless metadata changes.
const METADATA_OF_STATUS: &str = "request.?subResource.orValue('') != 'status' || \
    object.metadata.?annotations != oldObject.metadata.?annotations || \
    object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences || \
    object.metadata.?finalizers != oldObject.metadata.?finalizers";

/// How the API server reaches the webhook.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClientConfig<'a> {
    /// by a URL without a path
    Url(&'a str),
    /// through a Service
    Service(&'a Service),
}

/// What both configurations are made of.
#[derive(Debug)]
pub(super) struct Registration<'a> {
    pub(super) client: ClientConfig<'a>,
    /// in PEM form, where it is known
    pub(super) authority: Option<&'a [u8]>,
    /// namespaces that are not judged
    pub(super) excluded: Vec<String>,
    pub(super) requirements: &'a [Requirement],
    pub(super) failure_policy: FailurePolicy,
    pub(super) timeout: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Configuration {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    webhooks: [Webhook; 1],
}

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    labels: Labels,
}

#[derive(Serialize)]
struct Labels {
    #[serde(rename = "app.kubernetes.io/name")]
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    name: &'static str,
    client_config: Client,
    rules: Vec<Rule>,
    namespace_selector: NamespaceSelector,
    match_conditions: Vec<MatchCondition>,
    match_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reinvocation_policy: Option<&'static str>,
    failure_policy: FailurePolicy,
    timeout_seconds: u8,
    side_effects: &'static str,
    admission_review_versions: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_bundle: Option<String>,
}

#[derive(Serialize)]
struct ServiceReference {
    namespace: String,
    name: String,
    port: u16,
    path: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: [&'static str; 1],
    api_versions: [&'static str; 1],
    resources: [&'static str; 1],
    operations: Vec<&'static str>,
    scope: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NamespaceSelector {
    match_expressions: Vec<Requirement>,
}

#[derive(Serialize)]
struct MatchCondition {
    name: &'static str,
    expression: String,
}

impl Registration<'_> {
    /// Both configurations.
    pub(super) fn configurations(&self) -> [Configuration; 2] {
        let mutating = Configuration {
            api_version: "admissionregistration.k8s.io/v1",
            kind: "MutatingWebhookConfiguration",
            metadata: metadata(),
            webhooks: [Webhook {
                rules: vec![
                    rule("apps", "statefulsets", &["CREATE", "UPDATE"]),
                    rule("", "persistentvolumeclaims", &["CREATE", "UPDATE"]),
                ],
                // Another webhook may add a claim template or an affinity after us.
                reinvocation_policy: Some("IfNeeded"),
                ..self.webhook("mutate.stateward.dev", "/mutate")
            }],
        };
        let validating = Configuration {
            api_version: "admissionregistration.k8s.io/v1",
            kind: "ValidatingWebhookConfiguration",
            metadata: metadata(),
            webhooks: [Webhook {
                rules: vec![
                    rule("apps", "statefulsets", &["CREATE", "UPDATE", "DELETE"]),
                    rule("", "persistentvolumeclaims", &["CREATE", "UPDATE", "DELETE"]),
                    // A rule on statefulsets does not cover the way of kubectl scale and the
                    // autoscaler.
                    rule("apps", "statefulsets/scale", &["UPDATE"]),
                    rule("apps", "statefulsets/status", &["UPDATE"]),
                    rule("", "persistentvolumeclaims/status", &["UPDATE"]),
                ],
                ..self.webhook("validate.stateward.dev", "/validate")
            }],
        };
        [mutating, validating]
    }

    fn webhook(&self, name: &'static str, path: &'static str) -> Webhook {
        let mut match_expressions =
            vec![Requirement::not_in("kubernetes.io/metadata.name", self.excluded.clone())];
        match_expressions.extend_from_slice(self.requirements);
        let users: Vec<String> = CONTROL_PLANE.iter().map(|user| format!("'{user}'")).collect();
        let condition =
            |name, expression: &str| MatchCondition { name, expression: expression.to_owned() };
        let mut match_conditions = vec![condition(
            "not-the-control-plane",
            &format!("!(request.userInfo.username in [{}])", users.join(", ")),
        )];
        if let ClientConfig::Service(service) = self.client {
            // A set that is being re-created comes back also while the webhook is away.
            let namespace = &service.namespace;
            match_conditions.push(condition(
                "not-our-own",
                &format!(
                    "request.userInfo.username != \
                     'system:serviceaccount:{namespace}:{CONTROLLER_ACCOUNT}' || \
                     request.options.?fieldManager.orValue('') != '{OWN_MANAGER}'"
                ),
            ));
        }
        match_conditions.extend([
            condition("not-left-to-its-owner", &not_left_to_owner()),
            condition("not-going-away", NOT_GOING_AWAY),
            condition("metadata-of-status", METADATA_OF_STATUS),
        ]);
        Webhook {
            name,
            client_config: self.client(path),
            rules: Vec::new(),
            namespace_selector: NamespaceSelector { match_expressions },
            match_conditions,
            match_policy: "Equivalent",
            reinvocation_policy: None,
            failure_policy: self.failure_policy,
            timeout_seconds: self.timeout,
            // Denials are told by events on their objects.
            side_effects: "NoneOnDryRun",
            admission_review_versions: ["v1"],
        }
    }

    fn client(&self, path: &'static str) -> Client {
        let ca_bundle = self.authority.map(|pem| STANDARD.encode(pem));
        match self.client {
            ClientConfig::Url(url) => {
                Client { url: Some(format!("{url}{path}")), service: None, ca_bundle }
            }
            ClientConfig::Service(service) => Client {
                url: None,
                service: Some(ServiceReference {
                    namespace: service.namespace.clone(),
                    name: service.name.clone(),
                    port: service.port,
                    path,
                }),
                ca_bundle,
            },
        }
    }
}

fn metadata() -> Metadata {
    Metadata { name: "stateward", labels: Labels { name: "stateward" } }
}

fn rule(group: &'static str, resource: &'static str, operations: &[&'static str]) -> Rule {
    Rule {
        api_groups: [group],
        api_versions: ["v1"],
        resources: [resource],
        operations: operations.to_vec(),
        scope: "Namespaced",
    }
}
