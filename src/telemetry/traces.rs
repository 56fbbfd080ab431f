//! Spans of reviews. A build with the feature `otel` exports them over OTLP; without it no subscriber
//! takes spans, and they cost next to nothing.
//!
//! Like labels of metrics, the attributes of a span come from closed sets.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use stateward_core::review::{Answer, WebhookKind};
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::TraceLayer;
use tracing::Span;
use tracing::field::Empty;

#[cfg(feature = "otel")]
pub(super) use self::export::Exporter;

/// The attribute `error.type` of a response without a verdict, as an extension of the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorType(pub(crate) &'static str);

type Spans<Make, Record> =
    TraceLayer<SharedClassifier<ServerErrorsAsFailures>, Make, (), Record, (), (), ()>;

/// Puts each request to `webhook` into a span, within the trace that the API server has begun.
/// OpenTelemetry's conventions for HTTP servers name the span and its attributes.
pub(crate) fn layer(
    webhook: WebhookKind,
) -> Spans<impl Fn(&Request<Body>) -> Span + Clone, impl Fn(&Response<Body>, Duration, &Span) + Clone>
{
    TraceLayer::new_for_http()
        .make_span_with(move |request: &Request<Body>| begin(webhook, request))
        .on_request(())
        .on_response(|response: &Response<Body>, _: Duration, span: &Span| respond(response, span))
        .on_body_chunk(())
        .on_eos(())
        .on_failure(())
}

fn begin(webhook: WebhookKind, request: &Request<Body>) -> Span {
    let name = match webhook {
        WebhookKind::Mutating => "POST /mutate",
        WebhookKind::Validating => "POST /validate",
    };
    let span = tracing::info_span!(
        "review",
        "otel.name" = name,
        "otel.kind" = "server",
        "otel.status_code" = Empty,
        "otel.status_description" = Empty,
        "http.request.method" = "POST",
        "http.route" = webhook.path(),
        "http.response.status_code" = Empty,
        "url.path" = webhook.path(),
        "url.scheme" = "https",
        "error.type" = Empty,
        "stateward.operation" = Empty,
        "stateward.kind" = Empty,
        "stateward.outcome" = Empty,
        "stateward.rule" = Empty,
    );
    #[cfg(feature = "otel")]
    export::continue_trace(&span, request.headers());
    #[cfg(not(feature = "otel"))]
    let _ = request;
    span
}

fn respond(response: &Response<Body>, span: &Span) {
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    let Some(ErrorType(reason)) = response.extensions().get() else { return };
    span.record("error.type", reason);
    // An invalid request is no error of the server.
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", reason);
    }
}

/// Adds the outcome of a review to its span, which must be the current one.
pub(crate) fn record(answer: &Answer) {
    let span = Span::current();
    span.record("stateward.operation", answer.operation);
    span.record("stateward.kind", answer.kind);
    span.record("stateward.outcome", answer.outcome.name());
    if let Some((rule, _)) = answer.verdicts.first() {
        span.record("stateward.rule", rule);
    }
}

#[cfg(feature = "otel")]
mod export {
    use anyhow::Context as _;
    use axum::http::{HeaderMap, HeaderName};
    use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry::{Context, KeyValue};
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
    use tracing::{Span, Subscriber};
    use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
    use tracing_subscriber::registry::LookupSpan;

    /// The variables that turn the export on.
    const ENDPOINTS: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    const NAME: &str = "stateward";

    /// Exports spans until it is dropped; it then exports those that are still queued.
    #[derive(Debug)]
    pub(in crate::telemetry) struct Exporter(SdkTracerProvider);

    impl Exporter {
        /// Exports as OpenTelemetry's environment variables say; `None` if they name no endpoint. It
        /// starts a thread, and a runtime must not call it.
        pub(in crate::telemetry) fn start() -> anyhow::Result<Option<Self>> {
            if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none()) {
                return Ok(None);
            }
            let exporter =
                SpanExporter::builder().with_http().build().context("cannot set up traces")?;
            let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
            let resource =
                Resource::builder().with_service_name(NAME).with_attribute(version).build();
            let provider = SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_resource(resource)
                .build();
            Ok(Some(Self(provider)))
        }

        pub(in crate::telemetry) fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
        where
            S: Subscriber + for<'span> LookupSpan<'span>,
        {
            tracing_opentelemetry::layer()
                .with_tracer(self.0.tracer(NAME))
                .with_location(false)
                .with_target(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
        }
    }

    impl Drop for Exporter {
        fn drop(&mut self) {
            if let Err(error) = self.0.shutdown() {
                tracing::warn!(%error, "cannot export the last spans");
            }
        }
    }

    /// Makes `span` part of the trace that the head of a request names.
    pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        // Fails if nothing is exported.
        let _ = span.set_parent(parent);
    }

    struct Headers<'a>(&'a HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }
}
