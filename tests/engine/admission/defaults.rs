//! What a new set is given beyond a preference: as strong as its system wants it, and what the policy opts in to.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stateward_core::decide::Stage;
use stateward_core::facts::{Facts, NodeFact, Objects, PodFact, SetFact, read};
use stateward_core::object::anti_affinity::Spread;
use stateward_core::packs::Packs;
use stateward_core::record::snapshot;
use stateward_core::review::WebhookKind;

use super::setup::{
    Asks, STORAGE, Said, ask, claim, facts, limit_of_namespace, record, set, sized, with,
};
use crate::packs::edits::Edits;

const SPEC: &str = "/spec/template/spec";
const AFFINITY: &str = "/spec/template/spec/affinity/podAntiAffinity";
const GRACE: &str = "/spec/template/spec/terminationGracePeriodSeconds";
const GROUP_POLICY: &str = "/spec/template/spec/securityContext/fsGroupChangePolicy";
const INJECTED: &str = "/metadata/annotations/stateward.dev~1injected";
const DEFAULTS: &str = "pod-defaults: [grace-period, fs-group-change-policy]\n";
const OPERATOR: &str = "system:serviceaccount:operators:database-operator";

/// A new set of Elasticsearch as the API server shows it: it writes 30 s where a manifest says nothing.
fn elasticsearch() -> Value {
    let pod = json!({
        "terminationGracePeriodSeconds": 30,
        "securityContext": {"fsGroup": 1000},
        "containers": [{
            "name": "node",
            "image": "docker.elastic.co/elasticsearch/elasticsearch:8.19.0",
            "volumeMounts": [{"name": "data", "mountPath": "/usr/share/elasticsearch/data"}],
        }],
    });
    with(&set(), SPEC, pod)
}

/// A cluster that has nothing of the set, and so many nodes.
fn nodes(count: usize) -> Facts {
    let mut facts = Facts { claims: Objects::all(), nodes: Objects::all(), ..facts() };
    for index in 0..count {
        facts.nodes.insert("", &format!("node-{index}"), NodeFact::default());
    }
    facts
}

fn mutate(old: Option<&Value>, new: &Value, facts: &Facts, policy: &'static str) -> Said {
    let asks = Asks { policy, ..Asks::default() };
    ask(Stage::Webhook(WebhookKind::Mutating), old, Some(new), facts, &asks)
}

fn spread(said: &Said) -> Option<Spread> {
    Spread::of(said.outcome.pointer(AFFINITY)?)
}

#[test]
fn a_system_is_spread_as_strongly_as_its_pack_says() {
    let mut strong = BTreeSet::new();
    for (name, pack) in Packs::built_in().iter() {
        let Some(need) = &pack.pods.anti_affinity else { continue };
        let mut set = Edits::read(name).set;
        set["metadata"]["namespace"] = json!("shop");
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        set["spec"]["selector"] = json!({"matchLabels": labels});
        let pod = set.pointer_mut(SPEC).unwrap().as_object_mut().unwrap();
        pod.remove("affinity");
        pod.remove("topologySpreadConstraints");
        let said = mutate(None, &set, &nodes(9), "anti-affinity: system\n");
        assert_eq!(spread(&said), Some(need.value), "{name}: {said:?}");
        strong.insert(name);
    }
    assert!(strong.contains("vault") && strong.len() >= 8, "{strong:?}");
    // A system that says nothing, and a set that no pack knows.
    let mut postgres = with(&set(), AFFINITY, Value::Null);
    postgres["spec"]["template"]["spec"]["affinity"].take();
    for image in ["postgres:17.2", "registry.example.com/team/store:1"] {
        let set = with(&postgres, "/spec/template/spec/containers/0/image", json!(image));
        let said = mutate(None, &set, &nodes(9), "anti-affinity: system\n");
        assert_eq!(spread(&said), Some(Spread::Preferred), "{image}");
    }
}

