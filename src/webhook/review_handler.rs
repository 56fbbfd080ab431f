//! Judges reviews with the pure core, the policy in force and facts about the cluster.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::{FactKind, Facts};
use stateward_core::policy::{Mode, Policy, PolicyError, Resize};
use stateward_core::review::{self, Answer, MalformedReview, NoVerdict, WebhookKind};

use super::recent_deletions::{Deleted, RecentDeletions};
use super::{BadReview, ReviewRequest, Reviewer};
use crate::cluster::Events;
use crate::cluster::facts::ClusterFacts;
use crate::health::{BreakGlass, Health};
use crate::telemetry::Metrics;

/// The reason that a policy file is invalid.
#[derive(Debug, thiserror::Error)]
pub enum LoadPolicyError {
    /// the file cannot be read
    #[error("cannot read the policy {file}")]
    Read {
        /// the file
        file: String,
        /// the reason
        source: std::io::Error,
    },
    /// the file is not a valid policy
    #[error("{file}:{reason}")]
    Parse {
        /// the file
        file: String,
        /// line, column and reason
        reason: PolicyError,
    },
}

/// Settings that the policy file may leave out.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// how growth is answered
    pub resize: Resize,
    /// the namespace of this process
    pub own_namespace: Option<String>,
}

impl Defaults {
    fn fill(&self, policy: Policy) -> Policy {
        let policy = policy.with_default_resize(self.resize);
        match &self.own_namespace {
            Some(namespace) => policy.with_own_namespace(namespace),
            None => policy,
        }
    }
}

/// Judges reviews by a policy that can be replaced at any time.
#[derive(Debug)]
pub struct ReviewHandler {
    policy: ArcSwap<Policy>,
    facts: Facts,
    cluster: OnceLock<ClusterFacts>,
    recent_deletions: RecentDeletions,
    defaults: Defaults,
    kubernetes: ArcSwap<KubernetesVersion>,
    break_glass: BreakGlass,
    metrics: Option<Arc<Metrics>>,
    events: OnceLock<Events>,
}

impl ReviewHandler {
    /// Judges by `policy`, with `defaults` for what it leaves out.
    pub fn new(policy: Policy, defaults: Defaults, kubernetes: KubernetesVersion) -> Self {
        Self {
            policy: ArcSwap::from_pointee(defaults.fill(policy)),
            facts: Facts::none(),
            cluster: OnceLock::new(),
            recent_deletions: RecentDeletions::default(),
            defaults,
            kubernetes: ArcSwap::from_pointee(kubernetes),
            break_glass: BreakGlass::new(),
            metrics: None,
            events: OnceLock::new(),
        }
    }

    /// The facts that hold without a cluster.
    #[must_use]
    pub fn with_facts(mut self, facts: Facts) -> Self {
        self.facts = facts;
        self
    }

    /// Judges with the facts of a cluster from now on. Only the first call counts.
    pub fn set_cluster_facts(&self, cluster: ClusterFacts) {
        let _ = self.cluster.set(cluster);
    }

    /// The kinds of the cluster whose objects are not known, and why; nothing without a cluster.
    pub fn unknown_facts(&self) -> Option<Vec<(FactKind, String)>> {
        let facts = self.cluster.get()?.load();
        Some(facts.unknown_kinds().map(|(kind, why)| (kind, why.to_owned())).collect())
    }

    /// Judges by this version of Kubernetes from now on.
    pub fn set_kubernetes(&self, version: KubernetesVersion) {
        self.kubernetes.store(Arc::new(version));
    }

