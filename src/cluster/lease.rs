//! Whether a Lease is alive.
//!
//! It is alive while it is seen to be renewed within its own duration, by the clock of this
//! process: the clocks of two machines are never compared. A Lease that was seen only once may be
//! years old.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::path;

/// The longest duration that is believed of a Lease that is alive, so that a wrong number does not
/// keep it alive for ever.
const LONGEST: Duration = Duration::from_secs(300);

/// What is decoded of a Lease. The time is text because it is only ever compared with another.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Lease {
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    renew_time: Option<String>,
    lease_duration_seconds: Option<i64>,
    holder_identity: Option<String>,
}

/// What is read of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaseRead {
    /// `spec.renewTime`, only ever compared with another
    renewed: String,
    /// `spec.leaseDurationSeconds`
    duration: Duration,
    /// `spec.holderIdentity`; empty for none
    holder: String,
}

impl LeaseRead {
    pub(crate) fn new(lease: &Lease) -> Self {
        let Some(spec) = &lease.spec else { return Self::default() };
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or_default());
        Self {
            renewed: spec.renew_time.clone().unwrap_or_default(),
            duration: Duration::from_secs(seconds.unwrap_or_default()),
            holder: spec.holder_identity.clone().unwrap_or_default(),
        }
    }

    /// A Lease as the API server wrote it. One that cannot be read is held by nobody.
    pub(crate) fn read(lease: &RawValue) -> Self {
        serde_json::from_str(lease.get()).map(|lease| Self::new(&lease)).unwrap_or_default()
    }

    pub(crate) fn is_held(&self) -> bool {
        !self.holder.is_empty()
    }
}

/// What was seen of one Lease over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeaseLiveness {
    /// the Lease, and when it was first seen like this
    seen: Option<(LeaseRead, Instant)>,
    alive_until: Option<Instant>,
}

impl LeaseLiveness {
    /// Takes note of a Lease that was read after the one before, or seen to change by a watch.
    pub(crate) fn observe(&mut self, lease: LeaseRead, now: Instant) {
        let renewed = self.seen.as_ref().is_some_and(|(old, _)| old.renewed != lease.renewed);
        if !lease.is_held() {
            self.alive_until = None;
        } else if renewed {
            self.alive_until = Some(now + lease.duration.min(LONGEST));
        }
        self.keep(lease, now);
    }

    /// Takes note of the Lease after a time in which nothing was seen. It proves no renewal: that
    /// may have been long ago.
    pub(crate) fn observe_after_gap(&mut self, lease: Option<LeaseRead>, now: Instant) {
        let Some(lease) = lease else { return *self = Self::default() };
        if !lease.is_held() {
            self.alive_until = None;
        }
        self.keep(lease, now);
    }

    fn keep(&mut self, lease: LeaseRead, now: Instant) {
        match &mut self.seen {
            Some((old, _)) if old.renewed == lease.renewed && old.holder == lease.holder => {
                *old = lease;
            }
            seen => *seen = Some((lease, now)),
        }
    }

    /// The Lease as it was seen last.
    pub(crate) fn last(&self) -> Option<&LeaseRead> {
        self.seen.as_ref().map(|(lease, _)| lease)
    }

    /// When the Lease stops being alive, unless it is renewed again. None if no renewal was seen.
    pub(crate) const fn alive_until(&self) -> Option<Instant> {
        self.alive_until
    }

    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        self.alive_until.is_some_and(|until| now < until)
    }

    /// Whether the Lease was not renewed for its whole duration, so that another may take it.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.seen.as_ref().is_none_or(|(lease, since)| now - *since >= lease.duration)
    }
}

/// The path of the Leases of `namespace`.
pub fn leases(namespace: &str) -> String {
    path(["apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases"])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A Lease of 15 s with this `renewTime`.
    pub(crate) fn lease(renewed: &str, holder: &str) -> LeaseRead {
        let duration = Duration::from_secs(15);
        LeaseRead { renewed: renewed.to_owned(), duration, holder: holder.to_owned() }
    }

    #[test]
    fn it_is_alive_while_it_is_seen_to_be_renewed() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut liveness = LeaseLiveness::default();
        assert!(liveness.is_expired(at(0)) && !liveness.is_alive(at(0)));
        liveness.observe(lease("1", "a"), at(1));
        assert!(!liveness.is_alive(at(1)) && !liveness.is_expired(at(1)), "it may be years old");
        liveness.observe(lease("2", "a"), at(5));
        assert!(liveness.is_alive(at(19)) && !liveness.is_expired(at(19)));
        // Somebody labels it: that renews nothing.
        liveness.observe(lease("2", "a"), at(18));
        assert!(!liveness.is_alive(at(20)) && liveness.is_expired(at(20)));
        liveness.observe(lease("3", "a"), at(30));
        assert!(liveness.is_alive(at(31)));
        liveness.observe(lease("4", ""), at(32));
        assert!(!liveness.is_alive(at(32)), "its holder gave it back");
    }

    #[test]
    fn what_is_read_after_a_gap_proves_no_renewal() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut liveness = LeaseLiveness::default();
        liveness.observe_after_gap(Some(lease("1", "a")), at(0));
        liveness.observe(lease("2", "a"), at(1));
        liveness.observe_after_gap(Some(lease("700", "a")), at(3600));
        assert!(!liveness.is_alive(at(3600)) && !liveness.is_expired(at(3600)));
        liveness.observe(lease("701", "a"), at(3605));
        assert!(liveness.is_alive(at(3605)));
        liveness.observe_after_gap(None, at(3606));
        assert!(!liveness.is_alive(at(3606)) && liveness.last().is_none());
    }

    #[test]
    fn a_wrong_duration_does_not_keep_it_alive_for_ever() {
        let now = Instant::now();
        let mut liveness = LeaseLiveness::default();
        liveness.observe(lease("1", "a"), now);
        let century = LeaseRead { duration: Duration::from_secs(u64::MAX), ..lease("2", "a") };
        liveness.observe(century, now);
        assert_eq!(liveness.alive_until(), Some(now + LONGEST));
        assert!(!liveness.is_expired(now + LONGEST));
    }
}
