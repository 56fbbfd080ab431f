//! Requests: from the annotation and the record to the sizes that are acted on.

use std::collections::BTreeMap;

use stateward_core::facts::Fact;
use stateward_core::object::Quantity;
use stateward_core::record::{Phase, Reason, Recreation, Request};

use super::{Action, Parameters, View, finalize, recreate};
use crate::observed::{Observed, Set};
use crate::preflight::{self, CheckOutcome};

/// No record is there: one is made for a request that is not yet carried out.
pub(super) fn without_record(observed: &Observed, parameters: &Parameters) -> Action {
    match &observed.set {
        Fact::Known(Some(set))
            if !set.terminating && !observed.memory.standby && unmet(set, &set.requested) =>
        {
            Action::CreateRecord
        }
        _ => Action::Wait { after: parameters.resync },
    }
}

/// Takes a request, or says why it cannot be taken.
pub(super) fn begin(view: &View<'_>, set: Option<&Set>) -> Action {
    // What is aborted here has no generation of its own yet: all that was seen so far.
    if view.is_ended(view.record.status.observed_generation) {
        return view.end_with(Phase::Aborted, Reason::AbortRequested, "", |status| {
            status.annotation_targets = set.map(|set| set.requested.clone()).unwrap_or_default();
        });
    }
    let Some(set) = set else { return view.set_gone() };
    if set.terminating {
        return view.waiting(Reason::SetTerminating, "");
    }
    if view.paused(set) {
        return view.blocked(Reason::Paused, "");
    }
    let wanted = match wanted(view, set) {
        Ok(wanted) => wanted,
        Err(reason) => return view.blocked(reason, ""),
    };
    if wanted.is_empty() {
        return view.end(Phase::Aborted, Reason::Withdrawn, "");
    }
    if let Some(owner) = set.forbidding_owner() {
        return view.blocked(Reason::OwnerManaged, owner);
    }
    match wrong(view, set, &wanted) {
        Some((Reason::NotObserved, what)) => return view.waiting(Reason::NotObserved, what),
        Some((reason, message)) => return view.blocked(reason, message),
        None => {}
    }
    act_on(view, set, wanted)
}

/// Begins to carry `wanted` out on this set. What is asked of which claim is written along: a full
/// disk does not wait for another write. A copy of the set is written too, so that `finish` can restore
/// a set that someone else deletes before the re-creation.
fn act_on(view: &View<'_>, set: &Set, wanted: BTreeMap<String, String>) -> Action {
    let owed = view.retention_owed(set);
    let mut record = view.record.clone();
    let status = &mut record.status;
    let live = status.phase != Phase::Requested;
    status.request = Some(Request {
        number: status.request.as_ref().map_or(1, |request| request.number.saturating_add(1)),
        generation: view.record.generation,
        set_uid: set.uid.clone(),
        targets: wanted,
        withdrawable: view.record.spec.targets.is_empty(),
    });
    status.annotation_targets = set.requested.clone();
    status.owner_managed = set.owner.is_some() && set.owner_managed;
    status.recreation = Recreation {
        set_uid: Some(set.uid.clone()),
        retention: owed,
        retention_owners: match owed {
            Some(_) => std::mem::take(&mut status.recreation.retention_owners),
            None => Vec::new(),
        },
        retention_asked: status.recreation.retention_asked.filter(|_| live),
        unwatched: status.recreation.unwatched && live,
        ..Recreation::default()
    };
    status.claims.clear();
    status.snapshot = view.copy(set);
    let view = View::new(view.observed, &record, view.now, view.parameters);
    let rows = preflight::rows(&view);
    view.enter(Phase::Growing, |status| status.claims = rows)
}

/// Before the set is touched: what the request has become meanwhile. Nothing where it stands.
pub(super) fn changed(view: &View<'_>, set: &Set) -> Option<Action> {
    let request = view.record.status.request.as_ref()?;
    if view.abort_requested() {
        return Some(view.end(Phase::Aborted, Reason::AbortRequested, ""));
    }
    if set.uid != request.set_uid {
        return Some(match &set.owner {
            Some(_) if view.status().owner_managed => recreate::owner_created(view, set),
            _ if recreate::has_requested_sizes(view, set) => recreate::others_created(view, set),
            _ => finalize::another_set(view, set),
        });
    }
    if view.withdrawn(set) {
        return Some(view.end(Phase::Aborted, Reason::Withdrawn, ""));
    }
    // A request that is not proven or not possible does not disturb the one that is.
    let wanted = wanted(view, set).ok()?;
    if wanted != request.targets && !wanted.is_empty() && wrong(view, set, &wanted).is_none() {
        return Some(act_on(view, set, wanted));
    }
    None
}

