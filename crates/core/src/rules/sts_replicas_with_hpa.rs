use super::{Findings, Judged, NoParams, Rule, autoscaling, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::StatefulSet;

declare_rule! {
    /// A manifest sets `replicas` on a set that a HorizontalPodAutoscaler scales.
    ///
    /// ## Why
    /// Each time the manifest is applied, it takes the number of pods back to what the manifest says, and the
    /// autoscaler changes it again. Members leave and join without need. If retention deletes claims on a
    /// scale-down, their data is deleted each time.
    ///
    /// On UPDATE the rule judges an edit that changes the number. In a cluster every set has a number, so
    /// the rule is silent about a new set with one replica, the default. It knows autoscalers among the inputs
    /// of `check`, from `--live` and `--facts`, and in a cluster.
    ///
    /// ## Way out
    /// Leave `replicas` out of the manifest. Remove the field from what was applied last first, or the next
    /// apply resets it to 1.
    StsReplicasWithHpa {
        id: "sts-replicas-with-hpa",
        title: "a manifest sets the replicas of a StatefulSet that an autoscaler scales",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale#migrating-deployments-and-statefulsets-to-horizontal-autoscaling",
    }
}

impl Rule for StsReplicasWithHpa {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        let Some(replicas) = set.spec.replicas else { return Ok(()) };
        let known = match old {
            Some(old) => old.spec.replicas == Some(replicas),
            None => replicas == 1 && is_defaulted(set),
        };
        if known {
            return Ok(());
        }
        let Some((name, autoscaler)) = autoscaling::of(change, facts)? else { return Ok(()) };
        let (min, max) = (autoscaler.min, autoscaler.max);
        let before = old.and_then(|old| old.spec.replicas).map(|replicas| replicas.to_string());
        let finding = findings.add(
            "/spec/replicas",
            format!("would set replicas: {replicas}, which HorizontalPodAutoscaler {name} sets"),
        );
        finding.values(before.as_deref(), Some(&replicas.to_string())).why(format!(
            "The autoscaler keeps between {min} and {max} pods. Each apply takes them back to {replicas}."
        ));
        if before.is_some() && change.circumstances.tool.keeper().is_none() {
            finding.command(
                "first remove replicas from what was applied last; no pod restarts",
                format!(
                    "{} apply edit-last-applied statefulset/{}",
                    remedy::kubectl(change),
                    remedy::quoted(&change.name)
                ),
            );
        }
        let place = remedy::manifest_place(change.circumstances.tool);
        finding.step(format!("{place}, leave spec.replicas out"));
        Ok(())
    }
}

/// Whether the API server has filled in what the manifest left out, `replicas: 1` perhaps among it.
fn is_defaulted(set: &StatefulSet<'_>) -> bool {
    set.spec.pod_management_policy.is_some() && set.spec.revision_history_limit.is_some()
}
