//! What the parts of the process report about its health. A leaf: it imports no other module.

mod break_glass;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

pub use self::break_glass::BreakGlass;

/// Problems that `/readyz` reports. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct Health {
    policy: Arc<ArcSwapOption<String>>,
    trust: Arc<ArcSwapOption<String>>,
    unknown_facts: Arc<ArcSwap<Vec<String>>>,
    break_glass: BreakGlass,
}

impl Health {
    /// No problems are known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The reason that the policy file is invalid; `None` if it is valid. The server stays ready and
    /// keeps the last valid policy.
    pub fn set_policy_problem(&self, problem: Option<String>) {
        self.policy.store(problem.map(Arc::new));
    }

    /// The reason that the policy file is invalid.
    pub fn policy_problem(&self) -> Option<Arc<String>> {
        self.policy.load_full()
    }

    /// The reason that the API server does not trust the serving certificate; `None` if it does. The
    /// server is not ready until then.
    pub fn set_trust_problem(&self, problem: Option<String>) {
        self.trust.store(problem.map(Arc::new));
    }

    /// The reason that the API server does not trust the serving certificate.
    pub fn trust_problem(&self) -> Option<Arc<String>> {
        self.trust.load_full()
    }

    /// The kinds whose objects are not known, with the reason. Rules judge without them, so the server
    /// stays ready.
    pub fn set_unknown_facts(&self, unknown: Vec<String>) {
        self.unknown_facts.store(Arc::new(unknown));
    }

    /// The kinds whose objects are not known, with the reason.
    pub fn unknown_facts(&self) -> Arc<Vec<String>> {
        self.unknown_facts.load_full()
    }

    /// The switch that allows everything for a while. The server stays ready.
    pub fn break_glass(&self) -> &BreakGlass {
        &self.break_glass
    }
}
