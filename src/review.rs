//! The wire form of AdmissionReview v1; nobody else knows it.
//!
//! Own types instead of kube's: both objects stay borrowed, and the patch is written in base64,
//! as the API documents it. Source: `admission.k8s.io/v1` and `VerifyAdmissionResponse` of
//! Kubernetes 1.36.

mod answer;
mod envelope;
mod request;

pub use self::answer::{Answer, Denial, Outcome, RuleOutcome};
pub use self::request::{MalformedReview, Review};

use crate::decide::{Grounds, Stage, decide};
use crate::policy::Policy;

/// Answers the body of a review.
///
/// # Errors
/// What makes the body no review; the HTTP answer to it is 400.
pub fn answer(stage: Stage, body: &[u8], grounds: &Grounds<'_>) -> Result<Answer, MalformedReview> {
    let review = Review::decode(body)?;
    let Grounds { policy, facts, .. } = *grounds;
    let change = match review.change(grounds) {
        Ok(change) => change,
        Err(error) => return Ok(Answer::malformed(&review, &error, policy)),
    };
    match decide(stage, &change, review.document(), facts, policy) {
        Ok(decision) => Ok(Answer::of(&review, &change, &decision, policy)),
        Err(error) => Ok(Answer::failed(&review, &error.to_string(), policy)),
    }
}

/// The answer where judging panicked or took too long: what the policy's `on-error` says.
///
/// # Errors
/// What makes the body no review.
pub fn failed(body: &[u8], why: &str, policy: &Policy) -> Result<Answer, MalformedReview> {
    Ok(Answer::failed(&Review::decode(body)?, why, policy))
}
