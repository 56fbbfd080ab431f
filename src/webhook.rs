//! The HTTPS server that the API server asks: routes, limits, replaced certificates, shutdown.
//!
//! It knows nothing of reviews but that they are bytes which a [`Reviewer`] answers. The loop over
//! connections is our own, since caps, time limits for every phase of a connection and
//! `Connection: close` while leaving need it.

mod body;
mod break_glass;
mod config;
mod connection;
mod guard;
mod health;
mod judge;
mod reviewer;
mod routes;
mod server;
mod shutdown;
mod tls;

pub use self::break_glass::BreakGlass;
pub use self::config::Config;
pub use self::health::Health;
pub use self::judge::{Defaults, Judge, LoadPolicyError, load_policy};
pub use self::reviewer::{BadReview, Failure, Reviewer};
pub use self::server::{Server, ServerError};
pub use self::shutdown::Shutdown;
pub use self::tls::TlsError;
