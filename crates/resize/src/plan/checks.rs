//! The checks of a plan: the preflight checks, and before them those of the request.

use stateward_core::annotations::RESIZE_PAUSED;
use stateward_core::facts::Fact;
use stateward_core::growth::Growability;
use stateward_core::object::Quantity;
use stateward_core::record::{ClaimStatus, Phase, Reason};
use stateward_core::rules::Step;
use stateward_core::rules::remedy::run;
use stateward_core::shell::shell_quote;

use super::storage::Storage;
use super::{CheckOutcome, Controller, PlannedCheck, PlannedStep, Question, Stage, claims_noun};
use crate::View;
use crate::advice;
use crate::observed::{Claim, Set};
use crate::preflight::{self, Check, Growth};

/// The preflight check that the first step brings about.
const CLAIMS_GROWN: &str = "claims have the requested size";

/// All checks, those that a step brings about marked.
pub(super) fn checks(
    question: &Question<'_>,
    view: &View<'_>,
    set: &Set,
    storage: &Storage<'_>,
    steps: &[PlannedStep],
    re_creates: bool,
) -> Vec<PlannedCheck> {
    let does = |phase: Phase| steps.iter().find(|step| step.phase == phase).map(|s| s.number);
    let rows = Rows { question, view, claims: preflight::rows(view) };
    let mut all = rows.request(set);
    all.extend(rows.claims(storage));
    if set.forbidding_owner().is_none() && !re_creates {
        return all;
    }
    let grows = all.iter().all(|check| !check.outcome.is_blocked());
    let mut short = 0;
    for check in preflight::set(view, set) {
        let growing = CheckOutcome::Waiting(Reason::ClaimsGrowing);
        if check.name == CLAIMS_GROWN && check.outcome == growing {
            short += 1;
        } else if check.outcome == CheckOutcome::Blocked(Reason::OwnerManaged) {
            // What is to be done about an owner is said with the request.
            let row = rows.row(Stage::Set, &check, None);
            all.push(PlannedCheck { advice: Vec::new(), ..row });
        } else if check.name != CLAIMS_GROWN || check.outcome == CheckOutcome::Ok {
            all.push(rows.row(Stage::Set, &check, None));
        }
    }
    if short > 0 {
        let mut check = rows.row(
            Stage::Set,
            &Check {
                name: CLAIMS_GROWN,
                outcome: CheckOutcome::Waiting(Reason::ClaimsGrowing),
                detail: format!("{} to grow first", claims_noun(short)),
            },
            does(Phase::Growing).filter(|_| grows),
        );
        check.advice.clear();
        all.push(check);
    }
    if re_creates {
        for check in preflight::retention_pin(view, set) {
            let pinned = does(Phase::RetentionPinned)
                .filter(|_| check.outcome == CheckOutcome::Waiting(Reason::RetentionNotPinned));
            all.push(rows.row(Stage::RetentionPin, &check, pinned));
        }
    }
    all
}

/// What a person does if no controller would carry the resize out.
pub fn without_controller(question: &Question<'_>, controller: &Controller) -> Vec<Step> {
    let (Controller::NotInstalled { namespace } | Controller::Absent { namespace, .. }) =
        controller
    else {
        return Vec::new();
    };
    let mut steps = vec![run(
        "grow the claims from here, which is all that a full disk needs; no pod restarts",
        super::apply(question, "--here"),
    )];
    if matches!(controller, Controller::NotInstalled { .. }) {
        steps.push(run("or install what resizes need", question.commands.install_crds()));
    }
    let start = format!("controller --system-namespace {}", shell_quote(namespace));
    steps.push(run(
        format!(
            "then start a controller, with the chart or from here; namespace {namespace} must exist"
        ),
        question.commands.stateward(&start),
    ));
    steps
}

/// Makes rows of checks.
struct Rows<'r> {
    question: &'r Question<'r>,
    view: &'r View<'r>,
    /// how far each claim is
    claims: Vec<ClaimStatus>,
}

