//! Claim templates of a set that is created over larger claims.
//!
//! The controller takes claims by their names and compares nothing, so a set that Git re-creates with its
//! old size works, but each replica that is added later gets a smaller volume than the others. If the
//! policy asks for it, the template is raised to the claims. It is never lowered.

use serde_json::Value;

use super::Mutation;
use super::injected::SIZE;
use super::pod_defaults::compares_whole_objects;
use super::resize::{size_limit, storage_field};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::object::DecodeError;
use crate::policy::{Policy, SizeOnCreate};

/// Raises on CREATE.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn mutate(
    change: &Change<'_>,
    policy: &Policy,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let Some(set) = change.created_set() else { return Ok(()) };
    if policy.size_on_create(change) == SizeOnCreate::Manifest {
        return Ok(());
    }
    // A record knows which sizes the set that comes back has, and a writer that compares whole objects
    // would re-create the set for ever.
    let record = facts.known_record(&change.namespace, &change.name);
    if record.is_some_and(|record| record.is_recreating() || record.remembers_owner())
        || compares_whole_objects(change)
    {
        return Ok(());
    }
    let Fact::Known(claims) =
        facts.claims_named(&change.namespace, &change.name, set.template_names()?)
    else {
        return Ok(());
    };
    let (ordinals, limit) = (set.ordinals(), size_limit(set, &change.namespace, facts));
    for (index, template) in set.claim_templates()?.iter().enumerate() {
        let Some(asked) = template.spec.storage() else { continue };
        let own = claims.iter().filter(|claim| {
            claim.template == template.metadata.name.as_str()
                && ordinals.contains(&claim.ordinal)
                && !claim.claim.terminating
        });
        // A claim can grow later, but never shrink: of different sizes, the smallest counts.
        let Some(Some(size)) = own.map(|claim| claim.claim.request.as_ref()).min() else {
            continue;
        };
        if *size <= asked.quantity || limit.as_ref().is_some_and(|limit| limit.forbids(size)) {
            continue;
        }
        mutation.replace(&storage_field(index), Value::from(size.to_string()));
        mutation.warnings.push(format!(
            "{}: claim template {} becomes {size} instead of {asked}: its claims have that size",
            change.object_name(),
            template.metadata.name
        ));
        mutation.injected.push(SIZE);
        mutation.done.push("raise-size");
    }
    Ok(())
}
