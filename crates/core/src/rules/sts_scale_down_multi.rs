use super::sts_scale_below_quorum::is_below;
use super::{Findings, Judged, Rule, voters};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set whose pods vote is scaled down by more than one pod at once, by an edit or through its
    /// scale.
    ///
    /// ## Why
    /// A member whose pod is removed still counts until it is removed from the cluster. If two leave
    /// at once, the cluster tolerates two failures fewer, and their data may not be copied yet.
    ///
    /// A set is known to vote if its pack says so, if the policy names it under `voters.sets`, or if it
    /// has the annotation `stateward.dev/voters: all` before or after the edit. The rule is silent
    /// about other sets. The members are the pods that the status counts, or the old replicas if there
    /// is no status. A set that is created removes pods of an earlier one that it adopts and does not
    /// need, which counts, too.
    ///
    /// ## Way out
    /// Scale down by one member at a time. `sts-scale-below-quorum` judges steps that leave no
    /// majority.
    StsScaleDownMulti {
        id: "sts-scale-down-multi",
        title: "several voters are removed at once",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Scale: [Update]],
        source: "etcd.io/docs/v3.6/op-guide/runtime-configuration",
        params_from: Some("voters"),
    }
}

impl Rule for StsScaleDownMulti {
    type Params = voters::Params;

    fn check(
        params: &voters::Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some((members, left)) = voters::members(params, change, facts)? else { return Ok(()) };
        let leaving = members.saturating_sub(left);
        if leaving < 2 || is_below(members, left) || !voters::vote(params, change, facts)? {
            return Ok(());
        }
        let finding = findings.add(
            "/spec/replicas",
            format!("would remove {leaving} voters at once, {members} → {left}"),
        );
        finding.values(Some(&members.to_string()), Some(&left.to_string())).why(format!(
            "Until they are removed from the cluster, they still count: {} of the {left} that are left \
             have to agree.",
            voters::quorum(members)
        ));
        voters::one_at_a_time(change, facts, members, finding)
    }
}
