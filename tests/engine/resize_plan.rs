//! A plan as a person reads it, and what it says about each kind of obstacle.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use stateward_core::facts::{ClassFact, Fact, NamespaceFact};
use stateward_core::object::Quantity;
use stateward_core::record::snapshot;
use stateward_core::record::{
    Phase, Policy, Reason, Record, Retention, RevisionName, Spec, State, Target,
};
use stateward_resize::observed::{
    Answer, Claim, Dependents, DryRuns, Managers, Memory, Observed, Pod, Progress, Revision, Set,
};
use stateward_resize::plan::{
    CheckOutcome, Controller, Plan, PlanError, PlannedCheck, Question, Show, Verdict, plan, render,
};
use stateward_resize::{Action, Commands, Parameters, step};

pub(crate) fn now() -> Timestamp {
    "2026-11-21T03:00:00Z".parse().unwrap()
}

fn size(text: &str) -> Quantity {
    text.parse().unwrap()
}

fn claim(ordinal: u32) -> Claim {
    Claim {
        name: format!("data-db-{ordinal}"),
        uid: format!("claim-{ordinal}"),
        template: "data".to_owned(),
        ordinal,
        request: size("100Gi"),
        capacity: Some(size("100Gi")),
        progress: Progress::None,
        terminating: false,
        owners: Vec::new(),
        class: "fast".to_owned(),
        fixed_volume: None,
        resize_id: None,
        mounted: true,
        foreign: false,
    }
}

fn pod(ordinal: u32) -> Pod {
    Pod {
        name: format!("db-{ordinal}"),
        uid: format!("pod-{ordinal}"),
        ordinal,
        owner: Some("set".to_owned()),
        revision: "db-1".to_owned(),
        terminating: false,
        available: true,
        created: "2026-11-20T00:00:00Z".parse().unwrap(),
    }
}

/// Three replicas with 100Gi each, nothing in the way.
pub(crate) fn cluster() -> Observed {
    let set = Set {
        uid: "set".to_owned(),
        resource_version: "7".to_owned(),
        terminating: false,
        deleted: None,
        foreign_finalizers: Vec::new(),
        owner: None,
        owner_managed: false,
        retention_owners: Vec::new(),
        writer: None,
        generation_observed: true,
        replicas: 3,
        first_ordinal: 0,
        ordered: true,
        on_delete: false,
        partition: Some(0),
        retention: Retention::RETAIN,
        retention_written: Fact::Known(false),
        templates: BTreeMap::from([("data".to_owned(), size("100Gi"))]),
        duplicate_templates: false,
        current_revision: "db-1".to_owned(),
        update_revision: "db-1".to_owned(),
        resize_id: None,
        unfinished: None,
        requested: BTreeMap::new(),
        resize_max: None,
        paused: false,
        evict: false,
        managers: Managers::Others,
        snapshot: String::new(),
    };
    Observed {
        fresh: true,
        namespace: Fact::Known(NamespaceFact::default()),
        set: Fact::Known(Some(set)),
        pods: Fact::Known((0..3).map(pod).collect()),
        claims: Fact::Known((0..3).map(claim).collect()),
        classes: Fact::Known(BTreeMap::from([(
            "fast".to_owned(),
            ClassFact { allow_volume_expansion: true, ..ClassFact::default() },
        )])),
        revisions: Fact::Known(vec![Revision {
            id: RevisionName { name: "db-1".to_owned(), uid: "revision".to_owned() },
            owner: Some(("set".to_owned(), true)),
            created: "2026-11-20T00:00:00Z".parse().unwrap(),
        }]),
        neighbours: Fact::Known(Vec::new()),
        dependents: Fact::Known(Dependents::default()),
        admission_policy: Fact::Known(true),
        dry_runs: Fact::Known(DryRuns {
            delete: Answer::Good,
            create: Answer::Good,
            unchanged: Answer::Good,
        }),
        last_seen_edit: Fact::Known(None),
        memory: Memory::default(),
    }
}

