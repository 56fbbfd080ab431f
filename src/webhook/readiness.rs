//! The health port of the webhook.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use stateward_core::review::canary::JUDGES_WITHOUT;

use crate::certificates::ServingCertificate;
use crate::health::Health;
use crate::http_server::{Pages, Shutdown, Stage};
use crate::telemetry::Metrics;

/// What readiness depends on.
#[derive(Debug)]
pub(super) struct Readiness {
    pub(super) health: Health,
    pub(super) metrics: Arc<Metrics>,
    pub(super) certificate: Arc<ServingCertificate>,
    pub(super) shutdown: Shutdown,
}

impl Pages for Readiness {
    /// One line per reason; details that leave the server ready come last.
    fn ready(&self) -> Result<String, String> {
        let now = Timestamp::now();
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
        if let Some(problem) = self.health.trust_problem() {
            let _ = writeln!(page, "not ready: {}", problem.replace('\n', " "));
        }
        let ready = page.is_empty();
        if ready {
            page.push_str("ok\n");
        }
        if let Some(until) = self.health.break_glass().until() {
            let _ = writeln!(page, "disabled until {until}: everything is allowed");
        }
        if let Some(problem) = self.health.policy_problem() {
            let problem = problem.replace('\n', " ");
            let _ =
                writeln!(page, "the policy file is invalid, the last valid one holds: {problem}");
        }
        for unknown in self.health.unknown_facts().iter() {
            let unknown = unknown.replace('\n', " ");
            let _ = writeln!(page, "{JUDGES_WITHOUT}{unknown}");
        }
        if ready { Ok(page) } else { Err(page) }
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        self.metrics.encode()
    }
}
