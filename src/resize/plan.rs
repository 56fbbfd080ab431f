//! What a resize would do, for a person to read before it is begun.
//!
//! The checks are those of [`gate`], which [`step()`](super::step()) decides by; so what is read in
//! advance is what is later acted on.

mod by_hand;
mod owner;
mod steps;
mod text;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

pub use self::owner::OwnerField;
pub use self::steps::{ByHand, PlannedStep, Touch};
pub use self::text::{paint, render, render_checks, render_owner};
use super::advice;
use super::gate::{self, Growth};
use super::observed::{Claim, Memory, Observed, Set};
use super::record::{Acting, Attempt, Phase, Reason, Record, Retention, Spec, Status};
use super::step::{Parameters, View};
use crate::facts::Fact;
use crate::object::Quantity;
use crate::rules::Step;

/// What is planned for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// the set's namespace
    pub namespace: &'q str,
    /// the set's name
    pub name: &'q str,
    /// claim template → size as written
    pub targets: &'q BTreeMap<String, String>,
    /// only claims are to grow
    pub claims_only: bool,
}

/// What a resize would do.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// the set's namespace
    pub namespace: String,
    /// the set's name
    pub name: String,
    /// what it comes to
    pub verdict: Verdict,
    /// the claim templates asked for
    pub templates: Vec<PlannedTemplate>,
    /// every claim of these templates
    pub claims: Vec<PlannedClaim>,
    /// the checks, in the order in which they count
    pub checks: Vec<PlannedCheck>,
    /// the steps, in the order in which they are taken
    pub steps: Vec<PlannedStep>,
    /// the pods that would be restarted, and why
    pub restarts: Vec<Restart>,
    /// how long the set has no controller, in seconds; none where it is not re-created
    pub seconds_without_controller: Option<u32>,
    /// where the owner of the set keeps the size
    pub owner: Option<OwnerField>,
}

/// What a plan comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// claims and templates are as large as asked
    NothingToDo,
    /// nothing stands in the way
    Ready,
    /// it would wait for something that passes by itself
    Waits,
    /// claims would grow; the set would not be touched before a person acts
    ClaimsOnly,
    /// a person must act first
    Blocked,
    /// something could not be read, and the set is not touched before it is
    Unknown,
}

/// One claim template.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedTemplate {
    /// its name
    pub name: String,
    /// its size
    pub from: Option<String>,
    /// the size asked, as written
    pub to: String,
}

/// One claim.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedClaim {
    /// its name
    pub name: String,
    /// its request
    pub from: String,
    /// the request that it would have
    pub to: String,
    /// the capacity of its volume; none where it is not bound
    pub capacity: Option<String>,
    /// its class
    pub class: String,
    /// how far it is
    pub state: ClaimState,
}

/// How far a claim is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimState {
    /// large enough
    Done,
    /// its request would be raised
    Raise,
    /// its volume grows
    Growing,
    /// its file system waits for the node
    NodePending,
    /// it grows once it is bound
    Unbound,
    /// it does not grow
    Stuck,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCheck {
    /// what it stands before
    pub gate: Gate,
    /// what is checked
    pub name: String,
    /// how it went
    pub outcome: CheckOutcome,
    /// the word for it, where it is not well
    pub reason: Option<Reason>,
    /// what it is about, where it is not well
    pub detail: String,
    /// the step that brings it about; none where no step does
    pub step: Option<usize>,
    /// what a person does about it
    pub advice: Vec<Step>,
}

/// What a check stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Gate {
    /// the request is taken
    Request,
    /// claims grow
    Claims,
    /// the set is touched
    Set,
    /// the set is deleted
    Fence,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CheckOutcome {
    /// well
    Ok,
    /// not yet; it passes by itself, or a step brings it about
    Waiting,
    /// it could not be read
    Unknown,
    /// a person must act
    Blocked,
}