pub(crate) fn set(observed: &mut Observed) -> &mut Set {
    match &mut observed.set {
        Fact::Known(Some(set)) => set,
        _ => unreachable!("the cluster has a set"),
    }
}

fn claims(observed: &mut Observed) -> &mut Vec<Claim> {
    match &mut observed.claims {
        Fact::Known(claims) => claims,
        Fact::Unknown(_) => unreachable!("the cluster has claims"),
    }
}

fn asked(template: &str, size: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(template.to_owned(), size.to_owned())])
}

fn planned(observed: &Observed, targets: &BTreeMap<String, String>, claims_only: bool) -> Plan {
    with_controller(observed, targets, claims_only, &Controller::Running)
}

fn with_controller(
    observed: &Observed,
    targets: &BTreeMap<String, String>,
    claims_only: bool,
    controller: &Controller,
) -> Plan {
    let commands = Commands::default().cluster("--context", Some("eu"));
    let controller = Some(controller);
    let (namespace, name, commands) = ("prod", "db", &commands);
    let question = Question { namespace, name, targets, claims_only, controller, commands };
    plan(&question, observed, None, now(), &Parameters::default()).unwrap()
}

/// All that a plan can print.
fn all(plan: &Plan) -> String {
    render(plan, Show { color: false, all_checks: true, by_hand: true })
}

pub(crate) fn grow(observed: &Observed) -> Plan {
    planned(observed, &asked("data", "200Gi"), false)
}

#[test]
fn a_plan_reads_from_top_to_bottom() {
    insta::assert_snapshot!(render(&grow(&cluster()), Show::default()));
    insta::assert_snapshot!("a_plan_with_everything", all(&grow(&cluster())));
}

#[test]
fn a_plan_is_blocked_if_no_controller_would_carry_it_out() {
    let (namespace, why) = ("guard".to_owned(), "there is no Lease guard/x".to_owned());
    let targets = asked("data", "200Gi");
    for (controller, starts) in [
        (Controller::NotInstalled { namespace: namespace.clone() }, 3),
        (Controller::Absent { why, namespace }, 2),
    ] {
        for claims_only in [false, true] {
            let plan = with_controller(&cluster(), &targets, claims_only, &controller);
            assert_eq!(plan.verdict, Verdict::Blocked, "{controller:?}");
            let blocked = plan.checks.iter().find(|check| check.outcome.is_blocked()).unwrap();
            assert_eq!(blocked.advice.len(), starts, "{:?}", blocked.advice);
            let text = render(&plan, Show::default());
            for part in ["BLOCKED", "--here", "controller --system-namespace guard --context eu"] {
                assert!(text.contains(part), "{part} is not in {text}");
            }
            for part in ["Deleting", "Begin:", "Pods that restart"] {
                assert!(!text.contains(part), "{part} is in {text}");
            }
        }
    }
    let unknown = Controller::Unknown("the Lease may not be read".to_owned());
    assert_eq!(with_controller(&cluster(), &targets, false, &unknown).verdict, Verdict::Unknown);
}

#[test]
fn every_command_of_a_plan_leads_to_its_cluster() {
    let mut blocked = cluster();
    set(&mut blocked).foreign_finalizers = vec!["example.com/keep".to_owned()];
    set(&mut blocked).retention =
        Retention { when_deleted: Policy::Delete, when_scaled: Policy::Retain };
    let mut owned = cluster();
    set(&mut owned).owner = Some("RabbitmqCluster shop".to_owned());
    for observed in [cluster(), blocked, owned] {
        let plan = grow(&observed);
        let advice = plan.checks.iter().flat_map(|check| &check.advice);
        let steps = plan.steps.iter().flat_map(|step| &step.manual_recovery);
        let commands = advice.chain(steps).filter_map(|step| step.command.clone());
        let operators = plan.owner.iter().filter_map(|step| step.command.clone());
        for command in commands.chain(operators).chain([plan.apply.clone()]) {
            let calls = command.matches("kubectl ").count() + command.matches("stateward ").count();
            assert_eq!(command.matches("--context eu").count(), calls, "{command}");
        }
    }
}

