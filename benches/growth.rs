//! How the time of a review grows with each list of each kind, and how much memory the longest
//! lists take.
//!
//! The slope of time over length, both as logarithms, is 1 for linear work and 2 for quadratic.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints rounded figures"
)]

#[path = "support/growth.rs"]
mod lists;
#[path = "support/memory.rs"]
mod memory;

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lists::GROWING;
use memory::resident;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::policy::{Policy, Resize};
use stateward_core::review::{self, WebhookKind};

const LENGTHS: [usize; 4] = [1 << 10, 1 << 12, 1 << 14, 1 << 16];
/// So many templates in the old and in the new object are about 6 MB.
const TEMPLATES: usize = 50_000;

fn main() {
    print_memory();
    println!("\nmilliseconds for {LENGTHS:?} elements, and the slope");
    let mut steepest = (0.0, String::new());
    for list in GROWING {
        let mut times = Vec::new();
        for length in LENGTHS {
            times.push(
                list.reviews(length).iter().map(|(edit, body)| (*edit, time(body))).collect(),
            );
        }
        let first: &Vec<(&str, Duration)> = &times[0];
        for (index, (edit, _)) in first.iter().enumerate() {
            let times: Vec<f64> = times.iter().map(|times| times[index].1.as_secs_f64()).collect();
            let slope = slope(&times);
            let shown: Vec<String> =
                times.iter().map(|time| format!("{:.2}", time * 1e3)).collect();
            let name = format!("{} {} {edit}", list.kind, list.field);
            println!("{slope:>5.2}  {:<34} {name}", shown.join(" "));
            if slope > steepest.0 {
                steepest = (slope, name);
            }
        }
    }
    println!("\nsteepest: {:.2} {}", steepest.0, steepest.1);
}

fn judge(body: &[u8]) {
    let policy = Policy::default().with_default_resize(Resize::Orchestrate);
    let facts = Facts::none();
    let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::UNIX_EPOCH };
    for webhook in [WebhookKind::Mutating, WebhookKind::Validating] {
        black_box(review::answer(webhook, body, KubernetesVersion::default(), &context).ok());
    }
}

/// The shortest of three: what else the machine does only adds.
fn time(body: &[u8]) -> Duration {
    let run = |_| {
        let start = Instant::now();
        judge(body);
        start.elapsed()
    };
    (0..3).map(run).min().unwrap_or_default()
}

/// The slope of the line of least squares.
fn slope(times: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> = LENGTHS
        .iter()
        .zip(times)
        .map(|(length, time)| ((*length as f64).ln(), time.ln()))
        .collect();
    let count = points.len() as f64;
    let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    covariance / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

/// The peak of the process while it judges claim templates, over the size of their review.
fn print_memory() {
    for list in GROWING.iter().filter(|list| list.field == "/spec/volumeClaimTemplates") {
        for (edit, body) in list.reviews(TEMPLATES) {
            let before = resident("VmRSS:");
            // Resets the peak.
            let reset = std::fs::write("/proc/self/clear_refs", "5");
            judge(&body);
            let extra = resident("VmHWM:").saturating_sub(before);
            println!(
                "{edit:>8} of {TEMPLATES} claim templates: {} KB of review, {extra} KB more at the peak, × {:.1}{}",
                body.len() >> 10,
                extra as f64 / (body.len() >> 10) as f64,
                if reset.is_ok() { "" } else { " (since the start of the process)" },
            );
        }
    }
}
