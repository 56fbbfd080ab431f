use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::DifferenceKind;

declare_rule! {
    /// A claim template is added, which the API server lets no UPDATE do.
    ///
    /// ## Why
    /// A running pod cannot take on another volume. A set that is re-created with one more
    /// template adopts its pods, makes the new claims, and then fails to update the pods, again
    /// and again, until each has been replaced.
    ///
    /// ## Way out
    /// Re-create the set around its pods, then delete the pods one at a time, from the first
    /// ordinal on. Every pod restarts once.
    StsVctAdded {
        id: "sts-vct-added",
        title: "a claim template is added",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate; kubernetes#69041",
    }
}

impl Rule for StsVctAdded {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let added: Vec<_> = change
            .differences()?
            .iter()
            .filter(|difference| difference.kind == DifferenceKind::TemplateAdded)
            .collect();
        let Some(first) = added.first() else { return Ok(()) };
        let names: Vec<&str> = added.iter().filter_map(|d| d.template.as_deref()).collect();
        // The whole edit goes into the new set, so that its pods restart once and not twice.
        let mut operations = Vec::new();
        for field in ["/spec/volumeClaimTemplates", "/spec/template"] {
            operations.extend(remedy::transplant(change, &field.into(), &field.into())?);
        }
        if old.spec.template.same_bytes(&new.spec.template) {
            operations.pop();
        }
        let list = names.join(", ");
        let noun = if names.len() == 1 { "claim template" } else { "claim templates" };
        let mut steps = vec![remedy::say(format!(
            "leave {noun} {list} out {}",
            remedy::manifest_place(change.circumstances.tool)
        ))];
        let recreation = remedy::Recreation {
            operations,
            pods: Some("its pods are adopted, and run on without the new volume"),
            complete: true,
        };
        steps.extend(remedy::otherwise("or ", recreation.steps(change, old)?));
        steps.extend(remedy::replace_pods(change, old));
        let what = format!("{noun} {list} would be added");
        findings
            .add(first.field.clone(), what)
            .old_field(first.old_field.clone())
            .values(None, Some(&list))
            .why(
                "A running pod cannot take on a volume: the set has to be re-created, and every \
                 pod restarted.",
            )
            .remedy(steps);
        Ok(())
    }
}
