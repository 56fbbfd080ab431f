use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy, system};
use crate::change::Change;
use crate::facts::Facts;
use crate::packs::MemberKind;

declare_rule! {
    /// The replicas of a pool change, whose number was fixed when the pool was made.
    ///
    /// ## Why
    /// A pool of MinIO, or a static quorum of Kafka controllers, holds the list of its members in its
    /// configuration and in its data. With another number, its members refuse to start or lose their
    /// quorum. The rule knows such systems from their packs. Where a pool comes back from zero, its claims
    /// tell how many members it has. `sts-scale-to-zero` judges the way to zero.
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

/// How many members a pool without pods has, by its claims; `None` if it has none.
fn claimed(change: &Change<'_>, facts: &Facts) -> Result<Option<i64>, Unjudged> {
    let (_, claims) = system::claims(change, facts)?;
    let members: BTreeSet<i64> = claims.iter().map(|claim| claim.ordinal).collect();
    Ok(i64::try_from(members.len()).ok().filter(|members| *members > 0))
}

impl Rule for StsPoolResized {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.scaled().filter(|(_, new)| *new > 0) else { return Ok(()) };
        if old == new {
            return Ok(());
        }
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let Some(members) = pack.members.as_ref().filter(|m| m.kind == MemberKind::Pool) else {
            return Ok(());
        };
        let fixed = if old > 0 { old } else { claimed(change, facts)?.unwrap_or(new) };
        if fixed == new {
            return Ok(());
        }
        let what = format!("its pool has a fixed number of members, {fixed} → {new}");
        let step = if old > 0 {
            remedy::keep(change, &"/spec/replicas".into(), &fixed.to_string())
        } else {
            remedy::amend(change, &format!("set replicas: {fixed}"))
        };
        let finding = findings.add("/spec/replicas", what);
        finding
            .values(Some(&old.to_string()), Some(&new.to_string()))
            .why(format!("{} ({})", members.why, members.source))
            .remedy(vec![step]);
        for step in pack.scale_down.iter().flat_map(|known| &known.steps) {
            finding.step(step.as_str());
        }
        Ok(())
    }
}
