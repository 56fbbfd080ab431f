//! `stateward resize apply`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use stateward_core::record::{ClaimState, Phase, Reason, Spec, Target};
use stateward_core::yaml::printable;
use stateward_resize::plan::{
    CheckOutcome, Plan, PlannedCheck, Question, Stage, Verdict, render_checks, render_owner,
    without_controller,
};

use super::Outcome;
use super::controller_check;
use super::manifest;
use super::plan::Circumstances;
use super::target::{Asked, Session, Wanted};
use super::view::numbered;
use super::wait::Goal;
use super::write_spec::{is_live, renewed};
use crate::cli::serve::duration;
use crate::cli::{print, print_error};
use crate::controller::Stored;

/// Arguments of `stateward resize apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub asked: Asked,
    /// Grow the claims, and leave the set alone until `finish`
    #[arg(long)]
    pub claims_only: bool,
    /// Grow the claims from this process, without a controller; implies --claims-only
    #[arg(long)]
    pub here: bool,
    #[command(flatten)]
    pub wait: Wait,
}

/// Whether to wait.
#[derive(Clone, Debug, clap::Args)]
pub struct Wait {
    /// Show the resize until it is done; interrupting it stops nothing
    #[arg(long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub timeout: Duration,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (session, wanted) = args.asked.open().await?;
    let claims_only = args.claims_only || args.here;
    let stored = session.cluster.record(&session.key).await?;
    let asked = Circumstances { claims_only, ..Circumstances::default() };
    let plan = session.plan(stored.as_ref(), &wanted, asked).await?;
    if let Some(text) = refusal(&plan, claims_only) {
        print_error(&text);
        return Ok(Outcome::Findings);
    }
    if plan.verdict == Verdict::NothingToDo {
        print(&format!("Nothing to do: {} is as large as asked.\n", session.key))?;
        return Ok(Outcome::Clean);
    }
    if args.here {
        return session.grow_here(&wanted, args.wait.timeout).await;
    }
    if !session.is_carried_out(args, &wanted).await? {
        return Ok(Outcome::Findings);
    }
    session.request(&wanted.targets, &wanted.templates, claims_only, &args.wait).await
}

/// Why this is not asked for at all: nothing could come of it.
fn refusal(plan: &Plan, claims_only: bool) -> Option<String> {
    let stays = |state: &ClaimState| matches!(state, ClaimState::Stuck | ClaimState::Failed);
    let grows = plan.claims.iter().any(|claim| !stays(&claim.state));
    let stands = |check: &&PlannedCheck| {
        check.outcome.is_blocked()
            && match check.stage {
                // A pause is lifted later; the request may be made before.
                Stage::Request => check.outcome != CheckOutcome::Blocked(Reason::Paused),
                Stage::Claims => !grows,
                Stage::Set | Stage::RetentionPin => false,
            }
    };
    let blocked: Vec<&PlannedCheck> = plan.checks.iter().filter(stands).collect();
    let name = format!("{}/{}", plan.namespace, plan.name);
    let owner = plan.owner.as_ref().map(render_owner);
    if !blocked.is_empty() {
        let checks = render_checks(blocked, false);
        let owner = owner.unwrap_or_default();
        return Some(format!(
            "StatefulSet {name} would not grow; nothing was changed:\n{checks}{owner}"
        ));
    }
    Some(format!(
        "StatefulSet {name} would not be re-created; nothing was changed.\n{}  \
         For a full disk, the claims can grow meanwhile: add --claims-only\n",
        owner.filter(|_| !claims_only)?
    ))
}

/// The spec that asks for `targets`. What a record still carries out stays asked for; what it has
/// carried out is not asked for again.
fn spec(stored: Option<&Stored>, targets: &BTreeMap<String, String>, claims_only: bool) -> Spec {
    let mut spec = stored.map(|stored| stored.record.spec.clone()).unwrap_or_default();
    let live = stored.is_some_and(|stored| is_live(&stored.record.status));
    if !live {
        spec.targets.clear();
    }
    let asked = targets.iter();
    spec.targets.extend(asked.map(|(name, size)| (name.clone(), Target { storage: size.clone() })));
    spec.hold = claims_only.then_some(Phase::ClaimsGrown);
    spec.abort = None;
    spec.leave_absent = false;
    if live { spec } else { renewed(spec, stored) }
}

