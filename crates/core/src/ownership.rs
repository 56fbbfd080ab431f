//! Whether a controller owns an object, and whether a request comes from it.
//!
//! Everybody who may write an object may write its ownerReferences, so they prove nothing. An owner
//! is left alone only if the request looks like that of an operator: a service account of another
//! namespace edits an object that a custom resource owns before and after the edit. What a person or
//! a `GitOps` tool does to an owned object is judged.
//!
//! A tenant has service accounts of its own namespace. Operators that run there are recognised by
//! their right to update the status of the owner. Only the API server can look that up, so the match
//! conditions of the webhook configurations ask it, and such a request never arrives here.

use crate::annotations::OWNER_MANAGED;
use crate::change::{Change, Pair, Subject, Tool};
use crate::object::Metadata;
use crate::object::metadata::OwnerReference;

/// The most owners that are read. No honest object has that many, and the match conditions of the
/// webhook configurations, which ask the same, must stay within their cost limit.
pub const MOST_OWNERS: usize = 100;

/// What a controller's ownerReference comes to for one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// nobody owns the object before and after the change
    None,
    /// a controller owns it
    Owned {
        /// the annotation `owner-managed: allow` lets stateward judge and resize it
        opted_in: bool,
        /// the request comes from the owner's operator, as far as can be told
        by_operator: bool,
    },
}

impl Ownership {
    /// Who owns the object of `change`. Both sides count, so that nobody gains anything by adding an
    /// owner in the same edit. A Scale carries no owner references.
    pub fn of(change: &Change<'_>, operators: &[String]) -> Self {
        let owns = match &change.subject {
            Subject::StatefulSet(_)
            | Subject::Namespace
            | Subject::Volume(_)
            | Subject::Class
            | Subject::Snapshot(_) => controlling_owner,
            Subject::Claim(_) => owner_of_claim,
            Subject::Scale(_) | Subject::Other => return Self::None,
        };
        let Pair { old, new } = &change.objects;
        let mut sides = [old, new].into_iter().flatten().map(|object| &object.metadata).peekable();
        if sides.peek().is_none() {
            return Self::None;
        }
        let (mut opted_in, mut by_operator) = (false, true);
        for metadata in sides {
            let few = metadata.owner_references.len() <= MOST_OWNERS;
            let Some(owner) = owns(metadata).filter(|_| few) else { return Self::None };
            opted_in |= metadata.annotations.get(OWNER_MANAGED) == Some("allow");
            by_operator &= is_operator_of(change, owner, operators);
        }
        Self::Owned { opted_in, by_operator }
    }
}

fn controlling_owner<'m>(metadata: &'m Metadata<'_>) -> Option<&'m OwnerReference<'m>> {
    metadata.controller()
}

/// Claims of a set carry the set or a pod as owner under retention `Delete`: that is no operator.
fn owner_of_claim<'m>(metadata: &'m Metadata<'_>) -> Option<&'m OwnerReference<'m>> {
    metadata.controller().filter(|owner| !matches!(&*owner.kind, "StatefulSet" | "Pod"))
}

/// Whether `change` is requested by an operator that manages objects of `owner`.
fn is_operator_of(change: &Change<'_>, owner: &OwnerReference<'_>, operators: &[String]) -> bool {
    if operators.contains(&change.circumstances.user.name) {
        return true;
    }
    match account_namespace(change) {
        Some(namespace) => namespace != change.namespace && is_custom_resource(&owner.api_version),
        None => false,
    }
}

/// Whether a request comes from a service account of another namespace: a person with rights in one
/// namespace has no token of it.
pub fn is_foreign_account(change: &Change<'_>, operators: &[String]) -> bool {
    operators.contains(&change.circumstances.user.name)
        || account_namespace(change).is_some_and(|namespace| namespace != change.namespace)
}

/// The namespace of the service account that sends the request, unless a `GitOps` tool does: what
/// such a tool writes is what somebody committed.
fn account_namespace<'c>(change: &'c Change<'_>) -> Option<&'c str> {
    let account = change.circumstances.user.service_account();
    account.filter(|_| change.circumstances.tool == Tool::Kubectl).map(|(namespace, _)| namespace)
}

/// No kind of Kubernetes itself controls sets, or claims beside those of sets and pods.
pub fn is_custom_resource(api_version: &str) -> bool {
    group(api_version).is_some_and(|group| group.contains('.') && !group.ends_with(".k8s.io"))
}

/// The API group; none for the core group.
pub fn group(api_version: &str) -> Option<&str> {
    api_version.split_once('/').map(|(group, _)| group)
}

#[cfg(test)]
mod tests {
    use super::is_custom_resource;

    #[test]
    fn kinds_of_kubernetes_itself_are_no_custom_resources() {
        assert!(is_custom_resource("monitoring.coreos.com/v1"));
        assert!(is_custom_resource("elasticsearch.k8s.elastic.co/v1"));
        for built_in in ["v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1"] {
            assert!(!is_custom_resource(built_in), "{built_in}");
        }
    }
}
