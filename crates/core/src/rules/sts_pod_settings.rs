use super::{Findings, Judged, NoParams, Rule, remedy, system};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod_default::GRACE;
use crate::object::{Pointer, StatefulSet};

declare_rule! {
    /// The pods of a set are not started, stopped or updated as their system needs it.
    ///
    /// ## Why
    /// The pack of the system says which `podManagementPolicy` and `updateStrategy` it needs, and how long
    /// it takes to stop in good order. The rule judges new sets, and edits that bring such a value in.
    ///
    /// ## Way out
    /// Use the value that the finding names.
    StsPodSettings {
        id: "sts-pod-settings",
        title: "pods are not run as their system needs it",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "the pack of the system",
    }
}

fn grace(set: &StatefulSet<'_>) -> Result<i64, crate::object::DecodeError> {
    Ok(set.template()?.spec.termination_grace_period_seconds.unwrap_or(GRACE))
}

impl Rule for StsPodSettings {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.written_set() else { return Ok(()) };
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let mut report = |field: &str, value: &str, wanted: &str, why: &str, source: &str| {
            findings
                .add(Pointer::from(field), format!("needs {wanted}, not {value}"))
                .values(None, Some(value))
                .why(format!("{}: {why} ({source})", pack.title))
                .remedy(vec![remedy::amend(change, &format!("set {wanted}"))]);
        };
        if let Some(known) = &pack.pods.management
            && old.is_none()
            && new.spec.replicas() > 1
            && new.spec.pod_management_policy() != known.value
        {
            let wanted = format!("podManagementPolicy: {}", known.value);
            let value = new.spec.pod_management_policy();
            report("/spec/podManagementPolicy", value, &wanted, &known.why, &known.source);
        }
        let strategy = new.spec.update_strategy.kind();
        if let Some(known) = &pack.pods.strategy
            && strategy != known.value
            && old.is_none_or(|old| old.spec.update_strategy.kind() != strategy)
        {
            let wanted = format!("updateStrategy.type: {}", known.value);
            report("/spec/updateStrategy/type", strategy, &wanted, &known.why, &known.source);
        }
        if let Some(known) = &pack.pods.grace {
            let (seconds, needed) = (grace(new)?, i64::from(known.seconds));
            // Zero has a rule of its own.
            if seconds > 0 && seconds < needed && old.map(grace).transpose()? != Some(seconds) {
                let wanted = format!("terminationGracePeriodSeconds: {needed}");
                let field = "/spec/template/spec/terminationGracePeriodSeconds";
                report(field, &seconds.to_string(), &wanted, &known.why, &known.source);
            }
        }
        Ok(())
    }
}
