//! What people read about a rule: its page, its line in the table, the text of `explain`.
//!
//! All of it comes from the rule's own description, parameters and fixtures, so that no page can
//! fall behind its rule.

use std::fmt::{self, Write};

use serde_json::Value;

use super::example::Example;
use super::{Entry, Meta, RULES};
use crate::change::Operation;

/// The page of a rule, in Markdown.
pub fn page(entry: &Entry) -> String {
    collect(|text| write_page(entry, text))
}

/// The page that lists all rules, in Markdown; it lies beside their folders.
pub fn index() -> String {
    collect(|text| {
        writeln!(text, "{MADE}\n\n# Rules\n")?;
        writeln!(
            text,
            "A rule denies, warns or is off; the policy decides. Without a policy, these are the \
             actions in the cluster and in `stateward check`. A rule that denies only warns where \
             it is not sure.\n"
        )?;
        write_table("", text)?;
        text.push_str(NOT_JUDGED);
        Ok(())
    })
}

/// What people would look for among the rules, and why there is none.
const NOT_JUDGED: &str = "
## Not judged

- **How often a volume may be changed**, such as four times in 24 hours on AWS EBS. No object of a cluster tells
  how often a volume was changed, or when. `stateward resize plan` names the limit of the driver, and
  [storage patterns](../../docs/storage-patterns.md) shows those of all drivers.
- **Disruption budgets by themselves.** They are judged with the set whose pods they hold: without a set, a budget
  says nothing about data.
";

/// The table of all rules, in Markdown; its links start at the root of the repository.
pub fn table() -> String {
    collect(|text| write_table("policies/rules/", text))
}

/// The rule for a person at a terminal, in plain text.
pub fn explain(entry: &Entry) -> String {
    collect(|text| write_explanation(entry, text))
}

/// Where anybody can read the page of the rule called `id`, also without this program.
pub fn url(id: &str) -> String {
    let revision = revision(option_env!("STATEWARD_TAG"));
    format!("{}/blob/{revision}/policies/rules/{id}/README.md", env!("CARGO_PKG_REPOSITORY"))
}

/// A release links to the pages of its tag, which say what that release does. Any other build has no tag
/// that exists, so it links to the branch.
fn revision(tag: Option<&'static str>) -> &'static str {
    tag.filter(|tag| tag.starts_with('v')).unwrap_or("main")
}

const MADE: &str = "<!-- Generated. To write it again: STATEWARD_UPDATE=1 cargo test --test engine rules_pages -->";

/// Writing to a string does not fail.
fn collect(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    match write(&mut text) {
        Ok(()) | Err(fmt::Error) => text,
    }
}

fn write_page(entry: &Entry, text: &mut String) -> fmt::Result {
    let meta = entry.meta;
    writeln!(text, "{MADE}\n\n# {}\n\n{}.\n", meta.id, capitalised(meta.title))?;
    writeln!(text, "| | |\n| --- | --- |")?;
    for (name, value) in properties(meta) {
        writeln!(text, "| {name} | {} |", cell(&value))?;
    }
    writeln!(text, "\n{}", docs(meta))?;
    let parameters = parameters(entry);
    if !parameters.is_empty() {
        writeln!(text, "\n## Parameters\n\n| Name | Type | Default | Meaning |")?;
        writeln!(text, "| --- | --- | --- | --- |")?;
        for Parameter { name, kind, default, meaning } in parameters {
            writeln!(text, "| `{name}` | {} | `{default}` | {} |", cell(&kind), cell(&meaning))?;
        }
    }
    for (title, fixture) in [("It finds fault with", meta.bad), ("It passes", meta.good)] {
        let example = Example::read(fixture);
        writeln!(text, "\n## {title}\n\n{}:\n", operation(&example))?;
        if !example.facts.is_empty() {
            writeln!(text, "```yaml\n{}\n```\n", example.facts.join("\n"))?;
        }
        writeln!(text, "```{}\n{}\n```", example.language(), example.lines.join("\n"))?;
    }
    Ok(())
}

fn write_table(base: &str, text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "| Rule | Finds | Group | `check` | Cluster |\n| --- | --- | --- | --- | --- |"
    )?;
    for Entry { meta, .. } in RULES {
        writeln!(
            text,
            "| [{id}]({base}{id}/README.md) | {} | {} | {} | {} |",
            cell(meta.title),
            meta.group.name(),
            meta.default_action(false).name(),
            meta.default_action(true).name(),
            id = meta.id,
        )?;
    }
    Ok(())
}

