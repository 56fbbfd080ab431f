//! The webhook configurations as documents.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations,
    ServiceReference, ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement, ObjectMeta,
};
use stateward_core::annotations::{CONFIRM_DELETE, OWNER_MANAGED};
use stateward_core::decide::{CLAIM_CREATORS, CONTROL_PLANE, CONTROLLER_ACCOUNT, OWN_MANAGER};
use stateward_core::object::metadata::{ORPHAN, PROTECTION, VOLUME_PROTECTION};
use stateward_core::object::{KINDS, Kind, KindInfo};
use stateward_core::ownership::MOST_OWNERS;
use stateward_core::review::WebhookKind;

use super::operators::{OPERATORS, Operator};
use super::{FailurePolicy, Service, selector};

/// The request comes from no tool that writes what somebody has committed.
const NO_GITOPS_TOOL: &str = "!request.userInfo.username.matches(\
    '^system:serviceaccount:(flux-system:|[^:]+:(argocd-|kustomize-controller$|helm-controller$))')";

/// The longest that the controller of a set waits for a webhook that hangs, in seconds. It creates the pods
/// of all sets.
const NEW_CLAIMS_TIMEOUT: u8 = 1;

/// The namespace of the request; a request about a volume has none.
const NAMESPACE: &str = "request.?namespace.orValue('')";

/// False if an operator edits what it owns: a service account of another namespace that is no `GitOps`
/// tool writes an object that a controller owns before and after. Whoever else writes an owner into
/// an object gains nothing by it. On DELETE `object` is null, on CREATE `oldObject` is. A Scale names
/// no owner and is always judged. So is an object with very many owners: if a condition exceeded its
/// cost limit, the API server would not send the request. Nor does an owner hide who confirms a deletion.
fn not_left_to_owner() -> String {
    format!(
        "!(request.userInfo.username.startsWith('system:serviceaccount:') && \
        !request.userInfo.username.startsWith('system:serviceaccount:' + {NAMESPACE} + ':') && \
        {NO_GITOPS_TOOL}) || \
        [object, oldObject].exists(x, x != null && \
        (x.metadata.?ownerReferences.orValue([]).size() > {MOST_OWNERS} || \
        x.metadata.?ownerReferences.orValue([]).all(o, !o.?controller.orValue(false) || \
        (request.resource.resource == 'persistentvolumeclaims' && \
        o.kind in ['StatefulSet', 'Pod'])) || \
        x.metadata.?annotations[?'{OWNER_MANAGED}'].orValue('') == 'allow')) || {}",
        confirms()
    )
}

/// False if an operator that runs in the namespace writes what it owns, before and after, and has not
/// opted in. Other service accounts of the namespace may not update the status of the owner. The
/// operator may have copied a confirmation of a deletion from its custom resource, so that is judged. The
/// question to the authorizer is expensive, so it comes last: an object has one controller, so the
/// conditions of all kinds ask it once at most.
fn not_operator_of(operator: &Operator) -> MatchCondition {
    let Operator { group, kind, plural } = operator;
    MatchCondition {
        name: format!("not-operator-of/{plural}.{group}"),
        expression: format!(
            "!(request.userInfo.username.startsWith('system:serviceaccount:' + {NAMESPACE} + \
            ':') && {NO_GITOPS_TOOL} && \
            [object, oldObject].all(x, x == null || \
            (x.metadata.?ownerReferences.orValue([]).size() <= {MOST_OWNERS} && \
            x.metadata.?annotations[?'{OWNER_MANAGED}'].orValue('') != 'allow' && \
            x.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) && \
            o.kind == '{kind}' && o.apiVersion.startsWith('{group}/')))) && \
            !{confirms} && authorizer.group('{group}').resource('{plural}').subresource('status')\
            .namespace({NAMESPACE}).check('update').allowed())",
            confirms = confirms(),
        ),
    }
}

