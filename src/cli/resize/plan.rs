//! `stateward resize plan`

use std::collections::BTreeMap;

use clap::ColorChoice;
use jiff::Timestamp;
use stateward_core::facts::Fact;
use stateward_resize::Parameters;
use stateward_resize::observed::{Answer, DryRuns, Memory, Observed};
use stateward_resize::plan::{Controller, Plan, Question, Show, hypothetical_record, plan, render};

use super::target::{Asked, Session, Wanted};
use super::{Format, Outcome, controller_check};
use crate::cli::{output, print};
use crate::controller::Stored;

/// Arguments of `stateward resize plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub asked: Asked,
    /// Plan for the claims alone
    #[arg(long)]
    pub claims_only: bool,
    /// Also list the checks that passed
    #[arg(short, long)]
    pub verbose: bool,
    /// Also print the commands that finish or undo each step by hand, if stateward is removed in the middle
    #[arg(long)]
    pub by_hand: bool,
    /// Form of the plan
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub format: Format,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value_t)]
    pub color: ColorChoice,
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circumstances<'c> {
    /// only claims are to grow
    pub(super) claims_only: bool,
    /// ask the API server for dry runs
    pub(super) ask: bool,
    /// the controller; none if the resize needs none
    pub(super) controller: Option<&'c Controller>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (session, wanted) = args.asked.open().await?;
    let stored = session.cluster.record(&session.key).await?;
    let namespace = &args.asked.which.place.system_namespace;
    let controller = controller_check::controller(&session.cluster, namespace).await?;
    let asked =
        Circumstances { claims_only: args.claims_only, ask: true, controller: Some(&controller) };
    let plan = session.plan(stored.as_ref(), &wanted, asked).await?;
    let show = |color| Show { color, all_checks: args.verbose, by_hand: args.by_hand };
    match args.format {
        Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(&plan)?))?,
        Format::Text => output::print_painted(|color| render(&plan, show(color)), args.color)?,
    }
    Ok(if plan.is_blocked() { Outcome::Findings } else { Outcome::Clean })
}

impl Session {
    /// What growing as wanted would do.
    pub(super) async fn plan(
        &self,
        stored: Option<&Stored>,
        wanted: &Wanted,
        circumstances: Circumstances<'_>,
    ) -> anyhow::Result<Plan> {
        let record = stored.map(|stored| &stored.record);
        let Wanted { uid, targets, .. } = wanted;
        let rehearsed = hypothetical_record(record, targets, uid);
        let mut observed =
            self.cluster.observe(&self.key, Some(&rehearsed), Memory::default()).await;
        let Circumstances { claims_only, ask, controller } = circumstances;
        if ask {
            self.dry_run(&mut observed, targets, uid).await;
        }
        let question = Question {
            namespace: &self.key.namespace,
            name: &self.key.name,
            targets,
            claims_only,
            controller,
            commands: &self.commands,
        };
        Ok(plan(&question, &observed, record, self.now(), &Parameters::default())?)
    }

    async fn dry_run(
        &self,
        observed: &mut Observed,
        targets: &BTreeMap<String, String>,
        uid: &str,
    ) {
        let Fact::Known(Some(set)) = &observed.set else { return };
        let answers = self.cluster.dry_runs(&self.key, set, targets, &format!("plan/{uid}")).await;
        observed.dry_runs = known(answers);
    }

    /// The time by the API server's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.cluster.now()
    }
}

/// A refusal that is about the person who asks says nothing about the controller.
fn known(answers: DryRuns) -> Fact<DryRuns> {
    let all = [&answers.delete, &answers.create, &answers.unchanged];
    let lacks_right = |answer: &&&Answer| match answer {
        Answer::Refused(why) => why.contains("is forbidden: User ") && why.contains(" cannot "),
        Answer::Good | Answer::Quota | Answer::Changed(_) => false,
    };
    match all.iter().find(lacks_right) {
        Some(Answer::Refused(why)) => {
            Fact::Unknown(format!("you may not ask, which the controller may: {why}"))
        }
        _ => Fact::Known(answers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rights_of_the_person_are_not_those_of_the_controller() {
        let answers = |why: &str| DryRuns {
            delete: Answer::Good,
            create: Answer::Refused(why.to_owned()),
            unchanged: Answer::Good,
        };
        let rbac = "statefulsets.apps is forbidden: User \"eve\" cannot create resource";
        assert!(matches!(known(answers(rbac)), Fact::Unknown(_)));
        assert!(matches!(known(answers("admission webhook \"x\" denied")), Fact::Known(_)));
    }
}