/// Once the set is back and nothing of ours is left in it: a larger request is not made to wait for
/// pods that may never be well. A lost edit is told of first.
pub(super) fn grown_meanwhile(view: &View<'_>, set: &Set) -> Option<Action> {
    let request = view.record.status.request.as_ref()?;
    if view.abort_requested() || view.paused(set) || view.status().recreation.edit_lost.is_some() {
        return None;
    }
    let wanted = wanted(view, set).ok()?;
    let larger = wanted.iter().any(|(template, size)| {
        let asked = size.parse::<Quantity>().ok();
        asked.is_some() && asked.as_ref() > view.targets.get(template)
    });
    let mut all = request.targets.clone();
    all.extend(wanted);
    (larger && wrong(view, set, &all).is_none()).then(|| act_on(view, set, all))
}

/// Whether the record asks for more than what was acted on.
pub(super) fn record_asks_more(view: &View<'_>, set: &Set) -> bool {
    let request = view.record.status.request.as_ref().map_or(0, |request| request.generation);
    view.record.generation > request && unmet(set, &spec_targets(view)) && !view.abort_requested()
}

/// A request is over: whether there is a new one. A record acts once per generation of its spec
/// or value of the annotation.
pub(super) fn is_new(view: &View<'_>, set: &Set) -> bool {
    let status = &view.record.status;
    let (request, spec) = (status.request.as_ref(), spec_targets(view));
    let edited = view.record.generation > status.observed_generation;
    let other_sizes = request.is_none_or(|request| spec != request.targets);
    let asks_other = set.requested != status.annotation_targets && unmet(set, &set.requested);
    if view.abort_requested() && status.phase != Phase::Complete {
        return asks_other || edited && other_sizes && unmet(set, &spec);
    }
    // Sizes that were written while the set was away were not looked at yet.
    let late = request.is_some_and(|request| view.record.generation > request.generation);
    let another_set =
        status.phase == Phase::Aborted && request.is_some_and(|request| request.set_uid != set.uid);
    let asked_again = edited || another_set || status.phase == Phase::Complete;
    asks_other
        || asked_again && unmet(set, &set.requested)
        || (edited || late && other_sizes) && unmet(set, &spec)
}

/// Whether a template is smaller than a request for it.
pub(super) fn unmet(set: &Set, requests: &BTreeMap<String, String>) -> bool {
    requests.iter().any(|(template, size)| {
        let Ok(size) = size.parse::<Quantity>() else { return false };
        set.templates.get(template).is_some_and(|have| *have < size)
    })
}

/// Whether every template that is named is there, and as large as asked.
pub(super) fn met(set: &Set, requests: &BTreeMap<String, String>) -> bool {
    requests.iter().all(|(template, size)| {
        let Ok(size) = size.parse::<Quantity>() else { return false };
        set.templates.get(template).is_some_and(|have| *have >= size)
    })
}

fn spec_targets(view: &View<'_>) -> BTreeMap<String, String> {
    let targets = &view.record.spec.targets;
    targets.iter().map(|(name, target)| (name.clone(), target.storage.clone())).collect()
}

/// The sizes asked by record and annotation; of two for one template the larger counts.
///
/// The right behind an annotation is proven when it enters the record, and not asked again.
fn wanted(view: &View<'_>, set: &Set) -> Result<BTreeMap<String, String>, Reason> {
    let last = view.record.status.results.last();
    let carried_out = last.is_some_and(|ended| {
        ended.phase == Phase::Complete && ended.generation == view.record.generation
    });
    let mut wanted = if carried_out { BTreeMap::new() } else { spec_targets(view) };
    let proven = !view.parameters.authorize_claims
        || set.requested == view.record.status.annotation_targets
        || matches!(view.observed.admission_policy, Fact::Known(true));
    for (template, size) in &set.requested {
        if !proven {
            return Err(Reason::RightUnproven);
        }
        let Ok(asked) = size.parse::<Quantity>() else { return Err(Reason::BadTarget) };
        let larger = wanted
            .get(template)
            .and_then(|have| have.parse::<Quantity>().ok())
            .is_some_and(|have| have >= asked);
        if !larger {
            wanted.insert(template.clone(), size.clone());
        }
    }
    Ok(wanted)
}

/// The first request that cannot be carried out on this set, and why.
fn wrong(
    view: &View<'_>,
    set: &Set,
    wanted: &BTreeMap<String, String>,
) -> Option<(Reason, String)> {
    wanted.iter().find_map(|(template, size)| {
        let of_spec = view.record.spec.targets.get(template);
        let by_record = of_spec.is_some_and(|target| target.storage == *size);
        let check = preflight::requested_size(view, set, template, size, by_record);
        match check.outcome {
            CheckOutcome::Ok => None,
            CheckOutcome::Unknown => Some((Reason::NotObserved, "the namespace".to_owned())),
            CheckOutcome::Waiting(reason) | CheckOutcome::Blocked(reason) => {
                Some((reason, check.detail))
            }
        }
    })
}
