use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, SpecDifference, arrow};
use crate::object::{Pointer, StatefulSet};

declare_rule! {
    /// Any other field changes that the API server does not let an UPDATE change, including the order
    /// of the claim templates. Its message lists the fields that may change, and never names the one
    /// that did.
    ///
    /// ## Why
    /// The API server compares claim templates as a whole: limits, selectors, data sources,
    /// attributes classes, even their status. Older releases reject more: `revisionHistoryLimit`
    /// before 1.34, `ordinals` before 1.26, `persistentVolumeClaimRetentionPolicy` before 1.23,
    /// `minReadySeconds` before 1.22.
    ///
    /// ## Way out
    /// Keep the field, or re-create the set around its running pods.
    StsSpecImmutable {
        id: "sts-spec-immutable",
        title: "another field of a StatefulSet changes that cannot change",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsSpecImmutable {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let frozen = frozen(change, old, new);
        let others = change.differences()?.iter().filter(|difference| {
            // A size that one side lacks can be compared with nothing.
            difference.kind == DifferenceKind::Other
                || difference.kind == DifferenceKind::TemplateStorage
                    && difference.sizes().is_none_or(|(_, before, after)| before == after)
        });
        for difference in others.chain(&frozen) {
            let values = (difference.old.as_deref(), difference.new.as_deref());
            let reordered = difference.field.as_str() == "/spec/volumeClaimTemplates";
            let what = match &difference.template {
                Some(template) => {
                    let below: Vec<String> = difference.field.tokens().skip(4).collect();
                    format!("claim template {template}: {} would change", below.join("."))
                }
                None if reordered => "claim templates would change places".to_owned(),
                None => format!("{} would change", difference.field.dotted()),
            };
            let mut steps = vec![remedy::keep_old(change, difference)];
            if reordered {
                steps = vec![remedy::say(format!(
                    "keep their order {}: {}",
                    remedy::manifest_place(change.circumstances.tool),
                    difference.old.as_deref().unwrap_or_default()
                ))];
            } else {
                let operations = remedy::take_over(change, difference)?;
                let field = difference.field.as_str();
                let class = difference.new.as_deref();
                let lead = match (&difference.template, class) {
                    // The one field of an existing claim that may change beside its size.
                    (Some(template), Some(class))
                        if field.ends_with("/spec/volumeAttributesClassName") =>
                    {
                        let patch = format!("{{\"volumeAttributesClassName\":\"{class}\"}}");
                        steps.extend(remedy::otherwise(
                            "or ",
                            remedy::patch_claims(
                                change,
                                old,
                                template,
                                "give {claims} the class; the driver has to support it, no pod restarts",
                                &patch,
                            ),
                        ));
                        "then, for the claims of later pods, "
                    }
                    (Some(_), _) => "or, for the claims of later pods only, ",
                    (None, _) => "or ",
                };
                steps.extend(remedy::otherwise(lead, remedy::recreate(change, old, operations)?));
            }
            findings
                .add(difference.field.clone(), format!("{what}, {}", arrow(values.0, values.1)))
                .old_field(difference.old_field.clone())
                .values(values.0, values.1)
                .why(if reordered {
                    "Kubernetes compares claim templates by their order and rejects every change."
                } else {
                    "Kubernetes rejects a change of this field, and its own message does not name it."
                })
                .remedy(steps);
        }
        Ok(())
    }
}

/// The fields that only newer releases let an edit change.
fn frozen(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
) -> Vec<SpecDifference> {
    let minor = change.circumstances.kubernetes.minor;
    let number = |value: Option<i64>, default: i64| Some(value.unwrap_or(default).to_string());
    let start = |set: &StatefulSet<'_>| {
        set.spec.ordinals.as_ref().map(|ordinals| ordinals.start.unwrap_or(0).to_string())
    };
    let deleted = |set: &StatefulSet<'_>| Some(set.spec.retention.when_deleted().to_owned());
    let scaled = |set: &StatefulSet<'_>| Some(set.spec.retention.when_scaled().to_owned());
    let limit = |set: &StatefulSet<'_>| number(set.spec.revision_history_limit, 10);
    let seconds = |set: &StatefulSet<'_>| number(set.spec.min_ready_seconds, 0);
    [
        // Seen on 1.35, absent on 1.31.4 (kubernetes#130263); the release between is unverified.
        (34, "/spec/revisionHistoryLimit", limit(old), limit(new)),
        (26, "/spec/ordinals/start", start(old), start(new)),
        (23, "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted", deleted(old), deleted(new)),
        (23, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled", scaled(old), scaled(new)),
        (22, "/spec/minReadySeconds", seconds(old), seconds(new)),
    ]
    .into_iter()
    .filter(|(since, _, before, after)| minor < *since && before != after)
    .map(|(_, field, before, after)| SpecDifference {
        kind: DifferenceKind::Other,
        template: None,
        field: Pointer::from(field),
        old_field: Pointer::from(field),
        old: before,
        new: after,
    })
    .collect()
}
