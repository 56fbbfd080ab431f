//! The worlds that are explored, each until nothing is left.

use crate::people::Fault::{
    self, Crash, CrashAfterWrite, Delayed, Infeasible, LowerClaim, PodDies, PodUnready,
    ResponseLost, StaleLists, TickEarly,
};
use crate::search::{Explored, Slice, explore};
use crate::world::World;

fn report(slice: &Slice) -> Explored {
    let explored = explore(slice);
    println!(
        "{}: {} states, {} edges, {} components, {:.1} s",
        slice.name, explored.states, explored.edges, explored.components, explored.seconds
    );
    for (name, count) in &explored.counts.0 {
        println!("  {name}: {count}");
    }
    explored
}

fn budget() -> u8 {
    std::env::var("FAULTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn try_slice(name: &'static str, starts: Vec<World>, faults: &'static [Fault]) {
    let starts = starts.into_iter().map(|w| World { faults: budget(), ..w }).collect();
    report(&Slice { name, starts, faults });
}

#[test]
fn straight() {
    try_slice(
        "straight",
        vec![World::steady(1, 0, 1), World::steady(1, 0, 1).retention_delete().leftover()],
        &[],
    );
}
#[test]
fn crashes() {
    try_slice(
        "crashes",
        vec![World::steady(1, 0, 1), World::steady(1, 0, 1).retention_delete().leftover()],
        &[Crash, ResponseLost, CrashAfterWrite, Delayed, TickEarly, StaleLists],
    );
}
#[test]
fn two() {
    try_slice("two", vec![World::steady(1, 0, 2)], &[Crash, ResponseLost, Delayed, TickEarly]);
}
#[test]
fn pods() {
    try_slice("pods", vec![World::steady(2, 0, 1)], &[PodDies, PodUnready, Infeasible, LowerClaim]);
}