#[test]
fn a_plan_does_not_promise_that_no_pod_has_to_restart() {
    let mut observed = cluster();
    let says = |observed: &Observed, part: &str| {
        let text = render(&grow(observed), Show::default());
        assert!(text.contains(part), "{part} is not in {text}");
    };
    says(&observed, "none by stateward; some drivers grow a file system only when you restart");
    for ordinal in [0, 2] {
        claims(&mut observed)[ordinal].request = size("200Gi");
        claims(&mut observed)[ordinal].progress = Progress::FileSystem;
    }
    says(&observed, "only when you restart them: db-0, db-2");
    set(&mut observed).evict = true;
    says(&observed, "db-0: the file system of data-db-0 grows when this pod restarts");
    let mut consenting = cluster();
    set(&mut consenting).evict = true;
    says(&consenting, "none yet; if a file system grows only at a restart, stateward evicts");
}

#[test]
fn what_is_changed_for_a_while_is_said_and_put_back() {
    let mut observed = cluster();
    set(&mut observed).retention =
        Retention { when_deleted: Policy::Delete, when_scaled: Policy::Retain };
    set(&mut observed).partition = Some(2);
    let mut leftover = claim(4);
    leftover.owners = vec!["set".to_owned()];
    leftover.mounted = false;
    claims(&mut observed).push(leftover);
    insta::assert_snapshot!(all(&grow(&observed)));
}

#[test]
fn everything_that_blocks_is_named_with_a_way_out() {
    let mut observed = cluster();
    set(&mut observed).foreign_finalizers = vec!["example.com/keep".to_owned()];
    observed.neighbours = Fact::Known(vec!["ReplicaSet old-db".to_owned()]);
    observed.dry_runs = Fact::Known(DryRuns {
        delete: Answer::Good,
        create: Answer::Good,
        unchanged: Answer::Changed("spec.template.spec.affinity, by webhook \"spread\"".to_owned()),
    });
    claims(&mut observed)[1].class = "slow".to_owned();
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::ClaimsOnly);
    assert!(plan.is_blocked());
    insta::assert_snapshot!(all(&plan));
}

#[test]
fn an_owner_keeps_the_size_unless_it_lets_stateward_resize_the_set() {
    let mut observed = cluster();
    set(&mut observed).owner = Some("RabbitmqCluster shop".to_owned());
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::Blocked);
    insta::assert_snapshot!("an_owner_is_asked_first", all(&plan));
    set(&mut observed).owner_managed = true;
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::Ready);
    assert!(plan.seconds_without_controller.is_some());
    insta::assert_snapshot!("an_owner_lets_stateward_resize", all(&plan));
}

#[test]
fn claims_alone_leave_the_set_out() {
    let plan = planned(&cluster(), &asked("data", "200Gi"), true);
    assert_eq!(plan.verdict, Verdict::Ready);
    assert_eq!(plan.steps.len(), 2);
    insta::assert_snapshot!(all(&plan));
}

#[test]
fn a_plan_for_programs() {
    insta::assert_json_snapshot!(planned(&cluster(), &asked("data", "200Gi"), true));
}

#[test]
fn what_is_there_already_is_not_done_again() {
    let mut observed = cluster();
    for claim in claims(&mut observed) {
        claim.request = size("200Gi");
        claim.capacity = Some(size("200Gi"));
    }
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::Ready);
    let phases: Vec<_> = plan.steps.iter().map(|step| step.phase.as_str()).collect();
    assert_eq!(phases, ["RetentionPinned", "Deleting", "Creating", "Adopting", "Verifying"]);
    set(&mut observed).templates = BTreeMap::from([("data".to_owned(), size("200Gi"))]);
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::NothingToDo);
    assert!(plan.steps.is_empty());
}

