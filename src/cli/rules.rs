//! `stateward rules`: the catalogue.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde_json::{Value, json};
use stateward_core::rules::{Entry, Meta, RULES};

use super::Outcome;
use super::columns::columns;

/// Arguments of `stateward rules`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward rules --format markdown")]
pub struct Args {
    /// Output format
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// How rules are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// a table for people
    Text,
    /// everything known, for programs
    Json,
    /// a table for documentation
    Markdown,
}

const HEADS: [&str; 5] = ["RULE", "GROUP", "CHECK", "CLUSTER", "CATCHES"];

/// Prints them.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let text = match args.format {
        Format::Text => table(),
        Format::Json => {
            let list: Vec<Value> = RULES.iter().map(described).collect();
            format!("{:#}\n", Value::Array(list))
        }
        Format::Markdown => markdown(),
    };
    super::print(&text)?;
    Ok(Outcome::Clean)
}

/// What a rule does by default in `check` and in the cluster, among other things.
fn row(meta: &Meta) -> [&'static str; 5] {
    [
        meta.id,
        meta.group.name(),
        meta.default_action(false).name(),
        meta.default_action(true).name(),
        meta.title,
    ]
}

fn table() -> String {
    let rows: Vec<[&str; 5]> =
        std::iter::once(HEADS).chain(RULES.iter().map(|entry| row(entry.meta))).collect();
    columns(&rows).join("\n") + "\n"
}

fn markdown() -> String {
    let mut text =
        "| Rule | Group | `check` | Cluster | Catches |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for entry in RULES {
        let [id, group, check, cluster, title] = row(entry.meta);
        let title = title.replace('|', "\\|");
        let _ = writeln!(text, "| `{id}` | {group} | {check} | {cluster} | {title} |");
    }
    text
}

fn described(entry: &Entry) -> Value {
    let meta = entry.meta;
    let judges: Vec<Value> = meta
        .judges
        .iter()
        .map(|(kind, operations)| {
            let operations: Vec<&str> = operations.iter().map(|o| o.name()).collect();
            json!({"kind": kind.name(), "operations": operations})
        })
        .collect();
    json!({
        "id": meta.id,
        "title": meta.title,
        "group": meta.group,
        "action": {"check": meta.default_action(false), "cluster": meta.default_action(true)},
        "since": meta.since,
        "judges": judges,
        "source": meta.source,
        "parameters": (entry.defaults)(),
    })
}