/// A required anti-affinity leaves pods pending where there are too few nodes.
#[test]
fn system_requires_different_nodes_only_if_there_are_enough() {
    let policy = "anti-affinity: system\n";
    for (facts, wanted, says) in [
        (nodes(2), Spread::Required, "its pods require different nodes"),
        (nodes(1), Spread::Preferred, "1 nodes for 2 pods"),
        (nodes(0), Spread::Preferred, "0 nodes for 2 pods"),
        (
            Facts { nodes: Objects::unknown("the Nodes: no rights"), ..nodes(0) },
            Spread::Preferred,
            "the webhook does not know the nodes",
        ),
    ] {
        let said = mutate(None, &elasticsearch(), &facts, policy);
        assert_eq!(spread(&said), Some(wanted), "{said:?}");
        assert!(said.warns_of(says), "{:?}", said.warnings);
    }
    // Who says required gets it, and the annotation wins over the policy.
    let required = mutate(None, &elasticsearch(), &nodes(1), "anti-affinity: required\n");
    assert_eq!(spread(&required), Some(Spread::Required));
    for (annotation, wanted) in [
        ("none", None),
        ("preferred", Some(Spread::Preferred)),
        ("zone", Some(Spread::Zone)),
        ("system", Some(Spread::Required)),
        ("Required", Some(Spread::Required)),
    ] {
        let key = "/metadata/annotations/stateward.dev~1anti-affinity";
        let set = with(&elasticsearch(), key, json!(annotation));
        assert_eq!(spread(&mutate(None, &set, &nodes(3), policy)), wanted, "{annotation}");
    }
}

/// Nodes that take no such pods, and pods that choose their nodes, count for nothing.
#[test]
fn nodes_that_pods_cannot_use_are_not_counted() {
    let policy = "anti-affinity: system\n";
    let mut facts = nodes(1);
    for name in ["control-plane-0", "control-plane-1"] {
        facts.nodes.insert("", name, NodeFact { tainted: true, ..NodeFact::default() });
    }
    let said = mutate(None, &elasticsearch(), &facts, policy);
    assert_eq!(spread(&said), Some(Spread::Preferred), "{said:?}");
    let selector =
        with(&elasticsearch(), "/spec/template/spec/nodeSelector", json!({"pool": "db"}));
    let mut affinity = elasticsearch();
    affinity["spec"]["template"]["spec"]["affinity"] = json!({"nodeAffinity": {}});
    for set in [selector, affinity] {
        let said = mutate(None, &set, &nodes(9), policy);
        assert_eq!(spread(&said), Some(Spread::Preferred), "{said:?}");
        assert!(said.warns_of("its pods select nodes"), "{:?}", said.warnings);
    }
}

/// A person who may edit a set may write any list into its annotation.
#[test]
fn a_hostile_list_of_injected_names_is_read_once() {
    let names: Vec<String> = (0..20_000).map(|index| format!("a{index}")).collect();
    let list = |more: &[&str]| {
        let all: Vec<&str> = more.iter().copied().chain(names.iter().map(String::as_str)).collect();
        json!(serde_json::to_string(&all).unwrap())
    };
    let key = "/metadata/annotations/stateward.dev~1injected";
    let live = with(&with(&elasticsearch(), GRACE, json!(120)), key, list(&["grace-period"]));
    let image = "/spec/template/spec/containers/0/image";
    let update = with(&elasticsearch(), image, json!("elasticsearch:8.19.1"));
    let update = with(&update, key, list(&[]));
    let said = mutate(Some(&live), &update, &nodes(3), "");
    assert_eq!(said.outcome.pointer(GRACE), Some(&json!(120)));
    assert_eq!(said.outcome.pointer(INJECTED), Some(&json!("[\"grace-period\"]")));
}

