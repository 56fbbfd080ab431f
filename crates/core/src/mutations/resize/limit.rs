//! The largest size that an edit may ask for.

use crate::annotations::RESIZE_MAX;
use crate::facts::{Fact, Facts};
use crate::growth::SizeLimit;
use crate::object::{DecodeError, Pointer, StatefulSet};

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
    let limit = size_limit(old, namespace, facts);
    match limit.as_ref().filter(|limit| !limit.of_namespace).and_then(SizeLimit::fault) {
        Some(message) => Err(DecodeError { field: Pointer::annotation(RESIZE_MAX), message }),
        None => Ok(limit),
    }
}

/// The same limit, which forbids every size if it cannot be read.
pub(in crate::mutations) fn size_limit(
    set: &StatefulSet<'_>,
    namespace: &str,
    facts: &Facts,
) -> Option<SizeLimit> {
    let limit = namespace_limit(namespace, facts);
    SizeLimit::new(limit, set.metadata.annotations.get(RESIZE_MAX))
}

/// What the annotation of the namespace says.
pub(in crate::mutations) fn namespace_limit<'f>(
    namespace: &str,
    facts: &'f Facts,
) -> Option<&'f str> {
    match facts.namespaces.get("", namespace) {
        Fact::Known(Some(fact)) => fact.resize_max.as_deref(),
        Fact::Known(None) | Fact::Unknown(_) => None,
    }
}
