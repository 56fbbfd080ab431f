//! How far each claim is on the way to the size that is asked of it.

use std::collections::BTreeMap;

use stateward_core::facts::Fact;
use stateward_core::growth::{Growability, Obstacle, growability};
use stateward_core::object::Quantity;
use stateward_core::record::{ClaimState, ClaimStatus, Reason};

use crate::View;
use crate::observed::{Claim, Progress};

/// How far one claim is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Growth {
    /// its capacity is there
    Done,
    /// the driver is done; its node is not
    NodePending,
    /// the driver works
    Growing,
    /// its request is too small, and can be raised to this
    Short(Quantity),
    /// it is not bound, and grows once it is
    Unbound,
    /// it cannot grow before a person acts
    Stuck(Reason),
    /// it will not grow for this request
    Failed(Reason),
}

/// How far `claim` is on the way to `asked`.
pub fn growth(view: &View<'_>, claim: &Claim, asked: &Quantity) -> Growth {
    let target = asked.max(&claim.request);
    if claim.request < *asked {
        // We raised it for this request, and somebody lowered it since: theirs is the last word.
        if claim.resize_id == Some(view.claim_id()) {
            return Growth::Failed(Reason::Lowered);
        }
        if claim.terminating {
            return Growth::Stuck(Reason::ClaimTerminating);
        }
        return match growability_of(view, claim) {
            Growability::Never(obstacle) => Growth::Failed(reason(&obstacle)),
            Growability::OnceBound => Growth::Unbound,
            Growability::Growable
                if view.observed.memory.refused_claims.contains_key(&claim.name) =>
            {
                Growth::Stuck(Reason::PatchRefused)
            }
            Growability::Growable => Growth::Short(asked.clone()),
        };
    }
    if claim.capacity.as_ref().is_some_and(|capacity| capacity >= target) {
        return Growth::Done;
    }
    match claim.progress {
        Progress::FileSystem => Growth::NodePending,
        Progress::Infeasible => Growth::Failed(Reason::Infeasible),
        Progress::NodeFailed => Growth::Failed(Reason::NodeResize),
        Progress::OfflineOnly => Growth::Stuck(Reason::OfflineOnly),
        Progress::None | Progress::Controller => match growability_of(view, claim) {
            Growability::Never(Obstacle::ClassMissing(_)) => Growth::Failed(Reason::ClassGone),
            _ if claim.capacity.is_none() => Growth::Unbound,
            _ => Growth::Growing,
        },
    }
}

/// Whether class and volume let a claim grow.
pub fn growability_of<'c>(view: &View<'_>, claim: &'c Claim) -> Growability<'c> {
    let class = match &view.observed.classes {
        Fact::Known(classes) => Fact::Known(classes.get(&claim.class)),
        Fact::Unknown(why) => Fact::Unknown(why.clone()),
    };
    let bound = claim.capacity.is_some();
    growability(&claim.class, bound, &class, &Fact::Known(claim.fixed_volume))
}

fn reason(obstacle: &Obstacle<'_>) -> Reason {
    match obstacle {
        Obstacle::ClassMissing(_) => Reason::ClassGone,
        Obstacle::NoClass
        | Obstacle::ClassForbids(_)
        | Obstacle::Driver(..)
        | Obstacle::Volume(_) => Reason::NotExpandable,
    }
}

/// The claims of this resize, with the size asked of each.
pub fn claims<'v>(view: &'v View<'_>) -> Option<Vec<(&'v Claim, &'v Quantity)>> {
    let Fact::Known(claims) = &view.observed.claims else { return None };
    Some(
        claims
            .iter()
            .filter(|claim| !claim.foreign)
            .filter_map(|claim| Some((claim, view.targets.get(&claim.template)?)))
            .collect(),
    )
}

/// The status of each claim of the request, keeping what earlier ones remember.
pub fn rows(view: &View<'_>) -> Vec<ClaimStatus> {
    let found = claims(view).unwrap_or_default();
    let known: BTreeMap<&str, &ClaimStatus> =
        view.status().claims.iter().map(|row| (row.name.as_str(), row)).collect();
    found
        .into_iter()
        .map(|(claim, asked)| {
            let target = asked.to_string();
            let before = known.get(claim.name.as_str()).copied();
            let before = before.filter(|row| row.target == target);
            let growth = growth(view, claim, asked);
            let state = match growth {
                Growth::Short(_) => ClaimState::Short,
                Growth::Unbound => ClaimState::Unbound,
                Growth::Growing => ClaimState::Growing,
                Growth::NodePending => ClaimState::NodePending,
                Growth::Done => ClaimState::Done,
                Growth::Stuck(_) => ClaimState::Stuck,
                Growth::Failed(_) => ClaimState::Failed,
            };
            let same = before.filter(|row| row.state == state);
            let capacity = claim.capacity.as_ref().map(ToString::to_string);
            // A restart that finished an older, smaller expansion was not this one's.
            let unmoved = before.filter(|row| row.capacity == capacity);
            ClaimStatus {
                name: claim.name.clone(),
                from: before.map_or_else(|| claim.request.to_string(), |row| row.from.clone()),
                target,
                since: same.map_or(Some(view.now), |row| row.since),
                state,
                lowest: lowest(claim, &growth),
                evicted: unmoved.and_then(|row| row.evicted.clone()),
                capacity,
            }
        })
        .collect()
}

/// The smallest whole number of MiB above the capacity, which is the lowest request that Kubernetes
/// accepts. None if that is no less than the claim's request, or if the size is not given up.
fn lowest(claim: &Claim, growth: &Growth) -> Option<String> {
    const MEBI: u128 = 1 << 20;
    if !matches!(growth, Growth::Growing | Growth::Failed(Reason::Infeasible)) {
        return None;
    }
    let nanos: u128 = claim.capacity.as_ref()?.nanos()?.parse().ok()?;
    let size = format!("{}Mi", nanos / 1_000_000_000 / MEBI + 1);
    (size.parse::<Quantity>().ok()? < claim.request).then_some(size)
}
