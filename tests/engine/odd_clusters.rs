//! Clusters that are odd, or of which not everything may be known: no rule is silent for it.

mod cases;

use std::collections::BTreeSet;
use std::fmt::Debug;

use stateward_check::audit::audit;
use stateward_core::decide::Stage;
use stateward_core::facts::{FACT_KINDS, FactKind, Facts, Known};
use stateward_core::review::WebhookKind;
use stateward_core::rules::{Action, RULES, by_id};

use self::cases::{Case, cases};
use crate::admission::setup::{Asks, Said, ask};
use crate::rules::fixtures;

fn facts(case: &Case) -> Facts {
    let mut facts = Facts::none();
    facts.import(&case.facts()).unwrap_or_else(|why| panic!("{}: {why}", case.name));
    facts
}

fn judged(case: &Case, stage: Stage) -> Said {
    ask(stage, case.old.as_ref(), case.new.as_ref(), &facts(case), &Asks::default())
}

fn rules(said: &Said) -> BTreeSet<&'static str> {
    said.found.iter().map(|(rule, _)| *rule).collect()
}

/// The cases for which `told` is not what was expected, with both.
fn unexpected<T: Debug + PartialEq>(
    told: impl Fn(&Case) -> T,
    expected: impl Fn(&Case) -> T,
) -> Vec<String> {
    let wrong = cases().into_iter().filter_map(|case| {
        let (told, expected) = (told(&case), expected(&case));
        let wrong = || format!("{}: {told:?} instead of {expected:?}", case.name);
        (told != expected).then(wrong)
    });
    wrong.collect()
}

#[test]
fn an_odd_cluster_makes_no_rule_silent() {
    let wrong = unexpected(
        |case| {
            let said = judged(case, Stage::Check);
            (rules(&said), said.not_judged.iter().copied().collect::<BTreeSet<_>>())
        },
        |case| (case.finds.iter().copied().collect(), case.not_judged.iter().copied().collect()),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_webhooks_find_the_same_in_an_odd_cluster() {
    let webhooks = [WebhookKind::Mutating, WebhookKind::Validating].map(Stage::Webhook);
    let judged_by_default =
        |rule: &&str| by_id(rule).unwrap().meta.default_action(true) != Action::Off;
    let wrong = unexpected(
        |case| webhooks.iter().flat_map(|stage| rules(&judged(case, *stage))).collect(),
        |case| case.finds.iter().copied().filter(judged_by_default).collect::<BTreeSet<_>>(),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_odd_in_a_cluster_is_said() {
    let mut missing = Vec::new();
    for case in cases() {
        let said = judged(&case, Stage::Check);
        let texts: String = said.found.iter().map(|(_, text)| text.as_str()).collect();
        let absent = case.says.iter().filter(|text| !texts.contains(**text));
        missing.extend(absent.map(|text| format!("{}: {text:?} is missing:\n{texts}", case.name)));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn an_odd_cluster_is_audited() {
    let wrong = unexpected(
        |case| {
            let facts = facts(case);
            let found = audit(&facts).findings;
            found.iter().map(|one| format!("{} {}", one.check, one.name)).collect::<BTreeSet<_>>()
        },
        |case| case.audit.iter().map(|one| (*one).to_owned()).collect(),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rules that are silent without the objects of a kind, as their pages say, or because another rule speaks.
const DOCUMENTED: [(&str, FactKind); 2] = [
    // Without the volume, `pvc-delete-last` denies.
    ("pvc-delete", FactKind::Volume),
    // Without the claims, their template decides.
    ("pvc-fractional-or-huge", FactKind::Claim),
];

/// A rule that found something may say less without the objects of a kind, or that it cannot judge.
#[test]
fn a_kind_that_may_not_be_listed_makes_no_rule_silent() {
    let mut silent = Vec::new();
    for entry in RULES {
        for fixture in fixtures(entry, "fail") {
            let all = fixture.facts();
            for info in &FACT_KINDS {
                let mut facts = all.clone();
                facts.forget(info.kind, Known::Nothing("the objects: no right to list"));
                let (_, judged) = fixture.judge_with(entry, &facts);
                let documented = DOCUMENTED.contains(&(entry.meta.id, info.kind));
                if judged == Ok(Vec::new()) && !documented {
                    silent.push(format!("{} without {}", fixture.path.display(), info.many));
                }
            }
        }
    }
    assert!(silent.is_empty(), "silent:\n{}", silent.join("\n"));
}
