//! A tenant's text of any length makes no answer long, however many findings quote it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use stateward_check::judge::check;
use stateward_check::pair::pair;
use stateward_check::report::{Format, Formats as _, Options, render};
use stateward_check::select::Selection;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::policy::Policy;
use stateward_core::review::{self, Answer, WebhookKind};
use stateward_core::rules::{Finding, RULES};
use stateward_core::yaml::{File, Inputs};

use crate::fuzz::targets::with_size;
use crate::rules::{Fixture, fixtures};

const LONG: usize = 1_000_000;

/// The texts and keys of a document that are not read as words of the API.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            found.insert(text.clone());
        }
        Value::Array(list) => list.iter().for_each(|value| texts(value, found)),
        Value::Object(map) => {
            for (key, value) in map {
                if key.contains(['/', '.']) {
                    found.insert(key.clone());
                }
                texts(value, found);
            }
        }
        _ => {}
    }
}

/// A copy of the document in which every string that equals `text` is replaced with `long`.
fn lengthened(value: &Value, text: &str, long: &str) -> Value {
    match value {
        Value::String(found) if found == text => json!(long),
        Value::Array(list) => list.iter().map(|value| lengthened(value, text, long)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let key = if key == text { long } else { key };
                (key.to_owned(), lengthened(value, text, long))
            })
            .collect(),
        other => other.clone(),
    }
}

fn bytes(finding: &Finding) -> usize {
    let values = [&finding.old, &finding.new].into_iter().flatten().map(String::len);
    finding.field.as_str().len() + finding.old_field.as_str().len() + values.sum::<usize>()
}

#[test]
fn no_rule_quotes_a_long_text_in_full() {
    let mut quoted = 0;
    for entry in RULES {
        let Some(fixture) = fixtures(entry, "fail").into_iter().next() else { continue };
        let mut all = BTreeSet::new();
        texts(&fixture.document["old"], &mut all);
        texts(&fixture.document["new"], &mut all);
        for text in all {
            let long = format!("{text}{}", "x".repeat(100_000));
            let mut document = fixture.document.clone();
            for side in ["old", "new"] {
                if let Some(object) = document.get_mut(side) {
                    *object = lengthened(object, &text, &long);
                }
            }
            for fact in document["facts"].as_array_mut().into_iter().flatten() {
                fact["metadata"] = lengthened(&fact["metadata"], &text, &long);
            }
            let fixture = Fixture { path: fixture.path.clone(), document };
            if !fixture.is_judged(entry) {
                continue;
            }
            let (object, judged) = fixture.judge(entry);
            for finding in judged.unwrap_or_default() {
                let denial = finding.denial(&object);
                let at = fixture.path.display();
                assert!(denial.len() < 3000, "{at} {text}: {} {:.300}", denial.len(), denial);
                assert!(bytes(&finding) <= 4096, "{at} {text}: {}", bytes(&finding));
                assert!(!denial.contains("…'"), "{at} {text}: a cut command: {denial}");
                quoted += usize::from(denial.contains('…'));
            }
        }
    }
    assert!(quoted > 50, "{quoted}");
}