/// A pod that would be restarted.
#[derive(Clone, Debug, Serialize)]
pub struct Restart {
    /// its name
    pub pod: String,
    /// why
    pub why: String,
}

/// The names of the checks of the gate before the set that the first step brings about.
const CLAIMS_GROWN: &str = "claims are as large as asked";
/// Kubernetes' garbage collector orphans pods and revisions one patch each, with the limits of the
/// controller manager's client: 30 at once, then 20 a second (its flags `--kube-api-burst` and
/// `--kube-api-qps`).
const ORPHANED_AT_ONCE: usize = 30;
const ORPHANED_PER_SECOND: usize = 20;
/// `spec.revisionHistoryLimit` is 10 where it is not set, and the current revision is kept besides.
const REVISIONS: usize = 11;

/// A record as it would be once `targets` are asked for: what the cluster is observed for, and what
/// the gates are asked about.
pub fn rehearsal(
    record: Option<&Record>,
    targets: &BTreeMap<String, String>,
    set_uid: &str,
) -> Record {
    let mut record = record.cloned().unwrap_or_else(|| Record {
        namespace: String::new(),
        name: String::new(),
        uid: String::new(),
        generation: 1,
        finalizer: false,
        deleting: false,
        spec: Spec::default(),
        status: Status::default(),
    });
    let acting = record.status.acting.as_ref();
    let begun = record.status.phase.is_live() && acting.is_some_and(|a| a.targets == *targets);
    if !begun {
        record.status.acting = Some(Acting {
            number: acting.map_or(0, |acting| acting.number) + 1,
            generation: record.generation,
            set_uid: set_uid.to_owned(),
            targets: targets.clone(),
            withdrawable: false,
        });
        record.status.phase = Phase::ClaimsGrown;
        record.status.attempt = Attempt::default();
        record.status.snapshot = None;
    }
    record
}

/// What growing the set's claim templates to the sizes asked would do. `observed` is best read for
/// the record that [`rehearsal`] gives, with dry runs.
///
/// # Errors
/// The set is not there, or could not be read.
pub fn plan(
    question: &Question<'_>,
    observed: &Observed,
    record: Option<&Record>,
    now: Timestamp,
    parameters: &Parameters,
) -> Result<Plan, PlanError> {
    let set = match &observed.set {
        Fact::Known(Some(set)) => set,
        Fact::Known(None) => return Err(PlanError::NoSet(at(question))),
        Fact::Unknown(why) => return Err(PlanError::Unread(at(question), why.clone())),
    };
    let record = rehearsal(record, question.targets, &set.uid);
    // What this process remembers of refusals is no part of a plan.
    let observed = Observed { memory: Memory::default(), ..observed.clone() };
    let view = View::new(&observed, &record, now, parameters);
    let claims = planned_claims(&view);
    let re_creates =
        !question.claims_only && set.owner.is_none() && !gate::templates_reach(set, &view.targets);
    let steps = steps::steps(question, &view, set, &claims, re_creates);
    let checks = checks(question, &view, set, &steps, re_creates);
    let verdict = verdict(&claims, &checks, re_creates);
    Ok(Plan {
        namespace: question.namespace.to_owned(),
        name: question.name.to_owned(),
        verdict,
        templates: question
            .targets
            .iter()
            .map(|(name, to)| PlannedTemplate {
                name: name.clone(),
                from: set.templates.get(name).map(ToString::to_string),
                to: to.clone(),
            })
            .collect(),
        claims,
        checks,
        steps,
        restarts: restarts(&view, set),
        seconds_without_controller: re_creates.then(|| seconds_without_controller(&observed)),
        owner: set.owner.as_deref().and_then(|owner| owner::field(owner, question.namespace)),
    })
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// the set is not there
    #[error("there is no StatefulSet {0}")]
    NoSet(String),
    /// the set could not be read
    #[error("StatefulSet {0} could not be read: {1}")]
    Unread(String, String),
}

fn at(question: &Question<'_>) -> String {
    format!("{}/{}", question.namespace, question.name)
}

