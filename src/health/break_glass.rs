//! A switch that makes the webhook allow everything for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

/// Allows everything until a given time. Clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct BreakGlass {
    disabled: Arc<ArcSwapOption<Disabled>>,
}

#[derive(Debug)]
struct Disabled {
    until: Timestamp,
    /// the same moment by this machine's clock, which may differ from the cluster's
    ends: Instant,
}

impl BreakGlass {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows everything for the time that is `left`, which ends at `until`.
    pub fn disable(&self, until: Timestamp, left: Duration) {
        let ends = Instant::now() + left;
        self.disabled.store(Some(Arc::new(Disabled { until, ends })));
    }

    /// Judges changes again.
    pub fn enable(&self) {
        self.disabled.store(None);
    }

    /// The time until which everything is allowed; `None` if changes are judged.
    pub fn until(&self) -> Option<Timestamp> {
        let disabled = self.disabled.load();
        let disabled = disabled.as_ref()?;
        (Instant::now() < disabled.ends).then_some(disabled.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_ends_on_time_and_by_hand() {
        let (switch, until) = (BreakGlass::new(), Timestamp::now());
        assert_eq!(switch.until(), None);
        switch.disable(until, Duration::from_secs(60));
        assert_eq!(switch.clone().until(), Some(until));
        switch.disable(until, Duration::ZERO);
        assert_eq!(switch.until(), None);
        switch.disable(until, Duration::from_secs(60));
        switch.enable();
        assert_eq!(switch.until(), None);
    }
}
