use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// `spec.podManagementPolicy` changes. The API server rejects this edit.
    ///
    /// ## Why
    /// The policy decides whether pods start and stop in order or all at once. A change affects no
    /// running pod, but needs the set to be re-created.
    ///
    /// ## Way out
    /// Re-create the set around its running pods. `Parallel` starts all pods of a database at once.
    /// Check first that the database can bootstrap this way.
    StsPodManagementPolicy {
        id: "sts-pod-management-policy",
        title: "the pod management policy of a StatefulSet changes",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsPodManagementPolicy {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.updated_set() else { return Ok(()) };
        for difference in change.differences()? {
            if difference.kind != DifferenceKind::PodManagementPolicy {
                continue;
            }
            let (before, after) = (difference.old.as_deref(), difference.new.as_deref());
            let mut steps =
                vec![remedy::keep(change, &difference.field, before.unwrap_or_default())];
            let operations = remedy::take_over(change, difference)?;
            steps.extend(remedy::otherwise("or ", remedy::recreate(change, old, operations)?));
            findings
                .add(
                    difference.field.clone(),
                    format!("podManagementPolicy would change, {}", arrow(before, after)),
                )
                .values(before, after)
                .why("Kubernetes rejects this edit. Only a re-created set can have another policy.")
                .remedy(steps);
        }
        Ok(())
    }
}
