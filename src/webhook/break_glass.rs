//! Whether everything is allowed for a while, because somebody in charge said so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

/// Says until when everything is allowed. Clones are the same handle.
#[derive(Clone, Debug, Default)]
pub struct BreakGlass {
    disabled: Arc<ArcSwapOption<Disabled>>,
}

#[derive(Debug)]
struct Disabled {
    until: Timestamp,
    /// the same moment by the clock of this machine, which may differ from that of the cluster
    ends: Instant,
}

impl BreakGlass {
    /// Nothing is disabled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows everything for the time that is `left`, which ends at `until`.
    pub fn disable(&self, until: Timestamp, left: Duration) {
        let ends = Instant::now() + left;
        self.disabled.store(Some(Arc::new(Disabled { until, ends })));
    }

    /// Judges again.
    pub fn enable(&self) {
        self.disabled.store(None);
    }

    /// Until when everything is allowed, if it is.
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
    fn it_ends_by_itself_and_by_hand() {
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
