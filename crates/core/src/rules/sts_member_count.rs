use super::{Findings, Judged, NoParams, Rule, system};
use crate::change::Change;
use crate::facts::Facts;
use crate::packs::MemberKind;

declare_rule! {
    /// A set has a number of members that its system does not work well with.
    ///
    /// ## Why
    /// The pack of the system says which numbers make sense, and why. The rule judges new sets and edits
    /// of `replicas`. `sts-even-voters` judges an even number of voters.
    ///
    /// ## Way out
    /// Use one of the numbers that the finding names.
    StsMemberCount {
        id: "sts-member-count",
        title: "a system has an unusual number of members",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsMemberCount {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.written_set() else { return Ok(()) };
        let count = new.spec.replicas();
        let before = old.map(|old| old.spec.replicas());
        if count <= 0 || before == Some(count) {
            return Ok(());
        }
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let Some(members) = pack.members.as_ref().filter(|known| !known.sizes.is_empty()) else {
            return Ok(());
        };
        // Pods that share one claim have one data.
        let shared = new.template()?.spec.named_claims().next().is_some()
            && new.template_names()?.next().is_none();
        if members.kind == MemberKind::Independent && shared {
            return Ok(());
        }
        let even = system::majority(pack).is_some() && count % 2 == 0;
        if even || members.sizes.iter().any(|size| i64::from(*size) == count) {
            return Ok(());
        }
        let sizes: Vec<String> = members.sizes.iter().map(u32::to_string).collect();
        findings
            .add("/spec/replicas", format!("has an unusual number of members, {count}"))
            .values(before.map(|before| before.to_string()).as_deref(), Some(&count.to_string()))
            .why(format!("{}: {} ({})", pack.title, members.why, members.source))
            .step(format!("use one of these numbers: {}", sizes.join(", ")));
        Ok(())
    }
}
