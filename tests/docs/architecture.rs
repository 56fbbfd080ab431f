//! The invariants of ARCHITECTURE.md.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The crates without I/O, each with the crates of ours that it may use.
const PURE: [(&str, &[&str]); 3] =
    [("core", &[]), ("resize", &["stateward-core"]), ("check", &["stateward-core"])];

/// What needs a runtime, a client, the operating system or a clock.
const IMPURE: [&str; 10] = [
    "axum",
    "hyper",
    "kube",
    "reqwest",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "SystemTime",
    "tokio",
];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Whether `line` names `path` as a path of Rust: not as a part of a longer word, and not in a comment
/// or a string.
fn names(line: &str, path: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let code: String = code.split('"').step_by(2).collect();
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(path)
        .any(|(at, _)| !code[..at].ends_with(part) && !code[at + path.len()..].starts_with(part))
}

#[test]
fn pure_crates_name_no_runtime_client_or_clock() {
    for (package, _) in PURE {
        let files = rust_files(&Path::new(ROOT).join("crates").join(package).join("src"));
        assert!(!files.is_empty(), "{package}");
        for file in files {
            for (number, line) in read(&file).lines().enumerate() {
                let found = IMPURE.iter().find(|path| names(line, path));
                assert_eq!(found, None, "{}:{}: {line}", file.display(), number + 1);
            }
        }
    }
}

#[test]
fn a_longer_word_a_comment_and_a_string_name_nothing() {
    assert!(names("use std::fs;", "std::fs"));
    assert!(names("    let file = std::fs::read(path);", "std::fs"));
    assert!(names("async fn a(client: kube::Client) {", "kube"));
    assert!(!names("let kubectl = kube_system;", "kube"));
    assert!(!names("let name = \"kube-system\";", "kube"));
    assert!(!names("// like std::fs", "std::fs"));
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
        .filter(|span| span.contains('/') && !span.starts_with('/') && *span != "name/")
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
