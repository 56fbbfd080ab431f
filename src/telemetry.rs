//! Logs, metrics and traces of the running server.
//!
//! A log line never holds a request body, and the labels of a metric come from closed sets.

mod known;
pub mod log;
pub mod metrics;
pub mod page;
pub mod resize;
pub mod traces;

pub use self::log::{LogError, LogFormat};
pub use self::metrics::Metrics;
pub use self::resize::ResizeMetrics;
