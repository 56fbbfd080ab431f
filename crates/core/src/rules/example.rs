//! A fixture as people read it: one manifest, or the edit of one as a diff.

use crate::change::Operation;

/// What a fixture shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Example<'a> {
    /// the operation
    pub(super) operation: Operation,
    /// what else the change is about in a line each, such as `propagationPolicy: Background`
    pub(super) circumstances: Vec<&'a str>,
    /// what else the change is about in several lines, such as facts
    pub(super) facts: Vec<&'a str>,
    /// the manifest, each line with a mark before it where it is a diff
    pub(super) lines: Vec<String>,
}

impl<'a> Example<'a> {
    /// Reads a fixture: `old` and `new` (either may be missing), each an indented block, and
    /// whatever else stands at the top level.
    pub(super) fn read(fixture: &'a str) -> Self {
        let (mut old, mut new, mut rest, mut facts) = (None, None, Vec::new(), Vec::new());
        for (head, block) in sections(fixture) {
            match head {
                "old:" => old = Some(block),
                "new:" => new = Some(block),
                _ if block.is_empty() => rest.push(head),
                _ => {
                    facts.push(head);
                    facts.extend(block);
                }
            }
        }
        let (operation, lines) = match (old, new) {
            (Some(old), Some(new)) => (Operation::Update, diff(&dedent(&old), &dedent(&new))),
            (Some(old), None) => (Operation::Delete, owned(&dedent(&old))),
            (None, Some(new)) => (Operation::Create, owned(&dedent(&new))),
            (None, None) => (Operation::Create, Vec::new()),
        };
        Self { operation, circumstances: rest, facts, lines }
    }

    /// The language of the lines, as Markdown names it.
    pub(super) fn language(&self) -> &'static str {
        if self.operation == Operation::Update { "diff" } else { "yaml" }
    }
}

/// The top-level keys of a fixture, each with the lines below it.
fn sections(fixture: &str) -> Vec<(&str, Vec<&str>)> {
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in fixture.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        match sections.last_mut() {
            Some((_, block)) if line.starts_with(' ') => block.push(line),
            _ => sections.push((line.trim_end(), Vec::new())),
        }
    }
    sections
}

fn dedent<'a>(block: &[&'a str]) -> Vec<&'a str> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let least = block.iter().map(|line| depth(line)).min().unwrap_or_default();
    block.iter().map(|line| &line[least..]).collect()
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// The lines of both sides: `- ` before those of the old one, `+ ` before those of the new one.
fn diff(old: &[&str], new: &[&str]) -> Vec<String> {
    // common[i][j]: how many lines old[i..] and new[j..] have in common, in order.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(format!("  {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_reads_as_a_diff() {
        let example = Example::read(
            "params: {max-step: 2}\nold:\n  spec:\n    replicas: 3\n    x: 1\n\
             new:\n  spec:\n    replicas: 6\n    x: 1\n    y: 2\n",
        );
        assert_eq!(example.operation, Operation::Update);
        assert_eq!(example.circumstances, ["params: {max-step: 2}"]);
        assert_eq!(
            example.lines,
            ["  spec:", "-   replicas: 3", "+   replicas: 6", "    x: 1", "+   y: 2"]
        );
    }

    #[test]
    fn facts_keep_their_lines() {
        let example = Example::read("facts:\n  claims:\n    - a\nparams: {x: 1}\nnew:\n  b: 1\n");
        assert_eq!(example.facts, ["facts:", "  claims:", "    - a"]);
        assert_eq!(example.circumstances, ["params: {x: 1}"]);
    }

    #[test]
    fn one_side_alone_is_a_manifest() {
        let example = Example::read("propagationPolicy: Orphan\nold:\n  kind: StatefulSet\n");
        assert_eq!(example.operation, Operation::Delete);
        assert_eq!(example.lines, ["kind: StatefulSet"]);
        assert_eq!(Example::read("new:\n  a: 1\n").operation, Operation::Create);
    }
}
