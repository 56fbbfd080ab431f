//! The checks before claims count as grown, before the set is touched, and before it is deleted.
//!
//! Each is a list of named checks. [`step`](super::step()) acts on the worst of a list, and a plan
//! prints the whole of it: what a person reads in advance is what is later decided by.

mod claims;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use stateward_core::facts::Fact;
use stateward_core::growth::{Extent, SizeLimit, no_volume_size};
use stateward_core::object::Quantity;
use stateward_core::record::{Halt, Reason, Retention, State};

pub use self::claims::{Growth, claims, growability_of, growth, rows};
use super::View;
use super::observed::{Answer, Claim, Dependents, Set};

/// One check and how it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// what was checked, for people
    pub name: &'static str,
    /// how it went
    pub outcome: CheckOutcome,
    /// what it is about, where it is not well
    pub detail: String,
}

/// How a check went, in the order of urgency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "camelCase")]
pub enum CheckOutcome {
    /// it passed
    Ok,
    /// not yet; it passes by itself, or a step of the plan brings it about
    Waiting(Reason),
    /// something could not be read
    Unknown,
    /// a person must act
    Blocked(Reason),
}

impl CheckOutcome {
    /// Whether a person must act.
    pub const fn is_blocked(&self) -> bool {
        matches!(self, Self::Blocked(_))
    }
}

impl Check {
    fn new(name: &'static str, outcome: CheckOutcome, detail: impl Into<String>) -> Self {
        Self { name, outcome, detail: detail.into() }
    }

    fn ok(name: &'static str) -> Self {
        Self::new(name, CheckOutcome::Ok, "")
    }

    pub(crate) fn that(
        name: &'static str,
        holds: bool,
        otherwise: CheckOutcome,
        detail: impl Into<String>,
    ) -> Self {
        if holds { Self::ok(name) } else { Self::new(name, otherwise, detail) }
    }

    fn unknown(name: &'static str, why: &str) -> Self {
        Self::new(name, CheckOutcome::Unknown, why)
    }

    /// Why a resize rests here, or `None` where the check is well.
    pub fn halt(&self) -> Option<Halt> {
        let (state, reason) = match &self.outcome {
            CheckOutcome::Ok => return None,
            CheckOutcome::Waiting(reason) => (State::Waiting, reason.clone()),
            CheckOutcome::Unknown => (State::Waiting, Reason::NotObserved),
            CheckOutcome::Blocked(reason) => (State::Blocked, reason.clone()),
        };
        Some(Halt { state, reason, message: self.detail.clone() })
    }
}

/// How many objects a message names.
const NAMED: usize = 10;

/// A list of names for a message: a tenant may make thousands of them.
pub fn named(names: &[String]) -> String {
    let some: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len().saturating_sub(NAMED) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
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

const fn rank(outcome: &CheckOutcome) -> u8 {
    match outcome {
        CheckOutcome::Ok => 0,
        CheckOutcome::Waiting(_) => 1,
        CheckOutcome::Unknown => 2,
        CheckOutcome::Blocked(_) => 3,
    }
}

/// Whether a size can be asked of a claim template. A size that the record's spec asks for must also
/// stay within [`Parameters::growth`](super::Parameters::growth); the webhook judges annotations.
pub fn requested_size(
    view: &View<'_>,
    set: &Set,
    template: &str,
    size: &str,
    by_record: bool,
) -> Check {
    const NAME: &str = "the size can be requested";
    let blocked = |reason, detail: String| Check::new(NAME, CheckOutcome::Blocked(reason), detail);
    let asked = match size.parse::<Quantity>() {
        Ok(asked) => asked,
        Err(why) => return blocked(Reason::BadTarget, format!("{template}: {why}")),
    };
    if let Some(why) = no_volume_size(&asked) {
        return blocked(Reason::BadTarget, format!("{template}: {size} {why}"));
    }
    let Some(have) = set.templates.get(template) else {
        let names: Vec<String> = set.templates.keys().cloned().collect();
        let names = if names.is_empty() { "none".to_owned() } else { named(&names) };
        let detail = format!("{template}; the set's claim templates: {names}");
        return blocked(Reason::NoSuchTemplate, detail);
    };
    let namespace = match &view.observed.namespace {
        Fact::Known(namespace) => namespace.resize_max.as_deref(),
        Fact::Unknown(why) => return Check::unknown(NAME, why),
    };
    if let Some(limit) = SizeLimit::new(namespace, set.resize_max.as_deref())
        && limit.forbids(&asked)
    {
        let detail = format!("{template}: {size} is more than the {limit} of resize-max");
        return blocked(Reason::OverMax, detail);
    }
    let limit = &view.parameters.growth;
    let from = smallest_claim(view, template).unwrap_or(have);
    if by_record && limit.extent(from, &asked) == Extent::Mistake {
        let detail =
            format!("{template}: {from} → {size} is more than {}-fold growth", limit.factor);
        return blocked(Reason::HugeGrowth, detail);
    }
    Check::ok(NAME)
}

/// The smallest request among the claims of the template that would grow.
fn smallest_claim<'v>(view: &'v View<'_>, template: &str) -> Option<&'v Quantity> {
    let Fact::Known(claims) = &view.observed.claims else { return None };
    let grows = |claim: &&Claim| claim.template == template && !claim.foreign;
    claims.iter().filter(grows).map(|claim| &claim.request).min()
}

/// Whether every claim's controller side is done: the check before `ClaimsGrown`.
pub fn claims_grown(view: &View<'_>, set: &Set) -> Vec<Check> {
    const NAME: &str = "claims have the requested size";
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
                CheckOutcome::Waiting(Reason::ClaimsGrowing)
            }
            Growth::Stuck(reason) | Growth::Failed(reason) => CheckOutcome::Blocked(reason),
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
        "every earlier re-creation was finished",
        set.unfinished.is_none(),
        CheckOutcome::Blocked(Reason::RecreationUnfinished),
        format!("partition {partition}"),
    )
}

