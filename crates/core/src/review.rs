//! The wire form of AdmissionReview v1; nobody else knows it.
//!
//! Own types instead of kube's: both objects stay borrowed, and the patch is written in base64,
//! as the API documents it. Source: `admission.k8s.io/v1` and `VerifyAdmissionResponse` of
//! Kubernetes 1.36.

mod answer;
pub mod canary;
mod envelope;
mod request;

use jiff::Timestamp;

pub use self::answer::{Answer, Denial, Outcome, RuleOutcome};
pub use self::request::{MalformedReview, Review};
use crate::change::{Change, KubernetesVersion};
use crate::decide::{EvaluationContext, Stage, decide};
use crate::object::DecodeError;
use crate::policy::Policy;
pub use crate::webhook_kind::WebhookKind;

/// Answers the body of a review.
///
/// # Errors
/// What makes the body no review; the HTTP answer to it is 400.
pub fn answer(
    webhook: WebhookKind,
    body: &[u8],
    kubernetes: KubernetesVersion,
    context: &EvaluationContext<'_>,
) -> Result<Answer, MalformedReview> {
    Ok(Decoded::read(body, kubernetes)?.answer(webhook, context))
}

/// A review that has been read, before anything is decided about it.
#[derive(Debug)]
pub struct Decoded<'a> {
    review: Review<'a>,
    change: Result<Change<'a>, DecodeError>,
}

impl<'a> Decoded<'a> {
    /// Reads the envelope and both objects.
    ///
    /// # Errors
    /// What makes the body no review.
    pub fn read(body: &'a [u8], kubernetes: KubernetesVersion) -> Result<Self, MalformedReview> {
        let review = Review::decode(body)?;
        let change = review.change(kubernetes);
        Ok(Self { review, change })
    }

    /// Decides about it, and writes the answer.
    pub fn answer(self, webhook: WebhookKind, context: &EvaluationContext<'_>) -> Answer {
        let (review, policy) = (self.review, context.policy);
        let change = match self.change {
            Ok(change) => change,
            Err(error) => return Answer::malformed(&review, &error, policy),
        };
        if let Some(canary) = canary::target(&change) {
            return Answer::canary(&review, canary::reply(canary, webhook, policy));
        }
        let decision = decide(Stage::Webhook(webhook), &change, context);
        // A patch leaves the process only after it was applied to the reviewed document.
        match decision.mutation.tried(&change, review.document()) {
            Ok(patch) => Answer::of(&review, &change, &decision, patch.as_ref(), policy),
            Err(error) => Answer::failed(&review, &error.to_string(), policy),
        }
    }
}

/// The answer where judging panicked or took too long: what the policy's `on-error` says.
///
/// # Errors
/// What makes the body no review.
pub fn failed(body: &[u8], why: &str, policy: &Policy) -> Result<Answer, MalformedReview> {
    Ok(Answer::failed(&Review::decode(body)?, why, policy))
}

/// The answer while somebody has disabled stateward: allowed unjudged, with one warning.
///
/// # Errors
/// What makes the body no review.
pub fn disabled(body: &[u8], until: Timestamp) -> Result<Answer, MalformedReview> {
    Ok(Answer::disabled(&Review::decode(body)?, until))
}
