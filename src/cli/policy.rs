//! `stateward policy`: the policy file.

use std::path::PathBuf;

use clap::Subcommand;

use super::Outcome;

/// Arguments of `stateward policy`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward policy lint stateward.yaml")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with the policy.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the JSON schema of the policy file, for editors
    #[command(after_help = "Example:\n  stateward policy schema > stateward.schema.json")]
    Schema,
    /// Say whether a policy file is right, and where it is not
    #[command(after_help = "Example:\n  stateward policy lint stateward.yaml")]
    Lint(LintArgs),
}

/// Arguments of `stateward policy lint`.
#[derive(Debug, clap::Args)]
pub struct LintArgs {
    /// The policy; "-" is standard input [default: stateward.yaml in this folder or one above it]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Prints or judges.
///
/// # Errors
/// It could not run.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Schema => anyhow::bail!("policy schema is not part of this build"),
        Command::Lint(_) => anyhow::bail!("policy lint is not part of this build"),
    }
}