#[test]
fn a_hand_grown_claim_is_left_as_it_is() {
    let mut observed = cluster();
    claims(&mut observed)[2].request = size("300Gi");
    claims(&mut observed)[2].capacity = Some(size("300Gi"));
    let plan = grow(&observed);
    let sizes: Vec<_> = plan.claims.iter().map(|c| (c.from.as_str(), c.to.as_str())).collect();
    assert_eq!(sizes, [("100Gi", "200Gi"), ("100Gi", "200Gi"), ("300Gi", "300Gi")]);
    assert_eq!(plan.steps[0].touches.len(), 2);
}

#[test]
fn requests_that_cannot_be_taken_are_blocked() {
    let mut observed = cluster();
    observed.namespace = Fact::Known(NamespaceFact {
        resize_max: Some("150Gi".to_owned()),
        ..NamespaceFact::default()
    });
    for (template, size, reason, detail) in [
        ("data", "200Gi", Reason::OverMax, "data: 200Gi is more than the 150Gi of resize-max"),
        ("wal", "120Gi", Reason::NoSuchTemplate, "wal; the set's claim templates: data"),
        ("data", "50Gi", Reason::BadTarget, "data is 100Gi already, and claims cannot shrink"),
        ("data", "much", Reason::BadTarget, "data: \"much\" is not a quantity"),
    ] {
        let plan = planned(&observed, &asked(template, size), false);
        assert_eq!(plan.verdict, Verdict::Blocked, "{template}={size}");
        let check = plan.checks.iter().find(|c| c.outcome.is_blocked()).unwrap();
        assert_eq!(check.outcome, CheckOutcome::Blocked(reason), "{template}={size}");
        assert!(check.detail.starts_with(detail), "{}", check.detail);
    }
}

#[test]
fn a_size_that_no_volume_has_is_blocked() {
    for size in [
        "2147483648500.5m",
        "214748364800.1",
        "225.5e-1",
        "250000000001n",
        "1e30",
        "99999999E",
        "99999999Ei",
        "9223372036854775807",
    ] {
        let plan = planned(&cluster(), &asked("data", size), false);
        let check = plan.checks.iter().find(|check| check.outcome.is_blocked()).unwrap();
        assert_eq!(check.outcome, CheckOutcome::Blocked(Reason::BadTarget), "{size}");
        assert_eq!(decided(&cluster(), size), Some(Reason::BadTarget), "{size}");
    }
    for whole in ["200.5Gi", "214748364800000m", "214748364800"] {
        assert_eq!(decided(&cluster(), whole), None, "{whole}");
    }
}

/// The reason for which a record that asks for `size` is blocked.
fn decided(observed: &Observed, size: &str) -> Option<Reason> {
    let target = Target { storage: size.to_owned() };
    let spec = Spec { targets: BTreeMap::from([("data".to_owned(), target)]), ..Spec::default() };
    let record = Record { generation: 1, spec, ..Record::default() };
    match step(observed, Some(&record), now(), &Parameters::default()) {
        Action::WriteStatus(status) => status.halt.map(|halt| halt.reason),
        action => panic!("{action:?}"),
    }
}

#[test]
fn growth_that_is_probably_a_typo_is_blocked_for_record_and_plan() {
    for (size, blocked) in
        [("1000Gi", false), ("1Ti", false), ("1025Gi", true), ("100Ti", true), ("7Ei", true)]
    {
        let expected = blocked.then_some(Reason::HugeGrowth);
        assert_eq!(decided(&cluster(), size), expected, "{size}");
        let plan = planned(&cluster(), &asked("data", size), false);
        let check = plan.checks.iter().find(|check| check.outcome.is_blocked());
        let reason = check.map(|check| check.outcome.clone());
        assert_eq!(reason, expected.map(CheckOutcome::Blocked), "{size}");
    }
    // Claims that have grown in steps already, while the template waits.
    let mut stepwise = cluster();
    let Fact::Known(claims) = &mut stepwise.claims else { panic!("claims are known") };
    for claim in claims.iter_mut() {
        claim.request = size("900Gi");
    }
    assert_eq!(decided(&stepwise, "9000Gi"), None);
    // One claim that somebody grew by hand does not vouch for the others.
    let Fact::Known(claims) = &mut stepwise.claims else { panic!("claims are known") };
    claims[0].request = size("100Gi");
    assert_eq!(decided(&stepwise, "9000Gi"), Some(Reason::HugeGrowth));
}

