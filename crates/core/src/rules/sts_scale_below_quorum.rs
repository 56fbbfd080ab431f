use super::{Findings, Judged, Rule, voters};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set whose pods vote is scaled down to fewer pods than a majority of its members, by an edit
    /// or through its scale.
    ///
    /// ## Why
    /// A member whose pod is removed still counts until somebody removes it from the cluster. Once
    /// fewer than a majority are left, nobody can do that any more: the cluster elects no leader and
    /// accepts no writes.
    ///
    /// A set is known to vote if a pack says so of its system, such as etcd, if the policy names it under
    /// `voters.sets`, or if it has the annotation `stateward.dev/voters: all` before or after the edit. The
    /// rule is silent about other sets. A scale says nothing about its set: the webhook looks it up if it
    /// watches a cluster.
    ///
    /// The members are the pods that the status counts, or the old replicas if there is no status. A
    /// new set adopts the pods of an earlier one and removes those that it does not need, which counts
    /// as well if the webhook watches a cluster.
    ///
    /// The rule does not know the members of the cluster itself, so it cannot see that they were removed
    /// first, and it passes small steps in a row. It judges zero as well: a set that was scaled to zero
    /// could come back with too few. One member alone has no majority to lose.
    ///
    /// ## Way out
    /// Remove the members by the database's own command, one at a time, and scale down by one after
    /// each. If the members are removed already, or the outage is wanted, say so with the `allow`
    /// annotation.
    StsScaleBelowQuorum {
        id: "sts-scale-below-quorum",
        title: "a set of voters is scaled below its quorum",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Scale: [Update]],
        source: "etcd.io/docs/v3.6/faq; rabbitmq cluster-operator internal/scaling (refuses to scale down)",
        params_from: Some("voters"),
    }
}

/// Whether `left` of `members` voters are no majority; nobody can lose the majority of one.
pub(super) const fn is_below(members: i64, left: i64) -> bool {
    members >= 2 && left < voters::quorum(members)
}

impl Rule for StsScaleBelowQuorum {
    type Params = voters::Params;

    fn check(
        params: &voters::Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some((members, left)) = voters::members(params, change, facts)? else { return Ok(()) };
        if !is_below(members, left) || !voters::vote(params, change, facts)? {
            return Ok(());
        }
        let quorum = voters::quorum(members);
        let finding = findings.add(
            "/spec/replicas",
            format!("would go below the quorum of its voters, {members} → {left}"),
        );
        finding.values(Some(&members.to_string()), Some(&left.to_string())).why(format!(
            "{members} members need {quorum} to agree: with {left}, the cluster has no leader and accepts \
             no writes until enough pods are back."
        ));
        if left == 0 {
            finding
                .step(format!("keep replicas: {members}"))
                .step("to stop the whole cluster on purpose, allow the edit with the annotation, and scale back to all members afterwards");
            return Ok(());
        }
        if !is_below(members, members - 1) {
            return voters::one_at_a_time(change, facts, members, finding);
        }
        finding
            .step("remove the second member by the database's own command first")
            .step("then allow the edit with the annotation, since one member alone has no majority to lose");
        Ok(())
    }
}
