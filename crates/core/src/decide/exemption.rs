//! Who and what is never judged.

use super::Stage;
use crate::annotations::CONFIRM_DELETE;
use crate::change::{Change, Operation, Pair};
use crate::facts::{Facts, RecordFact};
use crate::object::Object;
use crate::ownership::Ownership;
use crate::policy::Policy;
use crate::rules::reserved_annotation::written;
use crate::webhook_kind::WebhookKind;

/// Why nothing is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exemption {
    /// a controller of the control plane asks
    ControlPlane,
    /// kube-system or stateward's own namespace
    Namespace,
    /// the object is going away
    Terminating,
    /// the last finalizers are taken off
    Finalizers,
    /// an operator edits an object that its custom resource owns, and has not opted in
    Owned,
    /// stateward's own controller asks
    Own,
    /// the edit was made from an older version of the object
    Stale,
}

impl Exemption {
    /// The name in logs, metrics and audit annotations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Namespace => "namespace",
            Self::Terminating => "terminating",
            Self::Finalizers => "finalizers",
            Self::Owned => "owned",
            Self::Own => "own",
            Self::Stale => "stale",
        }
    }

    /// Why, for people: completes "…, for".
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ControlPlane => "a controller of the control plane asks",
            Self::Namespace => "its namespace is never judged",
            Self::Terminating => "it is going away",
            Self::Finalizers => "its last finalizers are taken off",
            Self::Owned => "its operator edits it",
            Self::Own => "stateward's own controller asks",
            Self::Stale => {
                "it was made from an older version, which the API server answers with a conflict"
            }
        }
    }
}

/// The users that create the claims of sets: the controller itself, and the controller manager without
/// `--use-service-account-credentials`.
pub const CLAIM_CREATORS: [&str; 2] = [SET_CONTROLLER, CONTROLLER_MANAGER];
const SET_CONTROLLER: &str = "system:serviceaccount:kube-system:statefulset-controller";
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";
/// The users of the control plane that are never judged; blocking one wedges what it cleans up.
/// The last is the one user of managed clusters. CSI resizers run under any name, but write only
/// status and annotations, which no rule judges.
pub const CONTROL_PLANE: [&str; 8] = [
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    SET_CONTROLLER,
    "system:serviceaccount:kube-system:pvc-protection-controller",
    "system:serviceaccount:kube-system:pv-protection-controller",
    "system:serviceaccount:kube-system:persistent-volume-binder",
    "system:serviceaccount:kube-system:expand-controller",
    CONTROLLER_MANAGER,
];
/// The service account of stateward's controller, in its own namespace.
pub const CONTROLLER_ACCOUNT: &str = "stateward-controller";
/// The field manager of stateward's controller.
pub const OWN_MANAGER: &str = "stateward";

pub(super) fn of(
    stage: Stage,
    change: &Change<'_>,
    policy: &Policy,
    facts: &Facts,
    ownership: Ownership,
) -> Option<Exemption> {
    let user = change.circumstances.user.name.as_str();
    if CONTROL_PLANE.contains(&user) {
        return Some(Exemption::ControlPlane);
    }
    if change.namespace == "kube-system" || change.namespace == policy.own_namespace {
        return Some(Exemption::Namespace);
    }
    let account = user
        .strip_prefix("system:serviceaccount:")
        .and_then(|account| account.split_once(':'))
        .is_some_and(|(namespace, name)| {
            namespace == policy.own_namespace && name == CONTROLLER_ACCOUNT
        });
    let own = account || facts.own_user.as_deref() == Some(user);
    // A DELETE has no field manager; the controller's own always asks to orphan.
    let deletes = account
        && change.operation == Operation::Delete
        && change.circumstances.propagation_policy.as_deref() == Some("Orphan");
    if own && change.circumstances.field_manager == OWN_MANAGER || deletes {
        return Some(Exemption::Own);
    }
    if stage == Stage::Webhook(WebhookKind::Mutating) && is_stale(change) {
        return Some(Exemption::Stale);
    }
    let left_to_owner = ownership == Ownership::Owned { opted_in: false, by_operator: true }
        && !(policy.allow.second_person && confirms(change));
    if left_to_owner
        && !(stage == Stage::Webhook(WebhookKind::Mutating) && remembered_owner(change, facts))
    {
        return Some(Exemption::Owned);
    }
    let Pair { old, new } = &change.objects;
    if [old, new].into_iter().flatten().any(|object| object.metadata.is_terminating()) {
        return Some(Exemption::Terminating);
    }
    if let (Operation::Update, Some(old), Some(new)) = (change.operation, old, new)
        && takes_off_finalizers_only(old, new)
    {
        return Some(Exemption::Finalizers);
    }
    None
}

/// Whether somebody confirms the deletion of the object: anybody can claim that an operator owns it.
fn confirms(change: &Change<'_>) -> bool {
    let Pair { old, new } = &change.objects;
    let old = old.as_ref().map(|old| &old.metadata);
    new.as_ref().is_some_and(|new| written(CONFIRM_DELETE, old, &new.metadata).is_some())
}

/// Whether the edit was made from another version of the object than the stored one. Mutating
/// webhooks are called before the API server compares the versions, and clients try a conflict
/// again, but not a denial. The validating webhook judges whatever gets past that comparison.
fn is_stale(change: &Change<'_>) -> bool {
    let Pair { old: Some(old), new: Some(new) } = &change.objects else { return false };
    let version = |object: &Object<'_>| object.metadata.resource_version.parse::<u64>().ok();
    // To the API server, 0 stands for whichever version is stored.
    matches!((version(old), version(new)), (Some(old), Some(new)) if new != 0 && new != old)
}

/// Whether the last finalizers are removed, and nothing else that a user writes is changed: an edit
/// that hides behind the removal is judged.
fn takes_off_finalizers_only(old: &Object<'_>, new: &Object<'_>) -> bool {
    let (before, after) = (&old.metadata, &new.metadata);
    !before.finalizers.is_empty()
        && after.finalizers.is_empty()
        && old.spec == new.spec
        && before.annotations == after.annotations
        && before.labels == after.labels
        && before.owner_references == after.owner_references
}

/// Whether a set is created anew whose record remembers that its owner opted in: the new set has yet
/// to get its annotation, and needs the sizes that its claims have. Nothing is judged there.
pub(super) fn remembered_owner(change: &Change<'_>, facts: &Facts) -> bool {
    change.created_set().is_some()
        && facts
            .known_record(&change.namespace, &change.name)
            .is_some_and(RecordFact::remembers_owner)
}
