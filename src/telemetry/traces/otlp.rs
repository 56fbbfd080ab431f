//! Traces over OTLP.

use anyhow::Context as _;
use hyper::{HeaderMap, StatusCode};
use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, ContextGuard, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use stateward_core::review::{Answer, WebhookKind};

/// The variables by which people turn traces on.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
const NAME: &str = "stateward";

/// Where spans go, until it is dropped; what waits is sent then.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends spans where the variables of OpenTelemetry say, from now on; where they say nothing,
    /// nothing is sent. It starts a thread and must not be called from a runtime.
    ///
    /// # Errors
    /// Variables that cannot be followed.
    pub fn start() -> anyhow::Result<Self> {
        if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(Self(None));
        }
        let exporter =
            SpanExporter::builder().with_http().build().context("cannot set up traces")?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(NAME).with_attribute(version).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        global::set_tracer_provider(provider.clone());
        Ok(Self(Some(provider)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The span of a review; it ends when it is dropped.
#[derive(Debug)]
pub struct ReviewSpan(Context);

impl ReviewSpan {
    /// Begins within the trace that the head of the request names. Name and attributes of the request
    /// are those of OpenTelemetry's conventions for HTTP servers.
    pub fn begin(headers: &HeaderMap, webhook: WebhookKind) -> Self {
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let builder = SpanBuilder::from_name(match webhook {
            WebhookKind::Mutating => "POST /mutate",
            WebhookKind::Validating => "POST /validate",
        });
        let builder = builder.with_kind(SpanKind::Server).with_attributes([
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", webhook.path()),
            KeyValue::new("url.path", webhook.path()),
            KeyValue::new("url.scheme", "https"),
        ]);
        let span = global::tracer(NAME).build_with_context(builder, &parent);
        Self(parent.with_span(span))
    }

    /// What the spans of its phases are within.
    pub fn within(&self) -> Within {
        Within(self.0.clone())
    }

    /// What it came to. Like labels of metrics, attributes come from closed sets.
    pub fn reviewed(&self, answer: &Answer) {
        let span = self.0.span();
        span.set_attributes([
            KeyValue::new("stateward.operation", answer.operation),
            KeyValue::new("stateward.kind", answer.kind),
            KeyValue::new("stateward.outcome", answer.outcome.name()),
        ]);
        if let Some((rule, _)) = answer.verdicts.first() {
            span.set_attribute(KeyValue::new("stateward.rule", *rule));
        }
        span.set_attribute(status(StatusCode::OK));
    }

    /// It was answered with this status, and no verdict.
    pub fn refused(&self, code: StatusCode, reason: &'static str) {
        let span = self.0.span();
        span.set_attributes([status(code), KeyValue::new("error.type", reason)]);
        // The fault of a client is none of the server's.
        if code.is_server_error() {
            span.set_status(Status::error(reason));
        }
    }
}

impl Drop for ReviewSpan {
    fn drop(&mut self) {
        // A review that missed its deadline may go on within it.
        self.0.span().end();
    }
}

fn status(code: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(code.as_u16()))
}

/// The span of a review, for the thread that judges it.
#[derive(Debug)]
pub struct Within(Context);

impl Within {
    /// Spans of phases that begin on this thread are within it, until the guard is dropped.
    pub fn enter(self) -> Entered {
        Entered(self.0.attach())
    }
}

/// See [`Within::enter`].
#[derive(Debug)]
pub struct Entered(#[expect(dead_code, reason = "it is held")] ContextGuard);

/// The span of a phase of a review; it ends when it is dropped.
#[derive(Debug)]
pub struct PhaseSpan(#[expect(dead_code, reason = "it is held")] BoxedSpan);

impl PhaseSpan {
    /// Begins within the span of the review on this thread.
    pub fn begin(phase: &'static str) -> Self {
        Self(global::tracer(NAME).start(phase))
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(hyper::header::HeaderName::as_str).collect()
    }
}
