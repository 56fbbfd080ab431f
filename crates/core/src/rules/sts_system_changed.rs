use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::packs::ImageReference;

declare_rule! {
    /// The image of a set becomes that of another system, which would start on the data of the first.
    ///
    /// ## Why
    /// The claims hold what the first system wrote. Another one reads it only if its vendor says so, as
    /// some do for a fork, and often with no way back. Otherwise its pods fail, or start with an empty
    /// folder beside the data.
    ///
    /// The rule knows both systems from their packs. It is silent if the container mounts no volume that
    /// outlives its pod.
    ///
    /// ## Way out
    /// Create a new set for the new system, and move the data with a dump or by replication.
    StsSystemChanged {
        id: "sts-system-changed",
        title: "another system would start on the data",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "the packs of both systems",
    }
}

impl Rule for StsSystemChanged {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let Some((old_set, _)) = written.old else { return Ok(()) };
        let (old, new) = (system::of(old_set, facts)?, system::of(written.set, facts)?);
        let Some((old, new)) = old.zip(new).filter(|(old, new)| old.name != new.name) else {
            return Ok(());
        };
        let containers = (system::container(old_set, &old)?, system::container(written.set, &new)?);
        let (Some((_, before)), Some((index, after))) = containers else { return Ok(()) };
        // Two packs may know one image, in different roles.
        let images = (ImageReference::parse(&before.image), ImageReference::parse(&after.image));
        let (Some(first), Some(second)) = images else { return Ok(()) };
        if first.is(&second) || second.is(&first) || !system::keeps_data(old_set, before)? {
            return Ok(());
        }
        let at = template::container("containers", index).key("image");
        let (from, to) = (&old.pack.title, &new.pack.title);
        findings
            .add(at.clone(), format!("another system would start on its data, {from} → {to}"))
            .values(Some(&before.image), Some(&after.image))
            .why(format!(
                "The data was written by {from}. {to} reads it only if its vendor says so, and there may be no way back."
            ))
            .remedy(vec![remedy::keep(change, &at, &before.image)])
            .step(format!("or create a new set for {to}, and move the data with a dump or by replication"));
        Ok(())
    }
}
