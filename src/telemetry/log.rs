//! The subscriber of this process: log lines, and exported spans.

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use clap::ValueEnum;
use thiserror::Error;
use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt as _, ParseError, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The reason that logging cannot start.
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
    /// This process has a subscriber already.
    #[error("logging has started already")]
    Started,
}

/// The library that watches a cluster.
const WATCHES: &str = "kube_runtime";

/// Keeps what the subscriber of this process needs to its end.
#[derive(Debug)]
#[must_use = "dropping it ends the export of spans"]
pub struct Subscribed {
    #[cfg(feature = "otel")]
    _exporter: Option<super::traces::Exporter>,
}

/// Logs to standard error from now on; standard output belongs to the commands. A panic is logged
/// too. With the feature `otel` it also exports spans, if the environment names a collector.
///
/// `level` is a level, or a filter with a level per module.
///
/// # Errors
/// The level is invalid, the environment configures an export that cannot start, or another
/// subscriber is set.
pub fn start(format: LogFormat, level: &str) -> anyhow::Result<Subscribed> {
    let parse = |text: &str| {
        EnvFilter::try_new(text)
            .map_err(|source| LogError::Level { level: level.to_owned(), source })
    };
    let mut filter = parse(level)?;
    // Our own log explains once why a watch fails; its library repeats it at every retry.
    if !level.contains(WATCHES) {
        filter = parse(&format!("{level},{WATCHES}=error"))?;
    }
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = Registry::default().with(lines.with_filter(filter.and(filter_fn(is_event))));
    #[cfg(feature = "otel")]
    let (subscriber, exporter) = {
        let exporter = super::traces::Exporter::start()?;
        // Events hold names of objects, and spans must not.
        let spans = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with(OURS));
        let layer = exporter.as_ref().map(|exporter| exporter.layer().with_filter(spans));
        (subscriber.with(layer), exporter)
    };
    subscriber.try_init().map_err(|_| LogError::Started)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(Subscribed {
        #[cfg(feature = "otel")]
        _exporter: exporter,
    })
}

fn is_event(metadata: &Metadata<'_>) -> bool {
    metadata.is_event()
}

/// The start of our modules' paths.
#[cfg(feature = "otel")]
const OURS: &str = "stateward";

/// Logs the place of a panic, but not its message, which may quote the object under review.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a thread panicked");
}