fn planned_claims(view: &View<'_>) -> Vec<PlannedClaim> {
    let claims = gate::claims(view).unwrap_or_default();
    claims
        .into_iter()
        .map(|(claim, asked)| PlannedClaim {
            name: claim.name.clone(),
            from: claim.request.to_string(),
            to: claim.request.clone().max(asked.clone()).to_string(),
            capacity: claim.capacity.as_ref().map(ToString::to_string),
            class: claim.class.clone(),
            state: match gate::growth(view, claim, asked) {
                Growth::Done => ClaimState::Done,
                Growth::Short(_) => ClaimState::Raise,
                Growth::Growing => ClaimState::Growing,
                Growth::NodePending => ClaimState::NodePending,
                Growth::Unbound => ClaimState::Unbound,
                Growth::Stuck(_) | Growth::Failed(_) => ClaimState::Stuck,
            },
        })
        .collect()
}

fn checks(
    question: &Question<'_>,
    view: &View<'_>,
    set: &Set,
    steps: &[PlannedStep],
    re_creates: bool,
) -> Vec<PlannedCheck> {
    let does = |phase: Phase| steps.iter().find(|step| step.phase == phase).map(|s| s.number);
    let rows = Rows { question, view };
    let mut all = rows.request(set);
    all.extend(rows.claims());
    if set.owner.is_none() && !re_creates {
        return all;
    }
    let grows = all.iter().all(|check| check.outcome != CheckOutcome::Blocked);
    let mut short = 0;
    let of_set = gate::set(view, set).into_iter();
    for check in of_set.chain(gate::dry_runs(&view)) {
        let growing = gate::Outcome::Waiting(Reason::ClaimsGrowing);
        if check.name == CLAIMS_GROWN && check.outcome == growing {
            short += 1;
        } else if check.name != CLAIMS_GROWN || check.outcome == gate::Outcome::Ok {
            all.push(rows.row(Gate::Set, &check, None));
        }
    }
    if short > 0 {
        let mut check = rows.row(
            Gate::Set,
            &gate::Check {
                name: CLAIMS_GROWN,
                outcome: gate::Outcome::Waiting(Reason::ClaimsGrowing),
                detail: format!("{} to grow first", claims_noun(short)),
            },
            does(Phase::Growing).filter(|_| grows),
        );
        check.advice.clear();
        all.push(check);
    }
    if re_creates {
        for check in gate::fence(view, set) {
            let fenced = does(Phase::Fenced)
                .filter(|_| check.outcome == gate::Outcome::Waiting(Reason::FenceOpen));
            all.push(rows.row(Gate::Fence, &check, fenced));
        }
    }
    all
}

/// Makes rows of checks.
struct Rows<'r> {
    question: &'r Question<'r>,
    view: &'r View<'r>,
}

