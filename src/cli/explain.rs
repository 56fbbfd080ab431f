//! `stateward explain`: one rule.

use anyhow::bail;
use stateward_core::nearest;
use stateward_core::rules::{self, RULES};

use super::Outcome;

/// Arguments of `stateward explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward explain sts-vct-size-shrink")]
pub struct Args {
    /// Rule id, as listed by "stateward rules"
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
    super::print(&rules::page::explain(entry))?;
    Ok(Outcome::Clean)
}