fn write_explanation(entry: &Entry, text: &mut String) -> fmt::Result {
    let meta = entry.meta;
    writeln!(text, "{}: {}\n", meta.id, meta.title)?;
    for line in docs(meta).lines() {
        match line.strip_prefix("## ") {
            Some(title) => writeln!(text, "{title}:")?,
            None => writeln!(text, "{line}")?,
        }
    }
    for (title, fixture) in [("Finds fault with", meta.bad), ("Passes", meta.good)] {
        let example = Example::read(fixture);
        writeln!(text, "\n{title} {}:\n", lower(&operation(&example)))?;
        for line in &example.facts {
            writeln!(text, "    {line}")?;
        }
        if !example.facts.is_empty() {
            text.push('\n');
        }
        for line in &example.lines {
            writeln!(text, "    {line}")?;
        }
    }
    let parameters = parameters(entry);
    if !parameters.is_empty() {
        writeln!(text, "\nParameters:\n")?;
        for Parameter { name, kind, default, meaning } in parameters {
            writeln!(text, "    {name}: {kind}, {default} by default. {meaning}")?;
        }
    }
    text.push('\n');
    for (name, value) in properties(meta) {
        writeln!(text, "{:<18}{value}", format!("{name}:"))?;
    }
    Ok(())
}

/// Facts about a rule in a few words each.
fn properties(meta: &Meta) -> [(&'static str, String); 5] {
    let judges: Vec<String> = meta
        .judges
        .iter()
        .map(|(kind, operations)| {
            let operations: Vec<&str> = operations.iter().map(|o| o.name()).collect();
            format!("{} of {}", operations.join(", "), kind.name())
        })
        .collect();
    let judges = match judges.join("; ") {
        none if none.is_empty() => "the old and the new manifests of `stateward check`".to_owned(),
        judges => judges,
    };
    let (check, cluster) = (meta.default_action(false).name(), meta.default_action(true).name());
    let action = if check == cluster {
        format!("{check}, in `check` and in the cluster")
    } else {
        format!("{check} in `check`, {cluster} in the cluster")
    };
    [
        ("Default action", action),
        ("Group", meta.group.name().to_owned()),
        ("Judges", judges),
        ("Since", meta.since.to_owned()),
        ("Source", meta.source.to_owned()),
    ]
}

/// The doc comment without the blank that stands before each of its lines.
fn docs(meta: &Meta) -> String {
    let lines: Vec<&str> =
        meta.docs.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n").trim().to_owned()
}

/// "An UPDATE, with propagationPolicy: Orphan"
fn operation(example: &Example<'_>) -> String {
    let operation = match example.operation {
        Operation::Create => "A CREATE",
        Operation::Update => "An UPDATE",
        Operation::Delete => "A DELETE",
    };
    let inline = example.circumstances.join(", ");
    match (inline.as_str(), example.facts.is_empty()) {
        ("", true) => operation.to_owned(),
        ("", false) => format!("{operation}, with this known"),
        (inline, true) => format!("{operation}, with {inline}"),
        (inline, false) => format!("{operation}, with {inline} and this known"),
    }
}

/// One parameter of a rule.
struct Parameter {
    name: String,
    kind: String,
    default: String,
    meaning: String,
}

fn parameters(entry: &Entry) -> Vec<Parameter> {
    let schema = (entry.schema)();
    let defaults = (entry.defaults)();
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Parameter {
            name: name.clone(),
            kind: kind(schema),
            default: defaults.get(name).map(Value::to_string).unwrap_or_default(),
            meaning: schema
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .replace('\n', " "),
        })
        .collect()
}

/// The type of a parameter in words: `integer`, `list of string`.
fn kind(schema: &Value) -> String {
    let names = match schema.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => "value".to_owned(),
    };
    match schema.get("items") {
        Some(items) if names == "array" => format!("list of {}", kind(items)),
        _ => names,
    }
}

/// Text that does not end a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_links_to_the_pages_of_its_tag() {
        assert_eq!(revision(Some("v1.2.3")), "v1.2.3");
        for other in [None, Some(""), Some("main"), Some("topic")] {
            assert_eq!(revision(other), "main", "{other:?}");
        }
    }
}
