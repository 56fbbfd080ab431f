//! The largest size that an edit may ask for.

use crate::facts::{Fact, Facts};
use crate::growth::SizeLimit;
use crate::object::{DecodeError, StatefulSet};

/// The annotation `stateward.dev/resize-max` of the namespace, or else of the old set: an edit
/// cannot raise the limit that it is held to.
///
/// # Errors
/// The annotation of the set is no size.
pub fn limit(
    old: &StatefulSet<'_>,
    namespace: &str,
    facts: &Facts,
) -> Result<Option<SizeLimit>, DecodeError> {
    if let Fact::Known(Some(fact)) = facts.namespaces.get("", namespace)
        && let Some(text) = &fact.resize_max
    {
        return Ok(SizeLimit::new(Some(text), None));
    }
    let of_set = old.resize_max()?;
    Ok(of_set.and_then(|size| SizeLimit::new(None, Some(&size.text))))
}
