//! The seeds of the fuzz targets run through them, and so does what fuzzing once found.
//!
//! `STATEWARD_SEEDS=fuzz/corpus cargo test --test engine fuzz` also writes the seeds where cargo-fuzz
//! looks for them; `scripts/fuzz` does that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[expect(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
#[path = "../../fuzz/src/lib.rs"]
pub(crate) mod targets;

type Target = (&'static str, fn(&[u8]), Vec<Vec<u8>>);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The contents of the files of a folder whose names end so.
fn files(folder: &str, ending: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.is_file() && path.to_str().unwrap().ends_with(ending));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn targets() -> Vec<Target> {
    let reviews = files("tests/data/reviews", ".json");
    let mut objects: Vec<Vec<u8>> =
        ["10Gi", "20Gi", "5Gi"].map(|size| targets::with_size(size).to_string().into()).into();
    for review in &reviews {
        let review: Value = serde_json::from_slice(review).unwrap();
        if review["request"]["kind"]["kind"] == "StatefulSet" {
            objects.push(review["request"]["object"].to_string().into_bytes());
        }
    }
    let table = std::fs::read(root().join("tests/testbed/tools/quantity/table.json")).unwrap();
    let table: Vec<Value> = serde_json::from_slice(&table).unwrap();
    let quantities = table.iter().map(|row| row["input"].as_str().unwrap().into()).collect();
    let page = std::fs::read_to_string(root().join("docs/policy.md")).unwrap();
    let policies = page.split("```yaml\n").skip(1);
    let policies = policies.map(|rest| rest.split("```").next().unwrap().into()).collect();
    vec![
        ("review", targets::review, reviews),
        ("manifest", targets::manifest, files("tests/data/manifests", ".yaml")),
        ("quantity", targets::quantity, quantities),
        ("policy", targets::policy, policies),
        ("patch", targets::patch, objects),
        ("step", targets::step, targets::seeds()),
    ]
}

#[test]
fn seeds_and_what_was_found_pass() {
    let write = std::env::var_os("STATEWARD_SEEDS").map(|folder| root().join(Path::new(&folder)));
    for (name, target, seeds) in targets() {
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for (number, seed) in seeds.iter().enumerate() {
            target(seed);
            if let Some(folder) = write.as_ref().map(|folder| folder.join(name)) {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
            }
        }
        for found in files(&format!("fuzz/found/{name}"), "") {
            target(&found);
        }
    }
}

/// What each target does not hold for must not pass, or it would say nothing.
#[test]
fn every_target_reaches_what_it_judges() {
    let reaches = |name: &str, wanted: &str| {
        let (_, _, seeds) = targets().into_iter().find(|target| target.0 == name).unwrap();
        assert!(
            seeds.iter().any(|seed| String::from_utf8_lossy(seed).contains(wanted)),
            "{name} has no seed with {wanted}"
        );
    };
    reaches("review", "\"DELETE\"");
    reaches("manifest", "StatefulSet");
    reaches("policy", "version: 1");
    reaches("patch", "volumeClaimTemplates");
    let kinds: BTreeSet<String> = targets::seeds()
        .iter()
        .filter_map(|seed| targets::decided(seed))
        .map(|action| format!("{action:?}"))
        .map(|action| action.split([' ', '(', '{']).next().unwrap().to_owned())
        .collect();
    assert_eq!(kinds.len(), 18, "every kind of action is decided: {kinds:?}");
}

#[test]
fn each_target_has_its_program_in_the_layout_of_cargo_fuzz() {
    let manifest = std::fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (name, ..) in targets() {
        let program = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
        let text = std::fs::read_to_string(program).unwrap();
        assert!(text.contains(&format!("stateward_fuzz::{name}(input)")), "{name}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
