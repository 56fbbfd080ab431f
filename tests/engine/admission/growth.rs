//! Growth is accepted only where somebody is known to carry it out, and able to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use stateward_core::decide::Stage;
use stateward_core::facts::{
    ClaimFact, ControllerState, Facts, FixedVolume, NamespaceFact, Objects, SetFact, VolumeFact,
};
use stateward_core::review::WebhookKind;

use super::setup::{
    Asks, REQUESTED, Said, absent, ask, claim, facts, limit_of_namespace, mutate, quota, record,
    set, sized, with,
};

const LIMIT: &str = "/metadata/annotations/stateward.dev~1resize-max";
const UNFINISHED: &str = "/metadata/annotations/stateward.dev~1resize-unfinished";

fn grow(facts: &Facts) -> Said {
    mutate(Some(&set()), Some(&sized(&set(), "20Gi")), facts)
}

/// The first sentence after what would change.
fn why(said: &Said) -> &str {
    assert!(!said.allowed, "{said:#?}");
    said.message.lines().nth(1).unwrap()
}

#[test]
fn growth_becomes_a_request_while_a_controller_runs() {
    let said = grow(&facts());
    assert!(said.allowed, "{}", said.message);
    assert_eq!((said.size(), said.request()), ("10Gi", Some("{\"data\":\"20Gi\"}")));
    assert_eq!(
        said.warnings,
        [
            "StatefulSet shop/db: growth of claim template data accepted, 10Gi → 20Gi",
            "StatefulSet shop/db: its claims grow now; its claim template follows",
            "Watch: kubectl get statefulsetresize db -n shop -w",
            "To cancel, remove the annotation stateward.dev/resize-requested; a rollback does not \
             cancel it",
        ]
    );
    assert_eq!(said.done, ["request-resize"]);
}

#[test]
fn warnings_about_growth_promise_only_what_happens_now() {
    let promise = "its claims grow now";
    let paused = with(&set(), "/metadata/annotations/stateward.dev~1resize-paused", json!("true"));
    let said = mutate(Some(&paused), Some(&sized(&paused, "20Gi")), &facts());
    assert!(!said.warns_of(promise) && said.warns_of("Watch: kubectl"), "{:?}", said.warnings);
    // Without a cluster there may be nothing to watch.
    let said = grow(&Facts::none());
    assert!(!said.warns_of(promise) && !said.warns_of("Watch:"), "{:?}", said.warnings);
}

#[test]
fn an_accepted_edit_says_what_becomes_of_the_claims_that_exist() {
    let says = |facts: &Facts, expected: &str| {
        let warnings = grow(facts).warnings;
        let line = warnings.iter().find(|line| line.ends_with("; its claim template follows"));
        assert!(line.is_some_and(|line| line.contains(expected)), "{expected}: {warnings:?}");
    };
    let with_claims = |volume: &str, size: &str| {
        let mut facts = facts();
        for name in ["data-db-0", "data-db-1"] {
            claim(&mut facts, name, "fast", volume, size);
        }
        facts
    };
    says(&with_claims("v", "10Gi"), "shop/db: its claims grow now");
    says(&with_claims("", "10Gi"), "shop/db: its claims grow once they are bound");
    says(&with_claims("v", "20Gi"), "shop/db: its claims have that size already");
    // A claim that is bound grows now, whatever its siblings wait for.
    let mut facts = with_claims("", "10Gi");
    claim(&mut facts, "data-db-0", "fast", "v0", "10Gi");
    says(&facts, "shop/db: its claims grow now");
    facts.claims = Objects::unknown("timeout");
    says(&facts, "shop/db: the controller grows its claims");
    facts.claims = Objects::all();
    says(&facts, "shop/db: its claims grow once they are bound");
    let none = with(&set(), "/spec/replicas", json!(0));
    let said = mutate(Some(&none), Some(&sized(&none, "20Gi")), &facts);
    assert!(said.warns_of("shop/db: it has no claim yet; new ones get that size"), "{said:#?}");
}

