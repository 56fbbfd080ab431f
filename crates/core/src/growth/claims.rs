//! The claims that a resize of a set grows.

use std::collections::BTreeMap;

use crate::facts::{Fact, Facts, SetClaim};
use crate::object::{DecodeError, Quantity, StatefulSet};

/// Whether a claim with a name of the set belongs to it. A claim that no pod of the set mounts must
/// carry the labels that the StatefulSet controller gives to the set's claims.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn belongs(
    set: &StatefulSet<'_>,
    ordinal: i64,
    labels: &BTreeMap<String, String>,
) -> Result<bool, DecodeError> {
    if set.ordinals().contains(&ordinal) {
        return Ok(true);
    }
    let mut wanted = set.selector()?.match_labels.iter();
    Ok(wanted.all(|(key, value)| labels.get(key).is_some_and(|label| label == value)))
}

/// The smallest size that a claim of each template asks for, as far as claims are known.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn smallest_claims<'f>(
    set: &StatefulSet<'_>,
    namespace: &str,
    name: &str,
    facts: &'f Facts,
) -> Result<BTreeMap<&'f str, &'f Quantity>, DecodeError> {
    let mut smallest = BTreeMap::new();
    let Fact::Known(claims) = facts.claims_named(namespace, name, set.template_names()?) else {
        return Ok(smallest);
    };
    for SetClaim { template, ordinal, claim, .. } in claims {
        if let Some(request) = &claim.request
            && belongs(set, ordinal, &claim.labels)?
        {
            let least = smallest.entry(template).or_insert(request);
            *least = (*least).min(request);
        }
    }
    Ok(smallest)
}
