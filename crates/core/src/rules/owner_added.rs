use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, Judged, Rule, remedy};
use crate::change::{Change, Operation};
use crate::facts::Facts;
use crate::object::{Kind, Pointer};
use crate::ownership::is_foreign_account;

declare_rule! {
    /// An ownerReference is added to a StatefulSet or a claim.
    ///
    /// ## Why
    /// The garbage collector deletes an object once none of its owners exist. An owner that does not
    /// exist, or lives in another namespace, deletes the object within seconds: a claim goes with its
    /// data, and so do the claims of a set under `whenDeleted: Delete`. A controller owner also tells
    /// tools to leave the object to it.
    ///
    /// Operators that run in another namespace may adopt objects. So may users whom the policy names
    /// as `owners.operators`. On CREATE the rule warns: a manifest that was copied from a cluster
    /// often still names an owner that is gone. The rule judges the subresource `status`, too.
    ///
    /// ## Way out
    /// Leave the ownerReference out, or let the owner's operator add it.
    OwnerAdded {
        id: "owner-added",
        title: "an ownerReference is added, and the garbage collector may delete the object with it",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Claim: [Create, Update]],
        source: "kubernetes pkg/controller/garbagecollector/garbagecollector.go attemptToDeleteItem",
        judges_subresources: true,
        params_from: Some("owners"),
    }
}

/// Who may add owners.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Params {
    /// Users as which operators run, beside the service accounts of other namespaces.
    pub operators: Vec<String>,
}

impl Rule for OwnerAdded {
    type Params = Params;

    fn check(params: &Params, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(new) = &change.objects.new else { return Ok(()) };
        if is_foreign_account(change, &params.operators) {
            return Ok(());
        }
        let known = change.objects.old.as_ref().map(|old| &old.metadata.owner_references);
        let known: std::collections::BTreeSet<_> =
            known.into_iter().flatten().map(|o| (o.uid.as_str(), o.controller)).collect();
        let added = new
            .metadata
            .owner_references
            .iter()
            .position(|owner| !known.contains(&(owner.uid.as_str(), owner.controller)));
        let Some(index) = added else { return Ok(()) };
        let owner = &new.metadata.owner_references[index];
        let finding = findings
            .add(
                Pointer::from("/metadata/ownerReferences").index(index),
                format!("would be owned by {} {}", &*owner.kind, &*owner.name),
            )
            .values(None, Some(&owner.name))
            .why(match change.kind {
                Kind::Claim => {
                    "If that owner does not exist, the garbage collector deletes the claim with its \
                     data within seconds; otherwise it does so when the owner is deleted."
                }
                _ => {
                    "If that owner does not exist, the garbage collector deletes the set within \
                     seconds, and under whenDeleted: Delete its claims with their data."
                }
            })
            .step("leave the ownerReference out");
        if change.operation == Operation::Create {
            finding.unsure();
        } else {
            finding.command(
                "or see whether the owner exists and which uid it has",
                format!(
                    "kubectl get {} {} -n {} -o jsonpath='{{.metadata.uid}}'",
                    remedy::quoted(&owner.kind.to_lowercase()),
                    remedy::quoted(&owner.name),
                    remedy::quoted(&change.namespace)
                ),
            );
        }
        Ok(())
    }
}
