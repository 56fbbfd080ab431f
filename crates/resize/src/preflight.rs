//! The checks before claims count as grown, before the set is touched, and before it is deleted.
//!
//! Each is a list of named checks. [`step`](super::step()) acts on the worst of a list, and a plan
//! prints the whole of it: what a person reads in advance is what is later decided by.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stateward_core::facts::Fact;
use stateward_core::object::Quantity;
use stateward_core::record::{Halt, Reason, Retention, State};

use super::observed::{Answer, Claim, Progress, Set};
use super::step::View;

/// One check and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// what was checked, for people
    pub name: &'static str,
    /// how it went
    pub outcome: Outcome,
    /// what it is about, where it is not well
    pub detail: String,
}

/// How a check went, in the order of urgency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// well
    Ok,
    /// not yet; it passes by itself
    Waiting(Reason),
    /// it could not be read
    Unknown,
    /// a person must act
    Blocked(Reason),
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { name, outcome, detail: detail.into() }
    }

    fn ok(name: &'static str) -> Self {
        Self::new(name, Outcome::Ok, "")
    }

    fn that(
        name: &'static str,
        holds: bool,
        otherwise: Outcome,
        detail: impl Into<String>,
    ) -> Self {
        if holds { Self::ok(name) } else { Self::new(name, otherwise, detail) }
    }

    fn unknown(name: &'static str, why: &str) -> Self {
        Self::new(name, Outcome::Unknown, why)
    }

    /// Why a resize rests here, or `None` where the check is well.
    pub fn halt(&self) -> Option<Halt> {
        let (state, reason) = match &self.outcome {
            Outcome::Ok => return None,
            Outcome::Waiting(reason) => (State::Waiting, reason.clone()),
            Outcome::Unknown => (State::Waiting, Reason::NotObserved),
            Outcome::Blocked(reason) => (State::Blocked, reason.clone()),
        };
        Some(Halt { state, reason, message: self.detail.clone() })
    }
}

/// The worst of the checks: the first of those with the most urgent outcome.
pub fn worst(checks: &[Check]) -> Option<Halt> {
    let mut worst: Option<&Check> = None;
    for check in checks {
        if worst.is_none_or(|found| rank(&check.outcome) > rank(&found.outcome)) {
            worst = Some(check);
        }
    }
    worst.and_then(Check::halt)
}

const fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Waiting(_) => 1,
        Outcome::Unknown => 2,
        Outcome::Blocked(_) => 3,
    }
}

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

/// How far `claim` is on the way to `asked`; `id` is what our patch writes into `resize-id`.
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
        if claim.capacity.is_none() {
            return Growth::Unbound;
        }
        return match class_allows(view, claim) {
            Err(reason) => Growth::Failed(reason),
            Ok(()) if view.observed.memory.refused_claims.contains_key(&claim.name) => {
                Growth::Stuck(Reason::PatchRefused)
            }
            Ok(()) => Growth::Short(asked.clone()),
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
        Progress::None | Progress::Controller => match class_allows(view, claim) {
            Err(Reason::ClassGone) => Growth::Failed(Reason::ClassGone),
            _ if claim.capacity.is_none() => Growth::Unbound,
            _ => Growth::Growing,
        },
    }
}

