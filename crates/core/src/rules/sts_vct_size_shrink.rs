use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::growth::was_resized;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// A claim template asks for less storage than before.
    ///
    /// ## Why
    /// Claims cannot shrink. Even if the set is re-created, its existing volumes stay as they are.
    /// Only later ones would be smaller, and the members of the set would differ.
    ///
    /// The usual cause is an old manifest: the set was resized in the cluster, and Git or the chart's
    /// values still hold the old size.
    ///
    /// ## Way out
    /// Keep the size, and raise it in the place that holds the manifest. If you need smaller volumes,
    /// create a second set and let the database copy its data.
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

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
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
            let (namespace, name) = (&change.namespace, &change.name);
            let resized = was_resized(old, namespace, name, template, &before, facts);
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
                        "The set was resized to {size} in the cluster, and this manifest still has the old size. Claims cannot shrink."
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
                "no volume can shrink safely: for smaller ones, create a second set and copy the data",
            );
        }
        Ok(())
    }
}
