use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// A claim template asks for less storage than before.
    ///
    /// ## Why
    /// Claims cannot shrink. Even a re-created set would leave its existing volumes as they are
    /// and only make later ones smaller, which then differ from their siblings.
    ///
    /// ## Way out
    /// Keep the size. Where the smaller volumes are really wanted, create a second set with them
    /// and let the database copy its data over.
    StsVctSizeShrink {
        id: "sts-vct-size-shrink",
        title: "a claim template shrinks",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsVctSizeShrink {
    type Params = NoParams;
    const META: super::Meta = Self::DESCRIPTION;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        for difference in change.differences()? {
            let (DifferenceKind::TemplateStorage, Some(template)) =
                (difference.kind, difference.template.as_deref())
            else {
                continue;
            };
            let size = |set: &crate::object::StatefulSet<'_>| {
                Ok::<_, crate::object::DecodeError>(
                    set.claim_template(template)?.and_then(|(_, claim)| {
                        claim.spec.storage().map(|size| size.quantity.clone())
                    }),
                )
            };
            let (Some(before), Some(after)) = (size(old)?, size(new)?) else { continue };
            if after >= before {
                continue;
            }
            let values = (difference.old.as_deref(), difference.new.as_deref());
            findings
                .add(
                    difference.field.clone(),
                    format!("claim template {template} would shrink, {}", arrow(values.0, values.1)),
                )
                .old_field(difference.old_field.clone())
                .values(values.0, values.1)
                .why(format!(
                    "Claims cannot shrink: the {} existing volumes would stay as they are, and only \
                     later ones would be smaller.",
                    old.spec.replicas()
                ))
                .remedy(vec![
                    remedy::keep(change, &difference.field, values.0.unwrap_or_default()),
                    remedy::say(
                        "there is no safe way to shrink; for smaller volumes create a second set \
                         and copy the data over",
                    ),
                ]);
        }
        Ok(())
    }
}