impl Session {
    /// Whether a controller would carry it out. If not, it prints the reason.
    async fn is_carried_out(&self, args: &Args, wanted: &Wanted) -> anyhow::Result<bool> {
        let namespace = &args.asked.which.place.system_namespace;
        let Some(controller) = controller_check::absence(&self.cluster, namespace).await? else {
            return Ok(true);
        };
        let question = Question {
            namespace: &self.key.namespace,
            name: &self.key.name,
            targets: &wanted.targets,
            claims_only: args.claims_only,
            controller: None,
            commands: &self.commands,
        };
        let steps = numbered(&without_controller(&question, &controller));
        let why = controller.absence().unwrap_or_default();
        print_error(&printable(&format!(
            "No controller would carry this out: {why}. Nothing was changed.\n{steps}"
        )));
        Ok(false)
    }

    /// Asks for `targets`, says what that means, and waits if that is wanted.
    pub(super) async fn request(
        &self,
        targets: &BTreeMap<String, String>,
        templates: &[(String, String)],
        claims_only: bool,
        wait: &Wait,
    ) -> anyhow::Result<Outcome> {
        let stored = self
            .ask(|stored| {
                if stored.is_some_and(|stored| stored.record.deleting) {
                    anyhow::bail!("the record of {} is being deleted; try again then", self.key);
                }
                Ok(Some(spec(stored, targets, claims_only)))
            })
            .await?;
        let Some(stored) = stored else { anyhow::bail!("the record of {} is gone", self.key) };
        let asked: Vec<String> =
            targets.iter().map(|(name, size)| format!("{name} to {size}")).collect();
        let mut text = format!("Asked for: {} of StatefulSet {}.\n", asked.join(", "), self.key);
        if stored.record.spec.paused {
            let _ = writeln!(text, "It is paused; let it go on with\n  {}", self.command("resume"));
        }
        if !wait.wait {
            let _ = writeln!(text, "  look at it: {}", self.command("status"));
            let _ = writeln!(text, "  stop it:    {}", self.command("abort"));
        }
        if claims_only {
            let _ = writeln!(text, "  re-create the set later: {}", self.command("finish"));
        }
        if let Some(difference) = manifest::difference(templates, targets) {
            let _ = write!(text, "In Git, or the next apply asks for the old size:\n{difference}");
        }
        print(&text)?;
        if !wait.wait {
            return Ok(Outcome::Clean);
        }
        let goal = if claims_only { Goal::ClaimsGrown } else { Goal::Complete };
        self.follow(stored.record.generation, goal, wait.timeout).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use stateward_core::record::Record;
    use stateward_core::record::{Request, Status};

    fn stored(phase: Phase, spec: Spec) -> Stored {
        let request = Request {
            number: 1,
            generation: 1,
            set_uid: "set".to_owned(),
            targets: BTreeMap::new(),
            withdrawable: false,
        };
        let status = Status { phase, request: Some(request), ..Status::default() };
        let record = Record { generation: 1, spec, status, ..Record::default() };
        Stored { record, object: Value::Null }
    }

    fn asked(name: &str, size: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), size.to_owned())])
    }

    #[test]
    fn what_is_under_way_stays_asked_for_and_what_is_done_does_not() {
        let before = spec(None, &asked("wal", "5Gi"), false);
        let live = stored(Phase::Growing, before.clone());
        let names = |spec: &Spec| spec.targets.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&spec(Some(&live), &asked("data", "1Gi"), false)), ["data", "wal"]);
        let done = stored(Phase::Complete, before);
        assert_eq!(names(&spec(Some(&done), &asked("data", "1Gi"), false)), ["data"]);
    }

    #[test]
    fn asking_lifts_an_abort_and_keeps_a_pause() {
        let before = Spec { abort: Some(1), paused: true, leave_absent: true, ..Spec::default() };
        let asked = spec(Some(&stored(Phase::Aborted, before)), &asked("data", "1Gi"), true);
        assert_eq!((asked.abort, asked.paused, asked.leave_absent), (None, true, false));
        assert_eq!(asked.hold, Some(Phase::ClaimsGrown));
    }

    #[test]
    fn asking_for_what_is_under_way_writes_nothing_new() {
        let before = spec(None, &asked("data", "1Gi"), false);
        let live = stored(Phase::Growing, before.clone());
        assert_eq!(spec(Some(&live), &asked("data", "1Gi"), false), before);
        let done = stored(Phase::Degraded, before.clone());
        assert_ne!(spec(Some(&done), &asked("data", "1Gi"), false), before);
    }
}