    /// Measures the phases of reviews and reports the policy's mode.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        metrics.audit_mode(self.policy.load().mode == Mode::Audit);
        self.metrics = Some(metrics);
        self
    }

    /// Allows everything while `break_glass` says so.
    #[must_use]
    pub fn with_break_glass(mut self, break_glass: BreakGlass) -> Self {
        self.break_glass = break_glass;
        self
    }

    /// Runs a phase of a review and measures it.
    fn phase<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let _span = tracing::info_span!("phase", "otel.name" = name).entered();
        let start = Instant::now();
        let done = work();
        if let Some(metrics) = &self.metrics {
            metrics.phase_took(name, start.elapsed());
        }
        done
    }

    /// Writes an event on the object of each denial from now on. Only the first call counts.
    pub fn set_events(&self, events: Events) {
        let _ = self.events.set(events);
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Reloads `file` whenever its content changes. An invalid file leaves the policy as it is; the
    /// log, a metric and `/readyz` report it.
    pub fn follow(
        self: Arc<Self>,
        file: PathBuf,
        interval: Duration,
        metrics: Arc<Metrics>,
        health: Health,
    ) {
        // Reading a file blocks, so this needs a thread of its own.
        std::thread::spawn(move || {
            let mut last = std::fs::read_to_string(&file).ok();
            loop {
                std::thread::sleep(interval);
                let read = std::fs::read_to_string(&file);
                let now = read.as_ref().ok().cloned();
                if now == last {
                    continue;
                }
                last = now;
                match parse(&file, read) {
                    Ok(policy) => {
                        metrics.audit_mode(policy.mode == Mode::Audit);
                        self.policy.store(Arc::new(self.defaults.fill(policy)));
                        metrics.policy_reloaded(true);
                        health.set_policy_problem(None);
                        tracing::info!(policy = %file.display(), "reloaded the policy");
                    }
                    Err(error) => {
                        let text = describe(&error);
                        metrics.policy_reloaded(false);
                        tracing::error!(
                            error = text,
                            "the policy file is invalid; the old policy stays in force"
                        );
                        health.set_policy_problem(Some(text));
                    }
                }
            }
        });
    }
}

/// An error with its cause on one line.
fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Reads and compiles a policy file.
///
/// # Errors
/// The file with line, column and reason.
pub fn load_policy(file: &Path) -> Result<Policy, LoadPolicyError> {
    parse(file, std::fs::read_to_string(file))
}

fn parse(file: &Path, read: std::io::Result<String>) -> Result<Policy, LoadPolicyError> {
    let name = file.display().to_string();
    let text = read.map_err(|source| LoadPolicyError::Read { file: name.clone(), source })?;
    Policy::parse(&text, &name).map_err(|reason| LoadPolicyError::Parse { file: name, reason })
}

impl Reviewer for ReviewHandler {
    fn review(&self, request: &ReviewRequest<'_>) -> Result<Answer, BadReview> {
        let ReviewRequest { webhook, body, authenticated, cancelled } = *request;
        if let Some(until) = self.break_glass.until() {
            return review::disabled(body, until).map_err(BadReview::from);
        }
        let policy = self.policy.load();
        let kubernetes = **self.kubernetes.load();
        let decoded = self.phase("decode", || review::Decoded::read(body, kubernetes))?;
        if cancelled.get() {
            return Err(BadReview("the review was answered already".to_owned()));
        }
        let cluster = self.cluster.get().map(ClusterFacts::load);
        let all = cluster.as_deref().unwrap_or(&self.facts);
        // The answer tells the sender about no object.
        if let Some(answer) = decoded.canary(webhook, &policy, all) {
            return Ok(answer);
        }
        let is_api_server = cluster.is_none() || authenticated || decoded.names_object(all);
        let mut facts = if is_api_server {
            Cow::Borrowed(all)
        } else {
            Cow::Owned(decoded.facts_for_unknown_caller(all, &policy))
        };
        let deleted = decoded.deleted_data().filter(|_| is_api_server);
        let deleted = deleted.map(|(kind, namespace, name, uid)| {
            let [namespace, name, uid] = [namespace, name, uid].map(str::to_owned);
            Deleted { kind, namespace, name, uid }
        });
        if let Some(deleted) = &deleted {
            self.recent_deletions.add(deleted.clone(), Instant::now());
            facts = self.recent_deletions.applied(facts, deleted, Instant::now());
        }
        let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::now() };
        let answer = self.phase("decide", || decoded.answer(webhook, &context));
        if let Some(deleted) = deleted.filter(|_| !answer.allowed) {
            self.recent_deletions.remove(&deleted);
        }
        if let Some(events) = self.events.get()
            && is_api_server
        {
            events.denied(&answer.denials);
        }
        Ok(answer)
    }

    fn without_verdict(
        &self,
        _: WebhookKind,
        beginning: &[u8],
        reason: NoVerdict,
    ) -> Result<Answer, BadReview> {
        let answer = match self.break_glass.until() {
            Some(until) => review::disabled(beginning, until),
            None => review::without_verdict(beginning, reason, &self.policy.load()),
        };
        answer.map_err(BadReview::from)
    }
}

impl From<MalformedReview> for BadReview {
    fn from(error: MalformedReview) -> Self {
        Self(error.to_string())
    }
}