/// What is read before the set is touched.
pub fn reads(view: &View<'_>, set: &Set) -> Vec<Check> {
    let observed = view.observed;
    let mut checks = vec![
        Check::that(
            "no controller owns the set, or it allows the re-creation",
            set.forbidding_owner().is_none(),
            CheckOutcome::Blocked(Reason::OwnerManaged),
            set.forbidding_owner().unwrap_or_default(),
        ),
        Check::that(
            "the set is not being deleted",
            !set.terminating,
            CheckOutcome::Waiting(Reason::SetTerminating),
            "",
        ),
        Check::that(
            "the set has no foreign finalizer",
            set.foreign_finalizers.is_empty(),
            CheckOutcome::Blocked(Reason::ForeignFinalizer),
            named(&set.foreign_finalizers),
        ),
        Check::that(
            "its claim templates have unique names",
            !set.duplicate_templates,
            CheckOutcome::Blocked(Reason::BadTarget),
            "two claim templates have one name",
        ),
        Check::that(
            "the set fits into the record",
            set.snapshot.len() <= view.parameters.snapshot_limit,
            CheckOutcome::Blocked(Reason::SnapshotTooLarge),
            "",
        ),
        finished(set),
    ];
    checks.push(match &observed.neighbours {
        Fact::Known(names) => Check::that(
            "no other controller selects its pods",
            names.is_empty(),
            CheckOutcome::Blocked(Reason::OverlappingSelector),
            named(names),
        ),
        Fact::Unknown(why) => Check::unknown("no other controller selects its pods", why),
    });
    checks.push(dependents(&observed.dependents));
    checks.push(match &observed.claims {
        Fact::Known(claims) => {
            let going: Vec<_> = claims
                .iter()
                .filter(|claim| claim.terminating && !claim.foreign)
                .map(|claim| claim.name.clone())
                .collect();
            Check::that(
                "no claim is being deleted",
                going.is_empty(),
                CheckOutcome::Blocked(Reason::ClaimTerminating),
                named(&going),
            )
        }
        Fact::Unknown(why) => Check::unknown("no claim is being deleted", why),
    });
    checks.extend(claims_grown(view, set));
    checks.push(rollout(view, set));
    checks.push(age(view, set));
    checks.push(Check::that(
        "no earlier CREATE can still arrive",
        view.elapsed(view.record.status.last_create) >= view.parameters.create_quarantine,
        CheckOutcome::Waiting(Reason::RecentCreate),
        "",
    ));
    checks
}

