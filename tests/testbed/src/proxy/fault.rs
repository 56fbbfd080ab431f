//! What may happen to a request, and to which.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;

use super::{Request, Shared, lock};
use crate::wait::wait_for;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut, and the API server is never asked.
    Before,
    /// The API server answers, then the connection is cut.
    After,
    /// The proxy answers with this status itself; 429 with `Retry-After: 1`.
    Refuse(u16),
    /// The API server answers, and the process is told this status, such as 504.
    Hide(u16),
    /// The API server is asked this much later, while the process waits.
    Slow(Duration),
    /// The connection is cut at once, and the API server is asked this much later.
    Late(Duration),
    /// The events of a watch are passed on for this long, then the connection is cut; nothing
    /// happens to other requests.
    Cut(Duration),
}

type Matches = Box<dyn Fn(&Request) -> bool + Send + Sync>;
type Call = Box<dyn Fn() + Send + Sync>;

/// Which requests a fault is for; [`fault`](Self::fault) arms it.
#[must_use]
pub struct On {
    shared: Arc<Shared>,
    matches: Matches,
    first: usize,
    last: usize,
    call: Option<Call>,
}

impl On {
    pub(super) fn new(
        shared: Arc<Shared>,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { shared, matches: Box::new(matches), first: 1, last: 1, call: None }
    }

    /// Only the n-th that matches from now on, counted from 1; the first by default.
    pub fn nth(mut self, n: usize) -> Self {
        (self.first, self.last) = (n, n);
        self
    }

    /// All that match.
    pub fn every(mut self) -> Self {
        (self.first, self.last) = (1, usize::MAX);
        self
    }

    /// Calls `then` at that point, before anything is answered: to kill the process, say.
    pub fn then(mut self, then: impl Fn() + Send + Sync + 'static) -> Self {
        self.call = Some(Box::new(then));
        self
    }

    /// Arms the fault.
    pub fn fault(self, fault: Fault) -> Armed {
        let rule = Arc::new(Rule {
            matches: self.matches,
            first: self.first,
            last: self.last,
            fault,
            call: self.call,
            seen: AtomicUsize::new(0),
            hits: AtomicUsize::new(0),
        });
        lock(&self.shared.rules).push(Arc::clone(&rule));
        Armed(rule)
    }
}

/// A fault that waits for its request.
#[derive(Debug, Clone)]
pub struct Armed(Arc<Rule>);

impl Armed {
    /// How often it has happened.
    pub fn hits(&self) -> usize {
        self.0.hits.load(Ordering::SeqCst)
    }

    /// Waits until it has happened.
    pub async fn hit(&self, timeout: Duration) -> Result<()> {
        wait_for("the fault", timeout, async || Ok((self.hits() > 0).then_some(()))).await
    }
}

pub(super) struct Rule {
    matches: Matches,
    first: usize,
    last: usize,
    pub(super) fault: Fault,
    call: Option<Call>,
    seen: AtomicUsize,
    hits: AtomicUsize,
}

impl Rule {
    /// Whether this request is the one; counts it.
    pub(super) fn takes(&self, request: &Request) -> bool {
        if !(self.matches)(request) {
            return false;
        }
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        (self.first..=self.last).contains(&number)
    }

    /// The fault happens now.
    pub(super) async fn strike(self: &Arc<Self>) {
        let rule = Arc::clone(self);
        // Killing a process waits for its end.
        let call = tokio::task::spawn_blocking(move || {
            if let Some(call) = &rule.call {
                call();
            }
        });
        // A call that panics is a test that fails elsewhere.
        let _ = call.await;
        self.hits.fetch_add(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Rule").field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// Watches whose events are held back.
pub(super) struct Held {
    pub(super) matches: Matches,
    pub(super) delay: Option<Duration>,
    /// only watches that had begun then
    pub(super) before: Option<Instant>,
}

impl fmt::Debug for Held {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Held").field("delay", &self.delay).finish_non_exhaustive()
    }
}
