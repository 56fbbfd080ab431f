//! A world that is played by hand, each step checked as the explorer checks it.

use stateward_core::record::{Phase, Reason, Status};

use crate::people::Fault;
use crate::properties;
use crate::search::{Counts, Label, action_name, decide, successors};
use crate::world::World;

pub(crate) struct Play {
    pub world: World,
}

impl Play {
    /// Begins with as many faults as are asked for.
    pub(crate) fn new(world: World) -> Self {
        Self { world: World { faults: 100, ..world } }
    }

    /// Lets one thing happen; panics where it cannot, or where it breaks a property.
    pub(crate) fn happens(&mut self, label: Label) {
        let faults = match label {
            Label::Fault(fault) | Label::FaultOf(_, fault) => vec![fault],
            _ => Vec::new(),
        };
        let next = successors(&self.world, &faults, &mut Counts::default()).unwrap();
        let next = next.into_iter().find(|next| next.label == label);
        let next = next.unwrap_or_else(|| panic!("{label:?} cannot happen in {:#?}", self.world));
        properties::of_state(&next.world).unwrap();
        self.world = next.world;
    }

    /// What people do.
    pub(crate) fn strike(&mut self, fault: Fault) {
        self.happens(Label::Fault(fault));
    }

    /// What befalls the next write of the first controller.
    pub(crate) fn befalls(&mut self, fault: Fault) {
        self.happens(Label::FaultOf(0, fault));
    }

    /// Whether a person or the cluster could do that now.
    pub(crate) fn can(&self, fault: Fault) -> bool {
        crate::people::strike(&self.world, fault).is_some()
    }

    /// The next write of the first controller.
    pub(crate) fn next_action(&self) -> String {
        action_name(&decide(&self.world, 0))
    }

    /// One step that needs nobody: controllers first, then the control plane, time last. What only
    /// a person puts right stays as it is, and a late write does not arrive.
    pub(crate) fn goes_on(&mut self) -> bool {
        let by_itself = |label: &Label| match label {
            Label::Controller(_) => Some(0),
            Label::Environment("tick") => Some(2),
            Label::Environment(name) => {
                let helped =
                    ["a person", "creating", "pods are", "another", "the leader", "caches"];
                (!helped.iter().any(|helper| name.starts_with(helper))).then_some(1)
            }
            _ => None,
        };
        let next = successors(&self.world, &[], &mut Counts::default()).unwrap();
        let next = next.into_iter().filter(|next| next.world != self.world);
        let next = next.filter_map(|next| Some((by_itself(&next.label)?, next)));
        let Some((_, next)) = next.min_by_key(|(rank, _)| *rank) else { return false };
        properties::of_state(&next.world).unwrap();
        self.world = next.world;
        true
    }

    /// Goes on until something holds; panics where it never does.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            if holds(self) {
                return;
            }
            assert!(self.goes_on(), "never {what}: {:#?}\n{:#?}", self.world, self.status());
        }
        panic!("still not {what}: {:#?}", self.status());
    }

    /// Goes on until this phase is written.
    pub(crate) fn until_phase(&mut self, phase: &Phase) {
        self.until(phase.as_str(), |play| play.world.phase().as_ref() == Some(phase));
    }

    /// Goes on until the first controller is about to do this.
    pub(crate) fn until_about_to(&mut self, action: &str) {
        self.until(action, |play| play.next_action() == action);
    }

    /// Goes on until nothing happens any more.
    pub(crate) fn rests(&mut self) {
        for _ in 0..1000 {
            if !self.goes_on() {
                properties::settled(&self.world).unwrap();
                return;
            }
        }
        panic!("it never rests: {:#?}", self.status());
    }

    /// Without a controller nothing takes the finalizer off.
    #[track_caller]
    pub(crate) fn rests_with_the_finalizer(&mut self) {
        while self.goes_on() {}
        assert!(self.world.record.as_ref().unwrap().finalizer);
    }

    /// Puts everything right that a person can, and rests.
    pub(crate) fn heals(&mut self) {
        while let Some((_, world)) = crate::people::heal(&self.world).into_iter().next() {
            self.world = world;
        }
        self.rests();
    }

    /// The status of the record, which must be there.
    pub(crate) fn status(&self) -> Status {
        self.world.status().unwrap()
    }

    /// Phase and reason.
    pub(crate) fn stands(&self) -> (Phase, Option<Reason>) {
        let status = self.status();
        (status.phase, status.halt.map(|halt| halt.reason))
    }

    /// What the record says beside the reason.
    pub(crate) fn detail(&self) -> String {
        self.status().halt.map(|halt| halt.message).unwrap_or_default()
    }

    /// Resting, the record says so.
    #[track_caller]
    pub(crate) fn rests_in(&mut self, phase: Phase, reason: Reason) {
        self.rests();
        assert_eq!(self.stands(), (phase, Some(reason)), "{}", self.detail());
    }

    /// Resting, everything is as asked, at this size.
    #[track_caller]
    pub(crate) fn completes_at(&mut self, size: u8) {
        self.rests_in(Phase::Complete, Reason::Done);
        let set = self.world.set.as_ref().unwrap();
        assert_eq!((set.size, set.requested), (size, None));
        assert!(self.world.claims.iter().flatten().all(|claim| claim.capacity >= size));
    }
}
