//! The claims that a set finds when its pods start.

use std::collections::BTreeSet;

use super::Unjudged;
use crate::change::Change;
use crate::facts::{ClaimFact, Facts};
use crate::object::StatefulSet;
use crate::object::names::claim_parts;

/// A claim of the set that exists.
#[derive(Debug)]
pub(super) struct Existing<'f> {
    /// its name
    pub(super) name: &'f str,
    /// its claim template
    pub(super) template: &'f str,
    /// what is known of it
    pub(super) claim: &'f ClaimFact,
}

/// The claims within the replicas of `set` that are known to exist.
///
/// # Errors
/// The claim templates, if they have the wrong type, and [`Unjudged::Needs`] if claims cannot be read.
pub(super) fn existing<'f>(
    change: &Change<'_>,
    set: &StatefulSet<'_>,
    facts: &'f Facts,
) -> Result<Vec<Existing<'f>>, Unjudged> {
    let (templates, ordinals) = (set.template_names()?.collect::<BTreeSet<_>>(), set.ordinals());
    let seen = facts.claims.seen(&change.namespace).needed()?;
    let existing = seen.objects.into_iter().filter_map(|(name, claim)| {
        let (template, ordinal) = claim_parts(name, &change.name)?;
        (ordinals.contains(&i64::from(ordinal)) && templates.contains(template))
            .then_some(Existing { name, template, claim })
    });
    Ok(existing.collect())
}
