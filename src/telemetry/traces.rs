//! A span for each review and for each of its phases, in the trace that the API server has begun. Only with the feature `otel`;
//! without it all of this does nothing.

#[cfg(not(feature = "otel"))]
mod none;
#[cfg(feature = "otel")]
mod otlp;

#[cfg(not(feature = "otel"))]
pub use self::none::{PhaseSpan, ReviewSpan, Traces, Within};

#[cfg(feature = "otel")]
pub use self::otlp::{Entered, PhaseSpan, ReviewSpan, Traces, Within};
