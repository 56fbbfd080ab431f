//! Links between the pages of the repository lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every page that a reader may follow a link from.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let mut pages = Vec::new();
    for folder in ["", "docs", "certs", "charts/stateward", "fuzz", "policies/rules"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            } else if folder == "policies/rules" && path.is_dir() {
                pages.push(path.join("README.md"));
            }
        }
    }
    pages
}

/// The text without code, in which nothing is a link or a heading.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// The targets of links and pictures.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let markdown = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let html = prose.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    markdown.chain(html).map(str::to_owned).collect()
}

/// The anchors that GitHub gives to the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !fenced) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
            anchors.insert(heading.chars().filter(kept).collect::<String>().replace(' ', "-"));
        }
    }
    anchors
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: there is no {target}", page.display());
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap();
                assert!(anchors(&text).contains(anchor), "{}: no {target}", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn the_index_names_every_page() {
    let index = std::fs::read_to_string(Path::new(ROOT).join("docs/README.md")).unwrap();
    let linked = targets(&index);
    for entry in std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name != "README.md" && Path::new(&name).extension().is_some_and(|end| end == "md") {
            assert!(linked.contains(&name), "docs/README.md does not link {name}");
        }
    }
}

#[test]
fn code_holds_no_links_and_headings_become_anchors() {
    let page = "# A page: what's `in` it?\n```sh\n# no heading [x](y)\n```\nSee [this](b.md#c-d), `[not](z)`.\n";
    assert_eq!(targets(page), ["b.md#c-d"]);
    assert_eq!(anchors(page), BTreeSet::from(["a-page-whats-in-it".to_owned()]));
}

/// GitHub draws these blocks: how a review flows, and how a resize does.
#[test]
fn the_readme_draws_a_review_and_a_resize() {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let diagrams: Vec<&str> = readme
        .split("```mermaid\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(diagrams.len(), 2);
    for (diagram, parts) in diagrams.iter().zip([
        ["API server", "/mutate", "/validate", "stateward check"],
        ["claim template", "grow every claim", "delete the set", "it adopts its pods"],
    ]) {
        for part in parts {
            assert!(diagram.contains(part), "{part}: {diagram}");
        }
    }
}
