//! The HTTPS server against real clients: what it answers, what it survives, how it stops.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what tests have in common is not seen as part of them"
)]

#[path = "webhook/clients.rs"]
mod clients;
#[path = "webhook/harness.rs"]
mod harness;
#[path = "webhook/input.rs"]
mod input;
#[path = "webhook/life.rs"]
mod life;
#[path = "webhook/load.rs"]
mod load;
#[path = "webhook/transport.rs"]
mod transport;
