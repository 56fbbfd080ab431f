//! What the resize controller counts.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Labels with fixed names; their values come from closed sets.
type Labels<const N: usize> = [(&'static str, String); N];

/// From the 50 ms of an idle cluster to the two minutes after which the old template is tried.
const RECREATION_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0];

/// Everything that the resize controller counts. Clones are the same metrics.
#[derive(Clone, Debug)]
pub struct ResizeMetrics {
    records: Family<Labels<1>, Gauge>,
    states: Family<Labels<2>, Gauge>,
    claims: Family<Labels<1>, Gauge>,
    writes: Family<Labels<2>, Counter>,
    create_refusals: Counter,
    recreation: Histogram,
    away: Gauge,
    unanswered: Gauge,
    leader: Gauge,
    can_resize: Gauge,
}

impl Default for ResizeMetrics {
    fn default() -> Self {
        Self {
            records: Family::default(),
            states: Family::default(),
            claims: Family::default(),
            writes: Family::default(),
            create_refusals: Counter::default(),
            recreation: Histogram::new(RECREATION_BUCKETS),
            away: Gauge::default(),
            unanswered: Gauge::default(),
            leader: Gauge::default(),
            can_resize: Gauge::default(),
        }
    }
}

impl ResizeMetrics {
    /// Shows them in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let group = registry.sub_registry_with_prefix("resize");
        group.register("records", "Records by phase", self.records.clone());
        group.register(
            "state",
            "Records that do not go on, by state (Waiting, Blocked, Ended) and reason",
            self.states.clone(),
        );
        group.register("claims", "Claims of records that go on, by state", self.claims.clone());
        group.register("writes", "Writes by action and outcome", self.writes.clone());
        group.register(
            "create_refusals",
            "Times that the API server refused to create a set that is away",
            self.create_refusals.clone(),
        );
        group.register(
            "recreation_seconds",
            "Time from the accepted DELETE of a set to its accepted CREATE",
            self.recreation.clone(),
        );
        group.register("sets_away", "Sets that are away through a resize", self.away.clone());
        group.register(
            "requests_unanswered",
            "Requests older than two minutes without a record",
            self.unanswered.clone(),
        );
        group.register("leader", "Whether this instance leads", self.leader.clone());
        group.register(
            "can_resize",
            "Whether this instance says that requests would be carried out",
            self.can_resize.clone(),
        );
    }

    /// How many records there are, by phase; how many do not go on, by state and reason; how many claims of
    /// live records there are, by state. What was counted before and is not named is zero.
    pub fn count<'c>(
        &self,
        phases: impl Iterator<Item = String>,
        states: impl Iterator<Item = (String, String)>,
        claims: impl Iterator<Item = &'c str>,
    ) {
        self.records.clear();
        self.states.clear();
        self.claims.clear();
        for phase in phases {
            self.records.get_or_create(&[("phase", phase)]).inc();
        }
        for (state, reason) in states {
            self.states.get_or_create(&[("state", state), ("reason", reason)]).inc();
        }
        for state in claims {
            self.claims.get_or_create(&[("state", state.to_owned())]).inc();
        }
    }

    /// A write was answered, or not.
    pub fn wrote(&self, action: &str, outcome: &str) {
        let labels = [("action", action.to_owned()), ("outcome", outcome.to_owned())];
        self.writes.get_or_create(&labels).inc();
        if action == "Create" && outcome == "rejected" {
            self.create_refusals.inc();
        }
    }

    /// A set was away this long.
    pub fn was_away(&self, duration: Duration) {
        self.recreation.observe(duration.as_secs_f64());
    }

    /// How many sets are away.
    pub fn away(&self, sets: usize) {
        self.away.set(i64::try_from(sets).unwrap_or(i64::MAX));
    }

    /// How many requests are old and have no record.
    pub fn unanswered(&self, requests: usize) {
        self.unanswered.set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    /// Whether this instance leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Whether this instance says that requests would be carried out.
    pub fn set_can_resize(&self, can_resize: bool) {
        self.can_resize.set(i64::from(can_resize));
    }
}
