//! What is created beside larger claims: a set with a smaller claim template, a claim of a new replica.
//!
//! The controller takes claims by their names and compares nothing, so a set that Git re-creates with its
//! old size works, but each replica that is added later gets a smaller volume than the others. If the
//! policy asks for it, the template is raised to the claims, and the new claim to its siblings. Neither is
//! ever lowered.

use serde_json::Value;

use super::Mutation;
use super::injected::SIZE;
use super::pod_defaults::compares_whole_objects;
use super::resize::{namespace_limit, nanos, size_limit, storage_field};
use crate::change::Change;
use crate::facts::{ClaimOf, Fact, Facts, SetClaim};
use crate::growth::SizeLimit;
use crate::object::{DecodeError, Pointer, Quantity};
use crate::policy::{Policy, SizeOnCreate};

/// Raises the claim templates of a new set.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn raise_templates(
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
        let name = template.metadata.name.as_str();
        let own = claims
            .iter()
            .filter(|claim| claim.template == name && ordinals.contains(&claim.ordinal));
        let Some(size) = raised(&asked.quantity, own, limit.as_ref()) else { continue };
        mutation.replace(&storage_field(index), Value::from(size.to_string()));
        mutation.warnings.push(format!(
            "{}: claim template {} becomes {size} instead of {asked}: its claims have that size",
            change.object_name(),
            name
        ));
        mutation.injected.push(SIZE);
        mutation.done.push("raise-size");
    }
    Ok(())
}

/// Raises a claim that the controller of a set creates for a new replica. The set of an operator is left
/// to it.
pub fn raise_claim(change: &Change<'_>, policy: &Policy, facts: &Facts, mutation: &mut Mutation) {
    let Some(claim) = change.created_claim() else { return };
    let Some(asked) = claim.spec.storage() else { return };
    if policy.size_on_create(change) == SizeOnCreate::Manifest {
        return;
    }
    let (namespace, name) = (change.namespace.as_str(), change.name.as_str());
    let Fact::Known(Some(ClaimOf { set, fact, template })) = facts.set_of_claim(namespace, name)
    else {
        return;
    };
    if fact.owner.is_some() || fact.terminating {
        return;
    }
    let Fact::Known(claims) = facts.claims_named(namespace, set, [template]) else { return };
    let ordinals = fact.ordinals();
    let siblings =
        claims.iter().filter(|claim| claim.name != name && ordinals.contains(&claim.ordinal));
    let limit = SizeLimit::new(namespace_limit(namespace, facts), None);
    if let Some(size) = raised(&asked.quantity, siblings, limit.as_ref())
        && quotas_have_room(facts, namespace, claim.class(), size)
    {
        let field = Pointer::from("/spec/resources/requests/storage");
        mutation.replace(&field, Value::from(size.to_string()));
        mutation.done.push("raise-size");
    }
}

/// The size of the claims, if it is more than `asked` and nothing forbids it. A claim can grow later, but
/// never shrink: of different sizes, the smallest counts.
fn raised<'c>(
    asked: &Quantity,
    claims: impl Iterator<Item = &'c SetClaim<'c>>,
    limit: Option<&SizeLimit>,
) -> Option<&'c Quantity> {
    let stay = claims.filter(|claim| !claim.claim.terminating);
    let size = stay.map(|claim| claim.claim.request.as_ref()).min()??;
    (size > asked && limit.is_none_or(|limit| !limit.forbids(size))).then_some(size)
}

/// Whether every quota that counts the claim is known to have room for it. Otherwise its smaller size may be
/// all that the controller of the set gets.
fn quotas_have_room(facts: &Facts, namespace: &str, class: &str, size: &Quantity) -> bool {
    let Fact::Known(quotas) = facts.quotas.of(namespace) else { return false };
    quotas.flat_map(|(_, quota)| &quota.limits).all(|limit| {
        // A claim that names no class gets the default one, and any may be that.
        let counts = class.is_empty() || limit.class.as_deref().is_none_or(|of| of == class);
        let amounts = [nanos(&limit.used), nanos(size), nanos(&limit.hard)];
        let fits = matches!(amounts, [Some(used), Some(size), Some(hard)]
            if used.saturating_add(size) <= hard);
        fits || !counts
    })
}
