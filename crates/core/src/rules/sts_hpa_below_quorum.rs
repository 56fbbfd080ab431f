use super::{Findings, Judged, Rule, autoscaling, remedy, voters};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A HorizontalPodAutoscaler may scale a set of voters to fewer pods than its quorum.
    ///
    /// ## Why
    /// The autoscaler knows load, not membership. When it removes pods, their members stay in the list of
    /// the cluster. Once fewer than a majority of them run, the cluster accepts no writes.
    ///
    /// A set is known to vote if its pack says so, if the policy names it under `voters.sets`, or if it
    /// has the annotation `stateward.dev/voters: all`. The rule judges a new set, and an edit after
    /// which `minReplicas` is below the quorum. `sts-scale-below-quorum` denies the scale-down itself.
    /// The rule knows autoscalers among the inputs of `check`, from `--live` and `--facts`, and in a
    /// cluster.
    ///
    /// ## Way out
    /// Set `minReplicas` to the number of voters, or delete the autoscaler.
    StsHpaBelowQuorum {
        id: "sts-hpa-below-quorum",
        title: "an autoscaler may scale a set of voters below its quorum",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "etcd.io/docs/v3.6/faq, what is failure tolerance",
        params_from: Some("voters"),
    }
}

impl Rule for StsHpaBelowQuorum {
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
        let Some((name, autoscaler)) = autoscaling::of(change, facts)? else { return Ok(()) };
        let is_below = |pods: i64| pods >= 2 && autoscaler.min < voters::quorum(pods);
        let before = match old {
            Some(old) => autoscaling::least_pods(change, old, facts)?,
            None => 0,
        };
        let known = voters::voted(params, change, facts)? && is_below(before);
        if !is_below(pods) || known {
            return Ok(());
        }
        let min = autoscaler.min;
        findings
            .add(
                "/spec/replicas",
                format!("HorizontalPodAutoscaler {name} may scale {pods} voters down to {min}"),
            )
            .values(None, Some(&format!("minReplicas {min}")))
            .why(format!(
                "{pods} voters need {} to agree, and a member that is scaled away still counts.",
                voters::quorum(pods)
            ))
            .remedy(vec![remedy::amend(
                change,
                &format!("set minReplicas: {pods} in HorizontalPodAutoscaler {name}, or delete it"),
            )]);
        Ok(())
    }
}
