//! `stateward explain`: one rule.

use std::fmt::Write as _;

use anyhow::bail;

use super::Outcome;
use crate::nearest;
use crate::rules::{self, Entry, RULES};

/// Arguments of `stateward explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward explain sts-vct-size-shrink")]
pub struct Args {
    /// The rule's id, as "stateward rules" lists it
    #[arg(value_name = "RULE")]
    pub rule: String,
}

/// Prints its page.
///
/// # Errors
/// An unknown rule.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Some(entry) = rules::by_id(&args.rule) else {
        let known: Vec<&str> = RULES.iter().map(|entry| entry.meta.id).collect();
        let mut hint = nearest::hint(&args.rule, &known);
        if hint.is_empty() {
            "; stateward rules lists all".clone_into(&mut hint);
        }
        bail!("there is no rule \"{}\"{hint}", args.rule);
    };
    super::print(&page(entry))?;
    Ok(Outcome::Clean)
}

/// What there is to say about a rule.
fn page(entry: &Entry) -> String {
    let meta = entry.meta;
    let docs: Vec<&str> =
        meta.docs.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let mut text = format!("# {}: {}\n\n{}\n", meta.id, meta.title, docs.join("\n"));
    let parameters = (entry.defaults)();
    if parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
        let _ = write!(text, "\n## Parameters\n{parameters:#}\n");
    }
    for (title, example) in [("Finds fault with", meta.bad), ("Passes", meta.good)] {
        let _ = write!(text, "\n## {title}\n{}\n", example.trim_end());
    }
    let _ = write!(
        text,
        "\n## Facts\ngroup {}, default {} (in the cluster {}), since {}\nsource: {}\n",
        meta.group.name(),
        meta.default_action(false).name(),
        meta.default_action(true).name(),
        meta.since,
        meta.source
    );
    text
}
