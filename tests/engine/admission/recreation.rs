//! What is answered while a set is re-created.

use serde_json::{Value, json};
use stateward_core::decide::{Exemption, Stage};
use stateward_core::facts::{Facts, Objects, SetFact};
use stateward_core::record::snapshot;
use stateward_core::review::WebhookKind;

use super::setup::{Asks, absent, ask, facts, in_phase, mutate, record, set, sized, with};

const OWNER: &str = "/metadata/ownerReferences";
const OWNER_MANAGED: &str = "/metadata/annotations/stateward.dev~1owner-managed";
const RETENTION: &str = "/spec/persistentVolumeClaimRetentionPolicy";
const AFFINITY: &str = "/spec/template/spec/affinity";
const INJECTED: &str = "/metadata/annotations/stateward.dev~1injected";
const PHASES: [&str; 5] = ["RetentionPinned", "Deleting", "Creating", "Adopting", "Verifying"];
const OUTSIDE: [&str; 6] =
    ["Requested", "Growing", "ClaimsGrown", "Complete", "Aborted", "Degraded"];

fn owned(set: &Value) -> Value {
    let owner = json!([{
        "apiVersion": "example.com/v1", "kind": "Database", "name": "db", "uid": "O",
        "controller": true,
    }]);
    with(set, OWNER, owner)
}

fn opted_in(set: &Value) -> Value {
    with(&owned(set), OWNER_MANAGED, json!("allow"))
}

fn phase(phase: &str) -> Facts {
    let mut facts = facts();
    in_phase(&mut facts, phase);
    facts
}

/// As whom the operator of [`owned`] sets runs.
const OPERATOR: &str = "system:serviceaccount:operators:database-operator";

/// The set after a resize to 20Gi.
fn resized() -> Value {
    let id = "/metadata/annotations/stateward.dev~1resize-id";
    with(&sized(&set(), "20Gi"), id, json!("R/A"))
}

#[test]
fn a_rollback_after_a_resize_keeps_the_live_size_and_brings_back_the_image() {
    const IMAGE: &str = "/spec/template/spec/containers/0/image";
    let live = with(&resized(), IMAGE, json!("postgres:17.3"));
    // An older release knows no annotation of stateward; one that was applied server-side keeps it.
    for (old_manifest, size) in [
        (sized(&set(), "10Gi"), "10Gi"),
        (sized(&set(), "5Gi"), "5Gi"),
        (sized(&resized(), "10Gi"), "10Gi"),
    ] {
        let said = mutate(Some(&live), Some(&old_manifest), &facts());
        assert!(said.allowed, "{}", said.message);
        assert_eq!((said.size(), said.done.as_slice()), ("20Gi", &["keep-size"][..]));
        let stays = format!("claim template data stays 20Gi, not {size}");
        assert!(said.warns_of(&stays), "{:?}", said.warnings);
        assert!(
            said.warns_of("from before a resize; set data to 20Gi there"),
            "{:?}",
            said.warnings
        );
        assert!(said.warnings.iter().all(|warning| warning.chars().count() <= 120));
    }
}

#[test]
fn a_rollback_keeps_the_size_of_a_set_that_a_tool_created_during_its_resize() {
    // A tool that creates the set in the re-creation window, before the controller does, leaves no mark.
    let live = sized(&set(), "20Gi");
    for name in ["Verifying", "Complete", "Degraded"] {
        let mut facts = phase(name);
        let said = mutate(Some(&live), Some(&sized(&set(), "10Gi")), &facts);
        assert!(said.allowed, "{name}: {}", said.message);
        assert_eq!(said.size(), "20Gi", "{name}");
        assert!(said.warns_of("set data to 20Gi there"), "{name}: {:?}", said.warnings);
        facts.records = Objects::all();
        let said = mutate(Some(&live), Some(&sized(&set(), "10Gi")), &facts);
        assert!(!said.allowed, "{name}: no record tells of a resize");
    }
    // Somebody grew the set further by other means, which the record knows nothing of.
    let live = sized(&set(), "30Gi");
    let said = mutate(Some(&live), Some(&sized(&set(), "20Gi")), &phase("Complete"));
    assert!(!said.allowed);
}

