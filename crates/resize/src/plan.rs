//! What a resize would do, for a person to read before it begins.
//!
//! The checks are those of [`preflight`], which [`step()`](super::step()) decides by; so what is read in
//! advance is what is later acted on.

mod after_growth;
mod checks;
mod manual_recovery;
mod owner;
mod steps;
mod storage;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use stateward_core::annotations::RESIZE_RESTART;
use stateward_core::facts::Fact;
use stateward_core::record::{ClaimState, Phase, Record, Recreation, Request, Retention};
use stateward_core::rules::Step;

pub use self::after_growth::AfterGrowth;
pub use self::checks::without_controller;
pub use self::owner::OwnerField;
pub use self::steps::{PlannedStep, Touch};
pub use self::storage::{PlannedStorage, StorageNote};
pub use self::text::{Show, paint, render, render_checks, render_owner};
use super::observed::{Claim, Memory, Observed, Set};
pub use super::preflight::CheckOutcome;
use super::preflight::{self, Growth};
use super::{Commands, Parameters, View};

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
    /// the resize controller; none if the resize needs none
    pub controller: Option<&'q Controller>,
    /// builds the commands
    pub commands: &'q Commands,
}

/// What is known of the resize controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Controller {
    /// it renews its Lease
    Running,
    /// the cluster does not know the custom resource
    NotInstalled {
        /// the namespace of its Leases
        namespace: String,
    },
    /// no controller runs
    Absent {
        /// how that is known
        why: String,
        /// the namespace of its Leases
        namespace: String,
    },
    /// the user may not read the Lease
    Unknown(String),
}

impl Controller {
    /// Why no controller would carry a resize out, if that is known.
    pub fn absence(&self) -> Option<String> {
        match self {
            Self::NotInstalled { .. } => {
                Some("this cluster does not know StatefulSetResize".to_owned())
            }
            Self::Absent { why, .. } => Some(why.clone()),
            Self::Running | Self::Unknown(_) => None,
        }
    }
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
    /// the pods that a person must stop before their volumes grow, and why
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<Restart>,
    /// why no pod has to restart for any claim; none if that is not known of one
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_restart: Option<String>,
    /// what to know about the storage drivers that are known
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub storage: Vec<PlannedStorage>,
    /// what has to follow when the volumes have grown, if a pack knows the system
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_growth: Option<AfterGrowth>,
    /// how long the set has no controller, in seconds; none where it is not re-created
    pub seconds_without_controller: Option<u32>,
    /// pods whose file systems grow only when somebody restarts them, which stateward may not
    pub waiting_pods: Vec<String>,
    /// whether stateward may evict pods whose file systems wait for that
    pub may_evict: bool,
    /// where the owner of the set keeps the size
    pub owner: Option<OwnerField>,
    /// the command that begins it
    pub apply: String,
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

/// One check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedCheck {
    /// what it stands before
    pub stage: Stage,
    /// what is checked
    pub name: String,
    /// how it went, with the reason
    #[serde(flatten)]
    pub outcome: CheckOutcome,
    /// what the reason is about
    pub detail: String,
    /// the step that brings it about; none where no step does
    pub step: Option<usize>,
    /// what a person does about it
    pub advice: Vec<Step>,
}

/// What a check stands before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// the request is taken
    Request,
    /// claims grow
    Claims,
    /// the set is touched
    Set,
    /// the set is deleted
    RetentionPin,
}

/// A pod that would be restarted.
#[derive(Clone, Debug, Serialize)]
pub struct Restart {
    /// its name
    pub pod: String,
    /// why
    pub why: String,
}

/// Kubernetes' garbage collector orphans pods and revisions one patch each, with the limits of the
/// controller manager's client: 30 at once, then 20 a second (its flags `--kube-api-burst` and
/// `--kube-api-qps`).
const ORPHANED_AT_ONCE: usize = 30;
const ORPHANED_PER_SECOND: usize = 20;
/// `spec.revisionHistoryLimit` is 10 where it is not set, and the current revision is kept besides.
const REVISIONS: usize = 11;