impl Rows<'_> {
    fn row(&self, gate: Gate, check: &gate::Check, step: Option<usize>) -> PlannedCheck {
        let (outcome, reason) = match &check.outcome {
            gate::Outcome::Ok => (CheckOutcome::Ok, None),
            gate::Outcome::Waiting(reason) => (CheckOutcome::Waiting, Some(reason.clone())),
            gate::Outcome::Unknown => (CheckOutcome::Unknown, Some(Reason::NotObserved)),
            gate::Outcome::Blocked(reason) => (CheckOutcome::Blocked, Some(reason.clone())),
        };
        let subject = advice::Subject {
            namespace: self.question.namespace,
            name: self.question.name,
            detail: &check.detail,
        };
        let advice = match &reason {
            Some(reason) if outcome == CheckOutcome::Blocked => advice::steps(reason, &subject),
            _ => Vec::new(),
        };
        let detail = check.detail.clone();
        PlannedCheck { gate, name: check.name.to_owned(), outcome, reason, detail, step, advice }
    }

    /// Whether the sizes asked for can be taken at all.
    fn request(&self, set: &Set) -> Vec<PlannedCheck> {
        let mut rows = Vec::new();
        let max = match &self.view.observed.namespace {
            Fact::Known(namespace) => Ok(namespace.max.as_ref().or(set.max.as_ref())),
            Fact::Unknown(why) => Err(why),
        };
        for (template, size) in self.question.targets {
            let (outcome, detail) = match (size.parse::<Quantity>(), set.templates.get(template)) {
                (Err(why), _) => (gate::Outcome::Blocked(Reason::BadTarget), why.to_string()),
                (_, None) => (
                    gate::Outcome::Blocked(Reason::NoSuchTemplate),
                    format!("{template}; there is {}", named(set)),
                ),
                (Ok(asked), Some(have)) if asked < *have => (
                    gate::Outcome::Blocked(Reason::BadTarget),
                    format!("{template} is {have} already, and claims cannot shrink"),
                ),
                (Ok(asked), Some(_)) => match max {
                    Ok(Some(max)) if asked > *max => (
                        gate::Outcome::Blocked(Reason::OverMax),
                        format!("{template}: {size} is more than the {max} of resize-max"),
                    ),
                    Ok(_) => (gate::Outcome::Ok, String::new()),
                    Err(why) => (gate::Outcome::Unknown, why.clone()),
                },
            };
            let name = "the size can be asked for";
            rows.push(self.row(Gate::Request, &gate::Check { name, outcome, detail }, None));
        }
        rows.push(self.paused(set));
        rows
    }

    fn paused(&self, set: &Set) -> PlannedCheck {
        let (outcome, detail) = if set.paused {
            let detail = "the set has the annotation stateward.dev/resize-paused";
            (gate::Outcome::Blocked(Reason::Paused), detail)
        } else if self.view.record.spec.paused {
            (gate::Outcome::Blocked(Reason::Paused), "the record says so")
        } else {
            (gate::Outcome::Ok, "")
        };
        let check = gate::Check { name: "it is not paused", outcome, detail: detail.to_owned() };
        self.row(Gate::Request, &check, None)
    }

    /// Whether each claim can grow: those that can are one row.
    fn claims(&self) -> Vec<PlannedCheck> {
        let name = "claims can grow";
        let Some(claims) = gate::claims(self.view) else {
            let why = match &self.view.observed.claims {
                Fact::Known(_) => String::new(),
                Fact::Unknown(why) => why.clone(),
            };
            let check = gate::Check { name, outcome: gate::Outcome::Unknown, detail: why };
            return vec![self.row(Gate::Claims, &check, None)];
        };
        let mut rows = Vec::new();
        let mut unbound: Vec<&str> = Vec::new();
        for (claim, asked) in claims {
            match gate::growth(self.view, claim, asked) {
                Growth::Stuck(reason) | Growth::Failed(reason) => {
                    let check = gate::Check {
                        name,
                        detail: self.why_stuck(claim, &reason),
                        outcome: gate::Outcome::Blocked(reason),
                    };
                    rows.push(self.row(Gate::Claims, &check, None));
                }
                Growth::Unbound => unbound.push(&claim.name),
                Growth::Done | Growth::NodePending | Growth::Growing | Growth::Short(_) => {}
            }
        }
        if !unbound.is_empty() {
            let check = gate::Check {
                name,
                outcome: gate::Outcome::Waiting(Reason::ClaimsGrowing),
                detail: format!("not bound yet: {}", unbound.join(", ")),
            };
            rows.push(self.row(Gate::Claims, &check, None));
        }
        if let Fact::Unknown(why) = &self.view.observed.classes {
            let check = gate::Check { name, outcome: gate::Outcome::Unknown, detail: why.clone() };
            rows.push(self.row(Gate::Claims, &check, None));
        }
        if rows.is_empty() {
            let check = gate::Check { name, outcome: gate::Outcome::Ok, detail: String::new() };
            rows.push(self.row(Gate::Claims, &check, None));
        }
        rows
    }

    fn why_stuck(&self, claim: &Claim, reason: &Reason) -> String {
        let name = &claim.name;
        match reason {
            Reason::NotExpandable => match &claim.cannot_grow {
                Some(why) => format!("{name}: {why}"),
                None => format!("{name}: its class {} does not allow expansion", claim.class),
            },
            Reason::ClassGone => format!("{name}: there is no class {}", claim.class),
            _ => name.clone(),
        }
    }
}

