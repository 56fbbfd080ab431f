use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// The StorageClass of a claim template changes. The API server rejects this edit.
    ///
    /// ## Why
    /// A claim keeps its class for life. If the set is re-created, its existing volumes stay as they
    /// are. Only the claims of later pods would use the new class.
    ///
    /// ## Way out
    /// Keep the class. To move the data, create a second set with the new class and let the database
    /// copy its data. To use the new class for later pods only, re-create the set around its running
    /// pods.
    StsVctStorageClass {
        id: "sts-vct-storage-class",
        title: "the StorageClass of a claim template changes",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsVctStorageClass {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.updated_set() else { return Ok(()) };
        for (template, difference) in
            change.template_differences(DifferenceKind::TemplateStorageClass)?
        {
            let values = (difference.old.as_deref(), difference.new.as_deref());
            let operations = remedy::take_over(change, difference)?;
            let class = match values.1 {
                None => "the default class".to_owned(),
                Some("") => "no class".to_owned(),
                Some(class) => format!("class {class}"),
            };
            let mut steps = vec![
                remedy::keep_old(change, difference),
                remedy::say(format!(
                    "to move the data, create a second set with {class} and copy the data"
                )),
            ];
            steps.extend(remedy::otherwise(
                "or, for the claims of later pods only, ",
                remedy::recreate(change, old, operations)?,
            ));
            findings
                .add(
                    difference.field.clone(),
                    format!(
                        "claim template {template}: storageClassName would change, {}",
                        arrow(values.0, values.1)
                    ),
                )
                .old_field(difference.old_field.clone())
                .values(values.0, values.1)
                .why(
                    "A claim keeps its class for life. Only the volumes of later pods would use the new class.",
                )
                .remedy(steps);
        }
        Ok(())
    }
}