/// The orphan delete strips the reference to the set from everything that names it as an owner.
/// Pods, claims and revisions are adopted again; nobody restores the reference of other objects.
fn dependents(dependents: &Fact<Dependents>) -> Check {
    const NAME: &str = "no other object names the set as its owner";
    match dependents {
        Fact::Known(known) if known.found.is_empty() && known.unlisted.is_empty() => {
            Check::ok(NAME)
        }
        Fact::Known(known) if known.found.is_empty() => {
            let kinds = known.unlisted.join(", ");
            Check::new(NAME, CheckOutcome::Ok, format!("no permission to list {kinds}"))
        }
        Fact::Known(known) => {
            Check::new(NAME, CheckOutcome::Blocked(Reason::OtherDependents), named(&known.found))
        }
        Fact::Unknown(why) => Check::unknown(NAME, why),
    }
}

/// All pods there, none on its way, all of the update revision.
fn rollout(view: &View<'_>, set: &Set) -> Check {
    const NAME: &str = "no rollout is under way";
    let waiting = CheckOutcome::Waiting(Reason::MidRollout);
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
            return Check::new(NAME, waiting, format!("{} is being deleted", pod.name));
        }
        if pod.revision != set.update_revision {
            return Check::new(NAME, waiting, format!("{} has an older revision", pod.name));
        }
        if set.ordered && !pod.available {
            let reason = CheckOutcome::Waiting(Reason::PodsNotReady);
            return Check::new(NAME, reason, format!("{} is not available", pod.name));
        }
    }
    Check::ok(NAME)
}

/// The garbage collector orphans what its cache knows, once: what is younger may be missed.
fn age(view: &View<'_>, set: &Set) -> Check {
    const NAME: &str = "pods and revision are old enough for the garbage collector's cache";
    let waiting = CheckOutcome::Waiting(Reason::JustChanged);
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
        "no webhook changes the set when it is created",
    ];
    let answers = match &view.observed.dry_runs {
        Fact::Unknown(why) => {
            return names.iter().map(|name| Check::unknown(name, why)).collect();
        }
        Fact::Known(answers) => answers,
    };
    let judge = |name, answer: &Answer, quota: CheckOutcome| match answer {
        Answer::Good => Check::ok(name),
        Answer::Quota => Check::new(name, quota, "the quota for StatefulSets is used up"),
        Answer::Refused(why) => Check::new(name, CheckOutcome::Blocked(Reason::DryRunRefused), why),
        Answer::Changed(fields) => {
            Check::new(name, CheckOutcome::Blocked(Reason::ChangedOnCreate), fields)
        }
    };
    vec![
        judge(names[0], &answers.delete, CheckOutcome::Blocked(Reason::DryRunRefused)),
        // Quota is asked last: its refusal proves the rest as well as AlreadyExists does.
        judge(names[1], &answers.create, CheckOutcome::Ok),
        judge(names[2], &answers.unchanged, CheckOutcome::Waiting(Reason::Quota)),
    ]
}

/// Whether the set may be deleted without any claim following it
/// (`docs/resize.md`, Retention pin).
pub fn retention_pin(view: &View<'_>, set: &Set) -> Vec<Check> {
    let open = || CheckOutcome::Waiting(Reason::RetentionNotPinned);
    let mut checks = vec![
        Check::that(
            "retention keeps every claim",
            set.retention == Retention::RETAIN,
            open(),
            "retention is not Retain",
        ),
        Check::that(
            "the StatefulSet controller has seen the last edit",
            set.generation_observed,
            open(),
            "the StatefulSet controller has not seen the last edit",
        ),
    ];
    checks.push(match &view.observed.claims {
        Fact::Known(claims) => {
            let uids = view.observed.uids();
            let held: Vec<_> = claims
                .iter()
                .filter(|claim| goes_along(&uids, claim))
                .map(|claim| claim.name.clone())
                .collect();
            Check::that(
                "no claim is owned by the set or a pod",
                held.is_empty(),
                open(),
                named(&held),
            )
        }
        Fact::Unknown(why) => Check::unknown("no claim is owned by the set or a pod", why),
    });
    checks
}

/// Whether the claim could be deleted along with the set: of a claim that belongs to somebody else
/// only an owner reference to this set or its pods counts, whose UIDs are `uids`.
pub fn goes_along(uids: &BTreeSet<&str>, claim: &Claim) -> bool {
    let ours = claim.owners.iter().any(|owner| uids.contains(owner.as_str()));
    ours || !claim.foreign && !claim.owners.is_empty()
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