/// A set whose every part can be made long.
fn set(name: &str, template: &str, volume: &str, key: &str) -> Value {
    let mut set = with_size("10Gi");
    set["metadata"]["name"] = json!(name);
    set["metadata"]["labels"] = json!({key: "v"});
    let pod = &mut set["spec"]["template"]["spec"];
    pod["volumes"] = json!([{"name": volume, "emptyDir": {}}]);
    pod["containers"][0]["volumeMounts"][0]["name"] = json!(template);
    set["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] = json!(template);
    set
}

/// The set with 66 mounts of a volume that it does not have.
fn with_unknown_mounts(mut set: Value) -> Value {
    let mounts = set["spec"]["template"]["spec"]["containers"][0]["volumeMounts"].as_array_mut();
    mounts.unwrap().extend((0..66).map(|at| json!({"name": "x", "mountPath": format!("/{at}")})));
    set
}

/// The set with 66 labels in its claim template and in the selector of its claims.
fn with_differences(mut set: Value) -> Value {
    let labels: Value = (0..66).map(|at| (format!("k{at}"), json!("v"))).collect();
    let template = &mut set["spec"]["volumeClaimTemplates"][0];
    template["metadata"]["labels"] = labels.clone();
    template["spec"]["selector"] = json!({"matchLabels": labels});
    set
}

/// Changes with a long text and more than sixty findings, by name.
fn changes() -> Vec<(&'static str, Option<Value>, Value)> {
    let long = "n".repeat(LONG);
    let update = |name, set: Value, edit: fn(Value) -> Value| {
        let edited = edit(set.clone());
        (name, Some(set), edited)
    };
    let create = |name, set: Value| (name, None, with_unknown_mounts(set));
    let plain = || set("db", "data", "tmp", "k");
    let mut path = plain();
    let mounts = &mut path["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    *mounts = (0..66).map(|_| json!({"name": long, "mountPath": "/a"})).collect();
    let mut generated = set("", "data", "tmp", "k");
    generated["metadata"]["generateName"] = json!(long);
    vec![
        create("name", set(&long, "data", "tmp", "k")),
        create("generateName", generated),
        create("volume", set("db", "data", &long, "k")),
        create("label", set("db", "data", "tmp", &long)),
        create("mount", path),
        update("name and mounts", set(&long, "data", "tmp", "k"), with_unknown_mounts),
        ("volume and mounts", Some(plain()), with_unknown_mounts(set("db", "data", &long, "k"))),
        update("name and differences", set(&long, "data", "tmp", "k"), with_differences),
        update("template and differences", set("db", &long, "tmp", "k"), with_differences),
    ]
}

fn answer(webhook: WebhookKind, old: Option<&Value>, new: &Value, policy: &Policy) -> Answer {
    let kind = json!({"group": "apps", "version": "v1", "kind": "StatefulSet"});
    let resource = json!({"group": "apps", "version": "v1", "resource": "statefulsets"});
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let request = json!({
        "uid": "1", "operation": operation, "namespace": "shop",
        "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "userInfo": {"username": "dev"}, "object": new, "oldObject": old,
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request,
    });
    let facts = Facts::none();
    let context = EvaluationContext { policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
    review::answer(webhook, review.to_string().as_bytes(), KubernetesVersion::default(), &context)
        .unwrap()
}

#[test]
fn a_long_text_makes_no_answer_long() {
    let policy = Policy::default();
    let mut most = 0;
    for (name, old, new) in changes() {
        for webhook in [WebhookKind::Mutating, WebhookKind::Validating] {
            let answer = answer(webhook, old.as_ref(), &new, &policy);
            let log = answer.denials.iter().chain(&answer.audited).map(|denial| {
                let texts = [&denial.object, &denial.field, &denial.message, &denial.name];
                texts.into_iter().map(String::len).sum::<usize>()
            });
            let log: usize = log.sum();
            let error = answer.error.as_deref().unwrap_or_default().len();
            assert!(answer.body.len() < 200_000, "{name}: {}", answer.body.len());
            assert!(log < 200_000 && error < 2000, "{name}: {log}, {error}");
            most = most.max(answer.denials.len());
        }
    }
    assert!(most > 60, "only {most} denials");
}

#[test]
fn a_long_text_makes_no_report_long() {
    let policy = Policy::default();
    let selection = |set: Option<&Value>| {
        let mut inputs = Inputs::default();
        let file = |set: &Value| File { name: "db.json".to_owned(), bytes: set.to_string().into() };
        inputs.read(set.map(file).into_iter().collect());
        Selection::from(inputs)
    };
    let some = ["name", "label", "volume and mounts", "template and differences"];
    for (name, old, new) in changes().into_iter().filter(|(name, ..)| some.contains(name)) {
        let paired = pair(selection(old.as_ref()), selection(Some(&new)), false);
        let facts = Facts::none();
        let context =
            EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
        let report = check(paired, KubernetesVersion::default(), &context);
        assert!(!report.findings.is_empty(), "{name}");
        for &format in Format::ALL {
            let text = render(format, &report, &Options::default()).unwrap();
            // SARIF also holds the documentation of all rules.
            let most = if format == Format::Sarif { 500_000 } else { 300_000 };
            assert!(text.len() < most, "{name} as {}: {}", format.name(), text.len());
        }
    }
}
