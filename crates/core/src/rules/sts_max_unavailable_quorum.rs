use super::{Findings, Judged, Rule, remedy, voters};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::{Pointer, StatefulSet};

declare_rule! {
    /// `rollingUpdate.maxUnavailable` lets a rolling update stop so many pods at once that the voters
    /// that are left are no majority. Of a set that is not known to vote, it lets it stop all.
    ///
    /// ## Why
    /// A rolling update then takes the cluster down, although each pod for itself is updated properly.
    ///
    /// The controller rounds a percentage down, and takes one pod at least: `50%` of 5 is 2. The rule
    /// is silent if that comes to one pod, as without the field. A set is known to vote if its pack
    /// says so, if the policy names it under `voters.sets`, or if it has the annotation
    /// `stateward.dev/voters: all`. API servers drop the field while the feature gate
    /// `MaxUnavailableStatefulSet` is off, which it is by default before 1.37. The rule judges an edit
    /// of the replicas as well, but not their scale, which does not show the strategy.
    ///
    /// ## Way out
    /// Leave the field out, or set it to what the majority can do without.
    StsMaxUnavailableQuorum {
        id: "sts-max-unavailable-quorum",
        title: "a rolling update may stop the majority of the pods at once",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "KEP-961; kubernetes pkg/controller/statefulset/stateful_set_utils.go getStatefulSetMaxUnavailable",
        params_from: Some("voters"),
    }
}

impl Rule for StsMaxUnavailableQuorum {
    type Params = voters::Params;

    fn check(
        params: &voters::Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some((old, new)) = change.written_set() else { return Ok(()) };
        let Some((stopped, written)) = stopped(new) else { return Ok(()) };
        let pods = new.spec.replicas();
        let votes = voters::vote(params, change, facts)?;
        let known = voters::voted(params, change, facts)?;
        if !is_too_many(votes, pods, stopped) || old.is_some_and(|old| is_too_many_of(old, known)) {
            return Ok(());
        }
        let field = Pointer::from("/spec/updateStrategy/rollingUpdate/maxUnavailable");
        let before = old.and_then(|old| max_unavailable(old)).map(ToString::to_string);
        let whom = if votes { "voters" } else { "pods" };
        let stopped = stopped.min(pods);
        let number =
            if stopped == pods { format!("all {pods}") } else { format!("{stopped} of {pods}") };
        let most = if votes { pods.saturating_sub(voters::quorum(pods)).max(1) } else { 1 };
        let finding = findings
            .add(field, format!("maxUnavailable {written} could stop {number} {whom} at once"));
        finding.values(before.as_deref(), Some(&written)).why(if votes {
            format!(
                "{pods} voters need {} to agree, so the cluster accepts no writes during the update.",
                voters::quorum(pods)
            )
        } else {
            "Clients lose the service during the update, until a pod is ready again.".to_owned()
        });
        finding.remedy(vec![remedy::amend(
            change,
            &format!("set rollingUpdate.maxUnavailable: {most}, or leave it out, which means 1"),
        )]);
        Ok(())
    }
}

fn max_unavailable<'s>(
    set: &'s StatefulSet<'_>,
) -> Option<&'s crate::object::statefulset::IntOrString> {
    let strategy = &set.spec.update_strategy;
    let rolling =
        strategy.rolling_update.as_ref().filter(|_| strategy.kind() == "RollingUpdate")?;
    rolling.max_unavailable.as_ref()
}

/// How many pods a rolling update may stop at once, and the value that says so.
fn stopped(set: &StatefulSet<'_>) -> Option<(i64, String)> {
    let value = max_unavailable(set)?;
    Some((value.unavailable_of(set.spec.replicas())?, value.to_string()))
}

fn is_too_many_of(set: &StatefulSet<'_>, votes: bool) -> bool {
    stopped(set).is_some_and(|(stopped, _)| is_too_many(votes, set.spec.replicas(), stopped))
}

/// One pod at a time is what Kubernetes does anyway.
const fn is_too_many(votes: bool, pods: i64, stopped: i64) -> bool {
    let needed = if votes { voters::quorum(pods) } else { 1 };
    pods >= 2 && stopped >= 2 && pods.saturating_sub(stopped) < needed
}
