use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// A set is created with `persistentVolumeClaimRetentionPolicy` `Delete`, for `whenDeleted` or
    /// `whenScaled`.
    ///
    /// ## Why
    /// Claims and their data are deleted with the set, or with the pods that a scale-down removes.
    /// That is right for caches and test systems. For a database, one mistake then needs a restore.
    ///
    /// ## Way out
    /// Leave the policy at `Retain`, the default. If the data may be deleted, say so with the `allow`
    /// annotation.
    StsRetentionDeleteCreate {
        id: "sts-retention-delete-create",
        title: "the claims of a new StatefulSet would be deleted with it or its pods",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "KEP-1847",
    }
}

impl Rule for StsRetentionDeleteCreate {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let retention = &set.spec.retention;
        for (field, value, what, why) in [
            (
                "whenDeleted",
                retention.when_deleted(),
                "its claims would be deleted with it",
                "Everyone who deletes the set deletes the data, too.",
            ),
            (
                "whenScaled",
                retention.when_scaled(),
                "a scale-down would delete claims",
                "A scale-down deletes the claim of each pod that it removes.",
            ),
        ] {
            if value != "Delete" || set.claim_templates()?.is_empty() {
                continue;
            }
            let pointer = Pointer::from("/spec/persistentVolumeClaimRetentionPolicy").key(field);
            let retain = remedy::default(change, &pointer, "Retain");
            findings
                .add(pointer, format!("{what}, as {field} is Delete"))
                .values(None, Some(value))
                .why(why)
                .remedy(vec![retain]);
        }
        Ok(())
    }
}
