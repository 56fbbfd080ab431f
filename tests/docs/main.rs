//! What the repository says about itself: documentation, chart, alerts and releases.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says by a panic what went wrong"
)]

mod alerts;
mod annotations;
mod architecture;
mod boundaries;
mod chart;
mod gitops;
mod links;
mod losses;
mod metrics;
mod reasons;
mod release;
mod storage;
mod threats;
mod versions;
