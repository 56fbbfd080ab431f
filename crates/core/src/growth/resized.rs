//! Whether a resize of stateward brought a set to the sizes that it has.

use crate::annotations::RESIZE_ID;
use crate::facts::Facts;
use crate::object::{Quantity, StatefulSet};

/// Whether the live set owes the size of a claim template to a resize: it carries the mark of one, or its
/// record has that size as its target. A set that a tool created in the re-creation window, before the
/// controller did, carries no mark.
pub fn was_resized(
    live: &StatefulSet<'_>,
    namespace: &str,
    name: &str,
    template: &str,
    size: &Quantity,
    facts: &Facts,
) -> bool {
    live.metadata.annotations.get(RESIZE_ID).is_some()
        || facts.known_record(namespace, name).and_then(|record| record.target(template)).as_ref()
            == Some(size)
}
