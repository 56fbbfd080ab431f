//! The metrics of the webhook, in the `OpenMetrics` text format.

use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use stateward_core::facts::{FACT_KINDS, FactKind};
use stateward_core::review::NoVerdict;

use super::optional_gauge::OptionalGauge;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels with fixed names. Values are `&'static str`, so that nothing from a request becomes one.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// From 100 µs, which a review should not reach, to 10 s, the API server's default timeout.
const DURATION_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// From 10 µs; an ordinary review takes less to decode and to decide about.
const PHASE_BUCKETS: [f64; 11] =
    [0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.005, 0.01, 0.1, 1.0];

/// All metrics of the webhook.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Family<Labels<4>, Counter>,
    verdicts: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
    phases: Family<Labels<1>, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    shed: Family<Labels<1>, Counter>,
    panics: Counter,
    deadline_misses: Counter,
    without_verdict: Family<Labels<1>, Counter>,
    bad_requests: Family<Labels<1>, Counter>,
    connections: Gauge,
    connections_closed: Family<Labels<1>, Counter>,
    handshake_failures: Family<Labels<1>, Counter>,
    certificate_expiry: Gauge,
    certificate_reloads: Family<Labels<1>, Counter>,
    authority_expiry: Gauge,
    bundle_edits: Family<Labels<1>, Counter>,
    bundle_trusted: Gauge,
    trust_checks: Family<Labels<1>, Counter>,
    policy_reloads: Family<Labels<1>, Counter>,
    policy_invalid: Gauge,
    audit_mode: Gauge,
    disabled: Gauge,
    namespace_reads: Family<Labels<1>, Counter>,
    canaries: Family<Labels<1>, Counter>,
    events: Family<Labels<1>, Counter>,
    facts_unknown: Family<Labels<1>, Gauge>,
    enforcing: OptionalGauge,
    canary_success: OptionalGauge,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("stateward");
        let durations: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let phases: fn() -> Histogram = || Histogram::new(PHASE_BUCKETS);
        let mut metrics = Self {
            reviews: Family::default(),
            verdicts: Family::default(),
            durations: Family::new_with_constructor(durations),
            phases: Family::new_with_constructor(phases),
            in_flight: Gauge::default(),
            shed: Family::default(),
            panics: Counter::default(),
            deadline_misses: Counter::default(),
            without_verdict: Family::default(),
            bad_requests: Family::default(),
            connections: Gauge::default(),
            connections_closed: Family::default(),
            handshake_failures: Family::default(),
            certificate_expiry: Gauge::default(),
            certificate_reloads: Family::default(),
            authority_expiry: Gauge::default(),
            bundle_edits: Family::default(),
            bundle_trusted: Gauge::default(),
            trust_checks: Family::default(),
            policy_reloads: Family::default(),
            policy_invalid: Gauge::default(),
            audit_mode: Gauge::default(),
            disabled: Gauge::default(),
            namespace_reads: Family::default(),
            canaries: Family::default(),
            events: Family::default(),
            facts_unknown: Family::default(),
            enforcing: OptionalGauge::default(),
            canary_success: OptionalGauge::default(),
            registry: Registry::default(),
        };
        metrics.register_reviews(&mut registry);
        metrics.register_connections(&mut registry);
        metrics.register_policy(&mut registry);
        metrics.register_cluster(&mut registry);
        registry.register(
            "build",
            "The running version",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        metrics.registry = registry;
        // If a counter is absent until its first event, Prometheus cannot see its change from 0 to 1.
        for reason in ["connections", "reviews", "memory"] {
            drop(metrics.shed.get_or_create(&[("reason", reason)]));
        }
        for reason in NoVerdict::ALL {
            drop(metrics.without_verdict.get_or_create(&[("reason", reason.name())]));
        }
        for result in ["ok", "failed"] {
            drop(metrics.certificate_reloads.get_or_create(&[("result", result)]));
            drop(metrics.policy_reloads.get_or_create(&[("result", result)]));
            drop(metrics.trust_checks.get_or_create(&[("result", result)]));
            drop(metrics.namespace_reads.get_or_create(&[("result", result)]));
        }
        metrics
    }

    fn register_reviews(&self, registry: &mut Registry) {
        registry.register("reviews", "Reviews answered", self.reviews.clone());
        registry.register("rule_verdicts", "Verdicts by rule", self.verdicts.clone());
        registry.register(
            "review_duration_seconds",
            "Time from the head of a request to its answer",
            self.durations.clone(),
        );
        registry.register(
            "review_phase_duration_seconds",
            "Time to decode a review, and to decide about it",
            self.phases.clone(),
        );
        registry.register(
            "reviews_in_flight",
            "Reviews that are being judged",
            self.in_flight.clone(),
        );
        registry.register(
            "shed",
            "Requests and connections rejected because a limit was reached",
            self.shed.clone(),
        );
        registry.register("review_panics", "Reviews that panicked", self.panics.clone());
        registry.register(
            "review_deadline_misses",
            "Reviews that missed their deadline",
            self.deadline_misses.clone(),
        );
        registry.register(
            "reviews_without_verdict",
            "Reviews that could not be judged, by reason",
            self.without_verdict.clone(),
        );
        registry.register(
            "bad_requests",
            "Requests that are no valid review, by reason",
            self.bad_requests.clone(),
        );
    }

    fn register_connections(&self, registry: &mut Registry) {
        registry.register("connections", "Open webhook connections", self.connections.clone());
        registry.register(
            "connections_closed",
            "Webhook connections that ended, by reason",
            self.connections_closed.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "Failed TLS handshakes, by reason",
            self.handshake_failures.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the serving certificate expires",
            self.certificate_expiry.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Reloads of changed certificate files, by result",
            self.certificate_reloads.clone(),
        );
    }

    fn register_policy(&self, registry: &mut Registry) {
        registry.register(
            "policy_reloads",
            "Reloads of a changed policy file, by result",
            self.policy_reloads.clone(),
        );
        registry.register(
            "policy_invalid",
            "1 if the policy file is invalid and the last valid policy is in force",
            self.policy_invalid.clone(),
        );
        registry.register(
            "audit_mode",
            "1 if the policy says mode: audit, which denies nothing",
            self.audit_mode.clone(),
        );
    }

    fn register_cluster(&self, registry: &mut Registry) {
        registry.register(
            "authority_expiry_timestamp_seconds",
            "When the authority in the cluster expires; 0 if certificates come from elsewhere",
            self.authority_expiry.clone(),
        );
        registry.register(
            "ca_bundle_edits",
            "Corrections of the caBundle of a webhook configuration",
            self.bundle_edits.clone(),
        );
        registry.register(
            "ca_bundle_trusted",
            "1 if both webhook configurations trust the certificate made in the cluster; 0 if it comes \
             from elsewhere",
            self.bundle_trusted.clone(),
        );
        registry.register(
            "certificate_trust_checks",
            "Checks of the authority and both webhook configurations, by result",
            self.trust_checks.clone(),
        );
        registry.register(
            "disabled",
            "1 if an annotation on stateward's namespace makes it allow everything",
            self.disabled.clone(),
        );
        registry.register(
            "namespace_reads",
            "Reads of the annotations of stateward's namespace, by result",
            self.namespace_reads.clone(),
        );
        registry.register(
            "canaries",
            "Canaries sent through the API server: refused, or the likely cause why not",
            self.canaries.clone(),
        );
        registry.register(
            "events",
            "Events about denials: sent, skipped because there were many, or failed",
            self.events.clone(),
        );
        registry.register(
            "facts_unknown",
            "1 if the webhook cannot read the objects of a kind, so that rules judge without them; absent without a \
             cluster",
            self.facts_unknown.clone(),
        );
        registry.register(
            "enforcing",
            "1 if both webhooks refused the last canary; absent before the first",
            self.enforcing.clone(),
        );
        registry.register(
            "canary_last_success_timestamp_seconds",
            "When both webhooks last refused a canary",
            self.canary_success.clone(),
        );
    }

    /// The registry, to add metrics before the server starts.
    pub fn registry_mut(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// A review was answered.
    pub fn reviewed(
        &self,
        endpoint: &'static str,
        operation: &'static str,
        kind: &'static str,
        outcome: &'static str,
    ) {
        self.reviews
            .get_or_create(&[
                ("endpoint", endpoint),
                ("operation", operation),
                ("kind", kind),
                ("outcome", outcome),
            ])
            .inc();
    }

    /// A rule gave a verdict.
    pub fn judged(&self, rule: &'static str, verdict: &'static str) {
        self.verdicts.get_or_create(&[("rule", rule), ("verdict", verdict)]).inc();
    }

    /// A review took this long.
    pub fn took(&self, endpoint: &'static str, duration: Duration) {
        self.durations.get_or_create(&[("endpoint", endpoint)]).observe(duration.as_secs_f64());
    }

    /// A phase of a review took this long: `decode` or `decide`.
    pub fn phase_took(&self, phase: &'static str, duration: Duration) {
        self.phases.get_or_create(&[("phase", phase)]).observe(duration.as_secs_f64());
    }

    /// How many reviews are being judged.
    pub fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    /// A limit was reached: `connections`, `reviews` or `memory`.
    pub fn shed(&self, reason: &'static str) {
        self.shed.get_or_create(&[("reason", reason)]).inc();
    }

    /// A review panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// A review missed its deadline.
    pub fn missed_deadline(&self) {
        self.deadline_misses.inc();
    }

    /// A review could not be judged; `reason` is the name of a [`NoVerdict`].
    pub fn without_verdict(&self, reason: &'static str) {
        self.without_verdict.get_or_create(&[("reason", reason)]).inc();
    }

    /// A request was no review that can be judged.
    pub fn bad_request(&self, reason: &'static str) {
        self.bad_requests.get_or_create(&[("reason", reason)]).inc();
    }

    /// How many webhook connections are open.
    pub fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// A webhook connection ended.
    pub fn connection_closed(&self, reason: &'static str) {
        self.connections_closed.get_or_create(&[("reason", reason)]).inc();
    }

    /// A TLS handshake failed.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// When the serving certificate expires, in seconds since 1970.
    pub fn certificate_expires(&self, timestamp: i64) {
        self.certificate_expiry.set(timestamp);
    }

    /// Changed certificate files were loaded, or are invalid.
    pub fn certificate_reloaded(&self, taken: bool) {
        self.certificate_reloads.get_or_create(&[("result", result(taken))]).inc();
    }

    /// When the authority in the cluster expires, in seconds since 1970.
    pub fn authority_expires(&self, timestamp: i64) {
        self.authority_expiry.set(timestamp);
    }

    /// stateward corrected the `caBundle` of a webhook configuration.
    pub fn bundle_edited(&self, kind: &'static str) {
        self.bundle_edits.get_or_create(&[("kind", kind)]).inc();
    }

    /// Whether both webhook configurations trust the certificate made in the cluster.
    pub fn bundle_trusted(&self, trusted: bool) {
        self.bundle_trusted.set(i64::from(trusted));
    }

    /// The authority and the webhook configurations were checked, or could not be.
    pub fn trust_checked(&self, done: bool) {
        self.trust_checks.get_or_create(&[("result", result(done))]).inc();
    }

    /// Whether the policy in force denies nothing.
    pub fn audit_mode(&self, audit: bool) {
        self.audit_mode.set(i64::from(audit));
    }

    /// A changed policy file was loaded, or is invalid.
    pub fn policy_reloaded(&self, taken: bool) {
        self.policy_invalid.set(i64::from(!taken));
        self.policy_reloads.get_or_create(&[("result", result(taken))]).inc();
    }

    /// Whether everything is allowed because the own namespace is annotated so.
    pub fn disabled(&self, disabled: bool) {
        self.disabled.set(i64::from(disabled));
    }

    /// stateward's namespace was read, or could not be.
    pub fn namespace_read(&self, done: bool) {
        self.namespace_reads.get_or_create(&[("result", result(done))]).inc();
    }

    /// The kinds whose objects are not known.
    pub fn facts_unknown(&self, unknown: &[FactKind]) {
        for info in &FACT_KINDS {
            let gauge = self.facts_unknown.get_or_create(&[("kind", info.name)]);
            gauge.set(i64::from(unknown.contains(&info.kind)));
        }
    }

    /// An event about a denial was `sent`, `limited` or `failed`.
    pub fn event(&self, result: &'static str) {
        self.events.get_or_create(&[("result", result)]).inc();
    }

    /// A canary was sent: it was refused by both webhooks, or there is the name of a cause.
    pub fn canary_sent(&self, cause: Option<&'static str>) {
        let result = cause.unwrap_or("refused");
        self.canaries.get_or_create(&[("result", result)]).inc();
        self.enforcing.set(i64::from(cause.is_none()));
        if cause.is_none() {
            let now = jiff::Timestamp::now().as_second();
            self.canary_success.set(now);
        }
    }

    /// All of them as text, of type [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// A metric cannot be encoded, which is a bug in its type.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::with_capacity(16 * 1024);
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const fn result(taken: bool) -> &'static str {
    if taken { "ok" } else { "failed" }
}
