//! `stateward man`: manual pages.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::CommandFactory as _;
use stateward_core::nearest;

use super::{Cli, Outcome};

/// Arguments of `stateward man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward man check | man -l -")]
pub struct Args {
    /// Command to print the page of [default: stateward itself]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    pub command: Vec<String>,

    /// Write one page per command into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints or writes them.
///
/// # Errors
/// An unknown command, or a place that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut command = Cli::command();
    if args.dir.is_some() {
        command = without_help(command);
    }
    // Gives each command its full name, `stateward-check`.
    command.build();
    if let Some(dir) = &args.dir {
        let tried = || format!("cannot write manual pages to \"{}\"", dir.display());
        std::fs::create_dir_all(dir).with_context(tried)?;
        clap_mangen::generate_to(command, dir).with_context(tried)?;
        return Ok(Outcome::Clean);
    }
    for name in &args.command {
        let Some(found) = command.find_subcommand(name) else {
            let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
            bail!("there is no command \"{name}\"{}", nearest::hint(name, &known));
        };
        command = found.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    super::print(&String::from_utf8(page)?)?;
    Ok(Outcome::Clean)
}

/// Without the command `help` of each command that has commands: it has no page to read.
fn without_help(command: clap::Command) -> clap::Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}
