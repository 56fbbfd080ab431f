use std::collections::BTreeSet;

use super::{Findings, Judged, Rule, owner_added, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::object::metadata::OwnerReference;
use crate::ownership::is_foreign_account;

declare_rule! {
    /// An ownerReference is removed from a claim.
    ///
    /// ## Why
    /// The owner no longer takes the claim along when it is deleted: a set under `whenDeleted` or
    /// `whenScaled: Delete` leaves the claim behind with its disk, which goes on costing money, and a
    /// later set of the same name starts with the old data. While the set exists, its controller may
    /// add the owner again.
    ///
    /// Controllers of Kubernetes, operators that run in another namespace, and users whom the policy
    /// names as `owners.operators` may remove owners. The rule judges the subresource `status`, too.
    /// It is silent about an owner that is replaced by another of the same kind and name, which
    /// `owner-added` judges.
    ///
    /// ## Way out
    /// To keep the data, set the retention policy of the set to `Retain`: its controller then removes
    /// the owner by itself.
    PvcOwnerRemoved {
        id: "pvc-owner-removed",
        title: "an ownerReference is removed from a claim, which its owner then leaves behind",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "KEP-1847; kubernetes pkg/controller/statefulset/stateful_set_utils.go updateClaimOwnerRefForSetAndPod",
        judges_subresources: true,
        params_from: Some("owners"),
    }
}

impl Rule for PvcOwnerRemoved {
    type Params = owner_added::Params;

    fn check(
        params: &owner_added::Params,
        change: &Change<'_>,
        _: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some((old, new)) = change.objects.both() else { return Ok(()) };
        if is_foreign_account(change, &params.operators) {
            return Ok(());
        }
        let (before, after) = (&old.metadata.owner_references, &new.metadata.owner_references);
        // Looked up one by one, the owners of a hostile claim would take quadratic time.
        let uids: BTreeSet<&str> = after.iter().map(|owner| owner.uid.as_str()).collect();
        let names: BTreeSet<(&str, &str)> = after.iter().map(named).collect();
        let removed = before.iter().enumerate().find(|(_, owner)| {
            !uids.contains(owner.uid.as_str()) && !names.contains(&named(owner))
        });
        let Some((index, owner)) = removed else { return Ok(()) };
        let (kind, name) = named(owner);
        let old_field = Pointer::from("/metadata/ownerReferences").index(index);
        let finding = findings.add(
            Pointer::from("/metadata/ownerReferences"),
            format!("would no longer be owned by {kind} {name}"),
        );
        finding.old_field(old_field).values(Some(name), None).why(if matches!(kind, "StatefulSet" | "Pod") {
            format!(
                "{kind} {name} would leave the claim behind when it is deleted, and a new one of that \
                 name would start with the old data."
            )
        } else {
            format!("{kind} {name} would leave the claim and its volume behind when it is deleted.")
        });
        match kind {
            "StatefulSet" => finding.command(
                "to keep the data, set whenDeleted: Retain in the set: its controller then removes the owner",
                remedy::retain_claims(&remedy::kubectl(change), name, "whenDeleted"),
            ),
            "Pod" => finding
                .step("leave the ownerReference: the pod is being scaled away, and whenScaled is Delete")
                .step("to keep the data, scale the set up again and set whenScaled: Retain first"),
            _ => finding.step("leave the ownerReference, or let the owner's operator remove it"),
        };
        Ok(())
    }
}

fn named<'o>(owner: &'o OwnerReference<'_>) -> (&'o str, &'o str) {
    (&owner.kind, &owner.name)
}
