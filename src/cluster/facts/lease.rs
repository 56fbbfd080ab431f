//! What is said of the Lease by which a controller tells that it can resize.

use std::sync::Arc;

use stateward_core::facts::ControllerState;
use stateward_resize::CAN_RESIZE;
use tokio::time::Instant;

use crate::cluster::lease::{LeaseLiveness, LeaseRead};
use crate::cluster::watch::Seen;

/// What a watch has seen of the Lease.
pub(super) struct LeaseSlot {
    name: String,
    liveness: LeaseLiveness,
    listed: bool,
    lost: Option<String>,
}

impl LeaseSlot {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            name: format!("Lease {namespace}/{CAN_RESIZE}"),
            liveness: LeaseLiveness::default(),
            listed: false,
            lost: None,
        }
    }

    /// Takes note of what the watch saw. A broken watch ends in a list, after which renewals may
    /// have been missed.
    pub(super) fn apply(&mut self, seen: Seen<LeaseRead>, now: Instant) {
        match seen {
            Seen::All(mut list) => {
                self.liveness.observe_after_gap(list.pop(), now);
                self.listed = true;
                self.lost = None;
            }
            Seen::Applied(lease) => self.liveness.observe(lease, now),
            Seen::Deleted(_) => self.liveness = LeaseLiveness::default(),
            Seen::Lost(failure) => self.lost = Some(failure.why),
        }
    }

    /// When the Lease stops being alive, unless it is renewed again.
    pub(super) const fn alive_until(&self) -> Option<Instant> {
        self.liveness.alive_until()
    }

    /// What the Lease says at this time.
    pub(super) fn controller(&self, now: Instant) -> ControllerState {
        let name = &self.name;
        let why = match (self.liveness.alive_until(), self.liveness.last(), &self.lost) {
            _ if self.liveness.is_alive(now) => return ControllerState::Runs,
            (_, _, Some(lost)) => format!("{name} cannot be watched: {lost}"),
            _ if !self.listed => format!("{name} is not yet read"),
            (_, None, None) => format!("{name} does not exist"),
            (_, Some(lease), None) if !lease.is_held() => format!("nobody holds {name}"),
            (None, Some(_), None) => format!("{name} was not yet seen to be renewed"),
            (Some(_), Some(_), None) => format!("{name} is no longer renewed"),
        };
        ControllerState::Absent(Arc::from(why))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::lease::tests::lease;
    use crate::cluster::watch::Failure;

    fn why(slot: &LeaseSlot, now: Instant) -> String {
        match slot.controller(now) {
            ControllerState::Runs => "runs".to_owned(),
            ControllerState::Absent(why) => {
                why.replace("Lease stateward/stateward-can-resize", "it")
            }
            ControllerState::NotLooked => panic!("somebody looks"),
        }
    }

    #[test]
    fn it_says_why_no_controller_is_known_to_run() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut slot = LeaseSlot::new("stateward");
        assert_eq!(why(&slot, at(0)), "it is not yet read");
        slot.apply(Seen::All(Vec::new()), at(0));
        assert_eq!(why(&slot, at(0)), "it does not exist");
        slot.apply(Seen::Applied(lease("1", "a")), at(1));
        assert_eq!(why(&slot, at(1)), "it was not yet seen to be renewed");
        slot.apply(Seen::Applied(lease("2", "a")), at(5));
        assert_eq!((why(&slot, at(19)), slot.alive_until()), ("runs".to_owned(), Some(at(20))));
        assert_eq!(why(&slot, at(20)), "it is no longer renewed");
        slot.apply(Seen::Applied(lease("3", "")), at(32));
        assert_eq!(why(&slot, at(32)), "nobody holds it");
        slot.apply(Seen::Deleted(lease("3", "")), at(34));
        assert_eq!(why(&slot, at(34)), "it does not exist");
    }

    #[test]
    fn a_lost_watch_is_said_once_the_lease_is_over() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut slot = LeaseSlot::new("stateward");
        slot.apply(Seen::All(vec![lease("1", "a")]), at(0));
        slot.apply(Seen::Applied(lease("2", "a")), at(1));
        slot.apply(Seen::Lost(Failure::of("cut")), at(2));
        assert_eq!(why(&slot, at(15)), "runs");
        assert_eq!(why(&slot, at(16)), "it cannot be watched: cut");
        slot.apply(Seen::All(vec![lease("700", "a")]), at(3600));
        assert_eq!(why(&slot, at(3600)), "it is no longer renewed");
    }
}
