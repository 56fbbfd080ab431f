//! No traces.

use hyper::{HeaderMap, StatusCode};
use stateward_core::review::{Answer, WebhookKind};

/// Where spans go: nowhere.
#[derive(Debug)]
pub struct Traces;

impl Traces {
    /// Does nothing.
    ///
    /// # Errors
    /// None; with the feature it can fail.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self)
    }
}

/// The span of a review: nothing.
#[derive(Debug)]
pub struct ReviewSpan;

impl ReviewSpan {
    /// Does nothing.
    pub fn begin(_: &HeaderMap, _: WebhookKind) -> Self {
        Self
    }

    /// Does nothing.
    pub fn within(&self) -> Within {
        Within
    }

    /// Does nothing.
    pub fn reviewed(&self, _: &Answer) {}

    /// Does nothing.
    pub fn refused(&self, _: StatusCode, _: &'static str) {}
}

/// The span of a review, for the thread that judges it: nothing.
#[derive(Debug)]
pub struct Within;

impl Within {
    /// Does nothing.
    #[must_use]
    pub fn enter(self) -> Self {
        self
    }
}

/// The span of a phase of a review: nothing.
#[derive(Debug)]
pub struct PhaseSpan;

impl PhaseSpan {
    /// Does nothing.
    pub fn begin(_: &'static str) -> Self {
        Self
    }
}
