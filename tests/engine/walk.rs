//! The walk over a review's bytes and serde's way through them come to the same.

use std::fmt::Debug;
use std::path::Path;

use jiff::Timestamp;
use serde_json::value::RawValue;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::Grounds;
use stateward_core::facts::Facts;
use stateward_core::object::{Object, StatefulSet, json};
use stateward_core::policy::Policy;
use stateward_core::review::{self, WebhookKind};

fn reviews() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
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

/// A document with one byte of its punctuation, or one of its values, changed.
fn damaged(document: &str, random: &mut fastrand::Rng) -> String {
    let at = loop {
        let at = random.usize(..document.len());
        if document.is_char_boundary(at) && document.is_char_boundary(at + 1) {
            break at;
        }
    };
    let instead = *random
        .choice(&["", "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "0", " ", "\\u0061", "x"])
        .unwrap();
    format!("{}{instead}{}", &document[..at], &document[at + 1..])
}

fn shown(object: Result<Object<'_>, impl Debug>) -> String {
    match object {
        Ok(object) => {
            let set = StatefulSet::decode(&object);
            let Object { api_version, kind, metadata, spec, status, .. } = object;
            format!("{api_version} {kind} {metadata:?} {spec:?} {status:?} {set:?}")
        }
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn objects_read_alike() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut read = 0;
    for review in reviews() {
        let Review { request } = serde_json::from_str(&review).unwrap();
        for raw in [request.object, request.old_object].into_iter().flatten() {
            let same = |document: &str| {
                let serde = shown(json::decode::<Object<'_>>(document, ""));
                assert_eq!(shown(Object::decode(document)), serde, "{document}");
                serde
            };
            assert!(same(raw.get()).contains("StatefulSet") || !review.contains("\"StatefulSet\""));
            for _ in 0..100 {
                let document = damaged(raw.get(), &mut random);
                same(&document);
                read += 1;
            }
        }
    }
    assert!(read > 10_000, "{read}");
}

/// A member that is spelled with an escape is beyond the walk; its meaning is the same.
#[test]
fn reviews_are_answered_alike() {
    let policy = Policy::default();
    let facts = Facts::none();
    let grounds = Grounds {
        policy: &policy,
        facts: &facts,
        kubernetes: KubernetesVersion::default(),
        now: Timestamp::UNIX_EPOCH,
    };
    let mut random = fastrand::Rng::with_seed(8);
    let mut answered = [0, 0];
    for review in reviews() {
        let escaped = |review: &str| review.replacen("\"uid\":", "\"\\u0075id\":", 1);
        assert_ne!(review, escaped(&review));
        for round in 0..60 {
            let review = if round == 0 { review.clone() } else { damaged(&review, &mut random) };
            for stage in [WebhookKind::Mutating, WebhookKind::Validating] {
                let answer = |review: &str| {
                    review::answer(stage, review.as_bytes(), &grounds)
                        .map(|answer| String::from_utf8(answer.body).unwrap())
                        .map_err(|error| {
                            // The place is five bytes further on.
                            error.to_string().split(" at line ").next().unwrap().to_owned()
                        })
                };
                let (walked, decoded) = (answer(&review), answer(&escaped(&review)));
                answered[usize::from(walked.is_ok())] += 1;
                assert_eq!(walked, decoded, "{review}");
            }
        }
    }
    assert!(answered.iter().all(|count| *count > 1000), "{answered:?}");
}
