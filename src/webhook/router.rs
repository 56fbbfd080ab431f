//! From a request to an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use axum::{BoxError, Extension, Router};
use hyper::body::Bytes;
use stateward_core::review::{self, NoVerdict, WebhookKind};
use stateward_core::text::cut;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower_http::catch_panic::CatchPanicLayer;

use super::Config;
use super::body::{self, Limits, Received, Unread};
use super::memory::{Held, Memory, Size};
use super::reviewer::{BadReview, Cancelled, ReviewRequest, Reviewer};
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
    /// for large reviews, so that they leave threads and slots to others
    large: Arc<Semaphore>,
}

impl Webhook {
    pub(super) fn new(
        config: Config,
        reviewer: Arc<dyn Reviewer>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        let memory = Memory::new(config.max_memory);
        let large = Arc::new(Semaphore::new(config.max_large_reviews));
        Arc::new(Self { config, reviewer, metrics, shutdown, memory, large })
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

/// The reason of a refusal, as an extension of its response.
#[derive(Clone, Copy, Debug)]
struct Refused(&'static str);

/// Marks a response whose client may still be sending the body.
#[derive(Clone, Copy, Debug)]
struct LeftUnread;

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
        response.extensions_mut().insert(Refused(reason));
        if unread {
            response.extensions_mut().insert(LeftUnread);
        }
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
    if let Some(Refused(reason)) = refused
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
    let unread = response.extensions().get::<LeftUnread>().is_some();
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

/// What a review may take, as an extension of its request.
#[derive(Clone, Debug)]
struct Admitted {
    start: Instant,
    deadline: Instant,
    size: Size,
    /// held until the work on the review ends, which may be after its answer
    memory: Arc<Held>,
}

/// Reads the body into memory. A body that cannot be judged is answered from its beginning, since the
/// API server lets a request through after a failed call under `failurePolicy: Ignore`.
async fn read_body(
    State(webhook): State<Arc<Webhook>>,
    Extension(kind): Extension<WebhookKind>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let Config { max_body, body_timeout, review_timeout, .. } = webhook.config;
    let start = Instant::now();
    let deadline = start + time_for(request.uri().query(), review_timeout);
    if expects_to_be_refused(request.headers(), max_body) {
        return Err(too_large(max_body).unread());
    }
    let (mut parts, body) = request.into_parts();
    let limits = Limits { size: max_body, time: body_timeout, deadline };
    let received = body::read(body, limits, &webhook.memory).await;
    let (bytes, size, held) = match received.map_err(|unread| webhook.unread(unread))? {
        Received::Whole { bytes, size, held } => (bytes, size, held),
        Received::Beginning { bytes, reason, unread } => {
            return webhook.without_verdict(kind, start, bytes, reason, unread).await;
        }
    };
    parts.extensions.insert(Admitted { start, deadline, size, memory: Arc::new(held) });
    Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await)
}

/// A client that sends the body only if it is wanted is no API server.
fn expects_to_be_refused(headers: &HeaderMap, max_body: usize) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    headers.contains_key(EXPECT) && length.is_some_and(|length: usize| length > max_body)
}

fn too_large(max_body: usize) -> Refusal {
    let text = format!("a body may have at most {max_body} bytes");
    Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, reason: "too-large", text, unread: false }
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
    Extension(admitted): Extension<Admitted>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let start = admitted.start;
    match webhook.judge(kind, body.clone(), admitted).await {
        Ok(judged) => Ok(webhook.respond(kind, start, judged.map_err(bad_review)?)),
        Err(reason) => webhook.without_verdict(kind, start, body, reason, false).await,
    }
}

fn bad_review(BadReview(text): BadReview) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, reason: "review", text, unread: false }
}

impl Webhook {
    fn unread(&self, unread: Unread) -> Refusal {
        let (status, reason, text) = match unread {
            Unread::Slow => (
                StatusCode::REQUEST_TIMEOUT,
                "slow-body",
                format!("the body took longer than {:?}", self.config.body_timeout),
            ),
            Unread::Aborted => {
                (StatusCode::BAD_REQUEST, "aborted-body", "the body ended early".to_owned())
            }
        };
        refuse(status, reason, text)
    }

