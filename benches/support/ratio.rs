//! Measuring side by side, and the reviews to measure with.

#![allow(dead_code, reason = "each bench uses a part of it")]
#![expect(clippy::expect_used, reason = "a bench has nobody to report to")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

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
            let nanoseconds = median / items as f64;
            let (time, unit) = if medians[0] / (items as f64) < 1000.0 {
                (nanoseconds, "ns")
            } else {
                (nanoseconds / 1000.0, "µs")
            };
            println!("  {name:<52} {time:>9.2} {unit}  × {:.2}", median / medians[0]);
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

/// The recorded review of an edit of a claim template; its objects are about 6 KB each.
pub(crate) const SET: &str = "update-statefulset-edit-storage-grow-thanos-store-10Gi-50Gi";
/// The recorded review of the deletion of a claim.
pub(crate) const CLAIM: &str = "delete-pvc-in-use";

/// A recorded review as JSON.
pub(crate) fn recorded(name: &str) -> serde_json::Value {
    let found = reviews().into_iter().find(|(known, _)| known == name);
    let (_, body) = found.expect("the recorded review");
    serde_json::from_slice(&body).expect("JSON")
}

/// A recorded UPDATE of 12 KB, a set that kubectl applies, in which only a label of the set
/// changes, or only an image of its pod template (and the record of what was applied with it).
pub(crate) fn update_of_12_kb(image: bool) -> Vec<u8> {
    let (_, body) =
        reviews().into_iter().find(|(name, _)| name == SET).expect("the recorded review");
    let body = String::from_utf8(body).expect("text");
    let review: Review<'_> = serde_json::from_str(&body).expect("a review");
    let old = review.request.old_object.get();
    let (from, to) = if image {
        ("improbable/thanos:v0.5.0", "improbable/thanos:v0.6.1")
    } else {
        (r#""labels":{"#, r#""labels":{"changed":"yes","#)
    };
    assert!(old.contains(from), "{old}");
    // Each writer has an entry in managedFields, with the time of its last write.
    let entries = r#""managedFields":["#;
    let new = if image {
        let (manager, time) = (r#""kubectl-client-side-apply""#, "2026-11-21T00:17:30Z");
        let (before, after) = old.split_once(manager).expect("an entry of kubectl");
        let after = after.replacen(time, "2026-11-21T00:19:02Z", 1);
        format!("{before}{manager}{after}").replace(from, to)
    } else {
        let entry = r#"{"manager":"kubectl-label","operation":"Update","apiVersion":"apps/v1","time":"2026-11-21T00:19:02Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:changed":{}}}}},"#;
        assert!(old.contains(entries), "{old}");
        old.replacen(from, to, 1).replacen(entries, &format!("{entries}{entry}"), 1)
    };
    let body = body.replacen(review.request.object.get(), &new, 1).into_bytes();
    assert!((11_500..12_500).contains(&body.len()), "{} bytes", body.len());
    body
}

#[derive(serde::Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
    #[serde(borrow)]
    old_object: &'a RawValue,
}
