use serde_json::json;

use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::object::immutable::{DifferenceKind, SpecDifference, arrow};
use crate::object::selector::LabelSelector;

declare_rule! {
    /// `spec.selector` changes. The API server rejects this edit.
    ///
    /// ## Why
    /// A set owns the pods that its selector matches. If it is re-created with a selector that its
    /// running pods do not match, nobody owns them, and the set cannot start its own pods because the
    /// names are taken.
    ///
    /// ## Way out
    /// Keep the selector. If only labels are added, add them to the pod template first, let that roll
    /// out, then re-create the set. If a label changes its value, such as a chart version, leave that
    /// label out of the selector: the running pods match what is left.
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
        let differences: Vec<&SpecDifference> = change
            .differences()?
            .iter()
            .filter(|difference| difference.kind == DifferenceKind::Selector)
            .collect();
        let Some(first) = differences.first() else { return Ok(()) };
        let (before, after) = (old.selector()?, new.selector()?);
        let place = remedy::manifest_place(change.circumstances.tool);
        let mut steps = vec![keep(change, first)];
        // A label has one value, so no pod can match both selectors.
        let clash = before
            .match_labels
            .iter()
            .any(|(key, value)| after.match_labels.get(key).is_some_and(|new| new != value));
        let (unlike_old, unlike_new) = (unlike(before, after), unlike(after, before));
        // What both ask for, the running pods have.
        let common = unlike_new.len() < after.match_labels.iter().count()
            && before.match_expressions == after.match_expressions;
        if after.matches(&old.template()?.metadata.labels) {
            let at = "/spec/selector";
            let operations = remedy::transplant(change, &at.into(), &at.into())?;
            steps.extend(remedy::otherwise(
                "or, because the running pods match the new one, too, ",
                remedy::recreate(change, old, Vec::from_iter(operations))?,
            ));
        } else if !clash {
            steps.push(remedy::say(format!(
                "or first add labels to spec.template.metadata.labels {place} until they match \
                 both selectors"
            )));
            steps.push(remedy::say(
                "that restarts the pods one at a time; then make this edit again",
            ));
        } else if common {
            let keys = unlike_new.join(" and ");
            let operations = unlike_old
                .iter()
                .map(|key| {
                    let path = Pointer::from("/spec/selector/matchLabels").key(key);
                    json!({"op": "remove", "path": path.as_str()})
                })
                .collect();
            steps.push(remedy::say(format!(
                "or leave {keys} out of the selector {place}: the running pods match what is left"
            )));
            steps.extend(remedy::otherwise("then ", remedy::recreate(change, old, operations)?));
        } else {
            steps.push(remedy::say(
                "or create a second set with the new selector and let the database copy its data: \
                 no pod can match both",
            ));
        }
        let key = first
            .field
            .tokens()
            .nth(3)
            .filter(|_| first.field.as_str().starts_with("/spec/selector/matchLabels/"));
        let more = match differences.len() {
            1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        let (old_text, new_text) = (first.old.clone(), first.new.clone());
        let arrow = arrow(old_text.as_deref(), new_text.as_deref());
        let what = match key {
            // Without its prefix, unless another label ends alike: the whole key stands in the field.
            Some(key) => {
                let key = short(&key, before, after);
                format!("selector would change, label {key} {arrow}{more}")
            }
            None => format!("selector would change, {arrow}{more}"),
        };
        findings
            .add(first.field.clone(), what)
            .old_field(first.old_field.clone())
            .values(old_text.as_deref(), new_text.as_deref())
            .why(
                "A set owns the pods that its selector matches, and Kubernetes rejects every change of it.",
            )
            .remedy(steps);
        Ok(())
    }
}

/// The labels of `selector` that `other` does not ask for with the same value.
fn unlike<'s>(selector: &'s LabelSelector<'_>, other: &LabelSelector<'_>) -> Vec<&'s str> {
    let labels = selector.match_labels.iter();
    let unlike = labels.filter(|(key, value)| other.match_labels.get(key) != Some(*value));
    unlike.map(|(key, _)| key).collect()
}

/// The last part of a label's key, or the whole key if another label ends alike.
fn short<'k>(key: &'k str, old: &LabelSelector<'_>, new: &LabelSelector<'_>) -> &'k str {
    let last = |key: &'k str| key.rsplit('/').next().unwrap_or_default();
    let mut others = old.match_labels.keys().chain(new.match_labels.keys());
    let alike = |other: &str| other != key && other.rsplit('/').next() == key.rsplit('/').next();
    if others.any(alike) { key } else { last(key) }
}

/// Takes the difference back, in the words of the label that it is about.
fn keep(change: &Change<'_>, difference: &SpecDifference) -> super::Step {
    let place = remedy::manifest_place(change.circumstances.tool);
    let label = difference.field.tokens().nth(3);
    match (label, &difference.old) {
        (Some(key), Some(value)) if difference.field.as_str().contains("/matchLabels/") => {
            remedy::say(format!("keep {key}: {value} in spec.selector.matchLabels {place}"))
        }
        (Some(key), None) if difference.field.as_str().contains("/matchLabels/") => {
            remedy::say(format!("leave {key} out of spec.selector.matchLabels {place}"))
        }
        _ => remedy::keep_old(change, difference),
    }
}