#[test]
fn a_rollback_that_changes_more_than_sizes_is_still_denied() {
    let mut old_manifest = sized(&set(), "10Gi");
    old_manifest["spec"]["serviceName"] = json!("other");
    let said = mutate(Some(&resized()), Some(&old_manifest), &facts());
    assert!(!said.allowed);
    assert!(said.message.contains("serviceName"), "{}", said.message);
}

#[test]
fn a_set_that_was_never_resized_is_not_shrunk_in_silence() {
    let live = sized(&set(), "20Gi");
    let said = mutate(Some(&live), Some(&sized(&live, "10Gi")), &facts());
    assert!(!said.allowed);
    assert!(said.message.contains("would shrink"), "{}", said.message);
}

#[test]
fn an_owner_that_opted_in_grows_by_request_and_cannot_shrink() {
    let live = opted_in(&set());
    let said = mutate(Some(&live), Some(&sized(&live, "20Gi")), &facts());
    assert_eq!(
        (said.allowed, said.size(), said.request()),
        (true, "10Gi", Some("{\"data\":\"20Gi\"}"))
    );
    let said = mutate(Some(&live), Some(&sized(&live, "5Gi")), &facts());
    assert!(said.allowed, "{}", said.message);
    assert_eq!(
        (said.size(), said.request(), said.done.as_slice()),
        ("10Gi", None, &["keep-size"][..])
    );
    assert!(said.warns_of("claim template data stays 10Gi, not 5Gi"), "{:?}", said.warnings);
    // Nobody is left out of it who has not opted in.
    let live = owned(&set());
    let asks = Asks { user: OPERATOR, ..Asks::default() };
    let smaller = sized(&live, "5Gi");
    let said =
        ask(Stage::Webhook(WebhookKind::Mutating), Some(&live), Some(&smaller), &facts(), &asks);
    assert_eq!((said.exemption, said.size()), (Some(Exemption::Owned), "5Gi"));
    // A person's edit of it is judged, but what the API server refuses is left to it.
    let said = mutate(Some(&live), Some(&smaller), &facts());
    assert_eq!((said.allowed, said.exemption, said.size()), (true, None, "5Gi"));
    // Without a controller its growth is refused like anybody's.
    let mut facts = facts();
    facts.controller = absent("nobody holds the Lease");
    let live = opted_in(&set());
    assert!(!mutate(Some(&live), Some(&sized(&live, "20Gi")), &facts).allowed);
    assert!(mutate(Some(&live), Some(&sized(&live, "5Gi")), &facts).allowed, "that needs nobody");
}

/// Operators act on the 422 of the API server and delete their own sets: neither is answered with
/// our 403, even if the owner lets stateward resize the set.
#[test]
fn an_operator_that_opted_in_re_creates_and_deletes_its_set_in_its_own_way() {
    let live = with(&opted_in(&set()), RETENTION, json!({"whenDeleted": "Delete"}));
    let by = |user, new: Option<&Value>| {
        let asks = Asks { user, ..Asks::default() };
        // Deletions are judged by the validating webhook alone.
        let webhook = if new.is_some() { WebhookKind::Mutating } else { WebhookKind::Validating };
        ask(Stage::Webhook(webhook), Some(&live), new, &facts(), &asks)
    };
    for (field, value) in [
        ("/spec/podManagementPolicy", json!("Parallel")),
        ("/spec/serviceName", json!("other")),
        ("/spec/selector/matchLabels/app", json!("other")),
    ] {
        let edited = with(&live, field, value);
        let said = by(OPERATOR, Some(&edited));
        assert!(said.allowed, "{field}: {}", said.message);
        assert_eq!(said.outcome, edited, "{field}");
        assert!(!by("dev", Some(&edited)).allowed, "{field}");
    }
    let said = by(OPERATOR, None);
    assert!(said.allowed && !said.warnings.is_empty(), "{said:?}");
    assert!(!by("dev", None).allowed);
}

