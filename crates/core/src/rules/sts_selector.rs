use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// `spec.selector` changes, which the API server lets no UPDATE do.
    ///
    /// ## Why
    /// The selector says which pods are the set's. A set that is re-created with one that its
    /// running pods do not match leaves them to nobody, and cannot start its own, since the names
    /// are taken.
    ///
    /// ## Way out
    /// Keep the selector. A new one is safe once the running pods carry its labels: add those to
    /// the pod template, let that roll out, then re-create the set.
    StsSelector {
        id: "sts-selector",
        title: "the selector of a StatefulSet changes",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsSelector {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        if change.differences()?.iter().all(|found| found.kind != DifferenceKind::Selector) {
            return Ok(());
        }
        let (before, after) = (old.selector()?, new.selector()?);
        let (old_text, new_text) = (before.to_string(), after.to_string());
        let place = remedy::manifest_place(change.circumstances.tool);
        let mut steps = vec![remedy::say(format!("keep spec.selector {place}: {old_text}"))];
        if after.matches(&old.template()?.metadata.labels) {
            let at = "/spec/selector";
            let operations = remedy::transplant(change, &at.into(), &at.into())?;
            steps.extend(remedy::otherwise(
                "or, as the running pods match the new one too, ",
                remedy::recreate(change, old, Vec::from_iter(operations))?,
            ));
        } else {
            steps.push(remedy::say(format!(
                "or first add labels to spec.template.metadata.labels {place} until they match \
                 both selectors"
            )));
            steps.push(remedy::say(
                "that restarts the pods one at a time; then make this edit again",
            ));
        }
        findings
            .add(
                "/spec/selector",
                format!("selector would change, {}", arrow(Some(&old_text), Some(&new_text))),
            )
            .values(Some(&old_text), Some(&new_text))
            .why(
                "A set owns the pods that its selector matches, and Kubernetes lets no edit change \
                 it.",
            )
            .remedy(steps);
        Ok(())
    }
}
