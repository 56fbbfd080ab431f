//! Where log lines go, and in which form.

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use clap::ValueEnum;
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Why logging could not start.
#[derive(Debug, Error)]
pub enum LogError {
    /// The level is neither a level nor a filter.
    #[error(
        "log level \"{level}\" is neither error, warn, info, debug, trace nor a filter such as \
         stateward=debug"
    )]
    Level {
        /// as given
        level: String,
        /// what the parser said
        source: ParseError,
    },
    /// Something else in this process logs already.
    #[error("logging has started already")]
    Started,
}

/// The library that watches a cluster.
const WATCHES: &str = "kube_runtime";

/// Starts logging to standard error, since standard output belongs to the commands.
///
/// `level` is a level, or a filter with a level per module. Panics are logged as well.
///
/// # Errors
/// A level that cannot be read, and a second start.
pub fn start(format: LogFormat, level: &str) -> Result<(), LogError> {
    let parse = |text: &str| {
        EnvFilter::try_new(text)
            .map_err(|source| LogError::Level { level: level.to_owned(), source })
    };
    let mut filter = parse(level)?;
    // Why a watch fails is said by us, once; its library says so at every try.
    if !level.contains(WATCHES) {
        filter = parse(&format!("{level},{WATCHES}=error"))?;
    }
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LogError::Started)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs where a panic arose. Its message is left out, since it may quote the object under review.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a thread panicked");
}
