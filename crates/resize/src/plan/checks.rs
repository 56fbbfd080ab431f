//! The checks of a plan: the preflight checks, and before them those of the request.

use stateward_core::annotations::RESIZE_PAUSED;
use stateward_core::facts::Fact;
use stateward_core::object::Quantity;
use stateward_core::record::{Phase, Reason};

use super::{CheckOutcome, PlannedCheck, PlannedStep, Question, Stage, claims_noun};
use crate::advice;
use crate::observed::{Claim, Set};
use crate::preflight::{self, Growth};
use crate::step::View;

/// The preflight check that the first step brings about.
const CLAIMS_GROWN: &str = "claims are as large as asked";

/// All checks, those that a step brings about marked.
pub(super) fn checks(
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
    for check in preflight::set(view, set) {
        let growing = preflight::Outcome::Waiting(Reason::ClaimsGrowing);
        if check.name == CLAIMS_GROWN && check.outcome == growing {
            short += 1;
        } else if check.outcome == preflight::Outcome::Blocked(Reason::OwnerManaged) {
            // What is to be done about an owner is said with the request.
            let row = rows.row(Stage::Set, &check, None);
            all.push(PlannedCheck { advice: Vec::new(), ..row });
        } else if check.name != CLAIMS_GROWN || check.outcome == preflight::Outcome::Ok {
            all.push(rows.row(Stage::Set, &check, None));
        }
    }
    if short > 0 {
        let mut check = rows.row(
            Stage::Set,
            &preflight::Check {
                name: CLAIMS_GROWN,
                outcome: preflight::Outcome::Waiting(Reason::ClaimsGrowing),
                detail: format!("{} to grow first", claims_noun(short)),
            },
            does(Phase::Growing).filter(|_| grows),
        );
        check.advice.clear();
        all.push(check);
    }
    if re_creates {
        for check in preflight::retention_pin(view, set) {
            let pinned = does(Phase::RetentionPinned).filter(|_| {
                check.outcome == preflight::Outcome::Waiting(Reason::RetentionNotPinned)
            });
            all.push(rows.row(Stage::RetentionPin, &check, pinned));
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
    fn row(&self, stage: Stage, check: &preflight::Check, step: Option<usize>) -> PlannedCheck {
        let (outcome, reason) = match &check.outcome {
            preflight::Outcome::Ok => (CheckOutcome::Ok, None),
            preflight::Outcome::Waiting(reason) => (CheckOutcome::Waiting, Some(reason.clone())),
            preflight::Outcome::Unknown => (CheckOutcome::Unknown, Some(Reason::NotObserved)),
            preflight::Outcome::Blocked(reason) => (CheckOutcome::Blocked, Some(reason.clone())),
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
        PlannedCheck { stage, name: check.name.to_owned(), outcome, reason, detail, step, advice }
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
                (Err(why), _) => (preflight::Outcome::Blocked(Reason::BadTarget), why.to_string()),
                (_, None) => (
                    preflight::Outcome::Blocked(Reason::NoSuchTemplate),
                    format!("{template}; there is {}", named(set)),
                ),
                (Ok(asked), Some(have)) if asked < *have => (
                    preflight::Outcome::Blocked(Reason::BadTarget),
                    format!("{template} is {have} already, and claims cannot shrink"),
                ),
                (Ok(asked), Some(_)) => match max {
                    Ok(Some(max)) if asked > *max => (
                        preflight::Outcome::Blocked(Reason::OverMax),
                        format!("{template}: {size} is more than the {max} of resize-max"),
                    ),
                    Ok(_) => (preflight::Outcome::Ok, String::new()),
                    Err(why) => (preflight::Outcome::Unknown, why.clone()),
                },
            };
            let name = "the size can be asked for";
            rows.push(self.row(Stage::Request, &preflight::Check { name, outcome, detail }, None));
        }
        rows.push(self.owner(set));
        rows.push(self.paused(set));
        rows
    }

    fn owner(&self, set: &Set) -> PlannedCheck {
        let name = "whoever owns the set lets its claims grow";
        let check = match &set.owner {
            Some(owner) if !set.owner_managed => preflight::Check {
                name,
                outcome: preflight::Outcome::Blocked(Reason::OwnerManaged),
                detail: owner.clone(),
            },
            _ => preflight::Check { name, outcome: preflight::Outcome::Ok, detail: String::new() },
        };
        self.row(Stage::Request, &check, None)
    }

    fn paused(&self, set: &Set) -> PlannedCheck {
        let (outcome, detail) = if set.paused {
            let detail = format!("the set has the annotation {RESIZE_PAUSED}");
            (preflight::Outcome::Blocked(Reason::Paused), detail)
        } else if self.view.record.spec.paused {
            (preflight::Outcome::Blocked(Reason::Paused), "the record says so".to_owned())
        } else {
            (preflight::Outcome::Ok, String::new())
        };
        let check = preflight::Check { name: "it is not paused", outcome, detail };
        self.row(Stage::Request, &check, None)
    }

    /// Whether each claim can grow: those that can are one row.
    fn claims(&self) -> Vec<PlannedCheck> {
        let name = "claims can grow";
        let Some(claims) = preflight::claims(self.view) else {
            let why = match &self.view.observed.claims {
                Fact::Known(_) => String::new(),
                Fact::Unknown(why) => why.clone(),
            };
            let check =
                preflight::Check { name, outcome: preflight::Outcome::Unknown, detail: why };
            return vec![self.row(Stage::Claims, &check, None)];
        };
        let mut rows = Vec::new();
        let mut unbound: Vec<&str> = Vec::new();
        for (claim, asked) in claims {
            match preflight::growth(self.view, claim, asked) {
                Growth::Stuck(reason) | Growth::Failed(reason) => {
                    let check = preflight::Check {
                        name,
                        detail: why_stuck(claim, &reason),
                        outcome: preflight::Outcome::Blocked(reason),
                    };
                    rows.push(self.row(Stage::Claims, &check, None));
                }
                Growth::Unbound => unbound.push(&claim.name),
                Growth::Done | Growth::NodePending | Growth::Growing | Growth::Short(_) => {}
            }
        }
        if !unbound.is_empty() {
            let check = preflight::Check {
                name,
                outcome: preflight::Outcome::Waiting(Reason::ClaimsGrowing),
                detail: format!("not bound yet: {}", unbound.join(", ")),
            };
            rows.push(self.row(Stage::Claims, &check, None));
        }
        if let Fact::Unknown(why) = &self.view.observed.classes {
            let check = preflight::Check {
                name,
                outcome: preflight::Outcome::Unknown,
                detail: why.clone(),
            };
            rows.push(self.row(Stage::Claims, &check, None));
        }
        if rows.is_empty() {
            let check =
                preflight::Check { name, outcome: preflight::Outcome::Ok, detail: String::new() };
            rows.push(self.row(Stage::Claims, &check, None));
        }
        rows
    }
}

fn why_stuck(claim: &Claim, reason: &Reason) -> String {
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

fn named(set: &Set) -> String {
    let names: Vec<&str> = set.templates.keys().map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
