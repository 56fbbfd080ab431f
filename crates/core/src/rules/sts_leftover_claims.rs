use super::{Findings, Judged, NoParams, Rule, remedy, system};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set is scaled up, and a claim of a member that was removed earlier is still there.
    ///
    /// ## Why
    /// The new pod gets the old claim with the old identity in it. Some systems do not let a removed member
    /// come back: etcd refuses it, CockroachDB and Cassandra do not start, and others join with data that
    /// is long out of date. The rule knows such systems from their packs.
    ///
    /// ## Way out
    /// Look whether anything on the claim is still wanted, delete it, and then scale up.
    StsLeftoverClaims {
        id: "sts-leftover-claims",
        title: "a new member would get the claim of one that was removed",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "the pack of the system",
    }
}

/// The most claims that the message names.
const NAMED: usize = 2;

impl Rule for StsLeftoverClaims {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.scaled().filter(|(old, new)| new > old && *old > 0) else {
            return Ok(());
        };
        let Some((_, pack)) = system::pack(change, facts)? else { return Ok(()) };
        let Some(known) = &pack.scale_up else { return Ok(()) };
        let Some(why) = &known.leftover_claims else { return Ok(()) };
        let (first, mut claims) = system::claims(change, facts)?;
        let added = first.saturating_add(old)..first.saturating_add(new);
        claims.retain(|claim| added.contains(&claim.ordinal));
        claims.sort_by(|a, b| (a.ordinal, a.name).cmp(&(b.ordinal, b.name)));
        if claims.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = claims.iter().take(NAMED).map(|claim| claim.name).collect();
        let more = claims.len().saturating_sub(NAMED);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let quoted: Vec<String> = names.iter().map(|name| remedy::quoted(name)).collect();
        let kubectl = remedy::kubectl(change);
        findings
            .add(
                "/spec/replicas",
                format!("new members would get old claims: {}{rest}", names.join(", ")),
            )
            .values(Some(&old.to_string()), Some(&new.to_string()))
            .why(format!("{why} ({})", known.source))
            .command(
                "look at the claims, and delete them if a member was removed for good",
                format!("{kubectl} delete persistentvolumeclaim {}", quoted.join(" ")),
            )
            .step("then scale up again");
        Ok(())
    }
}
