//! `stateward policy`: the policy file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::Subcommand;
use stateward_core::policy::{Policy, PolicyFile};

use super::Outcome;
use crate::cli::input::git;
use crate::webhook::load_policy;

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
    /// Validate a policy file, and show each fault with its place
    #[command(after_help = "Example:\n  stateward policy lint stateward.yaml")]
    Lint(LintArgs),
}

/// Arguments of `stateward policy lint`.
#[derive(Debug, clap::Args)]
pub struct LintArgs {
    /// Policy file; "-" is standard input [default: stateward.yaml in this folder or above it]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// The file name that is looked for.
const FILE: &str = "stateward.yaml";

/// Prints or judges.
///
/// # Errors
/// A file that cannot be read or is no policy.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    match &args.command {
        Command::Schema => {
            super::print(&format!("{:#}\n", PolicyFile::schema()))?;
        }
        Command::Lint(LintArgs { file }) => return lint(file.as_deref()),
    }
    Ok(Outcome::Clean)
}

/// Prints every fault of a policy file.
fn lint(named: Option<&Path>) -> anyhow::Result<Outcome> {
    let (name, text) = match named {
        Some(file) if file.as_os_str() == "-" => {
            let text = std::io::read_to_string(std::io::stdin());
            ("-".to_owned(), text.context("cannot read standard input")?)
        }
        named => {
            let file = match named {
                Some(file) => file.to_owned(),
                None => {
                    nearest()?.ok_or_else(|| anyhow!("no {FILE} here or above; nothing to lint"))?
                }
            };
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read the policy \"{name}\""))?;
            (name, text)
        }
    };
    let faults = Policy::errors(&text);
    if faults.is_empty() {
        super::print(&format!("{name}: no fault found\n"))?;
        return Ok(Outcome::Clean);
    }
    let lines: Vec<String> = faults.iter().map(|fault| format!("error: {name}:{fault}")).collect();
    super::print(&format!("{}\n", lines.join("\n")))?;
    Ok(Outcome::Findings)
}

/// The nearest policy upwards from the working folder.
fn nearest() -> anyhow::Result<Option<PathBuf>> {
    let folder = std::env::current_dir().context("cannot tell the working folder")?;
    Ok(folder.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file()))
}

/// The policy: the file that is named, else the nearest `stateward.yaml` upwards from the working
/// folder, else the built-in defaults.
///
/// # Errors
/// A file that cannot be read or is no policy.
pub fn find(named: Option<&Path>) -> anyhow::Result<Policy> {
    if let Some(file) = named {
        return Ok(load_policy(file)?);
    }
    match nearest()? {
        Some(file) => Ok(load_policy(&file)?),
        None => Ok(Policy::default()),
    }
}

/// The policy of a git revision: the nearest `stateward.yaml` upwards from the working folder, as
/// the revision holds it, so that a change cannot relax its own check.
///
/// # Errors
/// No git repository, no such revision, or a file that is no policy.
pub fn find_in_revision(revision: &str) -> anyhow::Result<Policy> {
    let folder = std::env::current_dir().context("cannot tell the working folder")?;
    let old = git::nearest_file(&folder, revision, FILE)?
        .map(|(path, text)| (format!("{revision}:{path}"), text));
    let here = nearest()?.and_then(|file| std::fs::read_to_string(file).ok());
    if here.is_some() && here.as_ref() != old.as_ref().map(|(_, text)| text) {
        let counts = match &old {
            Some((name, _)) => format!("the policy is that of {name}"),
            None => format!("{revision} has no {FILE}: the built-in defaults count"),
        };
        super::print_error(&format!(
            "note: {counts}; the one of the work tree counts once it is merged, or with --policy\n"
        ));
    }
    match old {
        Some((name, text)) => {
            Policy::parse(&text, &name).map_err(|error| anyhow!("{name}:{error}"))
        }
        None => Ok(Policy::default()),
    }
}
