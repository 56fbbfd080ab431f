use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::annotations::ANTI_AFFINITY;
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A new set of several replicas has neither pod anti-affinity nor topology spread constraints.
    ///
    /// ## Why
    /// The default of the scheduler spreads pods only a little. If one node has most of the free
    /// space, all members may run on it and fail with it.
    ///
    /// ## Way out
    /// Spread the pods over nodes, and over zones if there are several. The webhook adds preferred
    /// anti-affinity to a new set by itself. The annotation `stateward.dev/anti-affinity` chooses or
    /// refuses that, and silences this rule.
    StsNoSpread {
        id: "sts-no-spread",
        title: "nothing keeps the pods of a new StatefulSet on different nodes",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints",
    }
}

impl Rule for StsNoSpread {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let replicas = written.set.spec.replicas();
        if replicas <= 1
            || written.pod.says_how_to_spread()
            || written.set.metadata.annotations.get(ANTI_AFFINITY).is_some()
        {
            return Ok(());
        }
        let selector = written.set.spec.selector.raw().map_or("{}", |raw| raw.get());
        findings
            .add("/spec/template/spec", format!("all {replicas} pods may be scheduled to one node"))
            .why("If that node fails or is drained, every member stops at once.")
            .remedy(vec![
                remedy::amend(
                    change,
                    &format!(
                        "set spec.template.spec.topologySpreadConstraints: [{{maxSkew: 1, \
                         topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, \
                         labelSelector: {selector}}}]"
                    ),
                ),
                remedy::say(format!(
                    "or leave it to the webhook, whose policy spreads the pods of new sets by default; with the \
                     annotation {ANTI_AFFINITY}: preferred it does so whatever the policy says"
                )),
            ]);
        Ok(())
    }
}
