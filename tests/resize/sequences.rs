//! The sequences of protocol §11.

use crate::search::{Label, Play};
use crate::world::World;

#[test]
fn a_request_makes_a_record() {
    let mut play = Play::new(World::steady(1, 1));
    play.happens(Label::Controller(0));
    assert!(play.world.record.is_some());
}
