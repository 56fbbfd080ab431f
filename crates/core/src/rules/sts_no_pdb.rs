use super::{Findings, Judged, NoParams, Rule, autoscaling, budgets, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A new set of several replicas has no PodDisruptionBudget.
    ///
    /// ## Why
    /// A drain of nodes, as every upgrade of a cluster does it, evicts all pods that run on them. Without a
    /// budget, nothing makes it wait until a member is back before it evicts the next.
    ///
    /// The rule needs every budget of the namespace, which `--live` and `--facts` give. Beside manifests
    /// alone it is silent, because a budget may be kept elsewhere.
    ///
    /// ## Way out
    /// Apply a PodDisruptionBudget that lets one pod go at a time.
    StsNoPdb {
        id: "sts-no-pdb",
        title: "a new StatefulSet has no PodDisruptionBudget",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/tasks/run-application/configure-pdb",
    }
}

impl Rule for StsNoPdb {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let pods = autoscaling::least_pods(change, set, facts)?;
        if pods < 2 {
            return Ok(());
        }
        let budgets = budgets::of(change, set, facts)?;
        if !budgets.of_set.is_empty() || !budgets.all {
            return Ok(());
        }
        let selector = set.selector()?.to_string();
        findings
            .add(
                "/spec/template/metadata/labels",
                format!("has no PodDisruptionBudget for its {pods} pods"),
            )
            .why("A drain of several nodes may evict every member at the same time.")
            .command(
                "let drains evict one pod at a time; no pod restarts",
                format!(
                    "{} create poddisruptionbudget {} --selector={} --max-unavailable=1",
                    remedy::kubectl(change),
                    remedy::quoted(&change.name),
                    remedy::quoted(&selector),
                ),
            );
        Ok(())
    }
}