/// The record as it would be once `targets` are requested. The cluster is observed for this record,
/// and the preflight checks judge it.
pub fn hypothetical_record(
    record: Option<&Record>,
    targets: &BTreeMap<String, String>,
    set_uid: &str,
) -> Record {
    let mut record =
        record.cloned().unwrap_or_else(|| Record { generation: 1, ..Record::default() });
    let request = record.status.request.as_ref();
    let begun = record.status.phase.is_live() && request.is_some_and(|a| a.targets == *targets);
    if !begun {
        record.status.request = Some(Request {
            number: request.map_or(0, |request| request.number).saturating_add(1),
            generation: record.generation,
            set_uid: set_uid.to_owned(),
            targets: targets.clone(),
            withdrawable: false,
        });
        record.status.phase = Phase::ClaimsGrown;
        record.status.recreation = Recreation::default();
        record.status.snapshot = None;
    } else if matches!(record.status.phase, Phase::Requested | Phase::Growing) {
        // A plan looks ahead at the checks of the set, for which less is read in these phases.
        record.status.phase = Phase::ClaimsGrown;
    }
    record
}

/// What growing the set's claim templates to the sizes asked would do. `observed` is best read for
/// the record that [`hypothetical_record`] gives, with dry runs.
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
    let record = hypothetical_record(record, question.targets, &set.uid);
    // What this process remembers of refusals is no part of a plan.
    let observed = Observed { memory: Memory::default(), ..observed.clone() };
    let view = View::new(&observed, &record, now, parameters);
    let claims = planned_claims(&view);
    let re_creates = !question.claims_only
        && set.forbidding_owner().is_none()
        && !preflight::templates_reach(set, &view.targets);
    let steps = steps::steps(question, &view, set, &claims, re_creates);
    let storage = storage::Storage::of(&view);
    let checks = checks::checks(question, &view, set, &storage, &steps, re_creates);
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
        stops: storage.stops(&view, set),
        no_restart: storage.no_restart(),
        storage: storage.notes(),
        after_growth: AfterGrowth::of(set).filter(|_| verdict != Verdict::NothingToDo),
        waiting_pods: if set.evict { Vec::new() } else { waiting_pods(&view) },
        may_evict: set.evict,
        seconds_without_controller: re_creates.then(|| seconds_without_controller(&observed)),
        owner: set
            .owner
            .as_deref()
            .and_then(|owner| owner::field(owner, question.namespace, question.commands)),
        apply: apply(question, if re_creates { "" } else { "--claims-only" }),
    })
}

/// The command that begins what is planned for, with `options`.
pub(super) fn apply(question: &Question<'_>, options: &str) -> String {
    let sizes = question.targets.iter().map(|(name, size)| format!("--size {name}={size}"));
    let options = (!options.is_empty()).then(|| options.to_owned());
    let words: Vec<String> = sizes.chain(options).collect();
    question.commands.resize("apply", question.name, question.namespace, &words.join(" "))
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
    let claims = preflight::claims(view).unwrap_or_default();
    claims
        .into_iter()
        .zip(preflight::rows(view))
        .map(|((claim, asked), row)| PlannedClaim {
            name: claim.name.clone(),
            from: claim.request.to_string(),
            to: claim.request.clone().max(asked.clone()).to_string(),
            capacity: claim.capacity.as_ref().map(ToString::to_string),
            class: claim.class.clone(),
            state: row.state,
        })
        .collect()
}

