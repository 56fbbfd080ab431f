use super::{Findings, Judged, NoParams, Rule, budgets, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// Several PodDisruptionBudgets select the pods of one set, when it is created or when its pods get
    /// other labels.
    ///
    /// ## Why
    /// Kubernetes evicts no pod that two budgets select: the request fails with an internal error, whatever
    /// the budgets allow. A drain of the node retries until somebody stops it.
    ///
    /// The rule knows budgets among the inputs of `check`, from `--live` and `--facts`, and in a cluster.
    ///
    /// ## Way out
    /// Keep one budget, or give the budgets selectors that have no pod in common.
    StsMultiplePdbs {
        id: "sts-multiple-pdbs",
        title: "several PodDisruptionBudgets select the pods of one StatefulSet",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes pkg/registry/core/pod/storage/eviction.go",
    }
}

impl Rule for StsMultiplePdbs {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        if old.is_some_and(|old| old.spec.template.same_bytes(&set.spec.template)) {
            return Ok(());
        }
        let budgets = budgets::of(change, set, facts)?.of_set;
        if budgets.len() < 2 {
            return Ok(());
        }
        if let Some(old) = old
            && budgets::of(change, old, facts)?.of_set.len() > 1
        {
            return Ok(());
        }
        let names: Vec<&str> = budgets.iter().map(|(name, _)| *name).collect();
        findings
            .add(
                "/spec/template/metadata/labels",
                format!("{} PodDisruptionBudgets would select its pods", names.len()),
            )
            .values(None, Some(&remedy::listed(&names)))
            .why(format!(
                "{} select the same pods. Kubernetes then rejects every eviction, and drains never end.",
                remedy::listed(&names)
            ))
            .command(
                "see which of them is needed",
                format!("{} get poddisruptionbudgets -o wide", remedy::kubectl(change)),
            )
            .step("keep one, or change their selectors so that no pod has two");
        Ok(())
    }
}
