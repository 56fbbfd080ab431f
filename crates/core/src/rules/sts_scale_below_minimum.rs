use super::{Findings, Judged, NoParams, Rule, remedy, system};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set is scaled from the fewest members that its system works with, or more, to fewer.
    ///
    /// ## Why
    /// Some systems cannot place the copies of their data on fewer members: CockroachDB, for example,
    /// needs three. The rule knows the number from the pack of the system, and is silent about systems
    /// that have no such number. Zero is judged by `sts-scale-to-zero`, and a majority that is lost by
    /// `sts-scale-below-quorum`.
    ///
    /// ## Way out
    /// Keep the number. A smaller cluster is a new one, into which the data is restored.
    StsScaleBelowMinimum {
        id: "sts-scale-below-minimum",
        title: "a system is scaled below its fewest members",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsScaleBelowMinimum {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = system::lowered(change) else { return Ok(()) };
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let Some(members) = &pack.members else { return Ok(()) };
        let Some(minimum) = members.minimum.map(i64::from) else { return Ok(()) };
        let no_majority =
            system::majority(pack).is_some() && super::sts_scale_below_quorum::is_below(old, new);
        if old < minimum || new >= minimum || no_majority {
            return Ok(());
        }
        let what = format!("needs at least {minimum} members, {old} → {new}");
        findings
            .add("/spec/replicas", what)
            .values(Some(&old.to_string()), Some(&new.to_string()))
            .why(format!("{} ({})", members.why, members.source))
            .remedy(vec![remedy::keep(change, &"/spec/replicas".into(), &minimum.to_string())]);
        Ok(())
    }
}
