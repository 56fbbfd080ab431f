//! Growing claims: at once, whatever the state of pods, rollouts and sibling claims.

use std::collections::BTreeMap;

use stateward_core::facts::Fact;
use stateward_core::record::{ClaimStatus, Halt, Phase, Reason, State};

use super::{Action, View, request};
use crate::observed::{Claim, Pod, Set};
use crate::preflight::{self, Growth};

/// What the claims ask for.
pub(super) enum Claims {
    /// something to write
    Act(Action),
    /// the request cannot be met
    Failed(Reason, String),
    /// something to wait for
    Halt(Halt),
    /// every claim's controller side is done
    Grown,
}

/// In the phase Growing.
pub(super) fn growing(view: &View<'_>, set: Option<&Set>) -> Action {
    let Some(set) = set else { return view.set_gone() };
    if let Some(action) = request::changed(view, set) {
        return action;
    }
    if view.paused(set) {
        return view.blocked(Reason::Paused, "");
    }
    match claims(view, set) {
        Claims::Act(action) => action,
        Claims::Failed(reason, message) => view.fail_claims(reason, message),
        Claims::Halt(halt) => view.halt(halt),
        Claims::Grown => {
            view.enter(Phase::ClaimsGrown, |status| status.claims = preflight::rows(view))
        }
    }
}

/// Raises what is short, one claim at a time; only then does a claim that cannot grow count.
pub(super) fn claims(view: &View<'_>, set: &Set) -> Claims {
    let Some(claims) = preflight::claims(view) else {
        return Claims::Halt(waiting(Reason::NotObserved, "claims"));
    };
    let rows = preflight::rows(view);
    // The targets are in the record before the first claim grows, so a crash cannot lose them. All
    // else is written after the last claim: a full disk does not wait for a status update.
    let asked = |rows: &[ClaimStatus]| -> Vec<(String, String)> {
        rows.iter().map(|row| (row.name.clone(), row.target.clone())).collect()
    };
    if asked(&rows) != asked(&view.status().claims) {
        return Claims::Act(view.write(|status| status.claims = rows));
    }
    let (mut failed, mut stuck, mut growing) = (None, None, None);
    for (claim, asked) in claims {
        match preflight::growth(view, claim, asked) {
            Growth::Short(to) => {
                return Claims::Act(view.grow(claim, to));
            }
            Growth::Failed(reason) => {
                failed = failed.or_else(|| Some((reason, claim.name.clone())));
            }
            Growth::Stuck(reason) => {
                let why = view.observed.memory.refused_claims.get(&claim.name);
                let detail = match why.filter(|_| reason == Reason::PatchRefused) {
                    Some(why) => format!("{}: {why}", claim.name),
                    None => claim.name.clone(),
                };
                stuck = stuck.or(Some(Halt { state: State::Blocked, reason, message: detail }));
            }
            Growth::Unbound if !set.ordinals().contains(&claim.ordinal) => {}
            Growth::Growing | Growth::Unbound => {
                growing = growing.or(Some(waiting(Reason::ClaimsGrowing, &claim.name)));
            }
            Growth::Done | Growth::NodePending => {}
        }
    }
    if rows != view.status().claims {
        return Claims::Act(view.write(|status| status.claims = rows));
    }
    match (failed, stuck.or(growing)) {
        (Some((reason, detail)), _) => Claims::Failed(reason, detail),
        (None, Some(halt)) => Claims::Halt(halt),
        (None, None) => Claims::Grown,
    }
}

