//! Each annotation is named in one place of the source and in the documentation.
//! `STATEWARD_UPDATE=1 cargo test --test docs annotations` writes the table of `docs/annotations.md`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use stateward_core::annotations::{ALL, table};
use walkdir::WalkDir;

const PAGE: &str = "docs/annotations.md";
/// What else has this prefix: the API version, the finalizer of records, a label of a Service.
const OTHERS: [&str; 3] =
    ["stateward.dev/v1alpha1", "stateward.dev/resize", "stateward.dev/metrics"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `stateward.dev/<name>` in `text`.
fn keys(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("stateward.dev/").map(|(start, prefix)| {
        let name = &text[start + prefix.len()..];
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name.len());
        text[start..start + prefix.len() + end].trim_end_matches('-')
    })
}

#[test]
fn the_page_holds_the_table() {
    let path = root().join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- annotations:begin -->\n", "<!-- annotations:end -->");
    let start = page.find(begin).unwrap() + begin.len();
    let stop = page.find(end).unwrap();
    let wanted = format!("{}{}{}", &page[..start], table(), &page[stop..]);
    if std::env::var("STATEWARD_UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    assert!(page == wanted, "{PAGE}: STATEWARD_UPDATE=1 cargo test --test docs annotations");
}

#[test]
fn the_table_is_sorted_and_names_each_key_once() {
    let written: Vec<&str> = ALL.iter().map(|annotation| annotation.key).collect();
    let sorted: Vec<&str> = written.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    assert_eq!(written, sorted);
}

#[test]
fn source_code_takes_keys_from_the_table() {
    let mut found = Vec::new();
    let mut files = 0;
    for folder in ["src", "crates"] {
        for entry in WalkDir::new(root().join(folder)) {
            let entry = entry.unwrap();
            let path = entry.path();
            let rust = path.extension().is_some_and(|extension| extension == "rs");
            if !rust || path.ends_with("core/src/annotations.rs") {
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(path).unwrap();
            let code =
                text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
            for (number, line) in code {
                let key = keys(line).find(|key| !OTHERS.contains(key));
                found.extend(key.map(|key| format!("{}:{}: {key}", path.display(), number + 1)));
            }
        }
    }
    assert!(files > 100, "{files}");
    assert!(found.is_empty(), "use stateward_core::annotations:\n{}", found.join("\n"));
}

#[test]
fn documents_and_the_chart_name_only_annotations_that_exist() {
    let known: BTreeSet<&str> = ALL.iter().map(|annotation| annotation.key).chain(OTHERS).collect();
    let mut named = BTreeSet::new();
    let mut unknown = Vec::new();
    for folder in ["README.md", "docs", "charts", "certs", "policies", "examples"] {
        for entry in WalkDir::new(root().join(folder)) {
            let entry = entry.unwrap();
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            for key in keys(&text).filter(|key| !key.ends_with('/')) {
                named.extend(known.get(key));
                if !known.contains(key) {
                    unknown.push(format!("{}: {key}", entry.path().display()));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert_eq!(named.len(), known.len(), "{:?}", known.difference(&named));
}
