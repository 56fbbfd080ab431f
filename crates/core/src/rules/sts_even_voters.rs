use super::{Findings, Judged, Rule, remedy, voters};
use crate::change::{Change, Subject};
use crate::facts::Facts;
use crate::object::Kind;

declare_rule! {
    /// A set whose pods vote gets an even number of replicas, when it is created, by an edit or
    /// through its scale.
    ///
    /// ## Why
    /// An even number of voters tolerates as many failures as the odd number below it: a majority of 4
    /// is 3, so 4 tolerate one failure, as 3 do. The additional member is only one more that can fail,
    /// and if the network splits into halves, neither half has a majority.
    ///
    /// A set is known to vote if its pack says so, if the policy names it under `voters.sets`, or if it
    /// has the annotation `stateward.dev/voters: all` before or after the edit. The rule is silent
    /// about other sets, and about a number that was even before.
    ///
    /// ## Way out
    /// Choose an odd number. An even one is fine as a step on the way to it.
    StsEvenVoters {
        id: "sts-even-voters",
        title: "a set of voters has an even number of replicas",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Scale: [Update]],
        source: "etcd.io/docs/v3.6/faq, why an odd number of cluster members",
        params_from: Some("voters"),
    }
}

impl Rule for StsEvenVoters {
    type Params = voters::Params;

    fn check(
        params: &voters::Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some((old, new)) = replicas(change) else { return Ok(()) };
        let is_even = |replicas: i64| replicas > 0 && replicas % 2 == 0;
        let known = old.is_some_and(is_even)
            && (change.kind == Kind::Scale || voters::voted(params, change, facts)?);
        if !is_even(new) || known || !voters::vote(params, change, facts)? {
            return Ok(());
        }
        let (below, above) = (new - 1, new.saturating_add(1));
        let finding =
            findings.add("/spec/replicas", format!("would have {new} voters, an even number"));
        finding.values(old.map(|old| old.to_string()).as_deref(), Some(&new.to_string())).why(
            format!(
                "{new} voters tolerate no more failures than {below}, as a majority of them is {}.",
                voters::quorum(new)
            ),
        );
        let place = remedy::manifest_place(change.circumstances.tool);
        match old {
            Some(old) if old > new => finding.step(format!(
                "go on to {below} once the member has left; as a step on the way, {new} is fine"
            )),
            _ if change.written_set().is_some() || change.circumstances.tool.keeper().is_some() => {
                finding.step(format!("set replicas: {above} or {below} {place}"))
            }
            _ => finding.command(
                format!("go on to {above} once the member has joined; no other pod restarts"),
                format!(
                    "{} scale statefulset {} --replicas={above}",
                    remedy::kubectl(change),
                    remedy::quoted(&change.name)
                ),
            ),
        };
        Ok(())
    }
}

/// The replicas before, if there were any, and after.
fn replicas(change: &Change<'_>) -> Option<(Option<i64>, i64)> {
    match &change.subject {
        Subject::StatefulSet(_) => {
            let (old, new) = change.written_set()?;
            Some((old.map(|old| old.spec.replicas()), new.spec.replicas()))
        }
        _ => change.scaled().map(|(old, new)| (Some(old), new)),
    }
}
