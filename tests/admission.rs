//! What admission says while sets are resized: the tables of `docs/resize.md`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

#[path = "admission/growth.rs"]
mod growth;
#[path = "admission/recreation.rs"]
mod recreation;
#[path = "admission/setup.rs"]
mod setup;
