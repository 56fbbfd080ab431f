//! The interface between the server and the code that judges.

use std::sync::atomic::{AtomicBool, Ordering};

use stateward_core::review::{Answer, NoVerdict, WebhookKind};
use thiserror::Error;

/// Judges the bytes of a review.
pub trait Reviewer: Send + Sync + 'static {
    /// The answer to an `AdmissionReview`.
    ///
    /// It must not block, since it runs on a thread of the server.
    ///
    /// # Errors
    /// The body is no review that can be judged; the client gets HTTP 400.
    fn review(&self, request: &ReviewRequest<'_>) -> Result<Answer, BadReview>;

    /// The answer to a review without a verdict, given its first bytes.
    ///
    /// # Errors
    /// The beginning has no uid to answer with.
    fn without_verdict(
        &self,
        webhook: WebhookKind,
        beginning: &[u8],
        reason: NoVerdict,
    ) -> Result<Answer, BadReview>;
}

/// A review to judge.
#[derive(Clone, Copy, Debug)]
pub struct ReviewRequest<'a> {
    /// the webhook that was called
    pub webhook: WebhookKind,
    /// the body of the request
    pub body: &'a [u8],
    /// whether the caller has shown a certificate of the configured authority
    pub authenticated: bool,
    /// ends the work on a review that was answered already
    pub cancelled: &'a Cancelled,
}

/// Set once a review is answered, since the work on it has become useless.
#[derive(Debug, Default)]
pub struct Cancelled(AtomicBool);

impl Cancelled {
    /// Whether the review is answered.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The reason that a body is no review that can be judged, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadReview(pub String);
