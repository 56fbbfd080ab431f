//! Whether the Lease lives by which a controller says that it can resize.
//!
//! It lives while it is seen to be renewed within its own duration, by the clock of this process:
//! the clocks of two machines are never compared. What was seen once only may have stood there for
//! years.

use std::sync::Arc;
use std::time::Duration;

use stateward_core::facts::ControllerState;
use stateward_resize::CAN_RESIZE;
use tokio::time::Instant;

use super::watch::Seen;

/// The longest duration that is believed, so that a wrong number does not make a Lease live for
/// ever.
const LONGEST: Duration = Duration::from_secs(300);

/// A Lease as read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaseRead {
    /// `spec.renewTime`, only ever compared with another
    pub(super) renewed: String,
    /// `spec.leaseDurationSeconds`
    pub(super) duration: Duration,
    /// whether anybody holds it
    pub(super) held: bool,
}

/// What was seen of the Lease.
pub(super) struct LeaseSlot {
    name: String,
    seen: Option<LeaseRead>,
    listed: bool,
    until: Option<Instant>,
    lost: Option<String>,
}

impl LeaseSlot {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            name: format!("Lease {namespace}/{CAN_RESIZE}"),
            seen: None,
            listed: false,
            until: None,
            lost: None,
        }
    }

    /// Takes note of what the watch saw. A list shows how it stands, not that it was renewed just
    /// now: a watch that was cut off for an hour ends in one.
    pub(super) fn note(&mut self, seen: Seen<LeaseRead>, now: Instant) {
        match seen {
            Seen::All(mut list) => {
                self.seen = list.pop();
                self.listed = true;
                self.lost = None;
                if !self.seen.as_ref().is_some_and(|lease| lease.held) {
                    self.until = None;
                }
            }
            Seen::Applied(lease) => {
                let renewed = self.seen.as_ref().is_some_and(|old| old.renewed != lease.renewed);
                if !lease.held {
                    self.until = None;
                } else if renewed {
                    self.until = Some(now + lease.duration.min(LONGEST));
                }
                self.seen = Some(lease);
            }
            Seen::Deleted(_) => (self.seen, self.until) = (None, None),
            Seen::Lost(why) => self.lost = Some(why),
        }
    }

    /// Until when it lives, unless it is renewed again.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// What it says at this time.
    pub(super) fn controller(&self, now: Instant) -> ControllerState {
        let name = &self.name;
        let why = match (&self.until, &self.seen, &self.lost) {
            (Some(until), ..) if now < *until => return ControllerState::Runs,
            (_, _, Some(lost)) => format!("{name} cannot be watched: {lost}"),
            _ if !self.listed => format!("{name} is not yet read"),
            (_, None, None) => format!("{name} does not exist"),
            (_, Some(lease), None) if !lease.held => format!("nobody holds {name}"),
            (None, Some(_), None) => format!("{name} was not yet seen to be renewed"),
            (Some(_), Some(_), None) => format!("{name} is no longer renewed"),
        };
        ControllerState::Absent(Arc::from(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(renewed: &str) -> LeaseRead {
        LeaseRead { renewed: renewed.to_owned(), duration: Duration::from_secs(15), held: true }
    }

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
    fn it_lives_while_it_is_seen_to_be_renewed() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut slot = LeaseSlot::new("stateward");
        assert_eq!(why(&slot, at(0)), "it is not yet read");
        slot.note(Seen::All(Vec::new()), at(0));
        assert_eq!(why(&slot, at(0)), "it does not exist");
        slot.note(Seen::Applied(lease("1")), at(1));
        assert_eq!(why(&slot, at(1)), "it was not yet seen to be renewed");
        slot.note(Seen::Applied(lease("2")), at(5));
        assert_eq!((why(&slot, at(19)), slot.until()), ("runs".to_owned(), Some(at(20))));
        // Somebody labels it: that renews nothing.
        slot.note(Seen::Applied(lease("2")), at(18));
        assert_eq!(why(&slot, at(20)), "it is no longer renewed");
        slot.note(Seen::Applied(lease("3")), at(30));
        assert_eq!(why(&slot, at(31)), "runs");
        let released = LeaseRead { held: false, ..lease("4") };
        slot.note(Seen::Applied(released), at(32));
        assert_eq!(why(&slot, at(32)), "nobody holds it");
        slot.note(Seen::Applied(lease("5")), at(33));
        slot.note(Seen::Deleted(lease("5")), at(34));
        assert_eq!(why(&slot, at(34)), "it does not exist");
    }

    #[test]
    fn a_list_after_a_cut_proves_no_renewal() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut slot = LeaseSlot::new("stateward");
        slot.note(Seen::All(vec![lease("1")]), at(0));
        slot.note(Seen::Applied(lease("2")), at(1));
        slot.note(Seen::Lost("cut".to_owned()), at(2));
        assert_eq!(why(&slot, at(15)), "runs");
        assert_eq!(why(&slot, at(16)), "it cannot be watched: cut");
        slot.note(Seen::All(vec![lease("700")]), at(3600));
        assert_eq!(why(&slot, at(3600)), "it is no longer renewed");
        slot.note(Seen::Applied(lease("701")), at(3605));
        assert_eq!(why(&slot, at(3605)), "runs");
    }

    #[test]
    fn a_wrong_duration_does_not_live_for_ever() {
        let now = Instant::now();
        let mut slot = LeaseSlot::new("stateward");
        slot.note(Seen::All(vec![lease("1")]), now);
        let century = LeaseRead { duration: Duration::from_secs(u64::MAX), ..lease("2") };
        slot.note(Seen::Applied(century), now);
        assert_eq!(slot.until(), Some(now + LONGEST));
    }
}
