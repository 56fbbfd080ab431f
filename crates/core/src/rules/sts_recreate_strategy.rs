use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::validate::Area;

declare_rule! {
    /// `spec.updateStrategy.type` is `Recreate`, a strategy of Deployments.
    ///
    /// ## Why
    /// Kubernetes up to 1.36 rejects it. In 1.37 it exists behind a feature gate that is off by
    /// default (KEP-3541). It stops every pod of the set at once.
    ///
    /// ## Way out
    /// Use `RollingUpdate`, which replaces one pod at a time, or `OnDelete`, which replaces a pod
    /// when somebody deletes it.
    StsRecreateStrategy {
        id: "sts-recreate-strategy",
        title: "a StatefulSet asks for the update strategy Recreate",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetSpec; KEP-3541",
    }
}

/// The first release that may know the strategy.
const RECREATE_SINCE: u16 = 37;

impl Rule for StsRecreateStrategy {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.written_set() else { return Ok(()) };
        let errors = change.validation_errors()?.iter().cloned();
        for error in errors.filter(|error| error.area == Area::Recreate) {
            let before = old.map(|old| old.spec.update_strategy.kind());
            let refuses = change.circumstances.kubernetes.minor < RECREATE_SINCE;
            let what = match before {
                Some(before) => format!("updateStrategy.type would change, {before} → Recreate"),
                None => "updateStrategy.type would be Recreate".to_owned(),
            };
            let finding = findings.add(error.field, what);
            finding
                .values(before, Some("Recreate"))
                .why(if refuses {
                    "Kubernetes rejects this strategy for a StatefulSet. It would stop all pods at once."
                } else {
                    "It stops all pods at once, and Kubernetes accepts it only if a feature gate is on."
                })
                .step(format!(
                    "set spec.updateStrategy.type to RollingUpdate {}: pods are replaced one at a \
                     time",
                    remedy::manifest_place(change.circumstances.tool)
                ))
                .step("or to OnDelete: a pod is replaced when somebody deletes it");
            if !refuses {
                finding.unsure();
            }
        }
        Ok(())
    }
}
