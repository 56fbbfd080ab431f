use super::pvc_expand_pretended::Growth;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A claim grows whose StorageClass allows expansion, and its driver cannot expand volumes.
    ///
    /// ## Why
    /// The API server looks at `allowVolumeExpansion` only, and accepts. Nothing carries the expansion out,
    /// so the claim waits for ever, and the full disk stays full. The request cannot be taken back either:
    /// Kubernetes accepts a lower one only above the size of the volume. Some charts set
    /// `allowVolumeExpansion: true` for drivers that cannot expand volumes.
    ///
    /// ## Way out
    /// Create a larger claim of a class whose driver expands volumes, and copy the data. `stateward drivers`
    /// lists what drivers can do, with sources. Of a driver that is not in the list the rule says nothing.
    PvcExpandDriverCannot {
        id: "pvc-expand-driver-cannot",
        title: "a claim grows whose driver cannot expand volumes",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "docs/storage-patterns.md; local-path-provisioner#318",
    }
}

impl Rule for PvcExpandDriverCannot {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(growth) = Growth::of(change, facts)? else { return Ok(()) };
        let Some(why) = growth.driver.no_expansion() else { return Ok(()) };
        growth
            .finding(findings, "which its driver cannot do")
            .why(format!("StorageClass {} {why}. See {}.", growth.class, why.source()))
            .remedy(vec![
                growth.keep(change),
                remedy::say("or create a larger claim of a class whose driver can expand volumes, and copy the data"),
                growth.explain(),
            ]);
        Ok(())
    }
}
