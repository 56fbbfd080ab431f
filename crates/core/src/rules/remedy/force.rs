//! Tools that delete and create again what Kubernetes does not let them edit.

use crate::change::Change;
use crate::object::{DecodeError, Kind, Metadata};
use crate::rules::Finding;

/// Adds to a refused edit what a tool does then that is told to force it: the refusal alone would read as
/// if nothing could happen.
///
/// # Errors
/// The field of the change that has the wrong type.
pub fn warn_of_force(change: &Change<'_>, finding: &mut Finding) -> Result<(), DecodeError> {
    let Some((_, new)) = change.objects.both() else { return Ok(()) };
    let Some((tool, setting)) = forced(&new.metadata) else { return Ok(()) };
    // An object with an invalid value could not be created either.
    if !change.differences()?.iter().any(|difference| difference.field == finding.field) {
        return Ok(());
    }
    let lost = match (change.kind, change.updated_set()) {
        (Kind::Claim, _) => "the claim, and its volume unless that is retained",
        (_, Some((old, _)))
            if old.spec.retention.when_deleted() == "Delete"
                && !old.claim_templates()?.is_empty() =>
        {
            "the set, its pods and its claims"
        }
        _ => "the set and all of its pods",
    };
    let again = format!(" With {setting}, {tool} then deletes {lost}, and creates it again.");
    finding.why.push_str(&again);
    Ok(())
}

/// The tool that forces edits of this object, and the setting by which it does.
fn forced(metadata: &Metadata<'_>) -> Option<(&'static str, &'static str)> {
    const FLUX: &str = "kustomize.toolkit.fluxcd.io/force";
    let (labels, annotations) = (&metadata.labels, &metadata.annotations);
    let values = [annotations.get(FLUX), labels.get(FLUX)].into_iter().flatten();
    if values.into_iter().any(|value| value.eq_ignore_ascii_case("enabled")) {
        return Some(("Flux", FLUX));
    }
    let options = annotations.get("argocd.argoproj.io/sync-options")?;
    let force = options.split(',').any(|option| option.trim() == "Force=true");
    force.then_some(("Argo CD", "Force=true"))
}
