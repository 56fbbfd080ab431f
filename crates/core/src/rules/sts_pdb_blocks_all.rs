use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, autoscaling, budgets, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A PodDisruptionBudget lets none of the pods of a set be evicted: `maxUnavailable` is 0, or
    /// `minAvailable` is 100% or at least the number of replicas. The rule judges a new set, and an edit
    /// after which this holds.
    ///
    /// ## Why
    /// A drain of a node waits for ever, so nodes cannot be upgraded or replaced without force. People then
    /// delete the pods, which no budget holds off.
    ///
    /// A percentage is rounded up, as Kubernetes does it. A number of pods counts all pods that the budget
    /// selects, so the rule judges it only if the budget asks for all labels in the selector of the set.
    /// The rule knows budgets among the inputs of `check`, from `--live` and `--facts`, and in a cluster.
    ///
    /// ## Way out
    /// Set `maxUnavailable: 1`. If the one pod of a set must not be evicted without a person, exempt the set
    /// from this rule.
    StsPdbBlocksAll {
        id: "sts-pdb-blocks-all",
        title: "a PodDisruptionBudget lets no pod of a StatefulSet be evicted",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/tasks/run-application/configure-pdb; kubernetes pkg/controller/disruption/disruption.go getExpectedPodCount",
    }
}

impl Rule for StsPdbBlocksAll {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        let pods = autoscaling::least_pods(change, set, facts)?;
        let same = match old {
            Some(old) => {
                old.spec.template.same_bytes(&set.spec.template)
                    && autoscaling::least_pods(change, old, facts)? == pods
            }
            None => false,
        };
        if pods == 0 || same {
            return Ok(());
        }
        let limits = budgets::limits(change, set, facts)?;
        let before = match old {
            Some(old) if old.spec.replicas() > 0 => {
                let limits = budgets::limits(change, old, facts)?.into_iter();
                limits.filter(|(_, _, pods)| *pods == 0).map(|(name, ..)| name).collect()
            }
            _ => BTreeSet::new(),
        };
        for (name, budget, evictable) in limits {
            if evictable > 0 || before.contains(name) {
                continue;
            }
            let whom =
                if pods == 1 { "its only pod".to_owned() } else { format!("all {pods} pods") };
            let limit = budget.limit();
            findings
                .add(
                    "/spec/replicas",
                    format!("PodDisruptionBudget {name} would keep {whom} from eviction"),
                )
                .values(None, Some(&limit))
                .why(format!("{limit} lets no pod go, so a drain of its node waits for ever."))
                .remedy(vec![remedy::amend(
                    change,
                    &format!(
                        "set maxUnavailable: 1 in PodDisruptionBudget {name} instead of {limit}"
                    ),
                )]);
        }
        Ok(())
    }
}
