//! `stateward completions`: for shells.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Outcome};

/// Arguments of `stateward completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  source <(stateward completions bash)")]
pub struct Args {
    /// Shell to complete for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints them.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stateward", &mut script);
    super::print(&String::from_utf8(script)?)?;
    Ok(Outcome::Clean)
}