#[test]
fn a_request_by_annotation_was_judged_by_the_webhook() {
    let mut observed = cluster();
    set(&mut observed).requested = asked("data", "100Ti");
    let record = Record { generation: 1, ..Record::default() };
    let action = step(&observed, Some(&record), now(), &Parameters::default());
    let Action::WriteStatus(status) = action else { panic!("{action:?}") };
    assert_eq!((status.phase, status.halt), (Phase::Growing, None));
}

#[test]
fn an_object_that_the_set_owns_blocks_its_re_creation_by_name() {
    let mut observed = cluster();
    let found = vec!["ConfigMap db-settings".to_owned(), "Secret db-tls".to_owned()];
    observed.dependents = Fact::Known(Dependents { found, unlisted: Vec::new() });
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::ClaimsOnly);
    let blocked = CheckOutcome::Blocked(Reason::OtherDependents);
    let check = plan.checks.iter().find(|check| check.outcome == blocked).unwrap();
    assert_eq!(check.detail, "ConfigMap db-settings, Secret db-tls");
    assert!(!check.advice.is_empty());

    let unlisted = vec!["secrets".to_owned()];
    observed.dependents = Fact::Known(Dependents { found: Vec::new(), unlisted });
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::Ready);
    let told = |check: &&PlannedCheck| check.detail == "no permission to list secrets";
    assert!(plan.checks.iter().any(|check| told(&check)));

    observed.dependents = Fact::Unknown("configmaps: timeout".to_owned());
    assert_eq!(grow(&observed).verdict, Verdict::Unknown);
}

#[test]
fn a_garbage_collector_that_does_not_finish_is_told_of() {
    let mut observed = cluster();
    let mut record = Record { generation: 1, ..Record::default() };
    record.status.phase = Phase::Deleting;
    record.status.observed_generation = 1;
    record.status.recreation.set_uid = Some("set".to_owned());
    set(&mut observed).terminating = true;
    let found = vec!["ConfigMap settings".to_owned()];
    observed.dependents = Fact::Known(Dependents { found, unlisted: Vec::new() });
    for (seconds, told) in [(5, false), (29, false), (31, true)] {
        set(&mut observed).deleted = Some(now() - SignedDuration::from_secs(seconds));
        let action = step(&observed, Some(&record), now(), &Parameters::default());
        if !told {
            assert!(matches!(action, Action::Wait { .. }), "{seconds} s: {action:?}");
            continue;
        }
        let Action::WriteStatus(status) = action else { panic!("{action:?}") };
        let halt = status.halt.clone().unwrap();
        assert_eq!((halt.state, halt.reason), (State::Waiting, Reason::OrphaningStuck));
        let owned = "ConfigMap settings, ControllerRevision db-1, Pod db-0, Pod db-1, Pod db-2";
        assert_eq!(halt.message, format!("it still owns {owned}"));
        record.status = *status;
        let action = step(&observed, Some(&record), now(), &Parameters::default());
        assert!(matches!(action, Action::Wait { .. }), "it is written once: {action:?}");
        // A request to abort is seen meanwhile.
        record.generation = 2;
        record.spec.abort = Some(1);
        let action = step(&observed, Some(&record), now(), &Parameters::default());
        let Action::WriteStatus(status) = action else { panic!("{action:?}") };
        assert_eq!(status.observed_generation, 2);
    }
}

