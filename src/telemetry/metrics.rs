//! What is counted, in the `OpenMetrics` text format.

use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels with fixed names. Values are `&'static str`, so that nothing from a request becomes one.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// From 100 µs, which a review should not reach, to the 10 s after which the API server gives up.
const DURATION_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: Family<Labels<4>, Counter>,
    verdicts: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    shed: Family<Labels<1>, Counter>,
    panics: Counter,
    deadline_misses: Counter,
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
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("stateward");
        let durations: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let mut metrics = Self {
            reviews: Family::default(),
            verdicts: Family::default(),
            durations: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
            shed: Family::default(),
            panics: Counter::default(),
            deadline_misses: Counter::default(),
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
            registry: Registry::default(),
        };
        metrics.register(&mut registry);
        metrics.registry = registry;
        // A counter that stays absent until its first event hides the change from 0 to 1.
        for reason in ["connections", "reviews", "memory"] {
            drop(metrics.shed.get_or_create(&[("reason", reason)]));
        }
        for result in ["ok", "failed"] {
            drop(metrics.certificate_reloads.get_or_create(&[("result", result)]));
            drop(metrics.policy_reloads.get_or_create(&[("result", result)]));
            drop(metrics.trust_checks.get_or_create(&[("result", result)]));
        }
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register("reviews", "Reviews answered", self.reviews.clone());
        registry.register("rule_verdicts", "Verdicts by rule", self.verdicts.clone());
        registry.register(
            "review_duration_seconds",
            "Time from the head of a request to its answer",
            self.durations.clone(),
        );
        registry.register(
            "reviews_in_flight",
            "Reviews that are being judged",
            self.in_flight.clone(),
        );
        registry.register(
            "shed",
            "Requests and connections turned away because a cap was reached",
            self.shed.clone(),
        );
        registry.register("review_panics", "Reviews that panicked", self.panics.clone());
        registry.register(
            "review_deadline_misses",
            "Reviews that missed their deadline",
            self.deadline_misses.clone(),
        );
        registry.register(
            "bad_requests",
            "Requests that were no review that can be judged",
            self.bad_requests.clone(),
        );
        registry.register("connections", "Open webhook connections", self.connections.clone());
        registry.register(
            "connections_closed",
            "Webhook connections that ended, by the reason",
            self.connections_closed.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "Connections that ended before TLS was agreed",
            self.handshake_failures.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the serving certificate expires",
            self.certificate_expiry.clone(),
        );
        registry.register(
            "certificate_reloads",
            "Changes of the certificate files that were taken or refused",
            self.certificate_reloads.clone(),
        );
        registry.register(
            "authority_expiry_timestamp_seconds",
            "When the authority in the cluster expires; 0 where certificates come from elsewhere",
            self.authority_expiry.clone(),
        );
        registry.register(
            "ca_bundle_edits",
            "Times that the caBundle of a webhook configuration was put right",
            self.bundle_edits.clone(),
        );
        registry.register(
            "ca_bundle_trusted",
            "Whether both webhook configurations trust the certificate made in the cluster; 0 where it \
             comes from elsewhere",
            self.bundle_trusted.clone(),
        );
        registry.register(
            "certificate_trust_checks",
            "Looks at the authority and both webhook configurations",
            self.trust_checks.clone(),
        );
        registry.register(
            "policy_reloads",
            "Changes of the policy file that were taken or refused",
            self.policy_reloads.clone(),
        );
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    /// For metrics of others, before the server starts.
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

    /// How many reviews are being judged.
    pub fn in_flight(&self) -> &Gauge {
        &self.in_flight
    }

    /// A cap was reached: `connections`, `reviews` or `memory`.
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

    /// TLS was not agreed.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.get_or_create(&[("reason", reason)]).inc();
    }

    /// When the serving certificate expires, in seconds since 1970.
    pub fn certificate_expires(&self, timestamp: i64) {
        self.certificate_expiry.set(timestamp);
    }

    /// Changed certificate files were taken, or refused.
    pub fn certificate_reloaded(&self, taken: bool) {
        self.certificate_reloads.get_or_create(&[("result", result(taken))]).inc();
    }

    /// When the authority in the cluster expires, in seconds since 1970.
    pub fn authority_expires(&self, timestamp: i64) {
        self.authority_expiry.set(timestamp);
    }

    /// The `caBundle` of a webhook configuration was put right.
    pub fn bundle_edited(&self, kind: &'static str) {
        self.bundle_edits.get_or_create(&[("kind", kind)]).inc();
    }

    /// Whether both webhook configurations trust the certificate made in the cluster.
    pub fn bundle_trusted(&self, trusted: bool) {
        self.bundle_trusted.set(i64::from(trusted));
    }

    /// Authority and configurations were looked at, with or without success.
    pub fn trust_checked(&self, done: bool) {
        self.trust_checks.get_or_create(&[("result", result(done))]).inc();
    }

    /// A changed policy file was taken, or refused.
    pub fn policy_reloaded(&self, taken: bool) {
        self.policy_reloads.get_or_create(&[("result", result(taken))]).inc();
    }

    /// All of them as text, of type [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// A metric that cannot be written, which is a fault of its type.
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
