//! Tools that delete and create again what Kubernetes does not let them edit.

use crate::change::Change;
use crate::object::{DecodeError, Kind, Metadata, Pointer};
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

/// The annotation, or label, by which Flux forces edits of an object.
pub const FLUX_FORCE: &str = "kustomize.toolkit.fluxcd.io/force";

/// The annotation that holds options of Argo CD for an object.
pub const SYNC_OPTIONS: &str = "argocd.argoproj.io/sync-options";

/// The tool that forces edits of this object, and the setting by which it does.
fn forced(metadata: &Metadata<'_>) -> Option<(&'static str, &'static str)> {
    if flux_forces(metadata).is_some() {
        return Some(("Flux", FLUX_FORCE));
    }
    has_sync_option(metadata, "Force=true").then_some(("Argo CD", "Force=true"))
}

/// Where Flux is told to force, and the value. It reads annotations and labels, in any case.
pub fn flux_forces<'m>(metadata: &'m Metadata<'_>) -> Option<(Pointer, &'m str)> {
    let maps = [("annotations", &metadata.annotations), ("labels", &metadata.labels)];
    maps.into_iter().find_map(|(at, map)| {
        let value = map.get(FLUX_FORCE).filter(|value| value.eq_ignore_ascii_case("enabled"))?;
        Some((Pointer::from("/metadata").key(at).key(FLUX_FORCE), value))
    })
}

/// Whether Argo CD has this option for the object. It splits at commas, trims, and compares exactly.
pub fn has_sync_option(metadata: &Metadata<'_>, wanted: &str) -> bool {
    metadata.annotations.get(SYNC_OPTIONS).is_some_and(|options| has_option(options, wanted))
}

/// Whether this option is among those that an annotation of Argo CD lists.
pub fn has_option(options: &str, wanted: &str) -> bool {
    options.split(',').any(|option| option.trim() == wanted)
}
