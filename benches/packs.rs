//! Which pack knows a set: the look-up with all packs loaded, beside a floor of two look-ups in a hash map.
//!
//! The sets are those of `policies/packs/*/edits.yaml`, each with an exporter beside its container.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::expect_used,
    reason = "a bench prints rounded figures, and has nobody to report to"
)]

#[path = "support/ratio.rs"]
mod ratio;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use ratio::Candidates;
use serde_json::{Value, json};
use stateward_core::object::{Object, StatefulSet};
use stateward_core::packs::{Packs, Traits, recognise};

/// The good set of each pack, as JSON with two containers.
fn sets() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/packs");
    let read = |(name, _): (&str, _)| {
        let path = folder.join(name).join("edits.yaml");
        let text = std::fs::read_to_string(path).expect("each pack has edits");
        let edits: Value = serde_saphyr::from_str(&text).expect("edits are YAML");
        let mut set = edits["set"].clone();
        let containers = set.pointer_mut("/spec/template/spec/containers");
        let containers = containers.and_then(Value::as_array_mut).expect("a set has containers");
        containers.truncate(1);
        containers.push(json!({
            "name": "exporter", "image": "quay.io/prometheuscommunity/postgres-exporter:v0.16.0",
        }));
        set.to_string()
    };
    Packs::built_in().iter().map(read).collect()
}

fn main() {
    let packs = Packs::built_in();
    let texts = sets();
    let objects: Vec<Object<'_>> =
        texts.iter().map(|text| Object::decode(text).expect("a set")).collect();
    let sets: Vec<StatefulSet<'_>> =
        objects.iter().map(|object| StatefulSet::decode(object).expect("a set")).collect();
    let traits: Vec<Traits<'_>> =
        sets.iter().map(|set| Traits::of(set).expect("well formed")).collect();
    let named: Vec<Traits<'_>> = traits
        .iter()
        .zip(packs.iter())
        .map(|(traits, (name, _))| Traits { named: Some(name), ..traits.clone() })
        .collect();
    let unknown: Vec<Traits<'_>> = traits
        .iter()
        .map(|traits| {
            let mut traits = traits.clone();
            for container in &mut traits.containers {
                container.image = "registry.example.com/shop/api:1.4.0";
            }
            traits
        })
        .collect();
    let known: HashMap<&str, usize> = traits
        .iter()
        .flat_map(|traits| &traits.containers)
        .enumerate()
        .map(|(index, container)| (container.image, index))
        .collect();
    println!("\n{} packs, {} sets of two containers; per set", packs.iter().count(), sets.len());
    let recognise_all = |all: &[Traits<'_>]| {
        for traits in all {
            black_box(recognise(packs, black_box(traits)));
        }
    };
    Candidates::new()
        .add("both images in a HashMap", || {
            for container in traits.iter().flat_map(|traits| &traits.containers) {
                black_box(known.get(black_box(container.image)));
            }
        })
        .add("recognise", || recognise_all(&traits))
        .add("recognise, sets that no pack knows", || recognise_all(&unknown))
        .add("recognise, named by the annotation", || recognise_all(&named))
        .add("read the traits of a decoded set and recognise", || {
            for set in &sets {
                let traits = Traits::of(black_box(set)).ok();
                black_box(traits.map(|traits| recognise(packs, &traits).is_some()));
            }
        })
        .print(sets.len());
    slowest(packs, &traits);
}

/// The sets whose look-up takes longest, with the shortest of many runs: what else the machine does only adds.
fn slowest(packs: &Packs, all: &[Traits<'_>]) {
    const RUNS: u32 = 1000;
    let mut times: Vec<(u128, &str)> = all
        .iter()
        .zip(packs.iter())
        .map(|(traits, (name, _))| {
            let run = |_| {
                let start = std::time::Instant::now();
                for _ in 0..RUNS {
                    black_box(recognise(packs, black_box(traits)));
                }
                start.elapsed().as_nanos() / u128::from(RUNS)
            };
            ((0..20).map(run).min().unwrap_or_default(), name)
        })
        .collect();
    times.sort_unstable();
    for (nanoseconds, name) in times.iter().rev().take(5) {
        println!("  {nanoseconds:>6} ns  the set of {name}");
    }
}
