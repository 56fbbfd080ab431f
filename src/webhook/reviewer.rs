//! The interface between the server and the code that judges.

use stateward_core::review::{Answer, WebhookKind};
use thiserror::Error;

/// Judges the bytes of a review.
pub trait Reviewer: Send + Sync + 'static {
    /// The answer to the body of an `AdmissionReview`.
    ///
    /// It must not block, since it runs on a thread of the server.
    ///
    /// # Errors
    /// The body is no review that can be judged; the client gets HTTP 400.
    fn review(&self, webhook: WebhookKind, body: &[u8]) -> Result<Answer, BadReview>;

    /// The policy's answer to a review without a verdict.
    ///
    /// # Errors
    /// The body has not even a uid; the client gets HTTP 400.
    fn failed(
        &self,
        webhook: WebhookKind,
        body: &[u8],
        failure: Failure,
    ) -> Result<Answer, BadReview>;
}

/// The reason that there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// the review panicked
    Panicked,
    /// the review took too long
    DeadlineMissed,
}

impl Failure {
    /// The reason in logs and messages.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Panicked => "the review panicked",
            Self::DeadlineMissed => "the review missed its deadline",
        }
    }
}

/// The reason that a body is no review that can be judged, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadReview(pub String);
