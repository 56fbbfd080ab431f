//! Who and what is never judged, and which rules an annotation silences.

use jiff::Timestamp;

use super::Stage;
use crate::annotations::{ALLOW, ALLOW_REASON, ALLOW_UNTIL, OWNER_MANAGED};
use crate::change::{Change, Operation, Pair, Subject};
use crate::facts::{Facts, RecordFact};
use crate::nearest;
use crate::object::{Metadata, Object};
use crate::policy::Policy;
use crate::review::WebhookKind;
use crate::rules::{self, RULES};

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
    /// a controller owns the object and has not opted in
    Owned,
    /// stateward's own controller asks
    Own,
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
        }
    }

    /// Why, for people: completes "…, for".
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ControlPlane => "a controller of the control plane asks",
            Self::Namespace => "its namespace is never judged",
            Self::Terminating => "it is going away",
            Self::Finalizers => "its last finalizers are taken off",
            Self::Owned => "a controller owns it",
            Self::Own => "stateward's own controller asks",
        }
    }
}

/// The users of the control plane that are never judged; blocking one wedges what it cleans up.
/// The last is the one user of managed clusters. CSI resizers run under any name, but write only
/// status and annotations, which no rule judges.
pub const CONTROL_PLANE: [&str; 7] = [
    "system:serviceaccount:kube-system:generic-garbage-collector",
    "system:serviceaccount:kube-system:namespace-controller",
    "system:serviceaccount:kube-system:statefulset-controller",
    "system:serviceaccount:kube-system:pvc-protection-controller",
    "system:serviceaccount:kube-system:persistent-volume-binder",
    "system:serviceaccount:kube-system:expand-controller",
    "system:kube-controller-manager",
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
    // A DELETE has no field manager; the controller's own is always an orphan delete.
    let deletes = account && change.operation == Operation::Delete && change.orphans();
    if own && change.circumstances.field_manager == OWN_MANAGER || deletes {
        return Some(Exemption::Own);
    }
    let Pair { old, new } = &change.objects;
    if [old, new].into_iter().flatten().any(|object| object.metadata.is_terminating()) {
        return Some(Exemption::Terminating);
    }
    if let (Operation::Update, Some(old), Some(new)) = (change.operation, old, new)
        && !old.metadata.finalizers.is_empty()
        && new.metadata.finalizers.is_empty()
        // Only the removal itself is let through, not an edit that hides behind one.
        && old.spec == new.spec
    {
        return Some(Exemption::Finalizers);
    }
    // Both sides count, so that nobody escapes by adding an owner in the same edit. A Scale carries
    // no owner references, so nothing can be said of its set here.
    let is_owned = match &change.subject {
        Subject::StatefulSet(_) => is_owned_set,
        Subject::Claim(_) => is_owned_claim,
        Subject::Scale(_) | Subject::Other => return None,
    };
    let owned = [old, new].into_iter().flatten().all(|object| is_owned(&object.metadata));
    (owned && !remembered(stage, change, facts)).then_some(Exemption::Owned)
}

/// Whether an owner creates a set anew whose record remembers that it may be resized: the new set
/// has yet to get its annotation, and needs the sizes that its claims have. Nothing is judged there.
fn remembered(stage: Stage, change: &Change<'_>, facts: &Facts) -> bool {
    stage == Stage::Webhook(WebhookKind::Mutating)
        && change.created_set().is_some()
        && facts
            .known_record(&change.namespace, &change.name)
            .is_some_and(RecordFact::remembers_owner)
}

fn is_owned_set(metadata: &Metadata<'_>) -> bool {
    metadata.controller().is_some() && metadata.annotations.get(OWNER_MANAGED) != Some("allow")
}

/// Claims of a set carry the set or a pod as owner under retention `Delete`: that is no operator.
fn is_owned_claim(metadata: &Metadata<'_>) -> bool {
    metadata.controller().is_some_and(|owner| !matches!(&*owner.kind, "StatefulSet" | "Pod"))
}

/// What the `allow` annotation of an object comes to.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    /// the rules that it silences
    pub(super) rules: Vec<&'static str>,
    /// why it, or a part of it, does not count
    pub(super) faults: Vec<String>,
}

/// The rules that the `allow` annotation silences for this change: read from the new object on
/// CREATE and UPDATE, from the old one on DELETE, in force only with a reason and before
/// `allow-until`, and, where the policy names people, added or edited only by one of them.
pub(super) fn allowances(change: &Change<'_>, policy: &Policy) -> Allowances {
    let mut allowances = Allowances::default();
    let Some(metadata) = change.metadata() else { return allowances };
    let annotation = |key| metadata.annotations.get(key);
    let Some(list) = annotation(ALLOW) else { return allowances };
    let mut fault = |text: String| allowances.faults.push(text);
    if !policy.overrides {
        fault("the policy lets nobody use it".to_owned());
    }
    if annotation(ALLOW_REASON).is_none_or(|reason| reason.trim().is_empty()) {
        fault(format!("{ALLOW_REASON} is missing"));
    }
    if let Some(until) = annotation(ALLOW_UNTIL) {
        match until.parse::<Timestamp>() {
            Ok(time) if time > change.circumstances.now => {}
            Ok(_) => fault(format!("{ALLOW_UNTIL}: {until} has passed")),
            // A time that cannot be read has passed.
            Err(_) => fault(format!("{ALLOW_UNTIL} is no time such as 2030-01-31T12:00:00Z")),
        }
    }
    if !may_allow(change, policy) {
        fault("the policy reserves it to the people whom it names".to_owned());
    }
    let in_force = allowances.faults.is_empty();
    for id in list.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        match rules::by_id(id) {
            Some(entry) if in_force => allowances.rules.push(entry.meta.id),
            Some(_) => {}
            None => {
                let known: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
                let hint = nearest::hint(id, &known);
                allowances.faults.push(format!("there is no rule \"{id}\"{hint}"));
            }
        }
    }
    allowances
}

/// Adding or editing the annotation is reserved to the people whom the policy names; using one
/// that stands already is free.
fn may_allow(change: &Change<'_>, policy: &Policy) -> bool {
    if policy.allow_users.is_empty() && policy.allow_groups.is_empty() {
        return true;
    }
    let user = &change.circumstances.user;
    if policy.allow_users.contains(&user.name)
        || user.groups.iter().any(|group| policy.allow_groups.contains(group))
    {
        return true;
    }
    let values = |object: &Option<Object<'_>>| {
        [ALLOW, ALLOW_REASON, ALLOW_UNTIL].map(|key| {
            object
                .as_ref()
                .and_then(|object| object.metadata.annotations.get(key))
                .map(str::to_owned)
        })
    };
    match change.operation {
        Operation::Create => false,
        Operation::Update => values(&change.objects.old) == values(&change.objects.new),
        Operation::Delete => true,
    }
}