/// A grace period that somebody has shortened since is not ours to keep.
#[test]
fn a_shorter_grace_period_than_the_default_is_never_kept() {
    let mut live = mutate(None, &elasticsearch(), &nodes(3), DEFAULTS).outcome;
    for seconds in [0, 5, 30] {
        live["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(seconds);
        let image = "/spec/template/spec/containers/0/image";
        let update = with(&elasticsearch(), image, json!("elasticsearch:8.19.1"));
        let said = mutate(Some(&live), &update, &nodes(3), DEFAULTS);
        assert_eq!(said.outcome.pointer(GRACE), Some(&json!(30)), "{seconds}");
    }
}

/// Where annotations may not relax the policy, they may strengthen it.
#[test]
fn without_overrides_an_annotation_makes_nothing_weaker() {
    let key = "/metadata/annotations/stateward.dev~1anti-affinity";
    for (policy, annotation, wanted) in [
        ("overrides: false\nanti-affinity: required\n", "preferred", Spread::Required),
        ("overrides: false\nanti-affinity: required\n", "none", Spread::Required),
        ("overrides: false\nanti-affinity: system\n", "zone", Spread::Required),
        ("overrides: false\nanti-affinity: preferred\n", "none", Spread::Preferred),
        ("overrides: false\nanti-affinity: preferred\n", "zone", Spread::Zone),
        ("overrides: false\nanti-affinity: preferred\n", "required", Spread::Required),
        ("anti-affinity: required\n", "preferred", Spread::Preferred),
    ] {
        let set = with(&elasticsearch(), key, json!(annotation));
        let said = mutate(None, &set, &nodes(3), policy);
        assert_eq!(spread(&said), Some(wanted), "{policy} {annotation}");
    }
}

#[test]
fn pods_get_the_time_to_stop_that_their_system_needs() {
    let mut given = 0;
    for (name, pack) in Packs::built_in().iter() {
        let Some(grace) = &pack.pods.grace else { continue };
        let mut set = Edits::read(name).set;
        set["metadata"]["namespace"] = json!("shop");
        set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(30);
        let said = mutate(None, &set, &nodes(3), DEFAULTS);
        assert_eq!(
            said.outcome.pointer(GRACE),
            Some(&json!(grace.seconds.max(30))),
            "{name}: {said:?}"
        );
        given += usize::from(grace.seconds > 30);
    }
    assert!(given >= 10, "{given}");
}

#[test]
fn pod_defaults_are_injected_once_if_the_policy_asks() {
    let said = mutate(None, &elasticsearch(), &nodes(3), DEFAULTS);
    assert_eq!(said.outcome.pointer(GRACE), Some(&json!(120)));
    assert_eq!(said.outcome.pointer(GROUP_POLICY), Some(&json!("OnRootMismatch")));
    let list = "[\"anti-affinity\",\"grace-period\",\"fs-group-change-policy\"]";
    assert_eq!(said.outcome.pointer(INJECTED), Some(&json!(list)));
    assert!(said.warns_of("its pods were given 120 s to stop"), "{:?}", said.warnings);
    // The second pass finds nothing to do, and nothing to tell.
    let again = mutate(None, &said.outcome, &nodes(3), DEFAULTS);
    assert_eq!((again.outcome, again.warnings.len()), (said.outcome.clone(), 0));
    // Without the policy, with the annotation, and where the manifest has an answer.
    let none = mutate(None, &elasticsearch(), &nodes(3), "");
    assert_eq!(none.outcome.pointer(GRACE), Some(&json!(30)));
    assert_eq!(none.outcome.pointer(GROUP_POLICY), None);
    let key = "/metadata/annotations/stateward.dev~1pod-defaults";
    let declined = with(&elasticsearch(), key, json!("none"));
    let said = mutate(None, &declined, &nodes(3), DEFAULTS);
    assert_eq!(said.outcome.pointer(INJECTED), Some(&json!("[\"anti-affinity\"]")));
    let insisting: &str =
        "overrides: false\npod-defaults: [grace-period, fs-group-change-policy]\n";
    let said = mutate(None, &declined, &nodes(3), insisting);
    assert_eq!(said.outcome.pointer(GRACE), Some(&json!(120)));
    let own = with(&elasticsearch(), GRACE, json!(45));
    let own = with(&own, GROUP_POLICY, json!("Always"));
    let said = mutate(None, &own, &nodes(3), DEFAULTS);
    assert_eq!(said.outcome.pointer(GRACE), Some(&json!(45)));
    assert_eq!(said.outcome.pointer(GROUP_POLICY), Some(&json!("Always")));
    // No fsGroup, or no volume that it would change.
    let security = "/spec/template/spec/securityContext";
    let groupless = with(&elasticsearch(), security, json!({}));
    let stateless = with(&elasticsearch(), "/spec/volumeClaimTemplates", json!([]));
    for set in [groupless, stateless] {
        let said = mutate(None, &set, &nodes(3), DEFAULTS);
        assert_eq!(said.outcome.pointer(GROUP_POLICY), None);
    }
}

/// An update whose manifest says nothing has 30 s from the API server.
#[test]
fn an_update_keeps_what_was_given_until_the_set_declines() {
    let live = mutate(None, &elasticsearch(), &nodes(3), DEFAULTS).outcome;
    let image = "/spec/template/spec/containers/0/image";
    let update = with(&elasticsearch(), image, json!("elasticsearch:8.19.1"));
    // Whatever the policy says by now.
    for policy in [DEFAULTS, ""] {
        let said = mutate(Some(&live), &update, &nodes(3), policy);
        for field in [AFFINITY, GRACE, GROUP_POLICY] {
            assert_eq!(said.outcome.pointer(field), live.pointer(field), "{field}");
        }
        assert_eq!(said.outcome.pointer(INJECTED), live.pointer(INJECTED));
        assert_eq!(said.outcome.pointer(image), update.pointer(image));
        assert!(said.warnings.is_empty(), "{:?}", said.warnings);
    }
    let key = "/metadata/annotations/stateward.dev~1pod-defaults";
    let said = mutate(Some(&live), &with(&update, key, json!("none")), &nodes(3), DEFAULTS);
    assert_eq!(said.outcome.pointer(GRACE), Some(&json!(30)));
    assert_eq!(said.outcome.pointer(GROUP_POLICY), None);
    assert_eq!(said.outcome.pointer(AFFINITY), live.pointer(AFFINITY));
    // What nobody injected is not kept.
    let mut own = live.clone();
    own["metadata"]["annotations"].as_object_mut().unwrap().remove("stateward.dev/injected");
    let said = mutate(Some(&own), &update, &nodes(3), DEFAULTS);
    assert_eq!(said.outcome, update);
}

#[test]
fn a_set_that_is_re_created_over_its_pods_restarts_none() {
    let given = mutate(None, &elasticsearch(), &nodes(3), DEFAULTS).outcome;
    let mut facts = nodes(3);
    let pod = |grace: i64, checks_root_only| PodFact {
        of_a_set: true,
        grace_period: Some(grace),
        checks_root_only,
        spread: Some(Spread::Preferred),
        ..PodFact::default()
    };
    facts.pods.insert("shop", "db-0", pod(120, true));
    let by = |facts: &Facts, user| {
        let asks = Asks { policy: DEFAULTS, user, ..Asks::default() };
        let set = elasticsearch();
        ask(Stage::Webhook(WebhookKind::Mutating), None, Some(&set), facts, &asks).outcome
    };
    assert_eq!(by(&facts, "jane")["spec"], given["spec"]);
    // An operator that compares whole sets would find a difference for ever.
    assert_eq!(by(&facts, OPERATOR), elasticsearch());
    // These pods were given nothing, and would restart.
    let mut plain = nodes(3);
    plain.pods.insert("shop", "db-0", PodFact { spread: None, ..pod(30, false) });
    assert_eq!(by(&plain, "jane"), elasticsearch());
    // In a resize, the snapshot says what was given.
    let mut window = super::setup::facts();
    let status = json!({"phase": "Deleting", "snapshot": snapshot::encode(&given).unwrap()});
    record(&mut window, &json!({}), &status);
    let said = mutate(None, &elasticsearch(), &window, "anti-affinity: none\n");
    assert_eq!(said.outcome["spec"], given["spec"]);
    assert_eq!(said.outcome.pointer(INJECTED), given.pointer(INJECTED));
    // A snapshot that somebody has damaged gives no nonsense.
    let mut odd = with(&given, GRACE, json!("soon"));
    odd["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"] = json!(7);
    let status = json!({"phase": "Deleting", "snapshot": snapshot::encode(&odd).unwrap()});
    record(&mut window, &json!({}), &status);
    let said = mutate(None, &elasticsearch(), &window, "");
    assert_eq!(said.outcome.pointer(GRACE), Some(&json!(30)));
    assert_eq!(said.outcome.pointer(AFFINITY), None);
}

const RAISE: &str = "size-on-create: claims\n";
const CLAIM_SIZE: &str = "/spec/resources/requests/storage";

#[test]
fn a_set_that_is_created_over_larger_claims_is_raised_to_them() {
    let over = |sizes: &[&str]| {
        let mut facts = nodes(3);
        for (ordinal, size) in sizes.iter().enumerate() {
            claim(&mut facts, &format!("data-db-{ordinal}"), "fast", "v", size);
        }
        facts
    };
    for (claims, size) in [
        (&["20Gi", "20Gi"][..], "20Gi"),
        // A claim can grow later, but never shrink.
        (&["20Gi", "40Gi"], "20Gi"),
        (&["10Gi", "40Gi"], "10Gi"),
        // Never lowered, and nothing to raise to.
        (&["5Gi", "5Gi"], "10Gi"),
        (&[], "10Gi"),
        // Beyond the replicas: a leftover.
        (&["20Gi", "20Gi", "12Gi"], "20Gi"),
    ] {
        let said = mutate(None, &set(), &over(claims), RAISE);
        assert_eq!(said.size(), size, "{claims:?}: {said:?}");
        assert_eq!(said.outcome.pointer(INJECTED).is_some(), size == "20Gi");
        assert_eq!(mutate(None, &set(), &over(claims), "").size(), "10Gi");
    }
    let said = mutate(None, &set(), &over(&["20Gi", "20Gi"]), RAISE);
    assert!(said.warns_of("becomes 20Gi instead of 10Gi"), "{:?}", said.warnings);
    // Above the limit of the set it is left to the rules, and so is what an operator compares.
    let limit = "/metadata/annotations/stateward.dev~1resize-max";
    let limited = with(&set(), limit, json!("15Gi"));
    assert_eq!(mutate(None, &limited, &over(&["20Gi"]), RAISE).size(), "10Gi");
    let asks = Asks { policy: RAISE, user: OPERATOR, ..Asks::default() };
    let mutating = Stage::Webhook(WebhookKind::Mutating);
    let said = ask(mutating, None, Some(&set()), &over(&["20Gi"]), &asks);
    assert_eq!(said.size(), "10Gi");
}

/// Git still has the old size.
#[test]
fn an_update_keeps_the_size_that_a_set_was_raised_to() {
    let mut facts = nodes(3);
    claim(&mut facts, "data-db-0", "fast", "v", "20Gi");
    let live = mutate(None, &set(), &facts, RAISE).outcome;
    let image = "/spec/template/spec/containers/0/image";
    let update = with(&set(), image, json!("postgres:17.3"));
    for policy in [RAISE, "", "resize: orchestrate\n"] {
        let said = mutate(Some(&live), &update, &facts, policy);
        assert!(said.allowed, "{policy}: {}", said.message);
        assert_eq!(said.size(), "20Gi");
        assert_eq!(said.outcome.pointer(image), update.pointer(image));
        assert!(said.warns_of("stays 20Gi, not 10Gi"), "{:?}", said.warnings);
    }
    // Once more: what was kept is remembered.
    let kept = mutate(Some(&live), &update, &facts, RAISE).outcome;
    let again = with(&set(), image, json!("postgres:17.4"));
    let said = mutate(Some(&kept), &again, &facts, RAISE);
    assert!(said.allowed && said.size() == "20Gi", "{}", said.message);
    // A set that nobody raised is refused as before.
    let said = mutate(Some(&sized(&set(), "20Gi")), &update, &facts, RAISE);
    assert!(!said.allowed && update.pointer(STORAGE) == Some(&json!("10Gi")));
}

#[test]
fn the_claim_of_a_new_replica_is_raised_to_its_siblings() {
    let template = set()["spec"]["volumeClaimTemplates"][0]["spec"].clone();
    let new = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": template,
        })
    };
    let over = |sizes: &[&str], set: &Value| {
        let mut facts = nodes(3);
        facts.sets = Objects::all();
        facts.sets.insert("shop", "db", SetFact::read(set).unwrap());
        for (ordinal, size) in sizes.iter().enumerate() {
            claim(&mut facts, &format!("data-db-{ordinal}"), "fast", "v", size);
        }
        facts
    };
    let creator = "system:serviceaccount:kube-system:statefulset-controller";
    let size = |name: &str, facts: &Facts, policy: &'static str, user: &'static str| {
        let asks = Asks { user, policy, ..Asks::default() };
        let stage = Stage::Webhook(WebhookKind::Mutating);
        let said = ask(stage, None, Some(&new(name)), facts, &asks);
        assert!(said.allowed);
        said.outcome.pointer(CLAIM_SIZE).unwrap().as_str().unwrap().to_owned()
    };
    let three = with(&set(), "/spec/replicas", json!(3));
    for (claims, expected) in [
        (&["20Gi", "20Gi"][..], "20Gi"),
        (&["20Gi", "40Gi"], "20Gi"),
        (&["5Gi", "5Gi"], "10Gi"),
        (&[], "10Gi"),
    ] {
        let facts = over(claims, &three);
        assert_eq!(size("data-db-2", &facts, RAISE, creator), expected, "{claims:?}");
        let manager = "system:kube-controller-manager";
        assert_eq!(size("data-db-2", &facts, RAISE, manager), expected, "{claims:?}");
    }
    let facts = over(&["20Gi", "20Gi"], &three);
    let raised =
        |name: &str, facts: &Facts, policy, user| size(name, facts, policy, user) != "10Gi";
    // Only if the policy asks for it, only what the controller creates, only claims of the set.
    assert!(!raised("data-db-2", &facts, "", creator));
    assert!(!raised("data-db-2", &facts, "mode: audit\nsize-on-create: claims\n", creator));
    assert!(!raised("data-db-2", &facts, RAISE, "alice"));
    assert!(!raised("wal-db-2", &facts, RAISE, creator));
    assert!(!raised("data-db-x", &facts, RAISE, creator));
    // Leftover claims of members that are gone are no siblings.
    let leftover = over(&["20Gi", "20Gi", "20Gi", "15Gi"], &three);
    assert_eq!(size("data-db-2", &leftover, RAISE, creator), "20Gi");
    let mut limited = facts.clone();
    limit_of_namespace(&mut limited, "15Gi");
    assert!(!raised("data-db-2", &limited, RAISE, creator));
    let owner = json!([{"apiVersion": "a/v1", "kind": "A", "name": "a", "uid": "1",
                        "controller": true}]);
    let of_an_operator = over(&["20Gi", "20Gi"], &with(&three, "/metadata/ownerReferences", owner));
    assert!(!raised("data-db-2", &of_an_operator, RAISE, creator));
    assert!(!raised("data-db-2", &nodes(3), RAISE, creator));
    // A quota without room would leave the set without the claim.
    for (limit, room) in [("30Gi", true), ("25Gi", false)] {
        let mut facts = facts.clone();
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "all", "namespace": "shop"},
            "spec": {"hard": {"requests.storage": limit}},
            "status": {"hard": {"requests.storage": limit}, "used": {"requests.storage": "10Gi"}},
        });
        let quota = serde_json::value::to_raw_value(&quota).unwrap();
        let quota = read::quota(&quota).unwrap().fact.unwrap().unwrap();
        facts.quotas.insert("shop", "all", quota);
        assert_eq!(raised("data-db-2", &facts, RAISE, creator), room, "{limit}");
    }
    let mut blind = facts.clone();
    blind.quotas = Objects::unknown("the quotas");
    assert!(!raised("data-db-2", &blind, RAISE, creator));
}
