//! Logs, metrics and traces.
//!
//! A log line never holds a request body, and the labels of a metric come from closed sets.

pub mod log;
pub mod metrics;
mod optional_gauge;
pub mod resize;
pub mod traces;

pub use self::log::{LogError, LogFormat};
pub use self::metrics::Metrics;
pub use self::resize::ResizeMetrics;
