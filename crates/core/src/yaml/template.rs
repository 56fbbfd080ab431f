//! Helm: templates that were rendered, and those that were not.

use super::tree::{Content, Fault, NodeId, Style};
use super::view::View;

/// The template that Helm names above each document.
pub(super) fn named(source: &str) -> Option<String> {
    source
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with('#') || line.starts_with("---"))
        .find_map(|line| line.strip_prefix("# Source: "))
        .map(|name| name.trim_end().to_owned())
        .filter(|name| name.len() <= LONGEST)
}

/// The longest name of a template, in bytes: each finding repeats it.
const LONGEST: usize = 1024;

const HINT: &str =
    "unresolved Helm template (`{{`): check what it renders to, with --render 'helm template …'";

/// Helm's own words: other tools write `{{` into strings that are meant to stay.
const HELM: [&str; 9] = [
    ".Values",
    ".Release",
    ".Chart",
    ".Capabilities",
    ".Template.",
    ".Files",
    "include ",
    "tpl ",
    "toYaml ",
];

/// A template that happens to be good YAML.
pub(super) fn unresolved(view: View<'_>, root: NodeId) -> Option<Fault> {
    if !view.source.contains("{{") {
        return None;
    }
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        let node = view.node(id);
        open.extend(view.children(id));
        // Block scalars hold files of all sorts, charts among them.
        let Content::String(text) = node.content else { continue };
        if node.style == Style::Block {
            continue;
        }
        for (at, _) in view.text(text).match_indices("{{") {
            let words = view.text(text)[at + 2..].trim_start_matches('-').trim_start();
            if HELM.iter().any(|word| words.starts_with(word)) {
                return Some(Fault { at: node.span().start, message: HINT.to_owned() });
            }
        }
    }
    None
}

const VARIABLE_HINT: &str = "unresolved variable (`${`): check what it becomes, with --render 'kustomize build \
     FOLDER | flux envsubst', or quote it";

/// The template or the variable behind a syntax error, if that is what it is.
pub(super) fn behind(source: &str, at: usize) -> Option<Fault> {
    helm_behind(source, at).or_else(|| {
        let start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = source[start..].lines().next()?;
        let message = VARIABLE_HINT.to_owned();
        Some(Fault { at: start + line.find("${")?, message })
    })
}

fn helm_behind(source: &str, at: usize) -> Option<Fault> {
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let end = start + line.len();
        if let Some(offset) = line.find("{{") {
            let faulty = (start..end).contains(&at);
            let words = line[offset + 2..].trim_start_matches('-').trim_start();
            if faulty
                || line.trim_start().starts_with("{{")
                || HELM.iter().any(|word| words.starts_with(word))
            {
                return Some(Fault { at: start + offset, message: HINT.to_owned() });
            }
        }
        start = end;
    }
    None
}
