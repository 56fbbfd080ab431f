//! One review in process: decode, decide and encode, beside two ways of only parsing it.
//!
//! Ratios within one run: every round measures all candidates, and the median over the rounds
//! counts, so that a busy machine slows all of them alike.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints rounded figures"
)]

#[path = "support/ratio.rs"]
mod ratio;

use std::hint::black_box;

use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionReview;
use ratio::Candidates;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::policy::{Policy, Resize};
use stateward_core::review::{self, WebhookKind};

fn main() {
    let policy = Policy::default().with_default_resize(Resize::Orchestrate);
    let facts = Facts::none();
    let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
    let mut reviews = ratio::reviews();
    reviews
        .push(("an UPDATE of 12 KB, one label changed".to_owned(), ratio::update_of_12_kb(false)));
    reviews.push(("an UPDATE of 12 KB, a new image".to_owned(), ratio::update_of_12_kb(true)));
    let groups: [(&str, fn(&str, usize) -> bool); 4] = [
        ("all recorded reviews", |name, _| !name.starts_with("an UPDATE")),
        ("recorded UPDATEs of sets", |name, _| name.starts_with("update-statefulset")),
        ("an UPDATE of 12 KB, one label changed", |name, _| name.ends_with("label changed")),
        ("an UPDATE of 12 KB, a new image", |name, _| name.ends_with("new image")),
    ];
    for (title, belongs) in groups {
        let bodies: Vec<&[u8]> = reviews
            .iter()
            .filter(|(name, body)| belongs(name, body.len()))
            .map(|(_, body)| body.as_slice())
            .collect();
        let bytes: usize = bodies.iter().map(|body| body.len()).sum();
        println!(
            "\n{title}: {} reviews, {} bytes each on average",
            bodies.len(),
            bytes / bodies.len()
        );
        Candidates::new()
            .add("decode, decide, encode (mutate)", || {
                for body in &bodies {
                    black_box(
                        review::answer(
                            WebhookKind::Mutating,
                            body,
                            KubernetesVersion::default(),
                            &context,
                        )
                        .ok(),
                    );
                }
            })
            .add("decode, decide, encode (validate)", || {
                for body in &bodies {
                    black_box(
                        review::answer(
                            WebhookKind::Validating,
                            body,
                            KubernetesVersion::default(),
                            &context,
                        )
                        .ok(),
                    );
                }
            })
            .add("parse into serde_json::Value", || {
                for body in &bodies {
                    black_box(serde_json::from_slice::<serde_json::Value>(body).ok());
                }
            })
            .add("parse into kube's AdmissionReview<DynamicObject>", || {
                for body in &bodies {
                    black_box(serde_json::from_slice::<AdmissionReview<DynamicObject>>(body).ok());
                }
            })
            .print(bodies.len());
    }
}
