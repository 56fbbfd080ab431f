use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// `persistentVolumeClaimRetentionPolicy` changes from `Retain` to `Delete`, for `whenDeleted` or
    /// `whenScaled`. The rule warns if the set has no pods, and none that are still being removed.
    ///
    /// ## Why
    /// The controller gives the existing claims an owner reference. From then on, claims and their
    /// data are deleted with the set, or with the pods that a scale-down removes. Even an orphan
    /// delete right after the edit can delete claims.
    ///
    /// ## Way out
    /// Keep `Retain` and delete claims one at a time when their data is no longer needed. If the data
    /// of a set may always be deleted, say so with the `allow` annotation.
    StsRetentionToDelete {
        id: "sts-retention-to-delete",
        title: "existing claims would be deleted with the StatefulSet or its pods",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "KEP-1847; kubernetes pkg/controller/statefulset/stateful_set_utils.go",
    }
}

impl Rule for StsRetentionToDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let (before, after) = (&old.spec.retention, &new.spec.retention);
        let idle = old.is_idle()? && new.spec.replicas() <= 0;
        let last = old.ordinals().end.saturating_sub(1);
        for (field, before, after, what, why) in [
            (
                "whenDeleted",
                before.when_deleted(),
                after.when_deleted(),
                "claims would be deleted with the set",
                "The set would own its existing claims: everyone who deletes the set later deletes the data, too."
                    .to_owned(),
            ),
            (
                "whenScaled",
                before.when_scaled(),
                after.when_scaled(),
                "a scale-down would delete claims",
                format!(
                    "A scale-down would delete the claim of each pod that it removes, {}-{} first.",
                    change.name,
                    last.max(0)
                ),
            ),
        ] {
            if before == "Delete" || after != "Delete" || new.claim_templates()?.is_empty() {
                continue;
            }
            let pointer = Pointer::from("/spec/persistentVolumeClaimRetentionPolicy").key(field);
            let keep = remedy::keep(change, &pointer, "Retain");
            let finding = findings.add(pointer, format!("{what}, {field} {before} → {after}"));
            finding.values(Some(before), Some(after)).why(why).remedy(vec![
                keep,
                remedy::say("delete claims one at a time when their data is no longer needed"),
            ]);
            // The controller binds the claims of pods that exist, and there are none.
            if idle {
                finding.unsure();
            }
        }
        Ok(())
    }
}
