//! The policy file: how it is read, and what it does.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what tests have in common is not seen as part of them"
)]

#[path = "policy/effect.rs"]
mod effect;
#[path = "policy/reading.rs"]
mod reading;
#[path = "policy/schema.rs"]
mod schema;