#[test]
fn a_set_that_is_created_in_the_window_gets_the_sizes_of_its_claims() {
    for name in ["Deleting", "Creating", "Adopting", "Verifying"] {
        let said = mutate(None, Some(&set()), &phase(name));
        assert!(said.allowed, "{}", said.message);
        assert_eq!((said.size(), said.done.as_slice()), ("20Gi", &["raise-size"][..]), "{name}");
        assert!(said.warns_of("claim template data becomes 20Gi instead of 10Gi"), "{said:#?}");
        let larger = sized(&set(), "30Gi");
        assert_eq!(mutate(None, Some(&larger), &phase(name)).size(), "30Gi", "never lowered");
    }
    for name in OUTSIDE.into_iter().chain(["RetentionPinned"]) {
        assert_eq!(mutate(None, Some(&set()), &phase(name)).size(), "10Gi", "{name}");
    }
    assert_eq!(mutate(None, Some(&set()), &facts()).size(), "10Gi");
    // Aborted in the re-creation window, it comes back with its old template.
    let mut facts = facts();
    let status = json!({
        "phase": "Deleting",
        "request": {"number": 1, "generation": 1, "setUid": "A", "targets": {"data": "20Gi"}},
    });
    record(&mut facts, &json!({"abort": 1}), &status);
    assert_eq!(mutate(None, Some(&set()), &facts).size(), "10Gi");
}

#[test]
fn an_owner_is_remembered_when_it_creates_its_set_anew() {
    let remembered = |phase: &str, owner_managed: bool| {
        let mut facts = facts();
        let status = json!({
            "phase": phase, "ownerManaged": owner_managed,
            "request": {"number": 1, "generation": 1, "setUid": "A", "targets": {"data": "20Gi"}},
        });
        record(&mut facts, &json!({}), &status);
        let asks = Asks { user: OPERATOR, ..Asks::default() };
        ask(Stage::Webhook(WebhookKind::Mutating), None, Some(&owned(&set())), &facts, &asks)
    };
    for phase in ["ClaimsGrown", "Deleting", "Complete"] {
        assert_eq!(remembered(phase, true).size(), "20Gi", "{phase}");
        assert_eq!(remembered(phase, false).exemption, Some(Exemption::Owned), "{phase}");
    }
    for phase in ["Requested", "Growing", "Aborted"] {
        assert_eq!(remembered(phase, true).size(), "10Gi", "{phase}");
    }
    // Its own manifest is left to it otherwise.
    let mut facts = facts();
    record(&mut facts, &json!({}), &json!({"phase": "Complete", "ownerManaged": true}));
    let asks = Asks { user: OPERATOR, ..Asks::default() };
    let said =
        ask(Stage::Webhook(WebhookKind::Validating), None, Some(&owned(&set())), &facts, &asks);
    assert_eq!(said.exemption, Some(Exemption::Owned));
}

#[test]
fn exactly_what_was_injected_is_injected_again() {
    let mut plain = set();
    plain["spec"]["template"]["spec"].as_object_mut().unwrap().remove("affinity");
    let affinity = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 7, "podAffinityTerm": {"topologyKey": "rack"}}
    ]}});
    let gap = |before: &Value| {
        let mut facts = facts();
        let status = json!({"phase": "Deleting", "snapshot": snapshot::encode(before).unwrap()});
        record(&mut facts, &json!({}), &status);
        facts
    };
    let mut before = with(&plain, AFFINITY, affinity.clone());
    before["metadata"]["annotations"]["stateward.dev/injected"] = json!("[\"anti-affinity\"]");
    // Whatever the policy says by now.
    for policy in ["anti-affinity: none\n", "anti-affinity: zone\n"] {
        let asks = Asks { policy, ..Asks::default() };
        let said =
            ask(Stage::Webhook(WebhookKind::Mutating), None, Some(&plain), &gap(&before), &asks);
        assert_eq!(said.outcome.pointer(AFFINITY), Some(&affinity));
        assert_eq!(said.outcome.pointer(INJECTED), Some(&json!("[\"anti-affinity\"]")));
    }
    // What had none gets none, and would have without the record.
    let said = mutate(None, Some(&plain), &gap(&plain));
    assert_eq!(said.outcome, plain);
    let empty = Facts { claims: Objects::all(), ..facts() };
    assert!(mutate(None, Some(&plain), &empty).outcome.pointer(AFFINITY).is_some());
    // An answer of the manifest's own stays.
    assert_eq!(mutate(None, Some(&set()), &gap(&before)).outcome, set());
}

