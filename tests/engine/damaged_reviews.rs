//! What a review means does not depend on how its JSON is spelled, and damaged bytes get a verdict
//! or a clear refusal.

use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::value::RawValue;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::object::{Object, StatefulSet};
use stateward_core::policy::Policy;
use stateward_core::review::WebhookKind;
use stateward_core::review::{self, Answer, MalformedReview, Outcome};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews")
}

fn reviews() -> Vec<String> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn answer(webhook: WebhookKind, body: &[u8]) -> Result<Answer, MalformedReview> {
    let (policy, facts) = (Policy::default(), Facts::none());
    let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
    review::answer(webhook, body, KubernetesVersion::default(), &context)
}

#[derive(serde::Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    old_object: Option<&'a RawValue>,
}

/// The document with one of its bytes replaced.
fn damaged(document: &str, random: &mut fastrand::Rng) -> String {
    let at = loop {
        let at = random.usize(..document.len());
        if document.is_char_boundary(at) && document.is_char_boundary(at + 1) {
            break at;
        }
    };
    let instead = *random
        .choice(&["", "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "0", " ", "\\u0062", "x"])
        .unwrap();
    format!("{}{instead}{}", &document[..at], &document[at + 1..])
}

/// The same JSON in other bytes: some letters of keys and values as escapes, and blanks between
/// tokens. Equal parts stay byte-equal, as one encoder writes both objects of a review.
fn respelled(document: &str) -> String {
    let mut text = String::with_capacity(document.len() * 2);
    let mut in_string = false;
    let mut chars = document.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' if in_string => {
                text.push(char);
                let escaped = chars.next();
                text.extend(escaped);
                if escaped == Some('u') {
                    text.extend(chars.by_ref().take(4));
                }
            }
            '"' => {
                in_string = !in_string;
                text.push(char);
            }
            'a' | 'e' | 'M' | 'S' if in_string => {
                write!(text, "\\u{:04x}", u32::from(char)).unwrap();
            }
            ':' | '{' if !in_string => text.extend([char, ' ']),
            ',' | ']' if !in_string => text.extend(['\r', '\n', char, '\t']),
            other => text.push(other),
        }
    }
    text
}

fn shown(object: &Result<Object<'_>, impl Debug>) -> String {
    let Object { api_version, kind, metadata, .. } = match object {
        Ok(object) => object,
        Err(error) => return format!("{error:?}"),
    };
    let (name, labels, annotations) = (&metadata.name, &metadata.labels, &metadata.annotations);
    let managers = metadata.has_applier();
    let set = match StatefulSet::decode(object.as_ref().unwrap()) {
        Ok(set) => format!(
            "{:?} {:?} {:?} {:?}",
            set.spec.replicas,
            set.selector(),
            set.template(),
            set.claim_templates()
        ),
        Err(error) => format!("{error:?}"),
    };
    let shown =
        format!("{api_version} {kind} {name} {labels:?} {annotations:?} {managers:?} {set}");
    by_value(&shown)
}

/// Parts that are still JSON text, shown by their value.
fn by_value(shown: &str) -> String {
    let mut parts = shown.split("RawValue(");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let mut values = serde_json::Deserializer::from_str(part).into_iter::<serde_json::Value>();
        text.push_str(&values.next().unwrap().unwrap().to_string());
        text.push_str(&part[values.byte_offset()..]);
    }
    text
}

#[test]
fn the_spelling_of_an_object_changes_nothing() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut count = 0;
    for review in reviews() {
        let Review { request } = serde_json::from_str(&review).unwrap();
        for raw in [request.object, request.old_object].into_iter().flatten() {
            for round in 0..40 {
                let document =
                    if round == 0 { raw.get().to_owned() } else { damaged(raw.get(), &mut random) };
                let other = respelled(&document);
                let read = |document| shown(&Object::decode(document));
                assert_eq!(read(&document), read(&other), "{document}\n{other}");
                count += 1;
            }
        }
    }
    assert!(count > 5000, "{count}");
}

