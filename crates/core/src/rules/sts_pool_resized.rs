use super::{Findings, Judged, NoParams, Rule, remedy, system};
use crate::change::Change;
use crate::facts::Facts;
use crate::packs::MemberKind;

declare_rule! {
    /// The replicas of a pool change, whose number was fixed when the pool was made.
    ///
    /// ## Why
    /// A pool of MinIO, or a static quorum of Kafka controllers, holds the list of its members in its
    /// configuration and in its data. With another number, its members refuse to start or lose their
    /// quorum. The rule knows such systems from their packs. Zero and back from zero are judged by
    /// `sts-scale-to-zero`.
    ///
    /// ## Way out
    /// Keep the number. Such a system grows by another pool, and shrinks by the removal of a whole pool.
    StsPoolResized {
        id: "sts-pool-resized",
        title: "the members of a fixed pool change",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsPoolResized {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.scaled().filter(|(old, new)| old != new) else {
            return Ok(());
        };
        if old <= 0 || new <= 0 {
            return Ok(());
        }
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let Some(members) = pack.members.as_ref().filter(|m| m.kind == MemberKind::Pool) else {
            return Ok(());
        };
        let what = format!("its pool has a fixed number of members, {old} → {new}");
        let finding = findings.add("/spec/replicas", what);
        finding
            .values(Some(&old.to_string()), Some(&new.to_string()))
            .why(format!("{} ({})", members.why, members.source))
            .remedy(vec![remedy::keep(change, &"/spec/replicas".into(), &old.to_string())]);
        for step in pack.scale_down.iter().flat_map(|known| &known.steps) {
            finding.step(step.as_str());
        }
        Ok(())
    }
}