/// False on an UPDATE that leaves the spec of a terminating object alone, such as one that removes a
/// finalizer: under `Fail` it would be stuck while the webhook is away. Finalizers on which claims
/// depend are judged: `orphan`, the protection of a claim or a volume, and the last one of a set.
fn not_going_away() -> String {
    format!(
        "object == null || oldObject == null || !has(oldObject.metadata.deletionTimestamp) || \
        object.?spec != oldObject.?spec || \
        [object, oldObject].exists(x, x.metadata.?finalizers.orValue([]).size() > {MOST_OWNERS}) || \
        oldObject.metadata.?finalizers.orValue([]).exists(f, \
        (f in ['{ORPHAN}', '{PROTECTION}', '{VOLUME_PROTECTION}'] || (request.resource.resource == 'statefulsets' && \
        object.metadata.?finalizers.orValue([]).size() == 0)) && \
        !(f in object.metadata.?finalizers.orValue([])))"
    )
}

/// True if somebody confirms the deletion of the object, or says so in another way than before.
fn confirms() -> String {
    let value = format!("metadata.?annotations[?'{CONFIRM_DELETE}'].orValue('')");
    format!(
        "(object != null && object.{value} != '' && \
        object.{value} != (oldObject == null ? '' : oldObject.{value}))"
    )
}

/// True if an edit changes the owners of the object.
const OWNS: &str = "(object != null && oldObject != null && \
    object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences)";

/// False for the writes to kinds of which rules judge only deletions, confirmations and owners.
fn deleted_confirmed_or_owned() -> String {
    format!(
        "!(request.resource.resource in ['namespaces', 'storageclasses', 'volumesnapshots']) || \
        request.operation == 'DELETE' || {OWNS} || {}",
        confirms()
    )
}

/// False for the requests about volumes that no rule judges, above all those of provisioners and
/// controllers. Judged are confirmations and owners and, while a claim has or had the volume: the end of
/// `Retain`, another claim of a bound volume, the removal of the finalizer that protects one, and a deletion that
/// is not the provisioner's. A volume belongs to no namespace, so its claim tells whether it is excluded.
fn volume_with_data(excluded: &[String]) -> String {
    let excluded: Vec<String> = excluded.iter().map(|name| format!("'{name}'")).collect();
    let policy = "?spec.?persistentVolumeReclaimPolicy.orValue('Retain')";
    let phase = "oldObject.?status.?phase.orValue('')";
    let finalizers = "metadata.?finalizers.orValue([])";
    format!(
        "request.resource.resource != 'persistentvolumes' || \
        (!((oldObject == null ? object : oldObject).?spec.?claimRef.?namespace.orValue('') in [{}]) && \
        ({OWNS} || {} || oldObject != null && (object == null ? \
        {phase} == 'Bound' || oldObject.{policy} == 'Retain' : \
        (oldObject.{policy} == 'Retain' && object.{policy} != 'Retain') || \
        ({phase} == 'Bound' && object.?spec.?claimRef != oldObject.?spec.?claimRef) || \
        ({phase} == 'Bound' && '{VOLUME_PROTECTION}' in oldObject.{finalizers} && \
        !('{VOLUME_PROTECTION}' in object.{finalizers})))))",
        excluded.join(", "),
        confirms(),
    )
}

/// The API server takes metadata through the subresource `status`. Its controllers write there all the
/// time, and nothing of that is judged unless metadata changes.
const METADATA_OF_STATUS: &str = "request.?subResource.orValue('') != 'status' || \
    object.metadata.?annotations != oldObject.metadata.?annotations || \
    object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences || \
    object.metadata.?finalizers != oldObject.metadata.?finalizers";

/// How the API server reaches the webhook.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address<'a> {
    /// by a URL without a path
    Url(&'a str),
    /// through a Service
    Service { namespace: &'a str, service: &'a Service },
}

/// What both configurations are made of.
#[derive(Debug)]
pub(super) struct Registration<'a> {
    pub(super) address: Address<'a>,
    /// in PEM form, where it is known
    pub(super) authority: Option<&'a [u8]>,
    /// namespaces that are not judged
    pub(super) excluded: Vec<String>,
    pub(super) requirements: &'a [LabelSelectorRequirement],
    /// users that are not judged
    pub(super) users: &'a [String],
    pub(super) failure_policy: FailurePolicy,
    pub(super) timeout: u8,
    /// also send the claims that the controllers of sets create
    pub(super) new_claims: bool,
}

