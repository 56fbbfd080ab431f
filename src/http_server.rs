//! HTTP/1.1 connections under limits, for the webhook and for the health port.
//!
//! No tower layer limits the phases of a connection, so the accept loop is our own: it limits the
//! time of each phase, answers connections beyond a cap, and drains. The requests of a connection go
//! to an axum router.

mod connection;
mod health_port;
mod shutdown;
mod timed_stream;

pub(crate) use self::connection::{accept, serve_connection};
pub use self::health_port::{HealthPort, Pages};
pub use self::shutdown::Shutdown;
pub(crate) use self::shutdown::Stage;
pub(crate) use self::timed_stream::{ConnectionState, Limits};
