//! Intervals and bounds of a resize.

use jiff::SignedDuration;
use stateward_core::growth::GrowthLimit;

/// Every interval, so that tests need not wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// the longest rest before the cluster is looked at again
    pub resync: SignedDuration,
    /// the longest rest while a set is away
    pub recreation_resync: SignedDuration,
    /// how old pods and revision must be before the set is deleted
    pub just_changed: SignedDuration,
    /// how long a retention pin may take to hold
    pub pin_timeout: SignedDuration,
    /// how many retention pins may fail, and how many times somebody may re-create the set too small
    pub tries: u32,
    /// how long a CREATE that was sent may still land
    pub create_quarantine: SignedDuration,
    /// how long a refused CREATE is tried with the sizes asked
    pub create_asked: SignedDuration,
    /// after how long of refusal a person may leave the set absent
    pub leave_absent: SignedDuration,
    /// how long a set may be gone before a resize of it ends
    pub set_gone: SignedDuration,
    /// how long the snapshot of a set that somebody deleted is kept
    pub keep_snapshot: SignedDuration,
    /// the longest snapshot, in bytes
    pub snapshot_limit: usize,
    /// whether a request by annotation needs a proven right to grow claims
    pub authorize_claims: bool,
    /// how much a record may ask for at once. The webhook judges annotations by its policy.
    pub growth: GrowthLimit,
    /// after how long the garbage collector counts as stuck
    pub orphaning: SignedDuration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            resync: SignedDuration::from_secs(30),
            recreation_resync: SignedDuration::from_secs(2),
            just_changed: SignedDuration::from_secs(30),
            pin_timeout: SignedDuration::from_secs(60),
            tries: 3,
            create_quarantine: SignedDuration::from_secs(120),
            create_asked: SignedDuration::from_secs(120),
            leave_absent: SignedDuration::from_secs(300),
            set_gone: SignedDuration::from_secs(600),
            keep_snapshot: SignedDuration::from_hours(24),
            snapshot_limit: 700 * 1024,
            authorize_claims: true,
            growth: GrowthLimit::default(),
            orphaning: SignedDuration::from_secs(30),
        }
    }
}