impl Rows<'_> {
    fn row(&self, stage: Stage, check: &Check, step: Option<usize>) -> PlannedCheck {
        let subject = advice::Subject {
            namespace: self.question.namespace,
            name: self.question.name,
            message: &check.detail,
            claims: &self.claims,
            targets: self.question.targets,
            has_copy: false,
            commands: self.question.commands,
        };
        let advice = match &check.outcome {
            CheckOutcome::Blocked(reason) => advice::steps(reason, &subject),
            CheckOutcome::Ok | CheckOutcome::Waiting(_) | CheckOutcome::Unknown => Vec::new(),
        };
        let Check { name, outcome, detail } = check.clone();
        PlannedCheck { stage, name: name.to_owned(), outcome, detail, step, advice }
    }

    /// Whether the sizes can be requested at all.
    fn request(&self, set: &Set) -> Vec<PlannedCheck> {
        let mut rows = Vec::new();
        for (template, size) in self.question.targets {
            let mut check = preflight::requested_size(self.view, set, template, size, true);
            if let (Ok(asked), Some(have)) = (size.parse::<Quantity>(), set.templates.get(template))
                && check.outcome == CheckOutcome::Ok
                && asked < *have
            {
                check.outcome = CheckOutcome::Blocked(Reason::BadTarget);
                check.detail = format!("{template} is {have} already, and claims cannot shrink");
            }
            rows.push(self.row(Stage::Request, &check, None));
        }
        rows.push(self.owner(set));
        rows.push(self.paused(set));
        rows.extend(self.question.controller.map(|controller| self.controller(controller)));
        rows
    }

    /// The same answer as `apply` gives.
    fn controller(&self, controller: &Controller) -> PlannedCheck {
        let name = "a resize controller is running";
        let (outcome, detail) = match (controller, controller.absence()) {
            // It never gets into a record, so it is no reason of the custom resource.
            (_, Some(why)) => {
                (CheckOutcome::Blocked(Reason::Unknown("NoController".to_owned())), why)
            }
            (Controller::Unknown(why), None) => (CheckOutcome::Unknown, why.clone()),
            (_, None) => (CheckOutcome::Ok, String::new()),
        };
        let row = self.row(Stage::Request, &Check { name, outcome, detail }, None);
        PlannedCheck { advice: without_controller(self.question, controller), ..row }
    }

    fn owner(&self, set: &Set) -> PlannedCheck {
        let check = Check::that(
            "the set's owner lets stateward resize it",
            set.forbidding_owner().is_none(),
            CheckOutcome::Blocked(Reason::OwnerManaged),
            set.forbidding_owner().unwrap_or_default(),
        );
        self.row(Stage::Request, &check, None)
    }

    fn paused(&self, set: &Set) -> PlannedCheck {
        let (outcome, detail) = if set.paused {
            let detail = format!("by the set's annotation {RESIZE_PAUSED}");
            (CheckOutcome::Blocked(Reason::Paused), detail)
        } else if self.view.record.spec.paused {
            (CheckOutcome::Blocked(Reason::Paused), "by its record".to_owned())
        } else {
            (CheckOutcome::Ok, String::new())
        };
        let check = Check { name: "the resize is not paused", outcome, detail };
        self.row(Stage::Request, &check, None)
    }

    /// Whether each claim can grow: those that can are one row.
    fn claims(&self, storage: &Storage<'_>) -> Vec<PlannedCheck> {
        let name = "claims can grow";
        let Some(claims) = preflight::claims(self.view) else {
            let why = match &self.view.observed.claims {
                Fact::Known(_) => String::new(),
                Fact::Unknown(why) => why.clone(),
            };
            let check = Check { name, outcome: CheckOutcome::Unknown, detail: why };
            return vec![self.row(Stage::Claims, &check, None)];
        };
        let mut rows = Vec::new();
        let mut unbound: Vec<&str> = Vec::new();
        for (claim, asked) in claims {
            match preflight::growth(self.view, claim, asked) {
                Growth::Stuck(reason) | Growth::Failed(reason) => {
                    let check = Check {
                        name,
                        detail: why_stuck(self.view, claim),
                        outcome: CheckOutcome::Blocked(reason),
                    };
                    rows.push(self.row(Stage::Claims, &check, None));
                }
                Growth::Unbound => unbound.push(&claim.name),
                Growth::Done | Growth::NodePending | Growth::Growing | Growth::Short(_) => {}
            }
        }
        if !unbound.is_empty() {
            let check = Check {
                name,
                outcome: CheckOutcome::Waiting(Reason::ClaimsGrowing),
                detail: format!("not bound yet: {}", unbound.join(", ")),
            };
            rows.push(self.row(Stage::Claims, &check, None));
        }
        if let Fact::Unknown(why) = &self.view.observed.classes {
            let check = Check { name, outcome: CheckOutcome::Unknown, detail: why.clone() };
            rows.push(self.row(Stage::Claims, &check, None));
        }
        if rows.is_empty() {
            let check = Check { name, outcome: CheckOutcome::Ok, detail: String::new() };
            rows.push(self.row(Stage::Claims, &check, None));
        }
        let drivers = storage.checks();
        rows.extend(drivers.iter().map(|check| self.row(Stage::Claims, check, None)));
        rows
    }
}

fn why_stuck(view: &View<'_>, claim: &Claim) -> String {
    let name = &claim.name;
    match preflight::growability_of(view, claim) {
        Growability::Never(obstacle) => format!("{name} {obstacle}"),
        Growability::Growable | Growability::OnceBound => name.clone(),
    }
}
