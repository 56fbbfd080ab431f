//! The worlds that are explored, each until nothing is left.

use crate::people::Fault;
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

#[test]
fn straight() {
    report(&Slice {
        name: "straight",
        starts: vec![World::steady(1, 0, 1), World::steady(1, 0, 1).retention_delete().leftover()],
        faults: &[],
    });
}