/// Whether class and volume let a claim grow. An unreadable class is left to the API server.
fn class_allows(view: &View<'_>, claim: &Claim) -> Result<(), Reason> {
    if claim.cannot_grow.is_some() {
        return Err(Reason::NotExpandable);
    }
    let Fact::Known(classes) = &view.observed.classes else { return Ok(()) };
    match classes.get(&claim.class) {
        None if claim.class.is_empty() => Err(Reason::NotExpandable),
        None => Err(Reason::ClassGone),
        Some(class) if !class.expandable => Err(Reason::NotExpandable),
        Some(_) => Ok(()),
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

/// Whether every claim's controller side is done: the check before `ClaimsGrown`.
pub fn claims_grown(view: &View<'_>, set: &Set) -> Vec<Check> {
    const NAME: &str = "claims are as large as asked";
    let Some(claims) = claims(view) else {
        return vec![Check::unknown(NAME, why(&view.observed.claims))];
    };
    let mut checks = Vec::new();
    for (claim, asked) in claims {
        let outcome = match growth(view, claim, asked) {
            Growth::Done | Growth::NodePending => continue,
            // A leftover that never was bound holds no data and no pod; it must not hold us up.
            Growth::Unbound if !set.ordinals().contains(&claim.ordinal) => continue,
            Growth::Growing | Growth::Short(_) | Growth::Unbound => {
                Outcome::Waiting(Reason::ClaimsGrowing)
            }
            Growth::Stuck(reason) | Growth::Failed(reason) => Outcome::Blocked(reason),
        };
        checks.push(Check::new(NAME, outcome, &claim.name));
    }
    if checks.is_empty() {
        checks.push(Check::ok(NAME));
    }
    checks
}

/// Whether the set may be touched at all: what is read, then what dry runs answer.
pub fn set(view: &View<'_>, set: &Set) -> Vec<Check> {
    let mut checks = reads(view, set);
    checks.extend(dry_runs(view));
    checks
}

/// Whether a re-creation before this one was finished. What it left must neither pass for what
/// people wrote, nor stay when a request is called complete.
pub fn finished(set: &Set) -> Check {
    let partition = set.partition.map_or("none".to_owned(), |partition| partition.to_string());
    Check::that(
        "no earlier re-creation is unfinished",
        set.unfinished.is_none(),
        Outcome::Blocked(Reason::RecreationUnfinished),
        format!("partition {partition}"),
    )
}

/// What is read before the set is touched.
pub fn reads(view: &View<'_>, set: &Set) -> Vec<Check> {
    let observed = view.observed;
    let mut checks = vec![
        Check::that(
            "no controller owns the set",
            set.owner.is_none(),
            Outcome::Blocked(Reason::OwnerManaged),
            set.owner.clone().unwrap_or_default(),
        ),
        Check::that(
            "the set is not going away",
            !set.terminating,
            Outcome::Waiting(Reason::SetTerminating),
            "",
        ),
        Check::that(
            "nobody else's finalizer is on it",
            set.foreign_finalizers.is_empty(),
            Outcome::Blocked(Reason::ForeignFinalizer),
            set.foreign_finalizers.join(", "),
        ),
        Check::that(
            "its claim templates have different names",
            !set.duplicate_templates,
            Outcome::Blocked(Reason::BadTarget),
            "two claim templates have one name",
        ),
        Check::that(
            "it fits into the record",
            set.snapshot.len() <= view.parameters.snapshot_limit,
            Outcome::Blocked(Reason::SnapshotTooLarge),
            "",
        ),
        finished(set),
    ];
    checks.push(match &observed.neighbours {
        Fact::Known(names) => Check::that(
            "no other controller selects its pods",
            names.is_empty(),
            Outcome::Blocked(Reason::OverlappingSelector),
            names.join(", "),
        ),
        Fact::Unknown(why) => Check::unknown("no other controller selects its pods", why),
    });
    checks.push(match &observed.claims {
        Fact::Known(claims) => {
            let going: Vec<_> = claims
                .iter()
                .filter(|claim| claim.terminating && !claim.foreign)
                .map(|claim| claim.name.as_str())
                .collect();
            Check::that(
                "no claim is going away",
                going.is_empty(),
                Outcome::Blocked(Reason::ClaimTerminating),
                going.join(", "),
            )
        }
        Fact::Unknown(why) => Check::unknown("no claim is going away", why),
    });
    checks.extend(claims_grown(view, set));
    checks.push(rollout(view, set));
    checks.push(age(view, set));
    checks.push(Check::that(
        "no CREATE of ours can still be on its way",
        view.elapsed(view.record.status.last_create) >= view.parameters.create_quarantine,
        Outcome::Waiting(Reason::RecentCreate),
        "",
    ));
    checks
}

/// All pods there, none on its way, all of the update revision.
fn rollout(view: &View<'_>, set: &Set) -> Check {
    const NAME: &str = "no rollout is under way";
    let waiting = Outcome::Waiting(Reason::MidRollout);
    let Fact::Known(pods) = &view.observed.pods else {
        return Check::unknown(NAME, why(&view.observed.pods));
    };
    if !set.generation_observed {
        return Check::new(NAME, waiting, "the StatefulSet controller has not seen the last edit");
    }
    // An OnDelete set need not advance its current revision.
    if !set.on_delete && set.current_revision != set.update_revision {
        return Check::new(NAME, waiting, "current and update revision differ");
    }
    if pods.len() != set.replicas as usize {
        return Check::new(NAME, waiting, format!("{} of {} pods", pods.len(), set.replicas));
    }
    for pod in pods {
        if pod.terminating || !set.ordinals().contains(&pod.ordinal) {
            return Check::new(NAME, waiting, format!("{} is going away", pod.name));
        }
        if pod.revision != set.update_revision {
            return Check::new(NAME, waiting, format!("{} is of an older revision", pod.name));
        }
        if set.ordered && !pod.available {
            let reason = Outcome::Waiting(Reason::PodsNotReady);
            return Check::new(NAME, reason, format!("{} is not available", pod.name));
        }
    }
    Check::ok(NAME)
}

/// The garbage collector orphans what its cache knows, once: what is younger may be missed.
fn age(view: &View<'_>, set: &Set) -> Check {
    const NAME: &str = "pods and revision are known to the garbage collector";
    let waiting = Outcome::Waiting(Reason::JustChanged);
    let (Fact::Known(pods), Fact::Known(revisions)) =
        (&view.observed.pods, &view.observed.revisions)
    else {
        return Check::unknown(NAME, "pods or revisions could not be read");
    };
    for pod in pods {
        if is_young(view, pod.created) || pod.owner.as_deref() != Some(&set.uid) {
            return Check::new(NAME, waiting, &pod.name);
        }
    }
    let revision = revisions.iter().find(|revision| revision.id.name == set.update_revision);
    match revision {
        Some(revision)
            if !is_young(view, revision.created) && owned(revision.owner.as_ref(), set) =>
        {
            Check::ok(NAME)
        }
        _ => Check::new(NAME, waiting, &set.update_revision),
    }
}

/// Whether what was created then may not be known everywhere yet.
pub(super) fn is_young(view: &View<'_>, created: Timestamp) -> bool {
    view.now.duration_since(created) < view.parameters.just_changed
}

fn owned(owner: Option<&(String, bool)>, set: &Set) -> bool {
    owner.is_some_and(|(uid, _)| *uid == set.uid)
}

/// What dry runs of DELETE and CREATE answered; sent only when everything that is read is well.
pub fn dry_runs(view: &View<'_>) -> Vec<Check> {
    let names = [
        "a dry run of the orphan delete is accepted",
        "a dry run of the re-creation is accepted",
        "nobody changes the set when it is created",
    ];
    let answers = match &view.observed.dry_runs {
        Fact::Unknown(why) => {
            return names.iter().map(|name| Check::unknown(name, why)).collect();
        }
        Fact::Known(answers) => answers,
    };
    let judge = |name, answer: &Answer, quota: Outcome| match answer {
        Answer::Good => Check::ok(name),
        Answer::Quota => Check::new(name, quota, "the quota for sets is used up"),
        Answer::Refused(why) => Check::new(name, Outcome::Blocked(Reason::DryRunRefused), why),
        Answer::Changed(fields) => {
            Check::new(name, Outcome::Blocked(Reason::ChangedOnCreate), fields)
        }
    };
    vec![
        judge(names[0], &answers.delete, Outcome::Blocked(Reason::DryRunRefused)),
        // Quota is asked last: its refusal proves the rest as well as AlreadyExists does.
        judge(names[1], &answers.create, Outcome::Ok),
        judge(names[2], &answers.unchanged, Outcome::Waiting(Reason::Quota)),
    ]
}

/// Whether the set may be deleted without any claim following it
/// (`docs/resize.md`, Retention pin).
pub fn retention_pin(view: &View<'_>, set: &Set) -> Vec<Check> {
    let open = || Outcome::Waiting(Reason::RetentionNotPinned);
    let mut checks = vec![
        Check::that(
            "retention keeps every claim",
            set.retention == Retention::RETAIN,
            open(),
            "retention is not Retain",
        ),
        Check::that(
            "the StatefulSet controller knows",
            set.generation_observed,
            open(),
            "the StatefulSet controller has not seen the last edit",
        ),
    ];
    checks.push(match &view.observed.claims {
        Fact::Known(claims) => {
            let held: Vec<_> = claims
                .iter()
                .filter(|claim| !claim.owners.is_empty() && !claim.foreign)
                .map(|claim| claim.name.as_str())
                .collect();
            Check::that("no claim is owned by set or pod", held.is_empty(), open(), held.join(", "))
        }
        Fact::Unknown(why) => Check::unknown("no claim is owned by set or pod", why),
    });
    checks
}

/// The reason why a fact is not known, for a message.
fn why<T>(fact: &Fact<T>) -> &str {
    match fact {
        Fact::Known(_) => "",
        Fact::Unknown(why) => why,
    }
}

/// Whether every template is at least as large as asked.
pub fn templates_reach(set: &Set, targets: &BTreeMap<String, Quantity>) -> bool {
    targets.iter().all(|(name, size)| set.templates.get(name).is_none_or(|have| have >= size))
}
