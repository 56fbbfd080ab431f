//! What rules about systems share: which pack knows the set that changes, and where its data is.

pub(super) mod data;

use crate::change::{Change, Subject};
use crate::facts::Facts;
use crate::object::pod::Container;
use crate::object::{DecodeError, StatefulSet};
use crate::packs::{MemberKind, Members, Pack, Packs, Recognised, Traits, recognise};
use crate::rules::Unjudged;

/// What is known about a set.
///
/// # Errors
/// The field that has the wrong type.
pub(super) fn of(set: &StatefulSet<'_>) -> Result<Option<Recognised<'static>>, DecodeError> {
    Ok(recognise(Packs::built_in(), &Traits::of(set)?))
}

/// The pack of the set that changes. The old set decides, so that an edit cannot choose by whom it is
/// judged. A Scale says nothing about its set, which is looked up.
///
/// # Errors
/// [`Unjudged::Needs`] for a Scale whose set is not known, or a field of the wrong type.
pub(super) fn pack(
    change: &Change<'_>,
    facts: &Facts,
) -> Result<Option<(&'static str, &'static Pack)>, Unjudged> {
    match &change.subject {
        Subject::StatefulSet(pair) => {
            for set in [&pair.old, &pair.new].into_iter().flatten() {
                if let Some(known) = of(set)? {
                    return Ok(Some((known.name, known.pack)));
                }
            }
            Ok(None)
        }
        Subject::Scale(_) => {
            let set = facts.set(&change.namespace, &change.name).needed()?;
            Ok(set.and_then(|set| Packs::built_in().named(set.pack.as_deref()?)))
        }
        _ => Ok(None),
    }
}

/// The replicas before and after, where an edit lowers them to some number above zero.
pub(super) fn lowered(change: &Change<'_>) -> Option<(i64, i64)> {
    change.scaled().filter(|(old, new)| *new < *old && *new > 0)
}

/// What is known about the members of a set, if each of them votes.
pub(super) fn majority(pack: &Pack) -> Option<&Members> {
    pack.members.as_ref().filter(|members| members.kind == MemberKind::Majority)
}

/// The container that runs the system, with its place.
pub(super) fn container<'c, 'a>(
    set: &'c StatefulSet<'a>,
    known: &Recognised<'_>,
) -> Result<Option<(usize, &'c Container<'a>)>, DecodeError> {
    let containers = &set.template()?.spec.containers;
    Ok(known.container.and_then(|index| Some((index, containers.get(index)?))))
}
