//! The HTTPS server against real clients: what it answers, what it survives, how it stops.

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
