//! Intervals and bounds of the controller, so that one tenant cannot starve the others.

use std::time::Duration;

use jiff::SignedDuration;

/// How long reading one set and what is around it may take.
pub(super) const OBSERVING: Duration = Duration::from_secs(60);
/// How long the dry runs of one set may take.
pub(super) const DRY_RUNS: Duration = Duration::from_secs(60);
/// Once the garbage collector takes longer to orphan what a set owns, that is read as well.
pub(super) const SLOW_ORPHANING: SignedDuration = SignedDuration::from_secs(5);
/// For how long a write that was refused is not tried again; it doubles, up to the longest rest.
pub(super) const REFUSED: Duration = Duration::from_secs(2);
/// After how long a request without a record is an alarm.
pub(super) const UNANSWERED: Duration = Duration::from_secs(120);
/// One namespace has at most this part of the concurrent reconciles: a quarter.
const RECONCILES_OF_ONE: usize = 4;
/// One namespace has at most this part of the sets that are touched together: half.
const TOUCHED_OF_ONE: usize = 2;

/// Every interval and bound of the driver, so that tests need not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// how long a Lease is held without being renewed
    pub lease: Duration,
    /// how often Leases are renewed
    pub renew: Duration,
    /// the first pause after a write that failed; it doubles
    pub back_off: Duration,
    /// the longest pause after a write that failed
    pub back_off_limit: Duration,
    /// the longest pause while a set is away
    pub recreation_back_off_limit: Duration,
    /// how long a set may be away before an instance that does not lead brings it back
    pub patience: Duration,
    /// how long changes are gathered before a set is reconciled; it doubles while nothing comes of it
    pub gather: Duration,
    /// the longest time for which changes are gathered
    pub gather_limit: Duration,
    /// how long a watch lives: one that says nothing for longer is taken for dead, and nothing else
    /// tells of a request of which there is no record yet
    pub watch: Duration,
    /// how many sets are reconciled at the same time
    pub concurrent_reconciles: usize,
    /// how many sets are between the retention pin and adoption together
    pub touched: usize,
    /// how long one reconcile may take before the controller counts as stuck: longer than it reads
    /// and writes
    pub stuck: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(5),
            back_off: Duration::from_millis(100),
            back_off_limit: Duration::from_secs(30),
            recreation_back_off_limit: Duration::from_secs(2),
            patience: Duration::from_millis(500),
            gather: Duration::from_millis(20),
            gather_limit: Duration::from_secs(2),
            watch: Duration::from_secs(60),
            concurrent_reconciles: 16,
            touched: 10,
            stuck: Duration::from_secs(240),
        }
    }
}

/// The interval after this many times in a row: `first`, doubled each time, and at most `longest`.
pub(super) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.pow(times.clamp(1, 12) - 1)).min(longest)
}

impl Intervals {
    /// How many sets of one namespace are reconciled at the same time.
    pub(super) fn reconciles_of_one(&self) -> usize {
        (self.concurrent_reconciles / RECONCILES_OF_ONE).max(1)
    }

    /// How many sets of one namespace are touched together.
    pub(super) fn touched_of_one(&self) -> usize {
        (self.touched / TOUCHED_OF_ONE).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_doubles_up_to_the_longest() {
        let (first, longest) = (Duration::from_secs(2), Duration::from_secs(30));
        let after = |times| doubled(first, times, longest).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, u32::MAX].map(after), [2, 2, 4, 8, 16, 30, 30]);
        assert_eq!(doubled(Duration::MAX, 9, Duration::MAX), Duration::MAX);
    }
}
