use super::{Findings, Judged, NoParams, Rule, remedy, system};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A single member becomes three or more in one step, and its system may then take the empty ones for
    /// the truth.
    ///
    /// ## Why
    /// Two new members without data are a majority of three. In ZooKeeper, for example, they can elect a
    /// leader among themselves, and the member that holds the data follows it. The rule knows such systems
    /// from their packs.
    ///
    /// ## Way out
    /// Add one member, wait until it has joined and copied the data, then add the next.
    StsScaleUpFromOne {
        id: "sts-scale-up-from-one",
        title: "empty members outnumber the one that holds the data",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsScaleUpFromOne {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((1, new)) = change.scaled() else { return Ok(()) };
        if new < 3 {
            return Ok(());
        }
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let Some(known) = &pack.scale_up else { return Ok(()) };
        let Some(why) = &known.from_one else { return Ok(()) };
        findings
            .add(
                "/spec/replicas",
                format!("{} empty members would outnumber the one with data, 1 → {new}", new - 1),
            )
            .values(Some("1"), Some(&new.to_string()))
            .why(format!("{why} ({})", known.source))
            .remedy(vec![remedy::keep(change, &"/spec/replicas".into(), "2")])
            .step("wait until the second member has joined and copied the data, then add the next");
        Ok(())
    }
}
