//! Measuring side by side, and the reviews to measure with.

#![allow(dead_code, reason = "each bench uses a part of it")]
#![expect(clippy::expect_used, reason = "a bench has nobody to report to")]

use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_millis(20);

/// Things that are measured side by side.
pub(crate) struct Candidates<'a> {
    list: Vec<(&'static str, Box<dyn FnMut() + 'a>)>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new() -> Self {
        Self { list: Vec::new() }
    }

    pub(crate) fn add(mut self, name: &'static str, run: impl FnMut() + 'a) -> Self {
        self.list.push((name, Box::new(run)));
        self
    }

    /// Prints the median time of each per item, and its ratio to the first.
    pub(crate) fn print(mut self, items: usize) {
        let mut times = vec![Vec::new(); self.list.len()];
        for _ in 0..ROUNDS {
            for (index, (_, run)) in self.list.iter_mut().enumerate() {
                let start = Instant::now();
                let mut runs = 0;
                while start.elapsed() < ROUND {
                    run();
                    runs += 1;
                }
                times[index].push(start.elapsed().as_nanos() as f64 / f64::from(runs));
            }
        }
        let medians: Vec<f64> = times
            .iter_mut()
            .map(|times| {
                times.sort_by(f64::total_cmp);
                times[times.len() / 2]
            })
            .collect();
        for ((name, _), median) in self.list.iter().zip(&medians) {
            println!(
                "  {name:<52} {:>9.2} µs  × {:.2}",
                median / items as f64 / 1000.0,
                median / medians[0]
            );
        }
    }
}

/// The recorded reviews, by name.
pub(crate) fn reviews() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the recorded reviews are part of the repository")
        .map(|file| file.expect("readable folder").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(file).expect("readable review"))
        })
        .collect()
}

/// An UPDATE of 12 KB from the recorded one, with a longer pod template; `image` says whether the
/// template changes or only a label of the set.
pub(crate) fn update_of_12_kb(image: bool) -> Vec<u8> {
    let (_, body) = reviews()
        .into_iter()
        .find(|(name, _)| name == "update-statefulset-image-downgrade")
        .expect("the recorded review");
    let mut review: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let env: Vec<serde_json::Value> = (0..46)
        .map(|n| serde_json::json!({"name": format!("SETTING_{n}"), "value": format!("value {n}")}))
        .collect();
    for side in ["object", "oldObject"] {
        let object = &mut review["request"][side];
        object["spec"]["template"]["spec"]["containers"][0]["env"] = env.clone().into();
        object["spec"]["template"]["spec"]["containers"][0]["image"] = "postgres:17.2".into();
    }
    if image {
        review["request"]["object"]["spec"]["template"]["spec"]["containers"][0]["image"] =
            "postgres:17.3".into();
    } else {
        review["request"]["object"]["metadata"]["labels"]["changed"] = "yes".into();
    }
    let body = review.to_string().into_bytes();
    assert!((11_000..13_500).contains(&body.len()), "{} bytes", body.len());
    body
}