#[test]
fn the_spelling_of_a_review_changes_no_answer() {
    let mut random = fastrand::Rng::with_seed(8);
    let mut answered = [0, 0];
    for review in reviews() {
        for round in 0..30 {
            let review = if round == 0 { review.clone() } else { damaged(&review, &mut random) };
            let other = respelled(&review);
            assert_ne!(review, other);
            for stage in [WebhookKind::Mutating, WebhookKind::Validating] {
                let spelled = |review: &str| {
                    answer(stage, review.as_bytes())
                        .map(|answer| String::from_utf8(answer.body).unwrap())
                        .map_err(|error| {
                            // Blanks and escapes move the place of an error.
                            error.to_string().split(" at line ").next().unwrap().to_owned()
                        })
                };
                let (first, second) = (spelled(&review), spelled(&other));
                answered[usize::from(first.is_ok())] += 1;
                assert_eq!(first, second, "{review}\n{other}");
            }
        }
    }
    assert!(answered.iter().all(|count| *count > 500), "{answered:?}");
}

#[test]
fn hostile_json_is_judged_or_refused_with_its_field() {
    let body = std::fs::read_to_string(folder().join("update-statefulset-service-name.json"));
    let body = body.unwrap();
    let outcome = |from: &str, to: &str| {
        assert!(body.contains(from), "{from}");
        let body = body.replace(from, to);
        match answer(WebhookKind::Mutating, body.as_bytes()) {
            Ok(answer) => (answer.outcome, answer.error.unwrap_or_default()),
            Err(error) => panic!("{error}"),
        }
    };
    let replicas = |to: &str| outcome("\"replicas\":3", to);
    let label = |to: &str| outcome("\"example.com/team\":\"shop\"", to);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let deep_map = format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000));
    for denied in [
        replicas("\"\\u0072eplicas\":3"),
        replicas("\"Replicas\":{},\"replicas\":3"),
        replicas("\"replicas\":3,\"REPLICAS\":3"),
        replicas("\"unknown\":1e400,\"replicas\":3"),
        replicas(&format!("\"unknown\":{deep},\"replicas\":3")),
        replicas(&format!("\"unknown\":{deep_map},\"replicas\":3")),
        label("\"example.com/team\":\"a\\u0000b\""),
        label("\"example.com/team\":\"a\",\"example.com/team\":\"shop\""),
    ] {
        assert_eq!(denied, (Outcome::Denied, String::new()));
    }
    for (malformed, field) in [
        (replicas("\"replicas\":3,\"replicas\":4"), "spec"),
        (replicas("\"replicas\":3,\"\\u0072eplicas\":4"), "spec"),
        (replicas("\"replicas\":1e400"), "spec"),
        (replicas("\"replicas\":3.5"), "spec.replicas"),
        (replicas("\"replicas\":9223372036854775808"), "spec.replicas"),
        (replicas("\"replicas\":-9223372036854775809"), "spec.replicas"),
        (replicas(&format!("\"replicas\":{deep}")), "spec.replicas"),
        (label("\"example.com/team\":\"\\ud800\""), "metadata."),
        (label("\"example.com/team\":\"\\udc00\\ud800\""), "metadata."),
        (label("\"example.com/team\":[]"), "metadata."),
        (label(&format!("\"example.com/team\":{deep}")), "metadata."),
    ] {
        let (outcome, error) = malformed;
        assert_eq!(outcome, Outcome::Error);
        assert!(error.starts_with(field), "{field}: {error}");
    }
}

#[test]
fn a_review_that_ends_early_is_refused() {
    for review in reviews().iter().take(20) {
        let review = review.trim_end();
        for end in (0..review.len()).filter(|end| review.is_char_boundary(*end)).step_by(37) {
            let cut = &review.as_bytes()[..end];
            assert!(answer(WebhookKind::Mutating, cut).is_err(), "{end}: {review}");
        }
    }
}