impl Registration<'_> {
    pub(super) fn mutating(&self) -> MutatingWebhookConfiguration {
        let webhook = self.webhook(WebhookKind::Mutating);
        let new_claims = self.new_claims.then(|| self.new_claims(&webhook));
        let webhooks = std::iter::once(webhook).chain(new_claims).map(as_mutating).collect();
        MutatingWebhookConfiguration { metadata: metadata(), webhooks: Some(webhooks) }
    }

    /// The webhook for the claims that the controllers of sets create, which may never wait for it. Nothing
    /// is judged there.
    fn new_claims(&self, mutating: &ValidatingWebhook) -> ValidatingWebhook {
        let created = KINDS.iter().filter(|info| info.kind == Kind::Claim);
        let condition = MatchCondition {
            name: "from-the-controller-of-a-set".to_owned(),
            expression: one_of(&CLAIM_CREATORS),
        };
        ValidatingWebhook {
            failure_policy: Some(FailurePolicy::Ignore.name().to_owned()),
            match_conditions: Some(vec![condition]),
            name: "new-claims.stateward.dev".to_owned(),
            rules: Some(created.filter_map(|info| rule(info, "", &["CREATE"])).collect()),
            timeout_seconds: Some(self.timeout.min(NEW_CLAIMS_TIMEOUT).into()),
            ..mutating.clone()
        }
    }

    pub(super) fn validating(&self) -> ValidatingWebhookConfiguration {
        let webhooks = Some(vec![self.webhook(WebhookKind::Validating)]);
        ValidatingWebhookConfiguration { metadata: metadata(), webhooks }
    }

    /// What both have in common.
    fn webhook(&self, kind: WebhookKind) -> ValidatingWebhook {
        let mut namespaces =
            vec![selector::not_in("kubernetes.io/metadata.name", self.excluded.clone())];
        namespaces.extend_from_slice(self.requirements);
        ValidatingWebhook {
            admission_review_versions: vec!["v1".to_owned()],
            client_config: self.client(kind.path()),
            failure_policy: Some(self.failure_policy.name().to_owned()),
            match_conditions: Some(self.match_conditions()),
            match_policy: Some("Equivalent".to_owned()),
            name: format!("{}.stateward.dev", kind.endpoint()),
            namespace_selector: Some(LabelSelector {
                match_expressions: Some(namespaces),
                match_labels: None,
            }),
            object_selector: None,
            rules: Some(rules(kind)),
            // Denials are told by events on their objects.
            side_effects: "NoneOnDryRun".to_owned(),
            timeout_seconds: Some(self.timeout.into()),
        }
    }

    fn match_conditions(&self) -> Vec<MatchCondition> {
        let condition =
            |name: &str, expression| MatchCondition { name: name.to_owned(), expression };
        let mut conditions = vec![condition("not-the-control-plane", none_of(&CONTROL_PLANE))];
        if let Address::Service { namespace, .. } = self.address {
            // A set that is being re-created comes back also while the webhook is away.
            conditions.push(condition(
                "not-our-own",
                format!(
                    "request.userInfo.username != \
                     'system:serviceaccount:{namespace}:{CONTROLLER_ACCOUNT}' || \
                     request.options.?fieldManager.orValue('') != '{OWN_MANAGER}'"
                ),
            ));
        }
        if !self.users.is_empty() {
            conditions.push(condition("not-an-excluded-user", none_of(self.users)));
        }
        conditions.extend([
            condition("not-left-to-its-owner", not_left_to_owner()),
            condition("not-going-away", not_going_away()),
            condition("metadata-of-status", METADATA_OF_STATUS.to_owned()),
            condition("deletion-confirmation-or-owner", deleted_confirmed_or_owned()),
            condition("volume-with-data", volume_with_data(&self.excluded)),
        ]);
        conditions.extend(OPERATORS.iter().map(not_operator_of));
        conditions
    }

    fn client(&self, path: &str) -> WebhookClientConfig {
        let ca_bundle = self.authority.map(|pem| ByteString(pem.to_owned()));
        match self.address {
            Address::Url(url) => {
                WebhookClientConfig { ca_bundle, service: None, url: Some(format!("{url}{path}")) }
            }
            Address::Service { namespace, service } => WebhookClientConfig {
                ca_bundle,
                service: Some(ServiceReference {
                    name: service.name.clone(),
                    namespace: namespace.to_owned(),
                    path: Some(path.to_owned()),
                    port: Some(service.port.into()),
                }),
                url: None,
            },
        }
    }
}