#[test]
fn a_request_by_hand_that_has_no_effect_is_told_of() {
    let annotated = |text: &str| with(&set(), REQUESTED, json!(text));
    for (text, expected) in [
        ("x", r#"resize-requested is dropped: it must look like {"data":"200Gi"}"#),
        ("20Gi", "it must look like"),
        (r#"["data"]"#, "it must look like"),
        (r#"{"data":20}"#, "it must look like"),
        ("", "it must look like"),
        (r#"{"dat":"20Gi"}"#, "the request for dat has no effect: it has no claim template dat"),
        (r#"{"data":"20Gx"}"#, "the request for data has no effect: 20Gx is no size such as 200Gi"),
    ] {
        for old in [Some(set()), None] {
            let said = mutate(old.as_ref(), Some(&annotated(text)), &facts());
            assert!(said.allowed && said.warns_of(expected), "{text}: {said:#?}");
            let dropped = expected.contains("must look like");
            assert!(!dropped || said.request().is_none(), "{text}: {said:#?}");
        }
        // What stands there already is not told of at every edit.
        let old = annotated(text);
        let said = mutate(Some(&old), Some(&with(&old, "/spec/replicas", json!(3))), &facts());
        assert!(!said.warns_of("requested") && !said.warns_of("the request for"), "{said:#?}");
    }
    let said = mutate(Some(&set()), Some(&annotated(r#"{"data":"5Gi"}"#)), &facts());
    assert!(said.warns_of("the request for data has no effect: claim template data has 10Gi"));
    let said = mutate(Some(&set()), Some(&annotated(r#"{"data":"20Gi"}"#)), &facts());
    assert!(!said.warns_of("no effect") && said.request().is_some(), "{said:#?}");
}

#[test]
fn several_templates_that_grow_are_told_how_to_cancel_once() {
    let mut old = set();
    let template = old["spec"]["volumeClaimTemplates"][0].clone();
    old["spec"]["volumeClaimTemplates"].as_array_mut().unwrap().push(template);
    old["spec"]["volumeClaimTemplates"][1]["metadata"]["name"] = json!("logs");
    let mut new = sized(&old, "20Gi");
    new["spec"]["volumeClaimTemplates"][1]["spec"]["resources"]["requests"]["storage"] =
        json!("20Gi");
    let said = mutate(Some(&old), Some(&new), &facts());
    let count = |text: &str| said.warnings.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("accepted"), count("Watch"), count("To cancel")), (2, 1, 1), "{said:#?}");
}

#[test]
fn without_a_controller_growth_is_refused_with_the_way_by_hand() {
    let mut facts = facts();
    facts.controller = absent("Lease stateward/stateward-can-resize is no longer renewed");
    let said = grow(&facts);
    assert_eq!(
        why(&said),
        "No controller would carry it out: Lease stateward/stateward-can-resize is no longer \
         renewed."
    );
    assert!(said.message.contains("1. let a controller run"), "{}", said.message);
    assert!(said.message.contains("2. or by hand: raise the 2 claims"), "{}", said.message);
    assert!(said.message.contains("sts-vct-size-grow"), "{}", said.message);
    // The stored size is always allowed, whatever runs.
    let stored = with(&set(), "/metadata/annotations/team", json!("b"));
    assert!(mutate(Some(&set()), Some(&stored), &facts).allowed);
    let asked = with(&set(), REQUESTED, json!("{\"data\":\"20Gi\"}"));
    assert!(mutate(Some(&asked), Some(&asked), &facts).allowed);
}

#[test]
fn where_nobody_looks_it_is_shown_and_said_that_nobody_carries_it_out() {
    let said = grow(&Facts::none());
    assert!(said.allowed && said.request().is_some());
    assert!(said.warns_of("cannot tell if a controller grows it"), "{:?}", said.warnings);
    // The command line judges manifests, not a cluster.
    let check = |facts: &Facts| {
        let (old, new) = (set(), sized(&set(), "20Gi"));
        ask(Stage::Check, Some(&old), Some(&new), facts, &Asks::default())
    };
    assert!(check(&Facts::none()).allowed);
}

#[test]
fn what_decides_about_carrying_out_must_be_known() {
    let unknown: [fn(&mut Facts); 2] = [
        |facts| facts.records = Objects::unknown("the StatefulSetResizes: no rights"),
        |facts| facts.namespaces = Objects::unknown("the Namespaces: no rights"),
    ];
    for forget in unknown {
        let mut facts = facts();
        forget(&mut facts);
        let said = grow(&facts);
        assert!(why(&said).contains("is not known: needs the "), "{}", said.message);
    }
}

#[test]
fn what_decides_about_claims_may_be_unknown_with_a_warning() {
    let unknown: [fn(&mut Facts); 4] = [
        |facts| facts.claims = Objects::unknown("the PersistentVolumeClaims: gone"),
        |facts| facts.classes = Objects::unknown("the StorageClasses: gone"),
        |facts| facts.volumes = Objects::unknown("the PersistentVolumes: gone"),
        |facts| facts.quotas = Objects::unknown("the ResourceQuotas: gone"),
    ];
    for forget in unknown {
        let mut facts = facts();
        forget(&mut facts);
        let said = grow(&facts);
        assert!(said.allowed, "{}", said.message);
        assert!(said.warns_of("not checked whether its claims can grow"), "{:?}", said.warnings);
    }
}

#[test]
fn a_claim_that_cannot_grow_is_named() {
    let mut rigid = facts();
    claim(&mut rigid, "data-db-1", "rigid", "v1", "10Gi");
    let said = grow(&rigid);
    assert_eq!(
        why(&said),
        "Claim data-db-1 has StorageClass rigid, which does not allow expansion."
    );
    assert!(said.message.contains("kubectl patch storageclass rigid"), "{}", said.message);

    let mut gone = facts();
    claim(&mut gone, "data-db-1", "old", "v1", "10Gi");
    assert_eq!(why(&grow(&gone)), "Claim data-db-1 has StorageClass old, which does not exist.");

    let mut none = facts();
    claim(&mut none, "data-db-1", "", "v1", "10Gi");
    assert!(why(&grow(&none)).starts_with("Claim data-db-1 has no StorageClass"));

    let mut fixed = facts();
    fixed.volumes.insert(
        "",
        "v1",
        VolumeFact { fixed: Some(FixedVolume::Manual), ..VolumeFact::default() },
    );
    let said = grow(&fixed);
    assert_eq!(
        why(&said),
        "Claim data-db-1 has a volume that was created manually, not by its StorageClass."
    );

    // A leftover of an earlier scale-down belongs to the resize as well.
    let mut leftover = facts();
    claim(&mut leftover, "data-db-7", "rigid", "v7", "10Gi");
    assert!(why(&grow(&leftover)).contains("data-db-7"));
    // One that is large enough already needs nothing, and another set's is none of ours.
    let mut other = facts();
    claim(&mut other, "data-db-7", "rigid", "v7", "30Gi");
    claim(&mut other, "data-db-x-0", "rigid", "v8", "10Gi");
    assert!(grow(&other).allowed);
}

#[test]
fn a_claim_that_is_not_bound_is_a_warning_unless_none_could_ever_grow() {
    let mut unbound = facts();
    claim(&mut unbound, "data-db-1", "fast", "", "10Gi");
    let said = grow(&unbound);
    assert!(said.allowed, "{}", said.message);
    assert!(said.warns_of("claim data-db-1 not bound yet"), "{:?}", said.warnings);

    let mut missing = facts();
    missing.claims = Objects::all();
    let said = grow(&missing);
    assert!(said.allowed, "{}", said.message);
    assert!(said.warns_of("claim data-db-0 and 1 more not bound yet"), "{:?}", said.warnings);

    let class = "/spec/volumeClaimTemplates/0/spec/storageClassName";
    let old = with(&set(), class, json!("rigid"));
    let said = mutate(Some(&old), Some(&sized(&old, "20Gi")), &missing);
    assert_eq!(
        why(&said),
        "Claim data-db-0 has StorageClass rigid, which does not allow expansion."
    );
    claim(&mut missing, "data-db-0", "fast", "", "10Gi");
    assert!(mutate(Some(&old), Some(&sized(&old, "20Gi")), &missing).allowed, "one could");
    // Without pods and claims there is nothing to grow but the template.
    let mut empty = facts();
    empty.claims = Objects::all();
    let old = with(&set(), "/spec/replicas", json!(0));
    let said = mutate(Some(&old), Some(&sized(&old, "20Gi")), &empty);
    assert!(said.allowed && said.warns_of("accepted"), "{said:#?}");
}

#[test]
fn the_quota_must_leave_what_the_claims_need() {
    let mut enough = facts();
    quota(&mut enough, None, "100Gi", "80Gi");
    assert!(grow(&enough).allowed);
    let mut little = facts();
    quota(&mut little, None, "100Gi", "85Gi");
    let said = grow(&little);
    assert_eq!(
        why(&said),
        "ResourceQuota storage leaves 15Gi of storage, and the claims need 20Gi more."
    );
    assert!(said.message.contains("raise it to 105Gi at least"), "{}", said.message);
    let mut class = facts();
    quota(&mut class, Some("fast"), "30Gi", "20Gi");
    assert!(why(&grow(&class)).contains("storage of class fast"));
    let mut other = facts();
    quota(&mut other, Some("slow"), "30Gi", "30Gi");
    assert!(grow(&other).allowed);
}

#[test]
fn two_templates_of_one_name_cannot_grow() {
    let template = set()["spec"]["volumeClaimTemplates"][0].clone();
    let templates = json!([template.clone(), template]);
    let old = with(&set(), "/spec/volumeClaimTemplates", templates);
    let said = mutate(Some(&old), Some(&sized(&old, "20Gi")), &facts());
    assert!(!said.allowed && said.request().is_none(), "{said:#?}");
}

#[test]
fn the_limit_of_the_namespace_wins_over_the_sets() {
    let limited = with(&set(), LIMIT, json!("15Gi"));
    let grow = |facts: &Facts| mutate(Some(&limited), Some(&sized(&limited, "20Gi")), facts);
    let said = grow(&facts());
    assert!(said.message.contains("beyond its limit 15Gi"), "{}", said.message);
    let mut wide = facts();
    limit_of_namespace(&mut wide, "25Gi");
    assert!(grow(&wide).allowed);
    let mut narrow = facts();
    limit_of_namespace(&mut narrow, "12Gi");
    let said = grow(&narrow);
    assert!(said.message.contains("beyond its namespace's limit 12Gi"), "{}", said.message);
    let raise = "kubectl annotate namespace shop --overwrite stateward.dev/resize-max=20Gi";
    assert!(said.message.contains(raise), "{}", said.message);
    // A limit that cannot be read limits to nothing.
    let mut odd = facts();
    limit_of_namespace(&mut odd, "plenty");
    assert!(!grow(&odd).allowed);
    // An edit cannot raise the limit that it is held to.
    let raised = with(&limited, LIMIT, json!("1Ti"));
    assert!(!mutate(Some(&limited), Some(&sized(&raised, "20Gi")), &facts()).allowed);
}

#[test]
fn a_paused_resize_is_accepted_with_a_warning() {
    let mut facts = facts();
    record(&mut facts, &json!({"paused": true}), &json!({"phase": "Growing"}));
    let said = grow(&facts);
    assert!(said.allowed, "{}", said.message);
    assert!(said.warns_of("paused until stateward resize resume sts/db -n shop"), "{said:#?}");
    let paused = with(&set(), "/metadata/annotations/stateward.dev~1resize-paused", json!("true"));
    let facts = super::setup::facts();
    let said = mutate(Some(&paused), Some(&sized(&paused, "20Gi")), &facts);
    assert!(said.allowed && said.warns_of("paused by its annotation"), "{said:#?}");
}

#[test]
fn after_an_abort_growth_waits_for_resume() {
    let aborted = |spec| {
        let mut facts = facts();
        let status = json!({
            "phase": "Aborted",
            "state": "Ended", "reason": "AbortRequested",
            "request": {"number": 1, "generation": 2, "setUid": "A", "targets": {"data": "20Gi"}},
        });
        record(&mut facts, &spec, &status);
        grow(&facts)
    };
    let said = aborted(json!({"abort": 2}));
    assert!(why(&said).starts_with("Its resize was aborted"), "{}", said.message);
    assert!(said.message.contains("stateward resize resume sts/db -n shop"), "{}", said.message);
    assert!(aborted(json!({})).allowed, "the abort was taken back");
}

#[test]
fn what_failed_is_not_asked_for_twice() {
    let failed = |phase: &str, reason: &str, size: &str| {
        let mut facts = facts();
        let status = json!({
            "phase": phase,
            "state": "Ended", "reason": reason,
            "annotationTargets": {"data": "20Gi"},
            "request": {"number": 1, "generation": 1, "setUid": "A", "targets": {"data": "20Gi"}},
        });
        record(&mut facts, &json!({}), &status);
        mutate(Some(&set()), Some(&sized(&set(), size)), &facts)
    };
    let said = failed("Degraded", "Infeasible", "20Gi");
    assert!(why(&said).contains("ended as Degraded (Infeasible)"), "{}", said.message);
    assert!(!failed("Conflict", "TooSmallAgain", "20Gi").allowed);
    assert!(failed("Degraded", "Infeasible", "15Gi").allowed, "another size is a new request");
    assert!(failed("Complete", "Done", "20Gi").allowed);
}

#[test]
fn nothing_begins_in_a_namespace_that_goes_away() {
    let mut facts = facts();
    let fact = NamespaceFact { terminating: true, ..NamespaceFact::default() };
    facts.namespaces.insert("", "shop", fact);
    assert!(why(&grow(&facts)).starts_with("Its namespace is going away"));
}

#[test]
fn a_policy_that_rejects_says_nothing_of_controllers() {
    let mut facts = facts();
    facts.controller = absent("nobody holds the Lease");
    let asks = Asks { policy: "resize: reject\n", ..Asks::default() };
    let (old, new) = (set(), sized(&set(), "20Gi"));
    let said = ask(Stage::Webhook(WebhookKind::Mutating), Some(&old), Some(&new), &facts, &asks);
    assert!(why(&said).starts_with("Kubernetes rejects this edit"));
    facts.controller = ControllerState::Runs;
    assert!(
        !ask(Stage::Webhook(WebhookKind::Mutating), Some(&old), Some(&new), &facts, &asks).allowed
    );
}

#[test]
fn growth_is_accepted_with_a_warning_if_the_set_shows_that_its_re_creation_is_blocked() {
    let finalizers = |names: Value| {
        let mut set = set();
        set["metadata"]["finalizers"] = names;
        set
    };
    let unfinished = with(&set(), UNFINISHED, json!("R/A"));
    for (live, cause) in [
        (finalizers(json!(["example.com/keep"])), "its finalizer example.com/keep"),
        (finalizers(json!(["orphan", "example.com/x"])), "its finalizer example.com/x"),
        (unfinished, "its annotation stateward.dev/resize-unfinished"),
    ] {
        let said = mutate(Some(&live), Some(&sized(&live, "20Gi")), &facts());
        assert!(said.allowed, "{}", said.message);
        let warning = format!("{cause} blocks re-creation; claims grow");
        assert!(said.warns_of(&warning), "{:?}", said.warnings);
        assert!(!said.warns_of("template follows"), "{:?}", said.warnings);
    }
    let live = finalizers(json!(["orphan"]));
    let said = mutate(Some(&live), Some(&sized(&live, "20Gi")), &facts());
    assert!(!said.warns_of("blocks re-creation"), "{:?}", said.warnings);
}

#[test]
fn growth_is_accepted_with_a_warning_if_another_set_selects_the_pods() {
    let sibling = |selector: Value| {
        let mut facts = facts();
        for (name, selector) in [("db", set()["spec"]["selector"].clone()), ("other", selector)] {
            let spec = json!({"selector": selector});
            facts.sets.insert(
                "shop",
                name,
                SetFact::read(&json!({"metadata": {}, "spec": spec})).unwrap(),
            );
        }
        let said = mutate(Some(&set()), Some(&sized(&set(), "20Gi")), &facts);
        assert!(said.allowed, "{}", said.message);
        said.warns_of(
            "StatefulSet other selects its pods, too, and blocks re-creation; claims grow",
        )
    };
    assert!(sibling(json!({"matchLabels": {"app": "db"}})));
    assert!(sibling(json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]})));
    let long = "x".repeat(63);
    let values: Vec<_> = std::iter::repeat_n(long.as_str(), 9).chain(["db"]).collect();
    assert!(sibling(
        json!({"matchExpressions": [{"key": "app", "operator": "In", "values": values}]})
    ));
    assert!(!sibling(json!({"matchLabels": {"app": "db", "tier": "x"}})));
    assert!(!sibling(json!({"matchLabels": {"app": "web"}})));
    assert!(!sibling(json!({})));
    assert!(!sibling(Value::Null));
}

#[test]
fn a_set_is_created_without_a_request_above_its_limit() {
    let asks = |size: &str| with(&set(), REQUESTED, json!(format!("{{\"data\":\"{size}\"}}")));
    let mut limited = facts();
    limit_of_namespace(&mut limited, "15Gi");
    let said = mutate(None, Some(&asks("20Gi")), &limited);
    assert!(said.allowed, "{}", said.message);
    assert_eq!(said.request(), None);
    assert!(said.warns_of("is dropped: resize-max is 15Gi"), "{:?}", said.warnings);
    assert!(mutate(None, Some(&asks("15Gi")), &limited).request().is_some());
    assert!(mutate(None, Some(&asks("20Gi")), &facts()).request().is_some());
    // The set's own limit counts as well.
    let own = with(&asks("20Gi"), LIMIT, json!(" 15Gi "));
    assert_eq!(mutate(None, Some(&own), &facts()).request(), None);
}

#[test]
fn a_set_is_created_with_its_requests_within_the_limit() {
    let sizes = json!({"data": "20Gi", "logs": "5Gi", "wal": "30Gi"}).to_string();
    let mut limited = facts();
    limit_of_namespace(&mut limited, "15Gi");
    let said = mutate(None, Some(&with(&set(), REQUESTED, json!(sizes))), &limited);
    assert_eq!(said.request(), Some("{\"logs\":\"5Gi\"}"));
    for dropped in ["grow data to 20Gi is dropped", "grow wal to 30Gi is dropped"] {
        assert!(said.warns_of(dropped), "{:?}", said.warnings);
    }
}

#[test]
fn a_limit_that_cannot_be_read_drops_a_request_and_no_other_mutation() {
    let limited = with(&set(), LIMIT, json!("plenty"));
    let limited = with(&limited, REQUESTED, json!("{\"data\":\"20Gi\"}"));
    let mut recreating = facts();
    record(
        &mut recreating,
        &json!({}),
        &json!({
            "phase": "Creating",
            "request": {"number": 1, "generation": 1, "setUid": "A", "targets": {"data": "15Gi"}},
        }),
    );
    let said = mutate(None, Some(&limited), &recreating);
    assert!(said.allowed, "{}", said.message);
    assert_eq!((said.request(), said.size()), (None, "15Gi"), "{:?}", said.warnings);
    assert!(said.warns_of("resize-max is plenty, which is no size"), "{:?}", said.warnings);
}

#[test]
fn whitespace_around_the_limit_is_no_part_of_it() {
    let limited = with(&set(), LIMIT, json!(" 25Gi\n"));
    let said = mutate(Some(&limited), Some(&sized(&limited, "20Gi")), &facts());
    assert!(said.allowed && said.request().is_some(), "{}", said.message);
}

#[test]
fn a_fraction_of_a_byte_is_not_requested() {
    for size in ["21474836480500.5m", "21474836480.5", "2147483648050n"] {
        let said = mutate(Some(&set()), Some(&sized(&set(), size)), &facts());
        assert!(!said.allowed, "{size} was accepted: {:?}", said.warnings);
    }
}

#[test]
fn a_claim_of_another_owner_with_a_colliding_name_counts_for_nothing() {
    let mut other = facts();
    let labels = Arc::new(BTreeMap::from([("app".to_owned(), "web".to_owned())]));
    let request = Some("1Gi".parse().unwrap());
    let (class, volume) = ("rigid".into(), "v9".to_owned());
    let foreign = ClaimFact { class, volume, request, labels, ..ClaimFact::default() };
    other.claims.insert("shop", "data-db-9", foreign.clone());
    assert!(grow(&other).allowed, "its class does not matter");
    let fast = ClaimFact { class: "fast".into(), ..foreign };
    other.claims.insert("shop", "data-db-9", fast);
    quota(&mut other, None, "40Gi", "20Gi");
    assert!(grow(&other).allowed, "the quota is large enough for the set's own claims");
}