#[test]
fn a_claim_of_somebody_else_neither_grows_nor_goes_along_with_the_set() {
    let mut observed = cluster();
    let Fact::Known(claims) = &mut observed.claims else { panic!("claims are known") };
    let mut other = claims[0].clone();
    other.name = "data-db-9".to_owned();
    (other.ordinal, other.mounted, other.foreign) = (9, false, true);
    claims.push(other);
    let plan = grow(&observed);
    assert!(plan.claims.iter().all(|claim| claim.name != "data-db-9"));
    assert_eq!(plan.verdict, Verdict::Ready);
    // It is deleted with the set all the same if the set owns it.
    let Fact::Known(claims) = &mut observed.claims else { panic!("claims are known") };
    claims[3].owners = vec!["set".to_owned()];
    let plan = grow(&observed);
    let held = |check: &&PlannedCheck| check.detail == "data-db-9";
    assert!(plan.checks.iter().any(|check| held(&check)), "{:?}", plan.checks);
}

#[test]
fn of_thousands_of_claims_that_would_go_along_a_message_names_ten() {
    let mut observed = cluster();
    let Fact::Known(claims) = &mut observed.claims else { panic!("claims are known") };
    claims.extend(
        (3..3_000).map(|ordinal| Claim { owners: vec!["set".to_owned()], ..claim(ordinal) }),
    );
    let plan = grow(&observed);
    let held = |check: &PlannedCheck| check.detail.ends_with("and 2987 more");
    assert!(plan.checks.iter().any(held), "{:?}", plan.checks.last());
}

#[test]
fn a_pause_is_said_where_it_is_lifted() {
    let mut observed = cluster();
    set(&mut observed).paused = true;
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::Blocked);
    let check =
        plan.checks.iter().find(|c| c.outcome == CheckOutcome::Blocked(Reason::Paused)).unwrap();
    assert_eq!(
        check.advice[0].command.as_deref(),
        Some("kubectl --context eu -n prod annotate statefulset db stateward.dev/resize-paused-")
    );
}

#[test]
fn what_could_not_be_read_is_not_called_well() {
    let unread = || "persistentvolumeclaims: forbidden".to_owned();
    let mut observed = cluster();
    observed.claims = Fact::Unknown(unread());
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::Unknown);
    assert!(plan.is_blocked());
    let mut observed = cluster();
    observed.neighbours = Fact::Unknown(unread());
    assert_eq!(grow(&observed).verdict, Verdict::Unknown);
    let mut observed = cluster();
    observed.set = Fact::Unknown(unread());
    let targets = asked("data", "200Gi");
    let question = Question {
        namespace: "prod",
        name: "db",
        targets: &targets,
        claims_only: false,
        controller: None,
        commands: &Commands::default(),
    };
    let error = plan_error(&question, &observed);
    assert_eq!(
        error.to_string(),
        "StatefulSet prod/db could not be read: persistentvolumeclaims: forbidden"
    );
    observed.set = Fact::Known(None);
    assert_eq!(plan_error(&question, &observed).to_string(), "there is no StatefulSet prod/db");
}

fn plan_error(question: &Question<'_>, observed: &Observed) -> PlanError {
    plan(question, observed, None, now(), &Parameters::default()).unwrap_err()
}

#[test]
fn a_rollout_is_waited_for() {
    let mut observed = cluster();
    set(&mut observed).current_revision = "db-0".to_owned();
    let plan = grow(&observed);
    assert_eq!(plan.verdict, Verdict::Waits);
    assert!(!plan.is_blocked());
    let check = plan
        .checks
        .iter()
        .find(|c| c.outcome == CheckOutcome::Waiting(Reason::MidRollout))
        .unwrap();
    assert_eq!(check.step, None);
}

#[test]
fn pods_restart_only_with_consent() {
    let mut observed = cluster();
    claims(&mut observed)[0].request = size("200Gi");
    claims(&mut observed)[0].progress = Progress::FileSystem;
    assert!(grow(&observed).restarts.is_empty());
    set(&mut observed).evict = true;
    let restarts = grow(&observed).restarts;
    assert_eq!(restarts.len(), 1);
    assert_eq!(restarts[0].pod, "db-0");
}

