//! From a request to an answer.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use stateward_core::review::{self, WebhookKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Config;
use super::body::{self, Memory, Unread};
use super::guard::Pulse;
use super::reviewer::{BadReview, Failure, Reviewer};
use super::shutdown::{Shutdown, Stage};
use crate::telemetry::Metrics;
use crate::telemetry::traces::{ReviewSpan, Within};

/// What is sent back.
pub(super) type Answer = Response<Full<Bytes>>;

/// The content type of everything that is for people.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// An answer with a type.
pub(super) fn with_type(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// An answer of one line.
pub(super) fn line(status: StatusCode, text: &str) -> Answer {
    with_type(status, TEXT, format!("{}\n", text.replace(['\n', '\r'], " ")).into())
}

/// What answers reviews.
pub(super) struct Routes {
    pub(super) config: Config,
    pub(super) reviewer: Arc<dyn Reviewer>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Shutdown,
    memory: Memory,
    slots: Arc<Semaphore>,
}

/// A request that gets no review as its answer.
struct Refusal {
    status: StatusCode,
    reason: &'static str,
    text: String,
    /// the body may still be on its way
    unread: bool,
}

impl Routes {
    pub(super) fn new(
        config: Config,
        reviewer: Arc<dyn Reviewer>,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        let memory = Memory::new(config.max_body_memory);
        let slots = Arc::new(Semaphore::new(config.max_reviews));
        Self { config, reviewer, metrics, shutdown, memory, slots }
    }

    /// Answers one request. On a connection beyond the cap, `surplus`, that is always 503.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        pulse: &Pulse,
        surplus: bool,
    ) -> Answer {
        let result = if surplus {
            Err(shed("too many connections, try again later", true))
        } else {
            self.review(request).await
        };
        let mut answer = match result {
            Ok(reviewed) => with_type(StatusCode::OK, "application/json", reviewed.into()),
            Err(refusal) => self.refuse(&refusal, pulse),
        };
        if self.shutdown.stage() > Stage::Serving {
            close(&mut answer);
        }
        answer
    }

    fn refuse(&self, refusal: &Refusal, pulse: &Pulse) -> Answer {
        if refusal.status != StatusCode::SERVICE_UNAVAILABLE {
            self.metrics.bad_request(refusal.reason);
            // The text stays out of the log: it may quote the body.
            let status = refusal.status.as_u16();
            if refusal.reason == "review" {
                tracing::warn!(status, "refused a review that cannot be judged");
            } else {
                tracing::debug!(status, reason = refusal.reason, "refused a request");
            }
        }
        let mut answer = line(refusal.status, &refusal.text);
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if refusal.unread {
            pulse.leave_unread();
            close(&mut answer);
        }
        answer
    }

    async fn review(&self, request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
        let start = Instant::now();
        let webhook = admit(&request)?;
        let span = ReviewSpan::begin(request.headers(), webhook);
        let reviewed = self.reviewed(webhook, request, start, span.within()).await;
        match &reviewed {
            Ok(answer) => span.reviewed(answer),
            Err(refusal) => span.refused(refusal.status, refusal.reason),
        }
        let reviewed = reviewed?;
        self.report(webhook, &reviewed);
        self.metrics.took(webhook.endpoint(), start.elapsed());
        Ok(reviewed.body)
    }

    /// Reads the body and has it judged.
    async fn reviewed(
        &self,
        webhook: WebhookKind,
        request: Request<Incoming>,
        start: Instant,
        within: Within,
    ) -> Result<review::Answer, Refusal> {
        let deadline = start + self.time_for(request.uri().query());
        let (body, _memory) = body::read(
            request.into_body(),
            self.config.max_body,
            &self.memory,
            self.config.body_timeout,
        )
        .await
        .map_err(|unread| self.unread(unread))?;
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.metrics.shed("reviews");
            return Err(shed("too many reviews at a time, try again later", false));
        };
        let reviewed = self.judge(webhook, body, slot, deadline, within).await;
        reviewed.map_err(|BadReview(text)| Refusal {
            status: StatusCode::BAD_REQUEST,
            reason: "review",
            text,
            unread: false,
        })
    }

    /// Less than what the API server waits, so that the answer is there in time.
    fn time_for(&self, query: Option<&str>) -> Duration {
        let asked = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .find_map(|pair| pair.strip_prefix("timeout="))
            .and_then(seconds)
            .unwrap_or(self.config.review_timeout);
        asked.min(self.config.review_timeout) * 9 / 10
    }

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
                return shed("too many large bodies at a time, try again later", true);
            }
        };
        Refusal { status, reason, text, unread: true }
    }

    /// Runs the review on a task of its own, so that a panic ends only that, and so that this one
    /// can answer in time whatever the review does. A review that missed its deadline keeps its
    /// slot until it ends.
    async fn judge(
        &self,
        webhook: WebhookKind,
        body: Bytes,
        slot: OwnedSemaphorePermit,
        deadline: Instant,
        within: Within,
    ) -> Result<review::Answer, BadReview> {
        let review = {
            let (reviewer, metrics) = (Arc::clone(&self.reviewer), Arc::clone(&self.metrics));
            let body = body.clone();
            move || {
                let _slot = slot;
                let _entered = within.enter();
                let _counted = InFlight::new(&metrics);
                reviewer.review(webhook, &body)
            }
        };
        // The task of a small review starts on this very thread as soon as this one waits; a thread
        // of its own would cost more than the review.
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
        tracing::error!(endpoint = webhook.endpoint(), "{}", failure.describe());
        let reviewer = Arc::clone(&self.reviewer);
        tokio::task::spawn_blocking(move || reviewer.failed(webhook, &body, failure))
            .await
            .unwrap_or_else(|_| Err(BadReview(failure.describe().to_owned())))
    }

    fn report(&self, webhook: WebhookKind, reviewed: &review::Answer) {
        // `stateward report` reads these lines.
        for denial in &reviewed.denials {
            log_denial(denial, "denied");
        }
        for denial in &reviewed.audited {
            log_denial(denial, "would be denied");
        }
        for (rule, verdict) in &reviewed.verdicts {
            self.metrics.judged(rule, verdict.name());
        }
        if let Some(error) = &reviewed.error {
            tracing::warn!(endpoint = webhook.endpoint(), error, "not judged");
        }
        self.metrics.reviewed(
            webhook.endpoint(),
            reviewed.operation,
            reviewed.kind,
            reviewed.outcome.name(),
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

/// Path, method and content type.
fn admit(request: &Request<Incoming>) -> Result<WebhookKind, Refusal> {
    let refuse = |status, reason, text: String| Refusal { status, reason, text, unread: true };
    let webhook = match request.uri().path() {
        "/mutate" => WebhookKind::Mutating,
        "/validate" => WebhookKind::Validating,
        _ => {
            let text = "reviews are answered at /mutate and /validate".to_owned();
            return Err(refuse(StatusCode::NOT_FOUND, "path", text));
        }
    };
    if request.method() != Method::POST {
        let text = format!("{} takes POST", webhook.path());
        return Err(refuse(StatusCode::METHOD_NOT_ALLOWED, "method", text));
    }
    if !is_json(request.headers()) {
        let text = "the content type of a review is application/json".to_owned();
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", text));
    }
    Ok(webhook)
}

/// Whether the content type is JSON; parameters such as a charset do not matter.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// A duration as the API server writes it, `10s`; also `1m30s` and `500ms`.
fn seconds(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero())
}

fn shed(text: &str, unread: bool) -> Refusal {
    Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        reason: "shed",
        text: text.to_owned(),
        unread,
    }
}

fn close(answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}
