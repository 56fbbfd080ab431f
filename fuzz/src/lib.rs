//! What is fuzzed, and what has to hold whatever comes in. The same functions run on the seeds in
//! every test run, see `tests/engine/fuzz.rs`.

mod step;

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_check::judge::check;
use stateward_check::pair::{Paired, Pairing};
use stateward_check::report::{Format, Formats as _, Options, render};
use stateward_check::select::Selection;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::object::{Pointer, Quantity};
use stateward_core::policy::Policy;
use stateward_core::review::{self, WebhookKind};
use stateward_core::yaml::{File, Inputs};

pub use self::step::{decided, seeds, step};

/// A policy with everything switched on that changes an object.
const POLICY: &str = "version: 1\nresize: {mode: orchestrate}\nanti-affinity: preferred\n\
                      claim-template-metadata: restore\n";

/// Phrases that clients take as leave to delete and re-create.
const LEAVE: [&str; 2] = ["is immutable", "immutable field"];

/// Judges with a policy and no facts, at a fixed time.
fn with_context<T>(policy: &Policy, judge: impl FnOnce(&EvaluationContext<'_>) -> T) -> T {
    let facts = Facts::none();
    judge(&EvaluationContext { policy, facts: &facts, now: Timestamp::UNIX_EPOCH })
}

/// The response to a review, its patch decoded; nothing where it is malformed.
fn response(stage: WebhookKind, body: &[u8], policy: &Policy) -> Option<Value> {
    let answer = with_context(policy, |context| {
        review::answer(stage, body, KubernetesVersion::default(), context)
    })
    .ok()?;
    let again = with_context(policy, |context| {
        review::answer(stage, body, KubernetesVersion::default(), context)
    });
    assert_eq!(answer.body, again.expect("it was a review before").body, "another answer");
    let mut answered: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
    let mut response = answered["response"].take();
    assert_eq!(response["allowed"], answer.allowed);
    if !answer.allowed && response["status"]["code"] == 403 {
        let message = response["status"]["message"].as_str().expect("a denial says why");
        // What the user wrote is quoted, and may say anything.
        let quoted = LEAVE.iter().any(|phrase| String::from_utf8_lossy(body).contains(phrase));
        assert!(quoted || !LEAVE.iter().any(|phrase| message.contains(phrase)), "{message}");
    }
    if let Some(patch) = response["patch"].as_str() {
        let patch = base64::engine::general_purpose::STANDARD.decode(patch);
        response["patch"] =
            serde_json::from_slice(&patch.expect("base64")).expect("a patch is JSON");
    }
    Some(response)
}

/// A review gets the same answer twice, echoes its UID, and its patch fits its object.
pub fn review(input: &[u8]) {
    let policy = Policy::parse(POLICY, "fuzz").expect("the policy is right");
    for stage in [WebhookKind::Mutating, WebhookKind::Validating] {
        let Some(response) = response(stage, input, &policy) else { continue };
        if let Ok(document) = serde_json::from_slice::<Value>(input) {
            assert_eq!(response["uid"], document["request"]["uid"]);
            if !response["patch"].is_null() {
                assert_eq!(stage, WebhookKind::Mutating, "a validating webhook patches nothing");
                patched(&document["request"]["object"], &response["patch"]);
            }
        }
    }
}

/// `object` with a patch applied.
fn patched(object: &Value, patch: &Value) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).expect("a JSON patch");
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).expect("the patch fits");
    object
}

/// Any text is read, judged and reported in every format, with places that are in it.
pub fn manifest(input: &[u8]) {
    let mut inputs = Inputs::default();
    inputs.read(vec![File { name: "-".to_owned(), bytes: input.to_vec() }]);
    let lines = input.split(|byte| *byte == b'\n').count();
    for document in &inputs.documents {
        for pointer in ["", "/metadata/name", "/spec/replicas", "/spec/none/0"] {
            let line = document.locate(&Pointer::from(pointer)).line;
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
        }
    }
    let mut paired = Paired::created(Selection::from(inputs));
    if let Some(Pairing { old, new }) = paired.pairings.first_mut() {
        old.clone_from(new);
    }
    for error in &paired.errors {
        assert!(error.line <= lines, "line {} of {lines}", error.line);
    }
    let policy = Policy::default();
    let report =
        with_context(&policy, |context| check(paired, KubernetesVersion::default(), context));
    for &format in Format::ALL {
        let text = render(format, &report, &Options::default()).expect("a report");
        assert!(!text.contains('\u{1b}'), "an escape reaches the terminal");
    }
}

/// A size reads back as the same value from what it is printed as.
pub fn quantity(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.parse::<Quantity>() {
        Ok(quantity) => {
            let printed = quantity.to_string();
            let again: Quantity = printed.parse().expect("what was printed is a quantity");
            assert_eq!(again, quantity, "{text} is printed as {printed}");
            assert!(quantity.times(3) >= quantity || !quantity.is_positive());
            assert!(quantity.rounded_to_milli() >= quantity || !quantity.is_positive());
            let _ = (quantity.is_fractional(), quantity.nanos());
        }
        Err(error) => assert!(error.to_string().len() < 400, "a message is for people"),
    }
}

/// A policy is refused at a place, or judges without a fault.
pub fn policy(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Policy::parse(text, "fuzz") {
        Ok(policy) => {
            for stage in [WebhookKind::Mutating, WebhookKind::Validating] {
                let review = update(&with_size("5Gi"));
                assert!(response(stage, &review, &policy).is_some(), "a good review is answered");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What is patched is left alone when it is reviewed again, as the API server does where another
/// webhook changed the object in between.
pub fn patch(input: &[u8]) {
    let Ok(object) = serde_json::from_slice::<Value>(input) else { return };
    let policy = Policy::parse(POLICY, "fuzz").expect("the policy is right");
    for review in [create, update] {
        let Some(first) = response(WebhookKind::Mutating, &review(&object), &policy) else {
            continue;
        };
        if first["patch"].is_null() {
            continue;
        }
        let object = patched(&object, &first["patch"]);
        let second = response(WebhookKind::Mutating, &review(&object), &policy);
        let second = second.expect("what is patched is an object");
        assert!(second["patch"].is_null(), "{} and then {}", first["patch"], second["patch"]);
        assert!(second["allowed"] == true, "what is patched is allowed: {second}");
    }
}

fn create(object: &Value) -> Vec<u8> {
    reviewed("CREATE", object, &Value::Null)
}

fn update(object: &Value) -> Vec<u8> {
    reviewed("UPDATE", object, &with_size("10Gi"))
}

fn reviewed(operation: &str, object: &Value, old: &Value) -> Vec<u8> {
    let options = json!({"apiVersion": "meta.k8s.io/v1", "kind": format!("{operation}Options")});
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "name": "db",
            "namespace": "shop",
            "operation": operation,
            "userInfo": {"username": "ann", "groups": ["system:authenticated"]},
            "object": object,
            "oldObject": old,
            "dryRun": false,
            "options": options,
        }
    });
    review.to_string().into_bytes()
}

/// A StatefulSet whose claim template has a size.
pub fn with_size(size: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "serviceName": "db",
            "replicas": 3,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{
                    "name": "db",
                    "image": "postgres:17.2",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]
                }]}
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": size}}
                }
            }]
        }
    })
}
