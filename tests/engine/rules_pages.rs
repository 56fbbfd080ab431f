//! The pages about rules on disk are those that the rules make.
//! `STATEWARD_UPDATE=1 cargo test --test engine rules_pages` writes them again.

use std::path::{Path, PathBuf};

use stateward_core::rules::{RULES, by_id, page};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the pages are to be written instead of compared.
fn updates() -> bool {
    std::env::var("STATEWARD_UPDATE").is_ok_and(|value| value == "1")
}

/// Compares `wanted` with the file, or writes it.
fn settle(path: &Path, wanted: &str) -> Result<(), String> {
    let found = std::fs::read_to_string(path).unwrap_or_default();
    if found == wanted {
        Ok(())
    } else if updates() {
        std::fs::write(path, wanted).map_err(|error| format!("{}: {error}", path.display()))
    } else {
        Err(format!("{} is not what its rule says", path.display()))
    }
}

#[test]
fn pages_on_disk_are_current() {
    let folder = root().join("policies/rules");
    let pages = RULES
        .iter()
        .map(|entry| (folder.join(entry.meta.id).join("README.md"), page::page(entry)))
        .chain([(folder.join("README.md"), page::index())]);
    let stale: Vec<String> =
        pages.filter_map(|(path, wanted)| settle(&path, &wanted).err()).collect();
    assert!(
        stale.is_empty(),
        "{}\nto write them: STATEWARD_UPDATE=1 cargo test --test engine rules_pages",
        stale.join("\n")
    );
}

#[test]
fn every_rule_says_why_and_the_way_out() {
    for entry in RULES {
        let explained = page::explain(entry);
        for heading in ["\nWhy:\n", "\nWay out:\n"] {
            assert!(explained.contains(heading), "{} lacks {heading:?}", entry.meta.id);
        }
        let parameters = (entry.defaults)();
        for name in parameters.as_object().unwrap().keys() {
            assert!(explained.contains(name), "{} does not explain {name}", entry.meta.id);
        }
    }
}

#[test]
fn explain_reads_well() {
    insta::assert_snapshot!(page::explain(by_id("sts-replica-jump").unwrap()));
}
