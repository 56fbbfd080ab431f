use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::PodSpec;

declare_rule! {
    /// `terminationGracePeriodSeconds` is 0.
    ///
    /// ## Why
    /// The processes of the pod are killed before they can write their data. The pod is removed
    /// without waiting for its node, so for a while two pods of the same name may use the same
    /// volume.
    ///
    /// ## Way out
    /// Give the database the time that it needs to stop. The default of Kubernetes is 30 seconds.
    StsGraceZero {
        id: "sts-grace-zero",
        title: "pods are killed without time to stop",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#deployment-and-scaling-guarantees",
    }
}

impl Rule for StsGraceZero {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let is_zero = |pod: &PodSpec<'_>| pod.termination_grace_period_seconds == Some(0);
        if !is_zero(written.pod) || !written.introduces(|_, pod| is_zero(pod)) {
            return Ok(());
        }
        let before = written
            .old
            .map(|(_, pod)| pod.termination_grace_period_seconds.unwrap_or(30).to_string());
        let times = match &before {
            Some(before) => format!(", {before} s → 0 s"),
            None => " (0 s)".to_owned(),
        };
        let wanted = before.as_deref().unwrap_or("30");
        findings
            .add(
                "/spec/template/spec/terminationGracePeriodSeconds",
                format!("pods would have no time to stop{times}"),
            )
            .values(before.as_deref(), Some("0"))
            .why(
                "The database is killed before it can write its data, and a new pod may start while the old one still runs.",
            )
            .remedy(vec![remedy::amend_template(
                change,
                &format!(
                    "set spec.template.spec.terminationGracePeriodSeconds: {wanted}, or what the \
                     database needs to stop"
                ),
            )]);
        Ok(())
    }
}
