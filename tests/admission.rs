//! What admission says while sets are resized: protocol §3 and the table of §9.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "admission/growth.rs"]
mod growth;
#[path = "admission/recreation.rs"]
mod recreation;
#[path = "admission/setup.rs"]
mod setup;