#[test]
fn many_pods_take_longer_to_let_go() {
    let mut observed = cluster();
    assert_eq!(grow(&observed).seconds_without_controller, Some(1));
    observed.pods = Fact::Known((0..100).map(pod).collect());
    assert_eq!(grow(&observed).seconds_without_controller, Some(6));
}

#[test]
fn nothing_in_a_cluster_steers_the_terminal() {
    let mut observed = cluster();
    set(&mut observed).foreign_finalizers = vec!["a\u{1b}[31m/b".to_owned()];
    assert!(!all(&grow(&observed)).contains('\u{1b}'));
    assert!(render(&grow(&observed), Show { color: true, ..Show::default() }).contains('\u{1b}'));
    assert!(
        !render(&grow(&observed), Show { color: true, ..Show::default() })
            .contains("a\u{1b}[31m/b")
    );
}

/// The cluster with a driver, and what growth to `size` means there.
fn with_driver(provisioner: &str, from: &str, to: &str, parameters: &[(&str, &str)]) -> Plan {
    let mut observed = cluster();
    let parameters =
        parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let class = ClassFact {
        allow_volume_expansion: true,
        provisioner: provisioner.to_owned(),
        parameters: parameters.collect(),
        ..ClassFact::default()
    };
    observed.classes = Fact::Known(BTreeMap::from([("fast".to_owned(), class)]));
    set(&mut observed).templates.insert("data".to_owned(), size(from));
    for claim in claims(&mut observed) {
        claim.request = size(from);
        claim.capacity = Some(size(from));
    }
    planned(&observed, &asked("data", to), false)
}

fn warnings(plan: &Plan) -> Vec<&str> {
    let notes = plan.storage.iter().flat_map(|class| &class.notes);
    notes.filter(|note| note.warning).map(|note| note.text.as_str()).collect()
}

#[test]
fn a_plan_says_what_the_driver_means() {
    let plan = with_driver("ebs.csi.aws.com", "100Gi", "100.5Gi", &[("type", "gp3")]);
    insta::assert_snapshot!(render(&plan, Show::default()));
    let plan = with_driver("disk.csi.azure.com", "1Ti", "5Ti", &[]);
    insta::assert_snapshot!("a_plan_for_pods_to_stop", render(&plan, Show::default()));
    let plan = with_driver("nfs.csi.k8s.io", "100Gi", "200Gi", &[]);
    insta::assert_snapshot!("a_plan_for_pretended_growth", render(&plan, Show::default()));
}

#[test]
fn a_plan_says_what_has_to_follow_in_the_system() {
    let running = |image: &str, to: &str| {
        let mut observed = cluster();
        let pod = json!({"spec": {"containers": [{"name": "db", "image": image}]}});
        let object = json!({"metadata": {"uid": "set"}, "spec": {"template": pod}});
        set(&mut observed).snapshot = snapshot::encode(&object).unwrap();
        planned(&observed, &asked("data", to), false)
    };
    let text = render(&running("prom/prometheus:v3.5.0", "200Gi"), Show::default());
    let heading = "Afterwards, by hand (Prometheus)";
    assert!(text.contains(heading), "{text}");
    assert!(text.contains("--storage.tsdb.retention.size"), "{text}");
    for plan in [running("mysql:8.4.3", "200Gi"), running("prom/prometheus:v3.5.0", "100Gi")] {
        assert!(plan.after_growth.is_none(), "{plan:#?}");
    }
}

#[test]
fn a_plan_of_an_unknown_driver_is_that_of_none() {
    let plan = with_driver("disks.example.com", "100Gi", "200Gi", &[]);
    assert_eq!(all(&plan), all(&grow(&cluster())));
}

