use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Claim;
use crate::object::claim::BETA_CLASS;
use crate::object::immutable::{SpecDifference, arrow};

declare_rule! {
    /// A field of a claim changes that stays as it is for the claim's life.
    ///
    /// ## Why
    /// Of the spec of a claim only `resources.requests.storage` and `volumeAttributesClassName`
    /// may change, and those once it is bound; `volumeName` may be set once, and a class may be
    /// named where none was. All else describes a volume that exists already.
    ///
    /// ## Way out
    /// Keep the field. For another kind of volume create a second claim and copy the data over.
    PvcImmutableEdit {
        id: "pvc-immutable-edit",
        title: "a fixed field of a claim changes",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "kubernetes pkg/apis/core/validation/validation.go ValidatePersistentVolumeClaimUpdate",
    }
}

/// The first release in which an attributes class can change (KEP-3751 is on by default).
const ATTRIBUTES_CLASSES_SINCE: u16 = 34;

impl Rule for PvcImmutableEdit {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_claim() else { return Ok(()) };
        let mut unjudged = Ok(());
        let differences = change.differences()?;
        // The server copies one into the other, so that both differ.
        let source = differences.iter().any(|d| is_below(d, "/spec/dataSource"));
        for difference in differences {
            if source && is_below(difference, "/spec/dataSourceRef") {
                continue;
            }
            match refused(change, old, new, difference) {
                Ok(false) => {}
                Ok(true) => add(change, difference, findings),
                Err(needs) => unjudged = Err(needs),
            }
        }
        let annotation = |claim: &Claim<'_>| {
            claim.metadata.annotations.get(BETA_CLASS).unwrap_or_default().to_owned()
        };
        let (before, after) = (annotation(old), annotation(new));
        if before != after && !upgrades_annotation(old, new) {
            let field = crate::object::Pointer::from("/metadata/annotations").key(BETA_CLASS);
            let keep = if before.is_empty() {
                format!("leave {} out {}", field.dotted(), place(change))
            } else {
                format!("keep {}: {before} {}", field.dotted(), place(change))
            };
            findings
                .add(
                    field,
                    format!(
                        "its class annotation would change, {}",
                        arrow(Some(&before), Some(&after))
                    ),
                )
                .values(Some(&before), Some(&after))
                .why("The annotation names the class of a volume that already exists.")
                .step(keep);
        }
        unjudged
    }
}

fn is_below(difference: &SpecDifference, field: &str) -> bool {
    let below = difference.field.as_str().strip_prefix(field);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn place(change: &Change<'_>) -> &'static str {
    remedy::manifest_place(change.circumstances.tool)
}

/// Whether the server refuses this difference, and no other rule speaks of it.
fn refused(
    change: &Change<'_>,
    old: &Claim<'_>,
    new: &Claim<'_>,
    difference: &SpecDifference,
) -> Result<bool, Unjudged> {
    Ok(match difference.field.as_str() {
        // pvc-shrink, pvc-expand-unbound and pvc-invalid-value
        "/spec/resources/requests/storage" => false,
        "/spec/volumeName" => !old.spec.volume_name.is_empty(),
        "/spec/storageClassName" => !names_first_class(old, new) && !upgrades_annotation(old, new),
        "/spec/volumeAttributesClassName" => {
            if change.circumstances.kubernetes.minor < ATTRIBUTES_CLASSES_SINCE {
                // A first one is dropped in silence.
                old.spec.volume_attributes_class_name.is_some()
            } else {
                match &old.status {
                    Some(status) => !status.is_bound(),
                    None => return Err(Unjudged::Needs(super::status())),
                }
            }
        }
        _ => true,
    })
}

/// `validateStorageClassUpgradeFromNil`
fn names_first_class(old: &Claim<'_>, new: &Claim<'_>) -> bool {
    let annotation = old.metadata.annotations.get(BETA_CLASS);
    match (&old.spec.storage_class_name, &new.spec.storage_class_name) {
        (None, Some(class)) => annotation.is_none_or(|annotation| annotation == class.as_str()),
        _ => false,
    }
}

/// `validateStorageClassUpgradeFromAnnotation`
fn upgrades_annotation(old: &Claim<'_>, new: &Claim<'_>) -> bool {
    let class = |claim: &Claim<'_>| claim.metadata.annotations.get(BETA_CLASS).map(str::to_owned);
    let (before, after) = (class(old), class(new));
    before.is_some()
        && old.spec.storage_class_name.is_none()
        && new.spec.storage_class_name.as_deref() == before.as_deref()
        && (after.is_none() || after == before)
}

fn add(change: &Change<'_>, difference: &SpecDifference, findings: &mut Findings) {
    let (before, after) = (difference.old.as_deref(), difference.new.as_deref());
    let name = difference.field.tokens().skip(1).collect::<Vec<_>>().join(".");
    let unbound = name == "volumeAttributesClassName";
    let finding = findings
        .add(difference.field.clone(), format!("{name} would change, {}", arrow(before, after)));
    finding
        .old_field(difference.old_field.clone())
        .values(before, after)
        .why(if unbound {
            "Kubernetes rejects a new attributes class until the claim is bound."
        } else {
            "It describes a volume that already exists, and Kubernetes rejects this edit."
        })
        .remedy(vec![remedy::keep_old(change, difference)]);
    if unbound {
        let command =
            format!("{} describe pvc {}", remedy::kubectl(change), remedy::quoted(&change.name));
        finding.command("or wait until it is bound; see what it waits for", command);
    } else {
        finding.step("for another kind of volume, create a second claim and copy the data");
    }
}
