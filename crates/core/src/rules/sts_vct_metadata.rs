use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::object::immutable::{DifferenceKind, SpecDifference, arrow};

declare_rule! {
    /// Labels, annotations or other metadata of a claim template change. The API server rejects this
    /// edit.
    ///
    /// ## Why
    /// This is the most common rejection: a chart puts its version into the labels of its claim
    /// templates, and every upgrade fails from then on. Existing claims would not get the new labels
    /// anyway.
    ///
    /// ## Way out
    /// Keep the metadata, or let the policy restore it (`claim-template-metadata: restore`). If new
    /// claims need new labels, re-create the set around its running pods.
    StsVctMetadata {
        id: "sts-vct-metadata",
        title: "the metadata of a claim template changes",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate; kubernetes#58007",
    }
}

impl Rule for StsVctMetadata {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.updated_set() else { return Ok(()) };
        let drift: Vec<&SpecDifference> = change
            .differences()?
            .iter()
            .filter(|difference| difference.kind == DifferenceKind::TemplateMetadata)
            .collect();
        // One finding for each template: a chart changes several labels at once.
        for group in drift.chunk_by(|a, b| a.old_template() == b.old_template()) {
            let first = group[0];
            let (Some(template), Some(index)) = (first.template.as_deref(), first.template_index())
            else {
                continue;
            };
            // Without its prefix: the whole key does not fit a line, and stands in the field.
            let key = first.field.tokens().last().unwrap_or_default();
            let key: String = key.rsplit('/').next().unwrap_or_default().chars().take(32).collect();
            let sort = match first.field.tokens().nth(4).as_deref() {
                Some("labels") => "label ",
                Some("annotations") => "annotation ",
                _ => "",
            };
            let values = (first.old.as_deref(), first.new.as_deref());
            let more = match group.len() {
                1 => String::new(),
                count => format!(", and {} more", count - 1),
            };
            let mut operations = vec![remedy::test_template(index, template)];
            let mut parts: Vec<(Pointer, Pointer)> = group.iter().map(|d| part(d)).collect();
            parts.dedup();
            for (old_part, part) in &parts {
                operations.extend(remedy::transplant(change, old_part, part)?);
            }
            let mut steps: Vec<_> =
                group.iter().take(2).map(|d| remedy::keep_old(change, d)).collect();
            if group.len() > 2 {
                steps.truncate(1);
                steps.push(remedy::say(format!(
                    "and the same for {} other labels and annotations of it",
                    group.len() - 1
                )));
            }
            steps.extend(remedy::otherwise(
                "or, for the claims of later pods only, ",
                remedy::recreate(change, old, operations)?,
            ));
            findings
                .add(
                    first.field.clone(),
                    format!(
                        "claim template {template}: {sort}{key} would change, {}{more}",
                        arrow(values.0, values.1)
                    ),
                )
                .old_field(first.old_field.clone())
                .values(values.0, values.1)
                .why("Kubernetes rejects every change of a claim template, even of its metadata.")
                .remedy(steps);
        }
        Ok(())
    }
}

/// The map that a difference is in, such as the labels of its template: what is taken over as a
/// whole.
fn part(difference: &SpecDifference) -> (Pointer, Pointer) {
    let cut = |pointer: &Pointer| {
        pointer.tokens().take(5).fold(Pointer::default(), |at, token| at.key(&token))
    };
    (cut(&difference.old_field), cut(&difference.field))
}
