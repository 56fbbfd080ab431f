use std::collections::BTreeSet;

use super::{Findings, Judged, Rule, autoscaling, budgets, remedy, voters};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A PodDisruptionBudget lets so many pods of a set of voters be evicted at once that the others are no
    /// majority. The rule judges a new set, and an edit after which this holds.
    ///
    /// ## Why
    /// A drain of several nodes takes the quorum away, and the cluster accepts no writes until a pod is back.
    /// A budget with `maxUnavailable` follows the replicas, too: while the set is scaled down it allows
    /// more, step by step. `minAvailable` with the number of the quorum does not.
    ///
    /// A set is known to vote if its pack says so, if the policy names it under `voters.sets`, or if it
    /// has the annotation `stateward.dev/voters: all`. A percentage is rounded up, as Kubernetes does
    /// it. The rule knows budgets among the inputs of `check`, from `--live` and `--facts`, and in a
    /// cluster.
    ///
    /// ## Way out
    /// Set `minAvailable` to the number of the quorum, or let one pod go at a time.
    StsPdbQuorum {
        id: "sts-pdb-quorum",
        title: "a PodDisruptionBudget lets drains stop the majority of the voters",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "cozystack/etcd-operator#351; kubernetes pkg/controller/disruption/disruption.go getExpectedPodCount",
        params_from: Some("voters"),
    }
}

impl Rule for StsPdbQuorum {
    type Params = voters::Params;

    fn check(
        params: &voters::Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        let pods = autoscaling::least_pods(change, set, facts)?;
        if pods < 2 || !voters::vote(params, change, facts)? {
            return Ok(());
        }
        let (quorum, voted) = (voters::quorum(pods), voters::voted(params, change, facts)?);
        let before = match old.filter(|_| voted) {
            Some(old) => {
                let pods = autoscaling::least_pods(change, old, facts)?;
                let lost = |evictable: i64| pods - evictable < voters::quorum(pods);
                let limits = budgets::limits(change, old, facts)?.into_iter();
                limits.filter(|(_, _, evictable)| lost(*evictable)).map(|(name, ..)| name).collect()
            }
            None => BTreeSet::new(),
        };
        for (name, budget, evictable) in budgets::limits(change, set, facts)? {
            if pods - evictable >= quorum || before.contains(name) {
                continue;
            }
            findings
                .add(
                    "/spec/replicas",
                    format!("PodDisruptionBudget {name} would let {evictable} of {pods} voters be evicted"),
                )
                .values(None, Some(&budget.limit()))
                .why(format!(
                    "{pods} voters need {quorum} to agree, so a drain of several nodes stops all writes."
                ))
                .remedy(vec![remedy::amend(
                    change,
                    &format!("set minAvailable: {quorum} in PodDisruptionBudget {name} instead of {}", budget.limit()),
                )]);
        }
        Ok(())
    }
}
