//! The layout and promises of ARCHITECTURE.md. Its boundaries are kept by `boundaries.rs`.

use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The crates without I/O, each with the crates of ours that it may use.
const PURE: [(&str, &[&str]); 3] =
    [("core", &[]), ("resize", &["stateward-core"]), ("check", &["stateward-core"])];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn crates_depend_on_each_other_only_downwards() {
    for (package, allowed) in PURE {
        let manifest = read(format!("crates/{package}/Cargo.toml"));
        let (_, dependencies) = manifest.split_once("[dependencies]").unwrap();
        let ours: Vec<&str> = dependencies
            .lines()
            .filter_map(|line| line.split([' ', '.']).next())
            .filter(|name| name.starts_with("stateward"))
            .collect();
        assert_eq!(ours, allowed, "{package}");
    }
}

#[test]
fn every_path_of_the_page_exists() {
    let page = read("ARCHITECTURE.md");
    let spans = page.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = spans
        .filter(|span| span.contains('/') && !span.starts_with('/'))
        // A form of a path, and the prefix of annotations.
        .filter(|span| !["name/", "stateward.dev/"].contains(span))
        .filter(|span| span.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)))
        .collect();
    assert!(paths.len() > 50, "{paths:?}");
    for path in paths {
        assert!(Path::new(ROOT).join(path).exists(), "ARCHITECTURE.md names {path}");
    }
}

#[test]
fn every_promise_names_its_tests() {
    let page = read("ARCHITECTURE.md");
    let promises = numbered(page.split_once("\n## Promises\n").unwrap().1);
    assert!(promises.len() > 20, "{promises:?}");
    for (number, text) in promises {
        assert!(text.contains("`tests/"), "promise {number} names no test");
    }
}

/// The items of a numbered list, which have to be numbered in order.
fn numbered(list: &str) -> Vec<(usize, String)> {
    let mut items: Vec<(usize, String)> = Vec::new();
    for line in list.lines() {
        let next = items.len() + 1;
        if let Some(text) = line.strip_prefix(&format!("{next}. ")) {
            items.push((next, text.to_owned()));
        } else if let Some((_, text)) = items.last_mut() {
            text.push_str(line);
        }
    }
    items
}