fn named(set: &Set) -> String {
    let names: Vec<&str> = set.templates.keys().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn verdict(claims: &[PlannedClaim], checks: &[PlannedCheck], re_creates: bool) -> Verdict {
    let of = |outcome: CheckOutcome, gates: &[Gate]| {
        checks.iter().any(|check| {
            check.outcome == outcome && check.step.is_none() && gates.contains(&check.gate)
        })
    };
    let later = [Gate::Set, Gate::Fence];
    let grown = claims.iter().all(|claim| claim.state == ClaimState::Done);
    if of(CheckOutcome::Blocked, &[Gate::Request]) {
        Verdict::Blocked
    } else if of(CheckOutcome::Blocked, &[Gate::Claims]) {
        // One claim that cannot grow does not hold up the others.
        let raises = claims.iter().any(|claim| claim.state == ClaimState::Raise);
        if raises { Verdict::ClaimsOnly } else { Verdict::Blocked }
    } else if of(CheckOutcome::Unknown, &[Gate::Request]) {
        Verdict::Unknown
    } else if of(CheckOutcome::Unknown, &[Gate::Claims]) {
        Verdict::Unknown
    } else if of(CheckOutcome::Blocked, &later) {
        if grown { Verdict::Blocked } else { Verdict::ClaimsOnly }
    } else if of(CheckOutcome::Unknown, &later) {
        Verdict::Unknown
    } else if of(CheckOutcome::Waiting, &[Gate::Claims, Gate::Set, Gate::Fence]) {
        Verdict::Waits
    } else if grown && !re_creates {
        Verdict::NothingToDo
    } else {
        Verdict::Ready
    }
}

/// Only pods whose file system waits are restarted, and only with consent.
fn restarts(view: &View<'_>, set: &Set) -> Vec<Restart> {
    let (Fact::Known(pods), Some(claims), true) =
        (&view.observed.pods, gate::claims(view), set.evict)
    else {
        return Vec::new();
    };
    claims
        .into_iter()
        .filter(|(claim, asked)| gate::growth(view, claim, asked) == Growth::NodePending)
        .filter_map(|(claim, _)| {
            let pod = pods.iter().find(|pod| pod.ordinal == claim.ordinal)?;
            let why = format!(
                "the file system of {} waits for it, and the set asks for it by \
                               stateward.dev/resize-restart: evict",
                claim.name
            );
            Some(Restart { pod: pod.name.clone(), why })
        })
        .collect()
}

fn seconds_without_controller(observed: &Observed) -> u32 {
    let pods = match &observed.pods {
        Fact::Known(pods) => pods.len(),
        Fact::Unknown(_) => 0,
    };
    let more = (pods + REVISIONS).saturating_sub(ORPHANED_AT_ONCE);
    1 + u32::try_from(more.div_ceil(ORPHANED_PER_SECOND)).unwrap_or(u32::MAX - 1)
}

/// `3 claims`, `1 claim`
pub(super) fn claims_noun(count: usize) -> String {
    if count == 1 { "1 claim".to_owned() } else { format!("{count} claims") }
}

/// Whether the fence has to change anything of retention.
pub(super) fn changes_retention(set: &Set) -> bool {
    set.retention != Retention::RETAIN
}

impl Plan {
    /// Whether a person must act, or something is not known.
    pub const fn is_blocked(&self) -> bool {
        matches!(self.verdict, Verdict::Blocked | Verdict::ClaimsOnly | Verdict::Unknown)
    }
}
