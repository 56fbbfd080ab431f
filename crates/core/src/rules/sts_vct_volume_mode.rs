use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// A claim template changes between `Filesystem` and `Block`. The API server rejects this edit.
    ///
    /// ## Why
    /// Existing volumes keep their mode. Data written in one mode cannot be read in the other, and a
    /// pod template fits only one of them.
    ///
    /// ## Way out
    /// Keep the mode. If you need the other one, create a second set and let the database copy its
    /// data.
    StsVctVolumeMode {
        id: "sts-vct-volume-mode",
        title: "the volume mode of a claim template changes",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsVctVolumeMode {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        for (template, difference) in
            change.template_differences(DifferenceKind::TemplateVolumeMode)?
        {
            let (before, after) = (difference.old.as_deref(), difference.new.as_deref());
            findings
                .add(
                    difference.field.clone(),
                    format!(
                        "claim template {template}: volumeMode would change, {}",
                        arrow(before, after)
                    ),
                )
                .old_field(difference.old_field.clone())
                .values(before, after)
                .why(
                    "Existing volumes keep their mode, and data written in one mode cannot be read in the other.",
                )
                .remedy(vec![
                    remedy::keep_old(change, difference),
                    remedy::say(format!(
                        "it cannot change in place: for {} volumes, create a second set and copy the data",
                        after.unwrap_or_default()
                    )),
                ]);
        }
        Ok(())
    }
}
