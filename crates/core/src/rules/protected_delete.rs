use super::pvc_keep_removed::{kept_by_a_tool, only_leaves_the_manifests, protected_by};
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::object::Kind;

declare_rule! {
    /// A set, a claim, a namespace, a volume, a StorageClass or a snapshot is deleted that somebody has marked as protected: `stateward.dev/protected: "true"`,
    /// `policy.kruise.io/delete-protection: Always` or `Cascading`,
    /// `resourcetemplate.karmada.io/deletion-protected: Always`,
    /// `hive.openshift.io/protected-delete: "true"`, or `nine.ch/deletion-protection: "true"`, each as an
    /// annotation or a label.
    ///
    /// The rule warns if the object only bears what keeps a deployment tool from deleting it:
    /// `helm.sh/resource-policy: keep`, `Prune=false` or `Delete=false` of Argo CD, `prune: disabled` of
    /// Flux. Those hold off the tool, not a person.
    ///
    /// ## Why
    /// The people who set the mark want to be asked. Each project's own webhook covers other kinds, or is
    /// off by default, so the mark alone often does nothing.
    ///
    /// `Cascading` protects a set only while it has replicas, and a namespace only while it has claims
    /// or pods, as far as facts tell. An orphan delete of a set keeps pods and
    /// claims, but a mark protects from it, too.
    ///
    /// ## Way out
    /// Confirm the deletion with the annotation `stateward.dev/confirm-delete`, or remove the mark.
    ProtectedDelete {
        id: "protected-delete",
        title: "an object is deleted that somebody has marked as protected",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Delete], Claim: [Delete], Namespace: [Delete], Volume: [Delete], Class: [Delete], Snapshot: [Delete]],
        source: "openkruise.io/docs/user-manuals/deletionprotection; karmada.io/docs/administrator/configuration/resource-deletion-protection; docs.nine.ch/docs/managed-kubernetes/nke/deletion-protection",
    }
}

impl Rule for ProtectedDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(metadata) = change.metadata() else { return Ok(()) };
        let Some((key, field, value)) = protected_by(metadata) else {
            let Some(key) = kept_by_a_tool(metadata) else { return Ok(()) };
            if !only_leaves_the_manifests(change) {
                findings
                    .add("", "is to be kept by its tool, and would be deleted")
                    .why(format!("{key} holds off a deployment tool, not a person."))
                    .step("see whether the data of the object is still needed")
                    .unsure();
            }
            return Ok(());
        };
        if value == "Cascading" && is_empty(change, facts) {
            return Ok(());
        }
        findings
            .add(field, "is protected, and would be deleted")
            .values(Some(value), None)
            .why(format!("{key}: {value} says that nobody is to delete the object by mistake."))
            .step(format!(
                "remove the mark {}, if the object is no longer needed",
                remedy::manifest_place(change.circumstances.tool)
            ));
        Ok(())
    }
}

/// Whether nothing would be deleted with a set or a namespace.
fn is_empty(change: &Change<'_>, facts: &Facts) -> bool {
    if change.kind != Kind::Namespace {
        return change.deleted_set().is_some_and(|set| set.spec.replicas() <= 0);
    }
    let claims = facts.claims.of(&change.name).map(|mut claims| claims.next().is_none());
    let pods = facts.pods.of(&change.name).map(|mut pods| pods.next().is_none());
    claims == Fact::Known(true) && pods == Fact::Known(true)
}
