//! The HTTPS server that the API server calls: routes, limits, certificates that are reloaded.
//!
//! The server knows only the bytes of a review; a [`Reviewer`] answers them.

mod body;
mod config;
mod memory;
mod readiness;
mod recent_deletions;
mod review_handler;
mod reviewer;
mod router;
mod server;
mod tls;

pub use self::config::Config;
pub use self::review_handler::{Defaults, LoadPolicyError, ReviewHandler, load_policy};
pub use self::reviewer::{BadReview, Cancelled, ReviewRequest, Reviewer};
pub use self::server::{Server, ServerError};
pub use self::tls::TlsError;
