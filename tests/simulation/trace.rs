//! What happened, line by line, and one number for all of it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::faults::Fate;
use crate::server::{Plain, Server};

/// Requests that nobody wants to read of.
const NOISE: [&str; 3] = ["/events", "/leases", "selfsubjectaccessreviews"];

/// The trace of one run.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    hasher: DefaultHasher,
    /// lines of what was written; kept for a person
    kept: Vec<String>,
    requests: u64,
    /// those that are about resizes: Leases, events and reviews of rights apart
    of_resizes: u64,
}

impl Lines {
    fn keep(&mut self, line: String) {
        // A run that never ends shows why only while it runs.
        if std::env::var_os("STATEWARD_LIVE").is_some() {
            println!("{line}");
        }
        self.kept.push(line);
    }
}

impl Trace {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request of a controller, as it is sent.
    pub(crate) fn request(&self, server: &Server, request: &Plain, fate: &Fate) {
        let mut lines = self.lines();
        lines.requests += 1;
        let line = format!(
            "{:>9.3} {} {} {}{}",
            server.up().as_secs_f64(),
            request.who,
            request.method,
            request.uri,
            fate.word()
        );
        line.hash(&mut lines.hasher);
        request.body.to_string().hash(&mut lines.hasher);
        let noise = NOISE.iter().any(|part| request.uri.contains(part));
        lines.of_resizes += u64::from(!noise);
        if !noise && (request.is_write() || !fate.word().is_empty()) {
            lines.keep(line);
        }
    }

    /// What a request was answered with.
    pub(crate) fn reply(&self, server: &Server, request: &Plain, code: u16) {
        let mut lines = self.lines();
        code.hash(&mut lines.hasher);
        if request.is_write() && !NOISE.iter().any(|part| request.uri.contains(part)) {
            let at = server.up().as_secs_f64();
            let mut body = request.body.clone();
            if let Some(snapshot) = body.pointer_mut("/status/snapshot") {
                *snapshot = "…".into();
            }
            let shown = if request.method == "POST" {
                String::new()
            } else if request.uri.contains("/status") {
                format!(" {}", body["status"])
            } else {
                format!(" {body}")
            };
            let shown: String = shown.chars().take(600).collect();
            let line = format!("{at:>9.3}   → {code} {} {}{shown}", request.method, request.uri);
            lines.keep(line);
        }
    }

    /// Something that is no request.
    pub(crate) fn say(&self, server: &Server, what: &str) {
        let mut lines = self.lines();
        let line = format!("{:>9.3} {what}", server.up().as_secs_f64());
        line.hash(&mut lines.hasher);
        lines.keep(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.lines().hasher.finish()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.lines().requests
    }

    pub(crate) fn of_resizes(&self) -> u64 {
        self.lines().of_resizes
    }

    pub(crate) fn text(&self) -> String {
        self.lines().kept.join("\n")
    }
}