/// With consent, restarts a pod whose file system waits for it: once per claim and target, and
/// only while every other pod is well. `Err` where the restart did not help.
pub(super) fn evict(view: &View<'_>, set: &Set) -> Result<Option<Action>, String> {
    let (Fact::Known(pods), Some(claims)) = (&view.observed.pods, preflight::claims(view)) else {
        return Ok(None);
    };
    if !set.evict {
        return Ok(None);
    }
    let rows: BTreeMap<&str, &ClaimStatus> =
        view.status().claims.iter().map(|row| (row.name.as_str(), row)).collect();
    let pods = Pods::new(set, pods);
    for (claim, asked) in claims {
        if preflight::growth(view, claim, asked) != Growth::NodePending || !claim.mounted {
            continue;
        }
        let Some(pod) = pods.by_ordinal.get(&claim.ordinal).copied() else { continue };
        if !view.observed.fresh {
            return Ok(Some(Action::Refresh));
        }
        match rows.get(claim.name.as_str()).and_then(|row| row.evicted.as_ref()) {
            // The pod's UID is in the record before the eviction is sent. While it lives the
            // eviction did not happen, and sending it again cannot reach another pod.
            Some(evicted) if *evicted == pod.uid => {
                let refused = view.observed.memory.refused_evictions.contains_key(&pod.uid);
                if refused || pod.terminating || !pods.others_are_well(pod) {
                    return Ok(None);
                }
                return Ok(Some(Action::Evict { pod: pod.name.clone(), uid: pod.uid.clone() }));
            }
            // Pod and claim are two reads, and the node's word may come after the pod is ready.
            Some(_) if pod.available && preflight::is_young(view, pod.created) => return Ok(None),
            Some(_) if pod.available => return Err(claim.name.clone()),
            None if pods.others_are_well(pod) && !pod.terminating => {
                let (name, uid) = (claim.name.clone(), pod.uid.clone());
                return Ok(Some(view.write(|status| {
                    let note = |row: &mut ClaimStatus| row.evicted = Some(uid.clone());
                    status.claims.iter_mut().filter(|row| row.name == name).for_each(note);
                })));
            }
            Some(_) | None => {}
        }
    }
    Ok(None)
}

/// What a claim waits for whose file system has not grown yet: a restart of its pod, or a budget that does
/// not allow evicting the pod. If stateward may not evict pods, only a person can restart it.
pub(super) fn restart_pending(view: &View<'_>, set: &Set, claim: &Claim) -> Halt {
    let refused = &view.observed.memory.refused_evictions;
    let pods = match &view.observed.pods {
        Fact::Known(pods) => pods.as_slice(),
        Fact::Unknown(_) => &[],
    };
    let pod = pods.iter().find(|pod| pod.ordinal == claim.ordinal);
    match pod.and_then(|pod| Some((pod, refused.get(&pod.uid)?))) {
        Some((pod, why)) => waiting(Reason::EvictionRefused, &format!("{}: {why}", pod.name)),
        None if set.evict => waiting(Reason::FileSystemPending, &claim.name),
        None => Halt {
            state: State::Blocked,
            reason: Reason::FileSystemPending,
            message: claim.name.clone(),
        },
    }
}

/// The pods of a set, read once for all its claims.
struct Pods<'p> {
    by_ordinal: BTreeMap<u32, &'p Pod>,
    /// every pod is there, and of the update revision
    updated: bool,
    /// how many pods are not available, or are being deleted
    unwell: usize,
}

impl<'p> Pods<'p> {
    fn new(set: &Set, pods: &'p [Pod]) -> Self {
        Self {
            by_ordinal: pods.iter().map(|pod| (pod.ordinal, pod)).collect(),
            updated: pods.len() == set.replicas as usize
                && pods.iter().all(|pod| pod.revision == set.update_revision),
            unwell: pods.iter().filter(|pod| is_unwell(pod)).count(),
        }
    }

    /// Every other pod is there, available, and of the update revision, which `pod` must be too.
    fn others_are_well(&self, pod: &Pod) -> bool {
        self.updated && self.unwell == usize::from(is_unwell(pod))
    }
}

fn is_unwell(pod: &Pod) -> bool {
    !pod.available || pod.terminating
}

pub(super) fn waiting(reason: Reason, detail: &str) -> Halt {
    Halt { state: State::Waiting, reason, message: detail.to_owned() }
}
