//! Puts back the labels and annotations of claim templates, where the policy says `restore`.
//!
//! Charts write their version into these labels, and Kubernetes lets no UPDATE change them, so
//! every upgrade fails on a field that matters to nobody (kubernetes#58007).

use serde_json::Value;

use super::Mutation;
use crate::change::Change;
use crate::object::immutable::DifferenceKind;
use crate::object::{DecodeError, Pointer};
use crate::policy::{ClaimTemplateMetadata, Policy};

/// The rule that refuses what this mutation restores.
pub const RULE: &str = "sts-vct-metadata";

/// Restores on UPDATE.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn mutate(
    change: &Change<'_>,
    policy: &Policy,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let Some((old, new)) = change.updated_set() else { return Ok(()) };
    if policy.claim_template_metadata(change) != ClaimTemplateMetadata::Restore {
        return Ok(());
    }
    let mut names: Vec<&str> = change
        .differences()?
        .iter()
        .filter(|difference| difference.kind == DifferenceKind::TemplateMetadata)
        .filter_map(|difference| difference.template.as_deref())
        .collect();
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    let at = Pointer::from("/spec/volumeClaimTemplates");
    let templates: Vec<Value> = old
        .spec
        .claim_templates
        .raw()
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    for name in names {
        let (Some((old_index, _)), Some((new_index, _))) =
            (old.claim_template(name)?, new.claim_template(name)?)
        else {
            continue;
        };
        let Some(metadata) = templates.get(old_index).and_then(|t| t.get("metadata")) else {
            continue;
        };
        mutation.add(&at.clone().index(new_index).key("metadata"), metadata.clone());
        mutation.warnings.push(format!(
            "{}: labels and annotations of claim template {name} were put back",
            change.object_name()
        ));
    }
    mutation.carries_out.push(RULE);
    mutation.done.push("restore-claim-template-metadata");
    Ok(())
}
