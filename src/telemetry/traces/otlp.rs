//! Traces over OTLP.

use anyhow::Context as _;
use hyper::HeaderMap;
use opentelemetry::global::{self, BoxedSpan};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::review::Answer;

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
pub struct ReviewSpan(BoxedSpan);

impl ReviewSpan {
    /// Begins within the trace that the head of the request names.
    pub fn begin(headers: &HeaderMap, endpoint: &'static str) -> Self {
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
        let tracer = global::tracer(NAME);
        let builder = SpanBuilder::from_name("review")
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("stateward.endpoint", endpoint)]);
        Self(tracer.build_with_context(builder, &parent))
    }

    /// What it came to. Like labels of metrics, attributes come from closed sets.
    pub fn reviewed(&mut self, answer: &Answer) {
        self.0.set_attributes([
            KeyValue::new("stateward.operation", answer.operation),
            KeyValue::new("stateward.kind", answer.kind),
            KeyValue::new("stateward.outcome", answer.outcome.name()),
        ]);
        if let Some((rule, _)) = answer.verdicts.first() {
            self.0.set_attribute(KeyValue::new("stateward.rule", *rule));
        }
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
