use super::{Findings, Judged, NoParams, Rule, sts_scale_below_quorum, system};
use crate::change::Change;
use crate::facts::Facts;
use crate::packs::MemberKind;

declare_rule! {
    /// A set is scaled down, and its system has to be prepared for that first.
    ///
    /// ## Why
    /// Kubernetes removes the pod with the highest ordinal and tells nobody. Most systems have to be told
    /// before: to hand over data, to remove a member from the quorum, to forget a node. The rule knows the
    /// steps from the pack of the system. It does not see whether they were taken.
    ///
    /// ## Way out
    /// Take the steps first. If they were taken, go on: the rule only warns.
    StsScaleDownSteps {
        id: "sts-scale-down-steps",
        title: "a system has to be prepared before it is scaled down",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsScaleDownSteps {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = system::lowered(change) else { return Ok(()) };
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let Some(known) = &pack.scale_down else { return Ok(()) };
        // Others say it already.
        let members = pack.members.as_ref();
        let too_few = members
            .and_then(|members| members.minimum.map(i64::from))
            .is_some_and(|minimum| old >= minimum && new < minimum);
        let votes = system::majority(pack).is_some()
            && (old - new >= 2 || sts_scale_below_quorum::is_below(old, new));
        if too_few || votes || members.is_some_and(|members| members.kind == MemberKind::Pool) {
            return Ok(());
        }
        let who = match old - new {
            1 => "a member".to_owned(),
            count => format!("{count} members"),
        };
        let finding = findings.add(
            "/spec/replicas",
            format!("has to be prepared before it loses {who}, {old} → {new}"),
        );
        finding
            .values(Some(&old.to_string()), Some(&new.to_string()))
            .why(format!("{} ({})", known.why, known.source));
        for step in &known.steps {
            finding.step(step.as_str());
        }
        Ok(())
    }
}
