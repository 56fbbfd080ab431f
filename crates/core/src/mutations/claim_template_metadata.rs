//! Puts back the labels and annotations of claim templates, where the policy says `restore`.
//!
//! Charts write their version into these labels, and Kubernetes lets no UPDATE change them, so
//! every upgrade fails on a field that matters to nobody (kubernetes#58007).

use serde_json::Value;

use super::Mutation;
use crate::change::Change;
use crate::object::immutable::DifferenceKind;
use crate::object::{DecodeError, Pointer, json};
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
    if names.is_empty() || change.has_more_differences()? {
        return Ok(());
    }
    let at = Pointer::from("/spec/volumeClaimTemplates");
    for name in names {
        let (Some((old_index, _)), Some((new_index, _))) =
            (old.claim_template(name)?, new.claim_template(name)?)
        else {
            continue;
        };
        let metadata = |index| at.clone().index(index).key("metadata");
        let Some(before) = change.objects.old.as_ref() else { continue };
        let Some(before) = before.value_at(&metadata(old_index))? else { continue };
        let before: Value = json::decode(before.get(), metadata(old_index).as_str())?;
        mutation.add(&metadata(new_index), before);
        mutation.warnings.push(format!(
            "{}: labels and annotations of claim template {name} were put back",
            change.object_name()
        ));
    }
    mutation.carries_out.push(RULE);
    mutation.done.push("restore-claim-template-metadata");
    Ok(())
}