fn verdict(claims: &[PlannedClaim], checks: &[PlannedCheck], re_creates: bool) -> Verdict {
    let any = |outcome: fn(&CheckOutcome) -> bool, stages: &[Stage]| {
        checks.iter().any(|check| {
            outcome(&check.outcome) && check.step.is_none() && stages.contains(&check.stage)
        })
    };
    let blocked = |stages: &[Stage]| any(CheckOutcome::is_blocked, stages);
    let unknown = |stages: &[Stage]| any(|outcome| *outcome == CheckOutcome::Unknown, stages);
    let waits =
        |stages: &[Stage]| any(|outcome| matches!(outcome, CheckOutcome::Waiting(_)), stages);
    let later = [Stage::Set, Stage::RetentionPin];
    let grown = claims.iter().all(|claim| claim.state == ClaimState::Done);
    if blocked(&[Stage::Request]) {
        Verdict::Blocked
    } else if blocked(&[Stage::Claims]) {
        // One claim that cannot grow does not hold up the others.
        let raises = claims.iter().any(|claim| claim.state == ClaimState::Short);
        if raises { Verdict::ClaimsOnly } else { Verdict::Blocked }
    } else if unknown(&[Stage::Request, Stage::Claims]) {
        Verdict::Unknown
    } else if blocked(&later) {
        if grown { Verdict::Blocked } else { Verdict::ClaimsOnly }
    } else if unknown(&later) {
        Verdict::Unknown
    } else if waits(&[Stage::Claims, Stage::Set, Stage::RetentionPin]) {
        Verdict::Waits
    } else if grown && !re_creates {
        Verdict::NothingToDo
    } else {
        Verdict::Ready
    }
}

/// The claims whose file system waits for a restart, each with its pod.
fn waiting<'v>(view: &'v View<'_>) -> Vec<(&'v Claim, &'v str)> {
    let (Fact::Known(pods), Some(claims)) = (&view.observed.pods, preflight::claims(view)) else {
        return Vec::new();
    };
    let pods: BTreeMap<u32, &str> =
        pods.iter().map(|pod| (pod.ordinal, pod.name.as_str())).collect();
    claims
        .into_iter()
        .filter(|(claim, asked)| preflight::growth(view, claim, asked) == Growth::NodePending)
        .filter_map(|(claim, _)| Some((claim, *pods.get(&claim.ordinal)?)))
        .collect()
}

fn waiting_pods(view: &View<'_>) -> Vec<String> {
    let pods: BTreeSet<&str> = waiting(view).into_iter().map(|(_, pod)| pod).collect();
    pods.into_iter().map(str::to_owned).collect()
}

/// Only pods whose file system waits are restarted, and only with consent.
fn restarts(view: &View<'_>, set: &Set) -> Vec<Restart> {
    let consent = waiting(view).into_iter().filter(|_| set.evict);
    let restart = |(claim, pod): (&Claim, &str)| Restart {
        pod: pod.to_owned(),
        why: format!(
            "the file system of {} grows when this pod restarts, and the set has the \
             annotation {RESIZE_RESTART}: evict",
            claim.name
        ),
    };
    consent.map(restart).collect()
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

/// Whether the retention pin has to change anything of retention.
pub(super) fn changes_retention(set: &Set) -> bool {
    set.retention != Retention::RETAIN
}

impl Plan {
    /// Whether somebody may be surprised by what a storage driver does.
    pub fn has_storage_warnings(&self) -> bool {
        self.storage.iter().flat_map(|class| &class.notes).any(|note| note.warning)
    }

    /// Whether a person must act, or something is not known.
    pub const fn is_blocked(&self) -> bool {
        matches!(self.verdict, Verdict::Blocked | Verdict::ClaimsOnly | Verdict::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_a_resize_that_has_begun_a_plan_is_read_as_for_the_checks_of_the_set() {
        let targets = BTreeMap::from([("data".to_owned(), "20Gi".to_owned())]);
        let phase = |phase| {
            let mut record = hypothetical_record(None, &targets, "U");
            record.status.phase = phase;
            hypothetical_record(Some(&record), &targets, "U").status.phase
        };
        assert_eq!(phase(Phase::Growing), Phase::ClaimsGrown);
        assert_eq!(phase(Phase::RetentionPinned), Phase::RetentionPinned);
    }
}
