//! From a request to an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use axum::{BoxError, Extension, Router};
use hyper::body::Bytes;
use stateward_core::review::{self, WebhookKind};
use tokio::time::{Instant, timeout_at};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::catch_panic::CatchPanicLayer;

use super::Config;
use super::body::{self, Memory, Unread};
use super::reviewer::{BadReview, Failure, Reviewer};
use crate::http_server::{ConnectionState, Shutdown, Stage};
use crate::telemetry::Metrics;
use crate::telemetry::traces::{self, ErrorType};

/// The state of the webhook's routes.
pub(super) struct Webhook {
    pub(super) config: Config,
    pub(super) reviewer: Arc<dyn Reviewer>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Shutdown,
    memory: Memory,
}

impl Webhook {
    pub(super) fn new(
        config: Config,
        reviewer: Arc<dyn Reviewer>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        let memory = Memory::new(config.max_body_memory);
        Arc::new(Self { config, reviewer, metrics, shutdown, memory })
    }
}

/// Answers reviews.
pub(super) fn router(webhook: &Arc<Webhook>) -> Router {
    let slots = GlobalConcurrencyLimitLayer::new(webhook.config.max_reviews);
    let mut router = Router::new();
    for kind in WebhookKind::ALL {
        router = router.route(kind.path(), review_route(kind, webhook, slots.clone()));
    }
    router
        .method_not_allowed_fallback(async |uri: Uri| {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "method", format!("{} takes POST", uri.path()))
        })
        .fallback(async || {
            let text = "reviews are answered at /mutate and /validate";
            refuse(StatusCode::NOT_FOUND, "path", text.to_owned())
        })
        .layer(from_fn_with_state(Arc::clone(webhook), finish))
        .layer(CatchPanicLayer::new())
        // `read_body` has a limit of its own.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(webhook))
}

/// Answers connections beyond the cap.
pub(super) fn surplus_router(webhook: &Arc<Webhook>) -> Router {
    Router::new()
        .fallback(async || shed("too many connections, try again later").unread())
        .layer(from_fn_with_state(Arc::clone(webhook), finish))
}

/// Reads the body before it takes a slot, so that clients which send slowly hold no slots.
fn review_route(
    kind: WebhookKind,
    webhook: &Arc<Webhook>,
    slots: GlobalConcurrencyLimitLayer,
) -> MethodRouter<Arc<Webhook>> {
    let state = Arc::clone(webhook);
    let too_many = async move |_: BoxError| {
        state.metrics.shed("reviews");
        shed("too many reviews at a time, try again later")
    };
    let layers = ServiceBuilder::new()
        .layer(Extension(kind))
        .layer(traces::layer(kind))
        .layer(from_fn(require_json))
        .layer(from_fn_with_state(Arc::clone(webhook), read_body))
        .layer(HandleErrorLayer::new(too_many))
        .layer(LoadShedLayer::new())
        .layer(slots);
    post(review).route_layer(layers)
}

/// A response that is no review.
#[derive(Clone, Debug)]
struct Refusal {
    status: StatusCode,
    reason: &'static str,
    text: String,
    /// the client may still be sending the body
    unread: bool,
}

/// The part of a refusal that concerns the connection and the metrics, as an extension of the
/// response.
#[derive(Clone, Copy, Debug)]
struct Refused {
    reason: &'static str,
    unread: bool,
}

impl Refusal {
    fn unread(self) -> Self {
        Self { unread: true, ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, reason, text, unread } = self;
        let line = format!("{}\n", text.replace(['\n', '\r'], " "));
        let mut response = (status, line).into_response();
        response.extensions_mut().insert(ErrorType(reason));
        response.extensions_mut().insert(Refused { reason, unread });
        response
    }
}

/// A refusal before the body was read.
fn refuse(status: StatusCode, reason: &'static str, text: String) -> Refusal {
    Refusal { status, reason, text, unread: true }
}

