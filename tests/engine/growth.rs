//! The work of a review grows with its size, and not with the square of it.
//!
//! Work is the processor time of this thread, as a ratio between two sizes of one list: no other
//! process and no speed of a machine enters into it.

use std::time::Duration;

use jiff::Timestamp;
use stateward_core::annotations;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::{ClaimFact, ControllerState, Facts, Objects};
use stateward_core::policy::{Policy, Resize};
use stateward_core::review::{self, WebhookKind};

#[path = "../../benches/support/growth.rs"]
mod lists;

const SMALL: usize = 300;
pub(crate) const FACTOR: usize = 16;
/// Sixteen times the elements: 16 for linear work, about 22 with a logarithm, 256 for quadratic.
pub(crate) const MOST: f64 = 48.0;
/// Work below this says nothing: constant parts outweigh it.
const LEAST: Duration = Duration::from_millis(30);

fn work(body: &[u8]) -> Duration {
    work_with(body, Resize::Orchestrate, ControllerState::default())
}

fn work_with(body: &[u8], resize: Resize, controller: ControllerState) -> Duration {
    let policy = Policy::default().with_default_resize(resize);
    let facts = Facts { controller, ..Facts::none() };
    let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
    let before = processor_time();
    for webhook in [WebhookKind::Mutating, WebhookKind::Validating] {
        review::answer(webhook, body, KubernetesVersion::default(), &context).unwrap();
    }
    processor_time().saturating_sub(before)
}

/// How many times the work of `small` that of `large` is. Each is the least of some: a cold cache and
/// a neighbour that fills it are no growth.
pub(crate) fn ratio(small: impl Fn() -> Duration, large: impl Fn() -> Duration) -> f64 {
    const TRIES: usize = 5;
    let small = (0..3).map(|_| small()).min().unwrap().max(LEAST / FACTOR as u32);
    let ratio = || large().as_secs_f64() / small.as_secs_f64();
    let first = ratio();
    (1..TRIES).fold(first, |least, _| if least > MOST { least.min(ratio()) } else { least })
}

/// The processor time of this thread.
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap()
}

#[test]
fn no_list_takes_more_than_its_length() {
    let mut slow = Vec::new();
    for list in lists::GROWING {
        let small = list.reviews(SMALL);
        let large = list.reviews(SMALL * FACTOR);
        for ((edit, small), (_, large)) in small.iter().zip(&large) {
            let ratio = ratio(|| work(small), || work(large));
            if ratio > MOST {
                slow.push(format!("{} {} {edit}: {ratio:.0}", list.kind, list.field));
            }
        }
    }
    assert!(slow.is_empty(), "{FACTOR} times the elements take\n{}", slow.join("\n"));
}

/// Growth is accepted, or its remedies name the controller.
#[test]
fn no_claim_template_takes_more_than_its_length_while_a_controller_runs() {
    for list in lists::GROWING.iter().filter(|list| list.field == "/spec/volumeClaimTemplates") {
        let (small, large) = (list.reviews(SMALL), list.reviews(SMALL * FACTOR));
        for ((edit, small), (_, large)) in small.iter().zip(&large) {
            for resize in [Resize::Reject, Resize::Orchestrate] {
                let work = |body: &[u8]| work_with(body, resize, ControllerState::Runs);
                let ratio = ratio(|| work(small), || work(large));
                assert!(ratio <= MOST, "{edit} {resize:?}: {ratio:.0}");
            }
        }
    }
}

/// Whatever somebody writes into an annotation that stateward reads.
#[test]
fn no_annotation_takes_more_than_its_length() {
    let texts: [(&str, fn(usize) -> String); 5] = [
        ("a word", |n| "a".repeat(n)),
        ("words", |n| "a,".repeat(n / 2)),
        ("rules", |n| "pvc-shrink,".repeat(n / 11)),
        ("an object", |n| {
            let pairs: Vec<String> = (0..n / 16).map(|n| format!(r#""t{n}":"1Gi""#)).collect();
            format!("{{{}}}", pairs.join(","))
        }),
        ("brackets", |n| "[".repeat(n)),
    ];
    let applied = "kubectl.kubernetes.io/last-applied-configuration";
    let keys: Vec<&str> = annotations::ALL.iter().map(|annotation| annotation.key).collect();
    let mut slow = Vec::new();
    for key in keys.iter().copied().chain([applied]) {
        for (name, text) in texts {
            let review = |length: usize| {
                let mut object = lists::base("StatefulSet");
                object["metadata"]["annotations"] = serde_json::json!({key: text(length)});
                let old = lists::base("StatefulSet");
                lists::review("StatefulSet", "UPDATE", Some(&old), Some(&object))
            };
            let (short, long) = (review(4_000), review(4_000 * FACTOR));
            let ratio = ratio(|| work(&short), || work(&long));
            if ratio > MOST {
                slow.push(format!("{key} {name}: {ratio:.0}"));
            }
        }
    }
    assert!(slow.is_empty(), "{FACTOR} times the text takes\n{}", slow.join("\n"));
}

/// As many claims in the namespace as the set has templates.
#[test]
fn the_claims_of_a_set_are_found_in_the_time_of_their_number() {
    let find = |count: usize| {
        let mut facts = Facts { claims: Objects::all(), ..Facts::none() };
        let templates: Vec<String> = (0..count).map(|number| format!("t{number}")).collect();
        for template in &templates {
            facts.claims.insert("shop", &format!("{template}-db-0"), ClaimFact::default());
        }
        let before = processor_time();
        let found = facts.claims_named("shop", "db", templates.iter().map(String::as_str));
        assert_eq!(found.map(|claims| claims.len()), stateward_core::facts::Fact::Known(count));
        processor_time().saturating_sub(before)
    };
    let ratio = ratio(|| find(SMALL), || find(SMALL * FACTOR));
    assert!(ratio <= MOST, "{ratio:.0}");
}

/// Each set that is new is compared with those that are gone.
#[test]
fn renamed_sets_are_compared_in_the_time_of_their_number() {
    let compare = |count: usize| {
        let all = |prefix: &str| {
            let named = |number: usize| {
                let mut set = crate::fuzz::targets::with_size("10Gi");
                set["metadata"]["name"] = format!("{prefix}-{number:05}").into();
                set
            };
            (0..count).map(named).collect::<Vec<_>>()
        };
        let (old, new) = (all("old"), all("new"));
        let before = processor_time();
        let said = crate::edits::judge("", &old, &new);
        let took = processor_time().saturating_sub(before);
        assert_eq!(said.matches("would take the place of old-").count(), count, "{said:.2000}");
        took
    };
    let ratio = ratio(|| compare(SMALL / 4), || compare(SMALL / 4 * FACTOR));
    assert!(ratio <= MOST, "{ratio:.0}");
}
