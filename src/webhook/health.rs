//! The plain port: `/livez`, `/readyz` and `/metrics`.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use jiff::Timestamp;

use super::BreakGlass;
use super::routes::{Answer, line, with_type};
use super::shutdown::{Shutdown, Stage};
use crate::certificates::ServingCertificate;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::CONTENT_TYPE;

/// What others have to say about the state of the server. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Health {
    policy: Arc<ArcSwapOption<String>>,
    trust: Arc<ArcSwapOption<String>>,
    break_glass: BreakGlass,
}

impl Health {
    /// Nothing to say.
    pub fn new() -> Self {
        Self::default()
    }

    /// Why the policy file cannot be used, so that the last one that could is in force; `None` when
    /// it can. The server stays ready, and `/readyz` says so.
    pub fn set_policy_problem(&self, problem: Option<String>) {
        self.policy.store(problem.map(Arc::new));
    }

    /// Why the API server does not trust the serving certificate; `None` when it does. The server
    /// is unready meanwhile.
    pub fn set_trust_problem(&self, problem: Option<String>) {
        self.trust.store(problem.map(Arc::new));
    }

    /// Whether everything is allowed for a while. The server stays ready, and `/readyz` says so.
    pub fn break_glass(&self) -> &BreakGlass {
        &self.break_glass
    }
}

/// What the plain port shows.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) health: Health,
    pub(super) metrics: Arc<Metrics>,
    pub(super) certificate: Arc<ServingCertificate>,
    pub(super) shutdown: Shutdown,
}

impl Page {
    pub(super) fn answer(&self, request: &Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if !matches!(path, "/livez" | "/readyz" | "/metrics") {
            return line(StatusCode::NOT_FOUND, "only /livez, /readyz and /metrics are here");
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return line(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here");
        }
        match path {
            "/livez" => line(StatusCode::OK, "ok"),
            "/readyz" => self.readiness(Timestamp::now()),
            _ => match self.metrics.encode() {
                Ok(page) => with_type(StatusCode::OK, CONTENT_TYPE, page.into()),
                Err(_) => line(StatusCode::INTERNAL_SERVER_ERROR, "a metric cannot be written"),
            },
        }
    }

    /// One line per reason; details that leave the server ready come last.
    fn readiness(&self, now: Timestamp) -> Answer {
        let mut page = String::new();
        if self.shutdown.stage() > Stage::Serving {
            page.push_str("not ready: the server is shutting down\n");
        }
        match (self.certificate.expires(), self.certificate.unready()) {
            (Some(expires), Some(unready)) if unready <= now => {
                let word = if expires <= now { "expired" } else { "expires" };
                let _ = writeln!(page, "not ready: the serving certificate {word} at {expires}");
            }
            (Some(_), _) => {}
            (None, _) => page.push_str("not ready: there is no serving certificate yet\n"),
        }
        if let Some(problem) = &*self.health.trust.load() {
            let _ = writeln!(page, "not ready: {}", problem.replace('\n', " "));
        }
        let status = if page.is_empty() {
            page.push_str("ok\n");
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        if let Some(until) = self.health.break_glass.until() {
            let _ = writeln!(page, "disabled until {until}: everything is allowed");
        }
        if let Some(problem) = &*self.health.policy.load() {
            let problem = problem.replace('\n', " ");
            let _ =
                writeln!(page, "the policy file is invalid, the last good one holds: {problem}");
        }
        with_type(status, super::routes::TEXT, page.into())
    }
}
