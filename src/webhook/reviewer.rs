//! What the server needs from whoever judges.

use stateward_core::review::{Answer, WebhookKind};
use thiserror::Error;

/// Judges the bytes of a review.
pub trait Reviewer: Send + Sync + 'static {
    /// The answer to the body of an `AdmissionReview`, and what to log and count.
    ///
    /// It computes and does not wait: it runs on a thread of the server.
    ///
    /// # Errors
    /// A body that is no review that can be judged; becomes HTTP 400.
    fn review(&self, webhook: WebhookKind, body: &[u8]) -> Result<Answer, BadReview>;

    /// The answer that the policy gives where there is no verdict.
    ///
    /// # Errors
    /// A body in which not even the review's uid can be found; becomes HTTP 400.
    fn failed(
        &self,
        webhook: WebhookKind,
        body: &[u8],
        failure: Failure,
    ) -> Result<Answer, BadReview>;
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// the review panicked
    Panicked,
    /// the review took too long
    DeadlineMissed,
}

impl Failure {
    /// For logs and messages.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Panicked => "the review panicked",
            Self::DeadlineMissed => "the review missed its deadline",
        }
    }
}

/// Why a body is no review that can be judged, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadReview(pub String);
