//! What rules about disruption budgets share.

use super::{Unjudged, autoscaling};
use crate::change::Change;
use crate::facts::{BudgetFact, Facts, Seen};
use crate::object::StatefulSet;

/// The budgets that hold for the pods of a set.
#[derive(Debug)]
pub(super) struct Budgets<'f> {
    /// each with its name
    pub(super) of_set: Vec<(&'f str, &'f BudgetFact)>,
    /// there are no others
    pub(super) all: bool,
}

/// The budgets that hold for the pods of `set`, as far as they are known.
///
/// # Errors
/// The pod template, if it has the wrong type, and [`Unjudged::Needs`] if budgets cannot be read.
pub(super) fn of<'f>(
    change: &Change<'_>,
    set: &StatefulSet<'_>,
    facts: &'f Facts,
) -> Result<Budgets<'f>, Unjudged> {
    let labels = &set.template()?.metadata.labels;
    let Seen { mut objects, all } = facts.budgets.seen(&change.namespace).needed()?;
    objects.retain(|(_, budget)| budget.selects(labels));
    Ok(Budgets { of_set: objects, all })
}

/// The budgets whose limit is known to hold for this set alone, and how many of its pods they let go at
/// once. A number of pods counts those of every workload that a budget selects.
///
/// # Errors
/// As [`of`].
pub(super) fn limits<'f>(
    change: &Change<'_>,
    set: &StatefulSet<'_>,
    facts: &'f Facts,
) -> Result<Vec<(&'f str, &'f BudgetFact, i64)>, Unjudged> {
    let pods = autoscaling::least_pods(change, set, facts)?;
    let selector = set.selector()?;
    let budgets = of(change, set, facts)?.of_set.into_iter();
    let own = budgets.filter(|(_, budget)| budget.limits_alone(selector));
    Ok(own.filter_map(|(name, budget)| Some((name, budget, budget.evictable(pods)?))).collect())
}
