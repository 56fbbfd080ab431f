use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// `persistentVolumeClaimRetentionPolicy` turns from `Retain` to `Delete`, for `whenDeleted`
    /// or for `whenScaled`.
    ///
    /// ## Why
    /// The controller gives the claims that already exist an owner reference. From then on a
    /// deleted set, or a pod that is scaled away, takes its claims and their data along. An
    /// orphan delete within the first moments after the edit can lose claims too.
    ///
    /// ## Way out
    /// Keep `Retain` and delete claims one at a time when their data is no longer needed. For
    /// sets whose data may always go, say so with the `allow` annotation.
    StsRetentionToDelete {
        id: "sts-retention-to-delete",
        title: "existing claims become bound to the life of the StatefulSet or its pods",
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
        let last = old.ordinals().end - 1;
        for (field, before, after, what, why) in [
            (
                "whenDeleted",
                before.when_deleted(),
                after.when_deleted(),
                "claims would be deleted with the set",
                "The claims that exist would become the set's own: whoever deletes the set later \
                 deletes the data too."
                    .to_owned(),
            ),
            (
                "whenScaled",
                before.when_scaled(),
                after.when_scaled(),
                "a scale-down would delete claims",
                format!(
                    "A pod that is scaled away, {}-{} first, would take its claim along, and come \
                     back empty.",
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
            findings
                .add(pointer, format!("{what}, {field} {before} → {after}"))
                .values(Some(before), Some(after))
                .why(why)
                .remedy(vec![
                    keep,
                    remedy::say("delete claims one by one when nothing needs their data any more"),
                ]);
        }
        Ok(())
    }
}
