//! The largest size that an edit may ask for.

use std::fmt;

use crate::facts::{Fact, Facts};
use crate::object::{DecodeError, Quantity, StatefulSet};

/// The limit on the sizes of a set, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    text: String,
    /// none where it cannot be read
    quantity: Option<Quantity>,
    /// whether the namespace carries it, not the set
    pub of_namespace: bool,
}

impl Limit {
    /// Whether a size is beyond it. A limit that cannot be read limits to nothing: it was put there
    /// to keep growth in.
    pub fn forbids(&self, size: &Quantity) -> bool {
        self.quantity.as_ref().is_none_or(|limit| size > limit)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The annotation `stateward.dev/resize-max` of the namespace, or else of the old set: an edit
/// cannot raise the limit that it is held to.
///
/// # Errors
/// The annotation of the set, where it is no size.
pub fn limit(
    old: &StatefulSet<'_>,
    namespace: &str,
    facts: &Facts,
) -> Result<Option<Limit>, DecodeError> {
    if let Fact::Known(Some(fact)) = facts.namespaces.get("", namespace)
        && let Some(text) = &fact.resize_max
    {
        let quantity = text.trim().parse().ok();
        return Ok(Some(Limit { text: text.clone(), quantity, of_namespace: true }));
    }
    Ok(old.resize_max()?.map(|size| Limit {
        text: size.text.to_string(),
        quantity: Some(size.quantity),
        of_namespace: false,
    }))
}