/// The same webhook in the other configuration.
fn as_mutating(webhook: ValidatingWebhook) -> MutatingWebhook {
    MutatingWebhook {
        admission_review_versions: webhook.admission_review_versions,
        client_config: webhook.client_config,
        failure_policy: webhook.failure_policy,
        match_conditions: webhook.match_conditions,
        match_policy: webhook.match_policy,
        name: webhook.name,
        namespace_selector: webhook.namespace_selector,
        object_selector: None,
        // Another webhook may add a claim template or an affinity after us.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: webhook.rules,
        side_effects: webhook.side_effects,
        timeout_seconds: webhook.timeout_seconds,
    }
}

/// True if the request comes from one of these users.
fn one_of(users: &[impl AsRef<str>]) -> String {
    let users: Vec<String> = users.iter().map(|user| format!("'{}'", user.as_ref())).collect();
    format!("request.userInfo.username in [{}]", users.join(", "))
}

/// True if the request comes from none of these users.
fn none_of(users: &[impl AsRef<str>]) -> String {
    format!("!({})", one_of(users))
}

fn metadata() -> ObjectMeta {
    let labels = [("app.kubernetes.io/name".to_owned(), "stateward".to_owned())].into();
    ObjectMeta { name: Some("stateward".to_owned()), labels: Some(labels), ..ObjectMeta::default() }
}

/// What the API server sends to the webhook.
fn rules(webhook: WebhookKind) -> Vec<RuleWithOperations> {
    let of_objects =
        KINDS.iter().map(|info| rule(info, info.subresource, info.operations(webhook)));
    let of_metadata = KINDS
        .iter()
        .filter(|_| webhook == WebhookKind::Validating)
        .flat_map(|info| info.metadata_through.iter().map(|name| rule(info, name, &["UPDATE"])));
    of_objects.chain(of_metadata).flatten().collect()
}

/// The rule for objects of a kind, or for a subresource of theirs; none without operations.
fn rule(info: &KindInfo, subresource: &str, operations: &[&str]) -> Option<RuleWithOperations> {
    // A subresource has the group of its parent.
    let parent = KINDS.iter().find(|parent| parent.name == info.reported_as)?;
    let separator = if subresource.is_empty() { "" } else { "/" };
    let list = |items: &[&str]| Some(items.iter().map(|item| (*item).to_owned()).collect());
    (!operations.is_empty()).then(|| RuleWithOperations {
        api_groups: list(&[parent.group]),
        api_versions: list(&[info.version]),
        operations: list(operations),
        resources: Some(vec![format!("{}{separator}{subresource}", info.plural)]),
        scope: Some(if info.namespaced { "Namespaced" } else { "Cluster" }.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(users: &[String]) -> Registration<'_> {
        Registration {
            address: Address::Url("https://127.0.0.1:9443"),
            users,
            authority: None,
            excluded: Vec::new(),
            requirements: &[],
            failure_policy: FailurePolicy::Fail,
            timeout: 30,
            new_claims: true,
        }
    }

    #[test]
    fn the_controllers_of_sets_are_never_held_up() {
        let webhooks = registration(&[]).mutating().webhooks.unwrap();
        let [mutate, new_claims] = &webhooks[..] else { panic!("{webhooks:?}") };
        assert_eq!(mutate.failure_policy.as_deref(), Some("Fail"));
        assert_eq!(mutate.timeout_seconds, Some(30));
        assert_eq!(new_claims.failure_policy.as_deref(), Some("Ignore"));
        assert_eq!(new_claims.timeout_seconds, Some(1));
    }

    /// The API server takes 64 match conditions, and all of them together may cost seven questions to
    /// the authorizer.
    #[test]
    fn match_conditions_stay_within_the_limits_of_the_api_server() {
        let service = Service { name: "stateward".to_owned(), port: 443 };
        let users = ["admin".to_owned()];
        let address = Address::Service { namespace: "stateward", service: &service };
        let registration = Registration { address, ..registration(&users) };
        let conditions = registration.match_conditions();
        assert!(conditions.len() <= 64, "{}", conditions.len());
        for MatchCondition { name, expression } in conditions {
            assert!(name.rsplit('/').next().is_some_and(|name| name.len() <= 63), "{name}");
            let asks = expression.matches("authorizer").count();
            assert_eq!(asks, usize::from(name.starts_with("not-operator-of/")), "{name}");
        }
    }
}