#[test]
fn retention_stays_retain_until_the_resize_is_done() {
    let of = |deleted: &str, scaled: &str| json!({"whenDeleted": deleted, "whenScaled": scaled});
    let live = with(&set(), RETENTION, of("Retain", "Retain"));
    let edit = with(&live, RETENTION, of("Delete", "Delete"));
    for name in PHASES {
        let said = mutate(Some(&live), Some(&edit), &phase(name));
        assert_eq!(said.outcome.pointer(RETENTION), Some(&of("Retain", "Retain")), "{name}");
        assert!(said.warns_of("whenDeleted stays Retain"), "{:?}", said.warnings);
        assert!(said.warns_of("whenScaled stays Retain"), "{:?}", said.warnings);
    }
    for name in OUTSIDE {
        let said = mutate(Some(&live), Some(&edit), &phase(name));
        assert_eq!(said.outcome.pointer(RETENTION), Some(&of("Delete", "Delete")), "{name}");
    }
    // The set that came back is kept as well, a stranger's is not.
    let uid =
        |uid| (with(&live, "/metadata/uid", json!(uid)), with(&edit, "/metadata/uid", json!(uid)));
    let kept = |(old, new): (Value, Value)| {
        let said = mutate(Some(&old), Some(&new), &phase("Verifying"));
        said.outcome.pointer(RETENTION) == Some(&of("Retain", "Retain"))
    };
    assert!(kept(uid("B")));
    assert!(!kept(uid("C")));
    // What stood there before is the retention pin's business.
    let label = with(&edit, "/metadata/annotations/team", json!("b"));
    assert_eq!(mutate(Some(&edit), Some(&label), &phase("RetentionPinned")).outcome, label);
    // One field is kept where one is written.
    let one = with(&live, RETENTION, of("Retain", "Delete"));
    let said = mutate(Some(&live), Some(&one), &phase("RetentionPinned"));
    assert_eq!(said.outcome.pointer(RETENTION), Some(&of("Retain", "Retain")));
    assert_eq!(said.warnings.len(), 1);
}

fn going(set: &Value) -> Value {
    let mut set = with(set, "/metadata/deletionTimestamp", json!("2030-01-01T00:00:00Z"));
    set["metadata"]["finalizers"] = json!(["orphan"]);
    set
}

fn scale(replicas: u32) -> Value {
    json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "db", "namespace": "shop", "uid": "A"},
        "spec": {"replicas": replicas},
    })
}

#[test]
fn a_set_that_is_being_re_created_is_left_alone() {
    let live = going(&set());
    let image = "/spec/template/spec/containers/0/image";
    let edit = with(&live, image, json!("postgres:17.3"));
    let facts = phase("Deleting");
    let says = "is being re-created, try again in a few seconds";
    let said = mutate(Some(&live), Some(&edit), &facts);
    assert!(!said.allowed && said.message.contains(says), "{said:#?}");
    // Growth too is answered so, not by a request that would vanish.
    let said = mutate(Some(&live), Some(&sized(&live, "30Gi")), &facts);
    assert!(!said.allowed && said.message.contains(says) && said.request().is_none());
    let asks = Asks::default();
    let said = ask(Stage::Webhook(WebhookKind::Validating), Some(&live), None, &facts, &asks);
    assert!(!said.allowed && said.message.contains("would delete the pods"), "{said:#?}");
    // A Scale does not show that its set goes away: the watch does.
    let mut gone = facts.clone();
    gone.sets.insert("shop", "db", SetFact::read(&live).unwrap());
    let scaled = |facts: &Facts| {
        ask(
            Stage::Webhook(WebhookKind::Validating),
            Some(&scale(2)),
            Some(&scale(3)),
            facts,
            &Asks::default(),
        )
    };
    assert!(!scaled(&gone).allowed);
    assert!(scaled(&facts).allowed, "the DELETE has not been sent yet");
}

