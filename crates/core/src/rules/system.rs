//! What rules about systems share: which pack knows the set that changes, and where its data is.

pub(super) mod data;

use std::collections::HashSet;

use crate::change::{Change, Subject};
use crate::facts::{Facts, SetClaim};
use crate::object::pod::{Container, Volume};
use crate::object::{DecodeError, StatefulSet};
use crate::packs::{MemberKind, Members, Pack, Recognised, Traits, recognise};
use crate::rules::Unjudged;

/// What is known about a set.
///
/// # Errors
/// The field that has the wrong type.
pub(super) fn of<'f>(
    set: &StatefulSet<'_>,
    facts: &'f Facts,
) -> Result<Option<Recognised<'f>>, DecodeError> {
    Ok(recognise(&facts.packs, &Traits::of(set)?))
}

/// The pack of the set that changes. The old set decides, so that an edit cannot choose by whom it is
/// judged. A Scale says nothing about its set, which is looked up.
///
/// # Errors
/// [`Unjudged::Needs`] for a Scale whose set is not known, or a field of the wrong type.
pub(super) fn pack<'f>(
    change: &Change<'_>,
    facts: &'f Facts,
) -> Result<Option<(&'f str, &'f Pack)>, Unjudged> {
    match &change.subject {
        Subject::StatefulSet(pair) => {
            for set in [&pair.old, &pair.new].into_iter().flatten() {
                if let Some(known) = of(set, facts)? {
                    return Ok(Some((known.name, known.pack)));
                }
            }
            Ok(None)
        }
        Subject::Scale(_) => {
            let set = facts.set(&change.namespace, &change.name).needed()?;
            let known = set.and_then(|set| recognise(&facts.packs, &set.traits()));
            Ok(known.map(|known| (known.name, known.pack)))
        }
        _ => Ok(None),
    }
}

/// The first ordinal of a set that is scaled, and its claims.
///
/// # Errors
/// [`Unjudged::Needs`] if the claims, or the set of a Scale, are not known, or a field of the wrong type.
pub(super) fn claims<'f>(
    change: &Change<'_>,
    facts: &'f Facts,
) -> Result<(i64, Vec<SetClaim<'f>>), Unjudged> {
    let (namespace, name) = (&change.namespace, &change.name);
    if let Subject::StatefulSet(pair) = &change.subject {
        let Some(set) = &pair.new else { return Ok((0, Vec::new())) };
        let claims = facts.claims_named(namespace, name, set.template_names()?).needed()?;
        Ok((set.spec.ordinals_start(), claims))
    } else {
        let Some(set) = facts.set(namespace, name).needed()? else { return Ok((0, Vec::new())) };
        let claims = facts.claims_named(namespace, name, set.template_names()).needed()?;
        Ok((set.first_ordinal, claims))
    }
}

/// The replicas before and after, where an edit lowers them to some number above zero.
pub(super) fn lowered(change: &Change<'_>) -> Option<(i64, i64)> {
    change.scaled().filter(|(old, new)| *new < *old && *new > 0)
}

/// Whether a container mounts a volume that outlives its pod.
///
/// # Errors
/// The field that has the wrong type.
pub(super) fn keeps_data(
    set: &StatefulSet<'_>,
    container: &Container<'_>,
) -> Result<bool, DecodeError> {
    let pod = &set.template()?.spec;
    let goes = |volume: &Volume<'_>| {
        let Volume { ephemeral, empty_dir, config_map, secret, projected, downward_api, .. } =
            volume;
        [ephemeral, empty_dir, config_map, secret, projected, downward_api]
            .iter()
            .any(|source| source.is_some())
    };
    let kept = pod.volumes.iter().filter(|volume| !goes(volume)).map(|v| v.name.as_str());
    let kept: HashSet<&str> = kept.chain(set.template_names()?).collect();
    Ok(container.volume_mounts.iter().any(|mount| kept.contains(mount.name.as_str())))
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
