use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::DifferenceKind;
use crate::object::validate::Area;

declare_rule! {
    /// A set has a value that the API server rejects: labels that its selector does not match,
    /// negative replicas, an unknown policy, a claim template without a size, a container without an
    /// image.
    ///
    /// ## Why
    /// The API server rejects the whole set. On UPDATE the rule names only values that the edit
    /// brings in. In the pod template it checks names, images, ports, mounts and devices. It does not
    /// check probes, affinity, resources and security contexts.
    ///
    /// ## Way out
    /// Use a value that the API server accepts.
    StsInvalidValue {
        id: "sts-invalid-value",
        title: "a StatefulSet has a value that Kubernetes rejects",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetSpec",
    }
}

impl Rule for StsInvalidValue {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let errors = change.validation_errors()?.iter().cloned();
        let looks_at_pods = change.circumstances.kubernetes.minor >= super::POD_TEMPLATE_SINCE;
        let policy_differs = change
            .differences()?
            .iter()
            .any(|difference| difference.kind == DifferenceKind::PodManagementPolicy);
        let place = remedy::manifest_place(change.circumstances.tool);
        for error in errors {
            let covered = match error.area {
                // sts-recreate-strategy and sts-mount-unknown-volume
                Area::Recreate | Area::Mount => true,
                Area::Pod | Area::ClaimTemplate | Area::ServiceName => !looks_at_pods,
                // sts-pod-management-policy
                _ => policy_differs && error.field.as_str() == "/spec/podManagementPolicy",
            };
            if covered {
                continue;
            }
            // Containers and volumes may have changed places.
            let before = match error.area {
                Area::Pod => None,
                _ => change.old_value(&error.field)?,
            };
            findings
                .add(error.field, error.what)
                .values(before.as_deref(), error.value.as_deref())
                .why("Kubernetes rejects a set with this value.")
                .step(format!("{place}, {}", error.instead));
        }
        Ok(())
    }
}