    /// Runs the review in a task of its own, so that a panic ends only that task, and so that this
    /// one can answer on time whatever the review does.
    async fn judge(
        &self,
        webhook: WebhookKind,
        body: Bytes,
        Admitted { deadline, size, memory, .. }: Admitted,
    ) -> Result<Result<review::Answer, BadReview>, NoVerdict> {
        let late = if size.is_unusual(self.config.offload_above) {
            NoVerdict::LargeDeadlineMissed
        } else {
            NoVerdict::DeadlineMissed
        };
        let large = body.len() > self.config.offload_above;
        let authenticated = self.config.client_authority.is_some();
        let cancelled = Arc::new(Cancelled::default());
        let review = {
            let (reviewer, metrics) = (Arc::clone(&self.reviewer), Arc::clone(&self.metrics));
            let (cancelled, span) = (Arc::clone(&cancelled), tracing::Span::current());
            move || {
                let (_counted, _memory) = (InFlight::new(&metrics), memory);
                let request =
                    ReviewRequest { webhook, body: &body, authenticated, cancelled: &cancelled };
                span.in_scope(|| reviewer.review(&request))
            }
        };
        // The task of a small review runs on this very thread once this one waits; a thread of its
        // own would cost more than the review.
        let task = if large {
            let permit = timeout_at(deadline, Arc::clone(&self.large).acquire_owned()).await;
            // The semaphore is never closed.
            let Ok(Ok(permit)) = permit else { return Err(self.late(late)) };
            tokio::task::spawn_blocking(move || {
                let _permit = permit;
                review()
            })
        } else {
            tokio::spawn(async move { review() })
        };
        match timeout_at(deadline, task).await {
            Ok(Ok(judged)) => Ok(judged),
            Ok(Err(_)) => {
                self.metrics.panicked();
                Err(NoVerdict::Panicked)
            }
            Err(_) => {
                cancelled.set();
                Err(self.late(late))
            }
        }
    }

    fn late(&self, reason: NoVerdict) -> NoVerdict {
        self.metrics.missed_deadline();
        reason
    }

    /// Answers a review without a verdict, of which `beginning` is the whole or the first part.
    async fn without_verdict(
        &self,
        webhook: WebhookKind,
        start: Instant,
        beginning: Bytes,
        reason: NoVerdict,
        unread: bool,
    ) -> Result<Response, Refusal> {
        self.metrics.without_verdict(reason.name());
        tracing::error!(endpoint = webhook.endpoint(), "{}", reason.describe());
        let reviewer = Arc::clone(&self.reviewer);
        let answer = tokio::task::spawn_blocking(move || {
            reviewer.without_verdict(webhook, &beginning, reason)
        });
        let answer = answer.await.unwrap_or_else(|_| Err(BadReview(reason.describe().to_owned())));
        let mut response = match answer {
            Ok(answer) => self.respond(webhook, start, answer),
            Err(_) if reason == NoVerdict::TooLarge => {
                too_large(self.config.max_body).into_response()
            }
            Err(_) if reason == NoVerdict::NoMemory => {
                self.metrics.shed("memory");
                shed("too many large bodies at a time, try again later").into_response()
            }
            Err(error) => bad_review(error).into_response(),
        };
        if unread {
            response.extensions_mut().insert(LeftUnread);
        }
        Ok(response)
    }

    fn respond(&self, webhook: WebhookKind, start: Instant, answer: review::Answer) -> Response {
        traces::record(&answer);
        self.report(webhook, &answer);
        self.metrics.took(webhook.endpoint(), start.elapsed());
        ([(CONTENT_TYPE, "application/json")], answer.body).into_response()
    }

    fn report(&self, kind: WebhookKind, answer: &review::Answer) {
        // `stateward report` reads these lines.
        for denial in &answer.denials {
            log_denial(denial, "denied");
        }
        for denial in &answer.audited {
            log_denial(denial, "would be denied");
        }
        // Both webhooks see most changes, and one line for each is enough.
        for warned in answer.warned.iter().filter(|_| kind == WebhookKind::Validating) {
            log_denial(warned, "warned");
        }
        for (rule, verdict) in &answer.verdicts {
            self.metrics.judged(rule, verdict.name());
        }
        if let Some(error) = &answer.error {
            let error = logged(error, 1024);
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
        object = logged(&denial.object, 400),
        namespace = logged(&denial.namespace, 100),
        user = logged(&denial.user, 256),
        field = logged(&denial.field, 400),
        reason = logged(&denial.message, 512),
        dry_run = denial.dry_run,
        "{what}"
    );
}

/// A text of a tenant for a log line, which stays below 4 KiB with all its texts. A control character
/// would take six.
fn logged(text: &str, most: usize) -> String {
    cut(text, most).replace(char::is_control, " ")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::Lines;

    #[test]
    fn a_logged_denial_has_at_most_4_kib() {
        for text in ["\"", "\u{1}", "ü", "x"] {
            let long = text.repeat(1_000_000);
            let denial = review::Denial {
                rule: "sts-delete-pvc-retention-delete",
                object: long.clone(),
                namespace: long.clone(),
                user: long.clone(),
                field: long.clone(),
                message: long.clone(),
                dry_run: false,
                kind: "StatefulSet",
                name: long.clone(),
                uid: long.clone(),
            };
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber =
                tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
            tracing::subscriber::with_default(subscriber, || {
                log_denial(&denial, "would be denied");
            });
            let line = lines.written();
            assert!((1000..=4096).contains(&line.len()), "{text:?}: {}", line.len());
            assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
        }
    }
}
