//! `stateward packs`: what is known about systems.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use stateward_core::nearest;
use stateward_core::packs::{self, OneOrAll, Pack, Packs, Recogniser};

use super::Outcome;
use super::columns::columns;

/// Arguments of `stateward packs`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  stateward packs\n  stateward packs etcd\n  stateward packs --lint mydb.yaml"
)]
pub struct Args {
    /// The pack to explain [default: list all]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print JSON
    #[arg(long, conflicts_with_all = ["schema", "lint"])]
    pub json: bool,
    /// Print the JSON schema of a pack, for editors
    #[arg(long, conflicts_with_all = ["name", "lint"])]
    pub schema: bool,
    /// Validate a pack, and show its first fault with its place
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub lint: Option<std::path::PathBuf>,
    /// Policy file whose packs are listed as well
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schema", "lint"])]
    pub policy: Option<std::path::PathBuf>,
}

/// Prints them.
///
/// # Errors
/// An unknown name, or a file that is no pack.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    if args.schema {
        super::print(&format!("{:#}\n", packs::schema()))?;
        return Ok(Outcome::Clean);
    }
    if let Some(file) = &args.lint {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let pack =
            packs::read(&text).map_err(|error| anyhow::anyhow!("{}:{error}", file.display()))?;
        super::print(&format!("{}: {} is a pack\n", file.display(), pack.title))?;
        return Ok(Outcome::Clean);
    }
    let policy = super::policy::find(args.policy.as_deref())?;
    let all = &policy.packs;
    let text = match &args.name {
        Some(name) => {
            let Some((name, pack)) = all.named(name) else {
                let known: Vec<&str> = all.iter().map(|(name, _)| name).collect();
                let mut hint = nearest::hint(name, &known);
                if hint.is_empty() {
                    "; stateward packs lists all".clone_into(&mut hint);
                }
                bail!("there is no pack \"{name}\"{hint}");
            };
            if args.json { described(name, pack).to_string() + "\n" } else { explain(name, pack) }
        }
        None if args.json => {
            let list: Vec<Value> = all.iter().map(|(name, pack)| described(name, pack)).collect();
            format!("{:#}\n", Value::Array(list))
        }
        None => table(all),
    };
    super::print(&text)?;
    Ok(Outcome::Clean)
}

fn table(all: &Packs) -> String {
    let rows: Vec<[String; 3]> = all
        .iter()
        .map(|(name, pack)| [name.to_owned(), pack.title.clone(), pack.about.clone()])
        .collect();
    let heads = ["NAME", "SYSTEM", "ABOUT"].map(str::to_owned);
    columns(&std::iter::once(heads).chain(rows).collect::<Vec<_>>()).join("\n") + "\n"
}

fn described(name: &str, pack: &Pack) -> Value {
    let mut object = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Ok(Value::Object(written)) = serde_json::to_value(pack) {
        object.extend(written.into_iter().filter(|(_, value)| !is_empty(value)));
    }
    Value::Object(object)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        Value::String(text) => text.is_empty(),
        Value::Bool(is) => !is,
        Value::Number(_) => false,
    }
}

fn explain(name: &str, pack: &Pack) -> String {
    let mut text = format!("{} ({name})\n\n{}\n\nRecognised by\n", pack.title, pack.about);
    for way in &pack.recognise {
        let _ = writeln!(text, "  - {}", said(way));
    }
    let Value::Object(facts) = described(name, pack) else { return text };
    for (key, value) in &facts {
        if ["name", "title", "about", "recognise"].contains(&key.as_str()) {
            continue;
        }
        let _ = writeln!(text, "\n{}", heading(key));
        fact(value, 1, &mut text);
    }
    text
}

fn said(way: &Recogniser) -> String {
    let mut parts = Vec::new();
    parts.extend(way.image.as_ref().map(|image| format!("image {image}")));
    parts.extend(way.owner.as_ref().map(|owner| format!("owner {owner}")));
    parts.extend(way.labels.iter().map(|(key, value)| format!("label {key}={value}")));
    parts.extend(way.argument.as_ref().map(|text| format!("argument {text}")));
    let variables = way.variable.iter().flat_map(OneOrAll::as_slice);
    parts.extend(variables.map(|name| format!("variable {name}")));
    parts.join(", ")
}

/// `scale-down` → `Scale down`.
fn heading(key: &str) -> String {
    let spaced = key.replace('-', " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A fact as lines: what it holds first, then why, then its source.
fn fact(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            let last = ["why", "source"];
            let known = members.iter().filter(|(key, _)| !last.contains(&key.as_str()));
            let rest = last.iter().filter_map(|key| members.get_key_value(*key));
            for (key, value) in known.chain(rest).filter(|(_, value)| !is_empty(value)) {
                match value {
                    Value::Array(items)
                        if items.iter().all(|item| !item.is_object() && !item.is_array())
                            && key != "steps"
                            && key != "way" =>
                    {
                        let items: Vec<String> = items.iter().map(plain).collect();
                        let _ = writeln!(text, "{indent}{key}: {}", items.join(", "));
                    }
                    Value::Array(_) | Value::Object(_) => {
                        let _ = writeln!(text, "{indent}{key}:");
                        fact(value, depth + 1, text);
                    }
                    other => {
                        let _ = writeln!(text, "{indent}{key}: {}", plain(other));
                    }
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                fact(item, depth + 1, &mut inner);
                let inner = inner.trim_start();
                let _ = write!(text, "{indent}- {inner}");
            }
        }
        other => {
            let _ = writeln!(text, "{indent}{}", plain(other));
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
