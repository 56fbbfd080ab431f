//! Admission, preflight checks and plan are asked whether the same claim can grow.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stateward_core::facts::{ClassFact, Fact, FixedVolume, VolumeFact};
use stateward_core::record::{Record, Request, Status};
use stateward_resize::observed::Observed;
use stateward_resize::plan::CheckOutcome;
use stateward_resize::preflight::{self, Growth};
use stateward_resize::{Parameters, View};

use super::setup::{claim, facts, mutate, set, sized};
use crate::resize_plan;

/// What all three say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Grows,
    OnceBound,
    Never,
}

/// One claim: its class, whether that allows expansion, whether it is bound, what holds its volume.
struct Case {
    class: &'static str,
    expandable: Option<bool>,
    bound: bool,
    fixed: Option<FixedVolume>,
    verdict: Verdict,
}

const fn case(
    class: &'static str,
    expandable: Option<bool>,
    bound: bool,
    fixed: Option<FixedVolume>,
    verdict: Verdict,
) -> Case {
    Case { class, expandable, bound, fixed, verdict }
}

const CASES: [Case; 9] = [
    case("fast", Some(true), true, None, Verdict::Grows),
    case("fast", Some(true), false, None, Verdict::OnceBound),
    case("fast", Some(true), true, Some(FixedVolume::Manual), Verdict::Never),
    case("fast", Some(true), true, Some(FixedVolume::Driver), Verdict::Never),
    case("rigid", Some(false), true, None, Verdict::Never),
    case("rigid", Some(false), false, None, Verdict::Never),
    case("gone", None, true, None, Verdict::Never),
    case("gone", None, false, None, Verdict::Never),
    case("", None, true, None, Verdict::Never),
];

/// A set of one pod whose template names no class, so that only the claim decides.
fn one_pod() -> Value {
    let mut set = set();
    set["spec"]["replicas"] = json!(1);
    set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = Value::Null;
    set
}

fn by_admission(case: &Case) -> Verdict {
    let mut facts = facts();
    facts.claims.remove("shop", "data-db-1");
    let volume = if case.bound { "v0" } else { "" };
    claim(&mut facts, "data-db-0", case.class, volume, "10Gi");
    facts.classes.remove("", "fast");
    facts.classes.remove("", "rigid");
    if let Some(allow_volume_expansion) = case.expandable {
        facts.classes.insert(
            "",
            case.class,
            ClassFact { allow_volume_expansion, ..ClassFact::default() },
        );
    }
    facts.volumes.insert("", "v0", VolumeFact { fixed: case.fixed, ..VolumeFact::default() });
    let said = mutate(Some(&one_pod()), Some(&sized(&one_pod(), "20Gi")), &facts);
    match (said.allowed, said.warnings.iter().any(|warning| warning.contains("not bound yet"))) {
        (true, false) => Verdict::Grows,
        (true, true) => Verdict::OnceBound,
        (false, _) => Verdict::Never,
    }
}

fn observed(case: &Case) -> Observed {
    let mut observed = resize_plan::cluster();
    let Fact::Known(claims) = &mut observed.claims else { panic!("claims are known") };
    claims.truncate(1);
    case.class.clone_into(&mut claims[0].class);
    claims[0].fixed_volume = case.fixed;
    if !case.bound {
        claims[0].capacity = None;
    }
    let class =
        |allow_volume_expansion| ClassFact { allow_volume_expansion, ..ClassFact::default() };
    let classes = case.expandable.map(|allows| (case.class.to_owned(), class(allows)));
    observed.classes = Fact::Known(classes.into_iter().collect());
    observed
}

fn by_preflight(case: &Case) -> Verdict {
    let observed = observed(case);
    let targets = BTreeMap::from([("data".to_owned(), "200Gi".to_owned())]);
    let request = Request {
        number: 1,
        generation: 1,
        set_uid: "set".to_owned(),
        targets,
        withdrawable: false,
    };
    let status = Status { request: Some(request), ..Status::default() };
    let record = Record { generation: 1, status, ..Record::default() };
    let parameters = Parameters::default();
    let view = View::new(&observed, &record, resize_plan::now(), &parameters);
    let claims = preflight::claims(&view).unwrap();
    let (claim, asked) = claims[0];
    match preflight::growth(&view, claim, asked) {
        Growth::Short(_) => Verdict::Grows,
        Growth::Unbound => Verdict::OnceBound,
        Growth::Failed(_) => Verdict::Never,
        other => panic!("{other:?}"),
    }
}

fn by_plan(case: &Case) -> Verdict {
    let plan = resize_plan::grow(&observed(case));
    let check = plan.checks.iter().find(|check| check.name == "claims can grow").unwrap();
    match check.outcome {
        CheckOutcome::Ok => Verdict::Grows,
        CheckOutcome::Waiting(_) => Verdict::OnceBound,
        CheckOutcome::Blocked(_) => Verdict::Never,
        CheckOutcome::Unknown => panic!("{check:?}"),
    }
}

#[test]
fn admission_preflight_and_plan_agree_on_whether_a_claim_grows() {
    for case in &CASES {
        let about = (case.class, case.bound, case.fixed);
        assert_eq!(by_admission(case), case.verdict, "admission: {about:?}");
        assert_eq!(by_preflight(case), case.verdict, "preflight: {about:?}");
        assert_eq!(by_plan(case), case.verdict, "plan: {about:?}");
    }
}
