//! A span for each review, in the trace that the API server has begun. Only with the feature `otel`;
//! without it all of this does nothing.

#[cfg(not(feature = "otel"))]
mod none;
#[cfg(feature = "otel")]
mod otlp;

#[cfg(not(feature = "otel"))]
pub use self::none::{ReviewSpan, Traces};
#[cfg(feature = "otel")]
pub use self::otlp::{ReviewSpan, Traces};
