//! What rules about autoscalers share.

use crate::change::Change;
use crate::facts::{AutoscalerFact, Facts, Seen};
use crate::object::StatefulSet;

use super::Unjudged;

/// The autoscaler of the set that changes, with its name. Of several, the first by name.
///
/// # Errors
/// [`Unjudged::Needs`] if autoscalers cannot be read.
pub(super) fn of<'f>(
    change: &Change<'_>,
    facts: &'f Facts,
) -> Result<Option<(&'f str, &'f AutoscalerFact)>, Unjudged> {
    let Seen { objects, .. } = facts.autoscalers.seen(&change.namespace).needed()?;
    Ok(objects.into_iter().find(|(_, autoscaler)| autoscaler.set == change.name))
}

/// How many pods the set has at least. A manifest that leaves its replicas to an autoscaler does not say.
///
/// # Errors
/// [`Unjudged::Needs`] if such a manifest is judged and autoscalers cannot be read.
pub(super) fn least_pods(
    change: &Change<'_>,
    set: &StatefulSet<'_>,
    facts: &Facts,
) -> Result<i64, Unjudged> {
    let replicas = set.spec.replicas().max(0);
    if set.spec.replicas.is_some() {
        return Ok(replicas);
    }
    Ok(of(change, facts)?.map_or(replicas, |(_, autoscaler)| autoscaler.min.max(replicas)))
}
