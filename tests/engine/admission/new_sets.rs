//! Defaults are for sets that are new to the cluster, and an edit that is made from an old version
//! is left to the API server.

use serde_json::{Value, json};
use stateward_core::decide::{Exemption, Stage};
use stateward_core::facts::{ControllerState, Facts, Objects, PodFact};
use stateward_core::object::anti_affinity::Spread;
use stateward_core::review::WebhookKind;

use super::setup::{Asks, Said, ask, claim, facts, mutate, set, sized, with};

const VERSION: &str = "/metadata/resourceVersion";
const OPERATOR: &str = "system:serviceaccount:operators:database-operator";

/// The set, which says nothing about where its pods go.
fn plain() -> Value {
    let mut set = set();
    set["spec"]["template"]["spec"]["affinity"].take();
    set
}

/// A cluster that has nothing of the set.
fn empty() -> Facts {
    Facts { claims: Objects::all(), ..facts() }
}

fn create(facts: &Facts, asks: &Asks) -> Said {
    ask(Stage::Webhook(WebhookKind::Mutating), None, Some(&plain()), facts, asks)
}

fn is_spread(set: &Value, facts: &Facts) -> bool {
    let said = mutate(None, Some(set), facts);
    assert!(said.allowed, "{}", said.message);
    let injected = said.outcome["metadata"]["annotations"].get("stateward.dev/injected").is_some();
    let affinity = said.outcome["spec"]["template"]["spec"]["affinity"].is_object();
    assert_eq!(injected, affinity, "{:#}", said.outcome);
    affinity
}

#[test]
fn a_set_that_is_re_created_gets_no_anti_affinity() {
    assert!(is_spread(&plain(), &empty()));
    // Its own claims are there, or one is.
    assert!(!is_spread(&plain(), &facts()));
    let mut one = empty();
    claim(&mut one, "data-db-7", "fast", "v7", "10Gi");
    assert!(!is_spread(&plain(), &one));
    // Its pods are, whether or not it has claim templates.
    let mut orphans = empty();
    let made = || PodFact { of_a_set: true, ..PodFact::default() };
    orphans.pods.insert("shop", "db-0", made());
    assert!(!is_spread(&plain(), &orphans));
    let stateless = with(&plain(), "/spec/volumeClaimTemplates", json!([]));
    assert!(!is_spread(&stateless, &orphans));
    assert!(is_spread(&stateless, &empty()));
}

#[test]
fn what_belongs_to_others_does_not_make_a_set_old() {
    let mut others = empty();
    // Of the sets `a-db`, `db-a` and `db`, but no template of this one.
    for name in ["data-a-db-0", "data-db-a-0", "logs-db-0", "data-db-01", "data-db-", "data-db-x"] {
        claim(&mut others, name, "fast", "v", "10Gi");
    }
    let made = || PodFact { of_a_set: true, ..PodFact::default() };
    for pod in ["a-db-0", "db-a-0", "db", "db-x", "db-00", "db-1-0"] {
        others.pods.insert("shop", pod, made());
    }
    others.pods.insert("other", "db-0", made());
    // No set has made it.
    others.pods.insert("shop", "db-0", PodFact::default());
    assert!(is_spread(&plain(), &others));
}

#[test]
fn nothing_is_injected_where_it_is_not_known_whether_a_set_is_new() {
    let lost = || Objects::unknown("the Pods: no rights");
    let claims = || Objects::unknown("the PersistentVolumeClaims: no rights");
    assert!(!is_spread(&plain(), &Facts { pods: lost(), ..empty() }));
    assert!(!is_spread(&plain(), &Facts { claims: claims(), ..empty() }));
    // A webhook without a cluster, where one is expected.
    let controller = ControllerState::Absent("this webhook looks at no cluster".into());
    assert!(!is_spread(&plain(), &Facts { controller, ..Facts::none() }));
    // `serve --dev` and the CLI, which show what would be done.
    assert!(is_spread(&plain(), &Facts::none()));
}