#[test]
fn a_plan_tells_which_pods_restart_by_driver() {
    let says = |provisioner: &str| {
        let plan = with_driver(provisioner, "100Gi", "200Gi", &[]);
        let text = render(&plan, Show::default());
        let line = text.lines().find(|line| line.starts_with("Pods that")).unwrap();
        line.to_owned()
    };
    assert_eq!(
        says("ebs.csi.aws.com"),
        "Pods that restart: none; volumes of AWS EBS grow while pods use them"
    );
    assert_eq!(says("smb.csi.k8s.io"), "Pods that restart: none; volumes of SMB CSI do not change");
    // Its expansion is not known, and neither is that of a driver without a file.
    for provisioner in ["robin", "disks.example.com"] {
        assert!(says(provisioner).contains("some drivers"), "{}", says(provisioner));
    }
}

#[test]
fn an_azure_disk_that_passes_4_tib_needs_its_pods_stopped() {
    let plan = with_driver("disk.csi.azure.com", "1Ti", "5Ti", &[]);
    assert_eq!(plan.verdict, Verdict::ClaimsOnly);
    let pods: Vec<&str> = plan.stops.iter().map(|stop| stop.pod.as_str()).collect();
    assert_eq!(pods, ["db-0", "db-1", "db-2"]);
    let blocked = CheckOutcome::Blocked(Reason::OfflineOnly);
    let check = plan.checks.iter().find(|check| check.outcome == blocked).unwrap();
    assert!(check.advice.iter().any(|step| {
        step.command.as_ref().is_some_and(|command| command.contains("--replicas=0"))
    }));
    for (from, to, sku) in [("1Ti", "2Ti", ""), ("5Ti", "6Ti", ""), ("1Ti", "5Ti", "UltraSSD_LRS")]
    {
        let plan = with_driver("disk.csi.azure.com", from, to, &[("skuName", sku)]);
        assert_eq!((plan.verdict, plan.stops.len()), (Verdict::Ready, 0), "{from} {to} {sku}");
    }
}

#[test]
fn a_plan_warns_of_sizes_that_a_driver_does_not_give() {
    let plan = with_driver("dobs.csi.digitalocean.com", "10Gi", "10.5Gi", &[]);
    assert_eq!(
        warnings(&plan),
        [
            "DigitalOcean Block Storage gives multiples of 1Gi: for 10752Mi it gives 10Gi, less than the \
          claim asks for: ask for a whole number."
        ]
    );
    let plan = with_driver("ebs.csi.aws.com", "1Ti", "17Ti", &[("type", "gp2")]);
    assert_eq!(warnings(&plan), ["17Ti is more than 16Ti, the largest volume of AWS EBS."]);
    let plan = with_driver("ebs.csi.aws.com", "1Ti", "17Ti", &[("type", "gp3")]);
    assert!(warnings(&plan).is_empty());
    let plan = with_driver("csi.vsphere.vmware.com", "10Gi", "20Gi", &[]);
    assert!(warnings(&plan)[0].contains("snapshot"), "{:?}", warnings(&plan));
}

#[test]
fn a_claim_without_a_pod_waits_if_its_driver_needs_one() {
    let mut observed = cluster();
    let class = ClassFact {
        allow_volume_expansion: true,
        provisioner: "pxd.portworx.com".to_owned(),
        ..ClassFact::default()
    };
    observed.classes = Fact::Known(BTreeMap::from([("fast".to_owned(), class)]));
    assert!(warnings(&grow(&observed)).is_empty());
    claims(&mut observed)[2].mounted = false;
    let plan = grow(&observed);
    assert_eq!(warnings(&plan).len(), 1);
    assert!(warnings(&plan)[0].contains("data-db-2"), "{:?}", warnings(&plan));
}

#[test]
fn a_class_whose_driver_cannot_expand_blocks_the_plan() {
    let plan = with_driver("rancher.io/local-path", "100Gi", "200Gi", &[]);
    assert_eq!(plan.verdict, Verdict::Blocked);
    let blocked = CheckOutcome::Blocked(Reason::NotExpandable);
    let check = plan.checks.iter().find(|check| check.outcome == blocked).unwrap();
    assert!(check.detail.contains("uses local-path, which cannot expand volumes"), "{check:?}");
}
