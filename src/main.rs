//! Parses the arguments, runs one command, turns the outcome into an exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use stateward::cli::{self, Cli};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(parse()) {
        Ok(outcome) => ExitCode::from(outcome.code()),
        // Whoever read us has enough, as in `stateward rules | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed as well, the exit code has to say it.
            let _ = writeln!(io::stderr().lock(), "error: {error:#}");
            ExitCode::from(cli::Outcome::Failed.code())
        }
    }
}

/// Reads the arguments. As a plugin of kubectl the program is called as kubectl calls it.
fn parse() -> Cli {
    let mut command = Cli::command();
    let program = cli::program::name();
    if program.starts_with("kubectl ") {
        command = command.bin_name(program);
    }
    Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