/// An operator that deletes a set and keeps its pods whenever the set differs from what it wrote,
/// and writes it again.
#[test]
fn a_writer_that_re_creates_what_differs_sees_no_second_difference() {
    let mut facts = empty();
    let mut re_created = 0;
    let mut live = mutate(None, Some(&plain()), &facts).outcome;
    claim(&mut facts, "data-db-0", "fast", "v0", "10Gi");
    let spread = Spread::of(&live["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]);
    assert_eq!(spread, Some(Spread::Preferred));
    facts.pods.insert("shop", "db-0", PodFact { of_a_set: true, spread, ..PodFact::default() });
    let operator = Asks { user: OPERATOR, manager: "database-operator", ..Asks::default() };
    for _sync in 0..5 {
        if live["spec"] != plain()["spec"] {
            re_created += 1;
            live = create(&facts, &operator).outcome;
        }
    }
    assert_eq!(re_created, 1);
}

/// People and deployment tools compare what they wrote: the pods keep the template that they have.
#[test]
fn a_set_that_was_spread_before_stays_so_for_who_compares_only_own_fields() {
    let mut facts = facts();
    for (policy, spread) in [
        ("", Spread::Preferred),
        ("anti-affinity: zone\n", Spread::Zone),
        ("anti-affinity: required\n", Spread::Required),
    ] {
        let new = Asks { policy, ..Asks::default() };
        let first = create(&empty(), &new).outcome;
        let terms = &first["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"];
        assert_eq!(Spread::of(terms), Some(spread));
        facts.pods.insert(
            "shop",
            "db-0",
            PodFact { of_a_set: true, spread: Some(spread), ..PodFact::default() },
        );
        for (user, manager, same) in [
            ("jane", "", true),
            (OPERATOR, "kubectl-client-side-apply", true),
            (
                "system:serviceaccount:argocd:argocd-application-controller",
                "argocd-controller",
                true,
            ),
            (
                "system:serviceaccount:flux-system:kustomize-controller",
                "kustomize-controller",
                true,
            ),
            (OPERATOR, "", false),
            (OPERATOR, "database-operator", false),
        ] {
            let again = create(&facts, &Asks { user, manager, policy: "" }).outcome;
            assert_eq!(again["spec"] == first["spec"], same, "{user} {manager}: {again:#}");
        }
        let none = Asks { policy: "anti-affinity: none\n", ..Asks::default() };
        assert_eq!(create(&facts, &none).outcome, plain());
    }
}

#[test]
fn an_edit_of_an_old_version_is_left_to_the_conflict() {
    let stored = with(&sized(&set(), "20Gi"), VERSION, json!("7"));
    let smaller = |version: Value| with(&sized(&set(), "10Gi"), VERSION, version);
    let larger = with(&sized(&set(), "40Gi"), VERSION, json!("6"));
    for stale in [&smaller(json!("6")), &smaller(json!("8")), &larger] {
        let said = mutate(Some(&stored), Some(stale), &facts());
        assert_eq!(said.exemption, Some(Exemption::Stale));
        assert_eq!((said.allowed, &said.outcome), (true, stale), "it is not patched");
        assert!(said.warnings.is_empty() && said.done.is_empty(), "{said:?}");
    }
    // What the API server takes for the stored version is judged: the same number, 0, none, and
    // what is no number.
    for version in ["7", "07", "0", "000", "", "seven", "7 ", "-7"] {
        let said = mutate(Some(&stored), Some(&smaller(json!(version))), &facts());
        assert!(!said.allowed, "{version:?}: {said:?}");
    }
    let said = mutate(Some(&stored), Some(&smaller(Value::Null)), &facts());
    assert!(!said.allowed, "{said:?}");
}

/// After the API server has compared the versions, nothing is taken for old.
#[test]
fn the_validating_webhook_judges_every_version() {
    let retention = "/spec/persistentVolumeClaimRetentionPolicy";
    let stored = with(&set(), VERSION, json!("7"));
    let doomed = with(&stored, retention, json!({"whenDeleted": "Delete"}));
    let doomed = with(&doomed, VERSION, json!("6"));
    let validating = Stage::Webhook(WebhookKind::Validating);
    for stage in [validating, Stage::Check] {
        let said = ask(stage, Some(&stored), Some(&doomed), &facts(), &Asks::default());
        assert_eq!((said.allowed, said.exemption), (false, None), "{stage:?}: {said:?}");
    }
}
