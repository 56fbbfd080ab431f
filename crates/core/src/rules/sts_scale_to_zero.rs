use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set is scaled to zero, by an edit or through its scale.
    ///
    /// ## Why
    /// Every pod stops: the database is gone for its clients until it is scaled up again.
    /// Claims stay, unless `persistentVolumeClaimRetentionPolicy.whenScaled` is `Delete`.
    ///
    /// ## Way out
    /// Scale to the number that is wanted. Where the outage is meant, say so with the `allow`
    /// annotation.
    StsScaleToZero {
        id: "sts-scale-to-zero",
        title: "a StatefulSet is scaled to zero",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "kubernetes pkg/controller/statefulset; kubernetes#84530 (the scale bypass)",
    }
}

impl Rule for StsScaleToZero {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.scaled() else { return Ok(()) };
        if new != 0 || old <= 0 {
            return Ok(());
        }
        findings
            .add("/spec/replicas", format!("would be scaled to zero, {old} → 0"))
            .values(Some(&old.to_string()), Some("0"))
            .why("Every pod stops, so clients lose the service until it is scaled up again.")
            .command(
                "to undo it",
                format!(
                    "{} scale statefulset {} --replicas={old}",
                    remedy::kubectl(change),
                    change.name
                ),
            );
        Ok(())
    }
}
