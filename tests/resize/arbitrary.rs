//! What holds for every input, not only for those that a cluster can bring about: a world on its
//! way through a resize, with any of its parts replaced by anything.

#[path = "../../fuzz/src/step/parts.rs"]
mod parts;

use std::cell::RefCell;
use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use stateward_core::record::FINALIZER;
use stateward_resize::{Parameters, step};

use self::parts::{Input, change, holds};
use crate::play::Play;
use crate::search::action_name;
use crate::world::{NOW, World};

/// Every moment of a few resizes that meet no fault, as caches and as fresh reads show it.
fn moments() -> Vec<Input> {
    let starts = [
        World::steady(1, 1),
        World::steady(2, 1).retention_delete().leftover(),
        World::steady(2, 1).by_record(),
        World::steady(1, 1).with(|kind| (kind.pending, kind.evict) = (true, true)),
    ];
    let mut all = Vec::new();
    for start in starts {
        let mut play = Play::new(start);
        loop {
            for fresh in [false, true] {
                let observed = play.world.observe(&play.world.controllers[0], fresh);
                all.push((observed, play.world.read_record(fresh)));
            }
            if !play.goes_on() {
                break;
            }
        }
    }
    all
}

#[test]
fn step_is_total_and_deletes_nothing_without_its_retention_pin() {
    assert_eq!(FINALIZER, "stateward.dev/resize");
    let moments = moments();
    let seen = RefCell::new(BTreeSet::new());
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    let parts = prop::collection::vec((any::<u8>(), any::<u8>()), 0..4);
    let input = (0..moments.len(), parts, -10_000_i64..10_000);
    let parameters = Parameters::default();
    let check = |(moment, parts, later): (usize, Vec<(u8, u8)>, i64)| {
        let mut input = moments[moment].clone();
        for (part, n) in parts {
            change(&mut input, part, n, *NOW);
        }
        let now = NOW.saturating_add(SignedDuration::from_secs(later)).unwrap();
        let (observed, record) = &input;
        let action = step(observed, record.as_ref(), now, &parameters);
        prop_assert_eq!(&action, &step(observed, record.as_ref(), now, &parameters));
        seen.borrow_mut().insert(action_name(&action));
        let verdict = holds(observed, record.as_ref(), &action);
        prop_assert!(verdict.is_ok(), "{:?}: {:?} for {:#?}", verdict, action, input);
        Ok(())
    };
    let outcome = TestRunner::new(config).run(&input, check);
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    let seen = seen.into_inner();
    assert_eq!(seen.len(), 18, "every action is decided at least once: {seen:?}");
}
