use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// The access modes of a claim template change. The API server rejects this edit.
    ///
    /// ## Why
    /// Existing claims keep their modes. If the set is re-created, its claims have different modes.
    ///
    /// ## Way out
    /// Keep the modes. To use other modes for later pods only, re-create the set around its running
    /// pods. To use them for existing data, copy it to a second set.
    StsVctAccessModes {
        id: "sts-vct-access-modes",
        title: "the access modes of a claim template change",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsVctAccessModes {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.updated_set() else { return Ok(()) };
        for (template, difference) in
            change.template_differences(DifferenceKind::TemplateAccessModes)?
        {
            let values = (difference.old.as_deref(), difference.new.as_deref());
            let mut steps = vec![remedy::keep_old(change, difference)];
            let operations = remedy::take_over(change, difference)?;
            steps.extend(remedy::otherwise(
                "or, for the claims of later pods only, ",
                remedy::recreate(change, old, operations)?,
            ));
            findings
                .add(
                    difference.field.clone(),
                    format!(
                        "claim template {template}: accessModes would change, {}",
                        arrow(short(values.0).as_deref(), short(values.1).as_deref())
                    ),
                )
                .old_field(difference.old_field.clone())
                .values(values.0, values.1)
                .why("Existing claims keep their modes, so the claims of the set would differ.")
                .remedy(steps);
        }
        Ok(())
    }
}

/// The modes as `kubectl get pvc` prints them: two lists of full names do not fit a line.
fn short(modes: Option<&str>) -> Option<String> {
    let short = |mode| match mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        other => other,
    };
    Some(modes?.split(',').map(short).collect::<Vec<_>>().join(","))
}