fn shed(text: &str) -> Refusal {
    let (status, text) = (StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    Refusal { status, reason: "shed", text, unread: false }
}

/// Counts a refusal, and closes the connection when the server leaves or the body is unread.
async fn finish(
    State(webhook): State<Arc<Webhook>>,
    Extension(connection): Extension<Arc<ConnectionState>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    let refused = response.extensions().get::<Refused>().copied();
    if let Some(Refused { reason, .. }) = refused
        && status != StatusCode::SERVICE_UNAVAILABLE
    {
        webhook.metrics.bad_request(reason);
        // The text may quote the body, so the log leaves it out.
        let status = status.as_u16();
        if reason == "review" {
            tracing::warn!(status, "refused a review that cannot be judged");
        } else {
            tracing::debug!(status, reason, "refused a request");
        }
    }
    let unread = refused.is_some_and(|refused| refused.unread);
    if unread {
        connection.leave_unread();
    }
    if unread || webhook.shutdown.stage() > Stage::Serving {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn require_json(request: Request, next: Next) -> Result<Response, Refusal> {
    if is_json(request.headers()) {
        return Ok(next.run(request).await);
    }
    let text = "the content type of a review is application/json";
    Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", text.to_owned()))
}

/// Ignores parameters such as a charset.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// The deadline of a review, as an extension of its request.
#[derive(Clone, Copy, Debug)]
struct Deadline(Instant);

/// Reads the body into memory, which it holds until the review is answered.
async fn read_body(
    State(webhook): State<Arc<Webhook>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let Config { max_body, body_timeout, review_timeout, .. } = webhook.config;
    let deadline = Instant::now() + time_for(request.uri().query(), review_timeout);
    let (mut parts, body) = request.into_parts();
    let read = body::read(body, max_body, &webhook.memory, body_timeout).await;
    let (bytes, _memory) = read.map_err(|unread| webhook.unread(unread).unread())?;
    parts.extensions.insert(Deadline(deadline));
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

/// Less than the API server waits, so that the answer arrives in time.
fn time_for(query: Option<&str>, most: Duration) -> Duration {
    let asked = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(seconds)
        .unwrap_or(most);
    asked.min(most) * 9 / 10
}

/// A duration as the API server writes it, `10s`; also `1m30s` and `500ms`.
fn seconds(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero())
}

async fn review(
    State(webhook): State<Arc<Webhook>>,
    Extension(kind): Extension<WebhookKind>,
    Extension(Deadline(deadline)): Extension<Deadline>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let start = Instant::now();
    let judged = webhook.judge(kind, body, deadline).await;
    let answer = judged.map_err(|BadReview(text)| Refusal {
        status: StatusCode::BAD_REQUEST,
        reason: "review",
        text,
        unread: false,
    })?;
    traces::record(&answer);
    webhook.report(kind, &answer);
    webhook.metrics.took(kind.endpoint(), start.elapsed());
    Ok(([(CONTENT_TYPE, "application/json")], answer.body).into_response())
}

impl Webhook {
    fn unread(&self, unread: Unread) -> Refusal {
        let (status, reason, text) = match unread {
            Unread::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                format!("a body may have at most {} bytes", self.config.max_body),
            ),
            Unread::Slow => (
                StatusCode::REQUEST_TIMEOUT,
                "slow-body",
                format!("the body took longer than {:?}", self.config.body_timeout),
            ),
            Unread::Aborted => {
                (StatusCode::BAD_REQUEST, "aborted-body", "the body ended early".to_owned())
            }
            Unread::NoMemory => {
                self.metrics.shed("memory");
                return shed("too many large bodies at a time, try again later");
            }
        };
        refuse(status, reason, text)
    }

    /// Runs the review in a task of its own, so that a panic ends only that task, and so that this
    /// one can answer on time whatever the review does.
    async fn judge(
        &self,
        kind: WebhookKind,
        body: Bytes,
        deadline: Instant,
    ) -> Result<review::Answer, BadReview> {
        let review = {
            let (reviewer, metrics) = (Arc::clone(&self.reviewer), Arc::clone(&self.metrics));
            let (body, span) = (body.clone(), tracing::Span::current());
            move || {
                let _counted = InFlight::new(&metrics);
                span.in_scope(|| reviewer.review(kind, &body))
            }
        };
        // The task of a small review runs on this very thread once this one waits; a thread of its
        // own would cost more than the review.
        let task = if body.len() > self.config.offload_above {
            tokio::task::spawn_blocking(review)
        } else {
            tokio::spawn(async move { review() })
        };
        let failure = match timeout_at(deadline, task).await {
            Ok(Ok(reviewed)) => return reviewed,
            Ok(Err(_)) => {
                self.metrics.panicked();
                Failure::Panicked
            }
            Err(_) => {
                self.metrics.missed_deadline();
                Failure::DeadlineMissed
            }
        };
        tracing::error!(endpoint = kind.endpoint(), "{}", failure.describe());
        let reviewer = Arc::clone(&self.reviewer);
        tokio::task::spawn_blocking(move || reviewer.failed(kind, &body, failure))
            .await
            .unwrap_or_else(|_| Err(BadReview(failure.describe().to_owned())))
    }

    fn report(&self, kind: WebhookKind, answer: &review::Answer) {
        // `stateward report` reads these lines.
        for denial in &answer.denials {
            log_denial(denial, "denied");
        }
        for denial in &answer.audited {
            log_denial(denial, "would be denied");
        }
        for (rule, verdict) in &answer.verdicts {
            self.metrics.judged(rule, verdict.name());
        }
        if let Some(error) = &answer.error {
            tracing::warn!(endpoint = kind.endpoint(), error, "not judged");
        }
        self.metrics.reviewed(
            kind.endpoint(),
            answer.operation,
            answer.kind,
            answer.outcome.name(),
        );
    }
}

fn log_denial(denial: &review::Denial, what: &'static str) {
    tracing::info!(
        rule = denial.rule,
        object = denial.object,
        namespace = denial.namespace,
        user = denial.user,
        field = denial.field,
        reason = denial.message,
        dry_run = denial.dry_run,
        "{what}"
    );
}

/// Counts a review while it is judged, however that ends.
struct InFlight<'a>(&'a Metrics);

impl<'a> InFlight<'a> {
    fn new(metrics: &'a Metrics) -> Self {
        metrics.in_flight().inc();
        Self(metrics)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight().dec();
    }
}