#[test]
fn whoever_must_may_touch_a_set_that_goes_away() {
    let live = going(&set());
    let image = "/spec/template/spec/containers/0/image";
    let edit = with(&live, image, json!("postgres:17.3"));
    let by = |user, manager| {
        let asks = Asks { user, manager, policy: "" };
        let delete = ask(
            Stage::Webhook(WebhookKind::Validating),
            Some(&live),
            None,
            &phase("Deleting"),
            &asks,
        );
        let update = ask(
            Stage::Webhook(WebhookKind::Mutating),
            Some(&live),
            Some(&edit),
            &phase("Deleting"),
            &asks,
        );
        assert_eq!(delete.allowed, update.allowed, "{user}");
        delete.allowed
    };
    assert!(!by("dev", "kubectl"));
    assert!(by("system:serviceaccount:kube-system:generic-garbage-collector", ""));
    assert!(by("system:serviceaccount:kube-system:namespace-controller", ""));
    assert!(by("system:serviceaccount:stateward:stateward-controller", "stateward"));
    assert!(!by("system:serviceaccount:stateward:stateward-controller", "kubectl"));
    assert!(!by("dev", "stateward"));
    // What leaves the spec alone is nobody's loss.
    let mut free = live.clone();
    free["metadata"]["finalizers"] = json!([]);
    assert!(mutate(Some(&live), Some(&free), &phase("Deleting")).allowed);
    // A set that somebody deleted is going away for good.
    for name in ["Growing", "RetentionPinned", "Verifying", "Complete"] {
        assert!(mutate(Some(&live), Some(&edit), &phase(name)).allowed, "{name}");
    }
    // Without the records nobody can say whether it comes back: it is let through, and said.
    let mut blind = phase("Deleting");
    blind.records = Objects::unknown("the StatefulSetResizes: no rights");
    let said = mutate(Some(&live), Some(&edit), &blind);
    assert_eq!((said.allowed, said.not_judged.as_slice()), (true, &["sts-being-recreated"][..]));
}

#[test]
fn our_own_writes_are_untouched() {
    let of = |deleted: &str| json!({"whenDeleted": deleted, "whenScaled": "Retain"});
    let live = with(&set(), RETENTION, of("Retain"));
    let edit = with(&live, RETENTION, of("Delete"));
    let own = Asks { user: "admin", manager: "stateward", policy: "" };
    let kept = |facts: &Facts, asks: &Asks| {
        ask(Stage::Webhook(WebhookKind::Mutating), Some(&live), Some(&edit), facts, asks).outcome
            != edit
    };
    let mut facts = phase("Verifying");
    assert!(kept(&facts, &own), "anybody may call a field manager so");
    facts.own_user = Some("admin".into());
    assert!(!kept(&facts, &own));
    assert!(kept(&facts, &Asks { manager: "kubectl", ..own.clone() }));
    let account = Asks { user: "system:serviceaccount:stateward:stateward-controller", ..own };
    facts.own_user = None;
    assert!(!kept(&facts, &account));
    let create = ask(
        Stage::Webhook(WebhookKind::Mutating),
        None,
        Some(&set()),
        &phase("Deleting"),
        &account,
    );
    assert_eq!((create.exemption, create.size()), (Some(Exemption::Own), "10Gi"));
}
