//! The seeds: 200 per change, more by `STATEWARD_SEEDS`, one again by `STATEWARD_SEED`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::runner::{Report, run, tally};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs `count` seeds from `first` on, on every processor.
fn runs(first: u64, count: u64) -> Vec<Report> {
    let (next, reports) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let mut report = run(seed);
                    if !report.faults.is_empty() {
                        println!("seed {seed} fails: {}", report.faults.join("; "));
                    }
                    if report.faults.is_empty() {
                        // Nobody reads it, and there may be many.
                        report.trace = String::new();
                    }
                    reports.lock().unwrap().push(report);
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap();
    reports.sort_by_key(|report| report.seed);
    reports
}

#[test]
fn every_seed_is_safe_and_comes_to_rest() {
    let one = number("STATEWARD_SEED");
    let first = one.or_else(|| number("STATEWARD_FIRST_SEED")).unwrap_or(1);
    let count = if one.is_some() { 1 } else { number("STATEWARD_SEEDS").unwrap_or(200) };
    let reports = runs(first, count);
    let failed: Vec<&Report> = reports.iter().filter(|report| !report.faults.is_empty()).collect();
    if let Some(report) = failed.first() {
        println!("{}\n", report.trace);
    } else if one.is_some() {
        println!("{}\n", run(first).trace);
    }
    for report in &failed {
        let (seed, end) = (report.seed, &report.end);
        println!("seed {seed} ends in {end}:\n  {}", report.faults.join("\n  "));
        println!(
            "  again: STATEWARD_SEED={seed} cargo test --test simulation every_seed -- --nocapture"
        );
    }
    for (end, count) in tally(&reports) {
        println!("{count:>7} {end}");
    }
    let requests: u64 = reports.iter().map(|report| report.requests).sum();
    println!("{} seeds, {requests} requests, {} failed", reports.len(), failed.len());
    assert!(failed.is_empty(), "{} of {} seeds fail", failed.len(), reports.len());
}

#[test]
fn a_seed_replays_to_the_same_trace() {
    for seed in [1, 7, 42] {
        let (one, other) = (run(seed), run(seed));
        if one.trace != other.trace {
            let lines = one.trace.lines().zip(other.trace.lines());
            let differing = lines.into_iter().find(|(one, other)| one != other);
            panic!("seed {seed} is not the same twice: {differing:#?}");
        }
        assert_eq!(one.hash, other.hash, "seed {seed}");
    }
}
