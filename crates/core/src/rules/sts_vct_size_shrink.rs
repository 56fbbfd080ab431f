use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::annotations::RESIZE_ID;
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
    /// The usual cause is an old manifest: the set was resized in the cluster, and Git or the
    /// chart's values still hold the size from before.
    ///
    /// ## Way out
    /// Keep the size, and raise it where the manifest is kept. Where smaller volumes are really
    /// wanted, create a second set with them and let the database copy its data over.
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

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.updated_set() else { return Ok(()) };
        for difference in change.differences()? {
            let Some((template, before, after)) = difference.sizes() else { continue };
            if difference.kind != DifferenceKind::TemplateStorage || after >= before {
                continue;
            }
            let values = (difference.old.as_deref(), difference.new.as_deref());
            let size = values.0.unwrap_or_default();
            let place = remedy::manifest_place(change.circumstances.tool);
            let field = difference.field.dotted();
            let resized = old.metadata.annotations.get(RESIZE_ID).is_some();
            let finding = findings
                .add(
                    difference.field.clone(),
                    format!(
                        "claim template {template} would shrink, {}",
                        arrow(values.0, values.1)
                    ),
                )
                .old_field(difference.old_field.clone())
                .values(values.0, values.1);
            if resized {
                finding
                    .why(format!(
                        "The set was resized to {size} in the cluster, which this manifest does \
                         not know yet, and claims cannot shrink."
                    ))
                    .step(format!("raise {field} to {size} {place}, then apply it again"));
            } else {
                let claims = match old.spec.replicas() {
                    1 => "the existing volume would stay as it is".to_owned(),
                    count => format!("the {count} existing volumes would stay as they are"),
                };
                finding
                    .why(format!(
                        "Claims cannot shrink: {claims}, and only later ones would be smaller."
                    ))
                    .remedy(vec![remedy::keep(change, &difference.field, size)]);
            }
            finding.step(
                "there is no safe way to shrink a volume; for smaller ones create a second set \
                 and copy the data over",
            );
        }
        Ok(())
    }
}
