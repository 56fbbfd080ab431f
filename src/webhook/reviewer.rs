//! What the server needs from whoever judges.

use thiserror::Error;

/// Judges the bytes of a review.
pub trait Reviewer: Send + Sync + 'static {
    /// The answer to the body of an `AdmissionReview`, and what to log and count.
    ///
    /// It computes and does not wait: it runs on a thread of the server.
    ///
    /// # Errors
    /// A body that is no review that can be judged; becomes HTTP 400.
    fn review(&self, endpoint: Endpoint, body: &[u8]) -> Result<Reviewed, BadReview>;

    /// The answer that the policy gives where there is no verdict.
    ///
    /// # Errors
    /// A body in which not even the review's uid can be found; becomes HTTP 400.
    fn failed(
        &self,
        endpoint: Endpoint,
        body: &[u8],
        failure: Failure,
    ) -> Result<Reviewed, BadReview>;
}

/// Where a review was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/mutate`
    Mutate,
    /// `/validate`
    Validate,
}

impl Endpoint {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }

    /// The path of the URL.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Validate => "/validate",
        }
    }
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

/// An answered review.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// the `AdmissionReview` to send back, as JSON
    pub body: Vec<u8>,
    /// whether the change is allowed
    pub allowed: bool,
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `unknown`
    pub operation: &'static str,
    /// the kind, `other` where it is none that rules judge
    pub kind: &'static str,
    /// what the review came to
    pub outcome: Outcome,
    /// a line of the log each
    pub denials: Vec<Denial>,
    /// what rules said, where that was anything
    pub verdicts: Vec<(&'static str, Verdict)>,
}

/// What a review came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// allowed as it is
    Allowed,
    /// allowed, with warnings
    Warned,
    /// allowed, with a patch
    Patched,
    /// refused
    Denied,
    /// there is no verdict; the policy says what happens then
    Error,
    /// not for us to judge
    Ignored,
}

impl Outcome {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Patched => "patched",
            Self::Denied => "denied",
            Self::Error => "error",
            Self::Ignored => "ignored",
        }
    }
}

/// What a rule said about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// refused
    Denied,
    /// warned
    Warned,
    /// would have refused, were the policy not in audit mode or the object not exempted
    Excused,
    /// could not judge, for want of a fact
    NotJudged,
    /// could not judge, for a field of the wrong type or a fault of its own
    Error,
}

impl Verdict {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Warned => "warned",
            Self::Excused => "excused",
            Self::NotJudged => "not-judged",
            Self::Error => "error",
        }
    }
}

/// A refusal, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// the rule's id
    pub rule: &'static str,
    /// kind and name
    pub object: String,
    /// where it lives
    pub namespace: String,
    /// who asked
    pub user: String,
    /// JSON pointer
    pub field: String,
    /// the first line of the message
    pub message: String,
}

/// Why a body is no review that can be judged, in one line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadReview(pub String);
