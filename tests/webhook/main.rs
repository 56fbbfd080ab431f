//! The HTTPS server against real clients: what it answers, what it survives, how it stops.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what tests have in common is not seen as part of them"
)]

mod clients;
mod harness;
mod health_port;
mod input;
mod large;
mod life;
mod load;
mod soak;
#[cfg(feature = "otel")]
mod traces;
mod transport;
