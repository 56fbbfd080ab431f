//! The subscriber of this process: log lines, and exported spans.

use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use clap::ValueEnum;
use stateward_core::nearest::hint;
use thiserror::Error;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
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
    #[error("log level \"{level}\": {why}")]
    Level {
        /// as given
        level: String,
        /// what is wrong with it
        why: String,
    },
    /// This process has a subscriber already.
    #[error("logging has started already")]
    Started,
}

/// The levels. `off` is none of them: a log without errors hides what a person must know.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Reads a level, or levels per module such as `info,stateward::webhook=debug`. The library that parses
/// filters takes an unknown word for the name of a module, and then logs nothing else.
///
/// # Errors
/// A word that is no level, or a name that is no module.
pub fn parse_level(text: &str) -> Result<String, LogError> {
    let error = |why: String| LogError::Level { level: text.to_owned(), why };
    let mut directives = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (module, level) = match part.split_once('=') {
            Some((module, level)) => (Some(module), level),
            None => (None, part),
        };
        let level = level.to_ascii_lowercase();
        if !LEVELS.contains(&level.as_str()) {
            let hint = hint(&level, &LEVELS);
            let known = LEVELS.join(", ");
            return Err(error(format!("\"{level}\" is no level{hint}; levels are {known}")));
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if module.is_some_and(|module| module.is_empty() || !module.chars().all(word)) {
            return Err(error("a module is named as in stateward::webhook=debug".to_owned()));
        }
        directives.push(match module {
            Some(module) => format!("{module}={level}"),
            None => level,
        });
    }
    Ok(directives.join(","))
}

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
    let filter = filter(level)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = Registry::default().with(lines.with_filter(filter));
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

/// Which events are logged at `level`.
fn filter<S: Subscriber + for<'span> LookupSpan<'span>>(
    level: &str,
) -> Result<impl Filter<S> + use<S>, LogError> {
    let directives = parse_level(level)?;
    let levels = EnvFilter::try_new(&directives)
        .map_err(|why| LogError::Level { level: level.to_owned(), why: why.to_string() })?
        // Levels per module say nothing of the others, whose errors are logged all the same.
        .or(LevelFilter::ERROR);
    Ok(levels.and(filter_fn(logged)))
}

/// The module of the client that logs an answer which it cannot decode, with all objects in it.
const QUOTES: &str = "kube_client::client";

/// Answers hold Secrets and passwords, so no level shows what quotes them.
fn quotes_nothing(metadata: &Metadata<'_>) -> bool {
    metadata.target() != QUOTES || *metadata.level() == Level::ERROR
}

fn logged(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && quotes_nothing(metadata)
}

/// The start of our modules' paths.
#[cfg(feature = "otel")]
const OURS: &str = "stateward";

/// Logs the place of a panic, but not its message, which may quote the object under review.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a thread panicked");
}

/// Where tests log to.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

#[cfg(test)]
impl Lines {
    pub(crate) fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

#[cfg(test)]
impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        let said = |text: &str| parse_level(text).unwrap_err().to_string();
        assert!(said("warning").contains("\"warning\" is no level; did you mean \"warn\"?"));
        for wrong in ["", "verbose", "off", "info,off", "stateward", "stateward::webhook=off", "3"]
        {
            assert!(said(wrong).contains("is no level"), "{wrong}");
        }
        for wrong in ["=debug", "a b=debug", "[span]=debug", "info,,warn"] {
            assert!(parse_level(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_level_logs_the_answers_of_the_api_server() {
        let lines = Lines::default();
        let written = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || written.clone());
        let layer = layer.with_filter(filter("trace,kube_client=trace").unwrap());
        tracing::subscriber::with_default(Registry::default().with(layer), || {
            tracing::warn!(target: "kube_client::client", "a list with a password");
            tracing::debug!(target: "kube_client::client", "a list with a password");
            tracing::warn!(target: "kube_client::config", "something else");
        });
        let lines = String::from_utf8(lines.written()).unwrap();
        assert!(lines.contains("something else") && !lines.contains("password"), "{lines}");
    }

    #[test]
    fn levels_and_modules_are_read() {
        for (text, read) in [
            ("info", "info"),
            ("WARN", "warn"),
            ("info, stateward::webhook=DEBUG", "info,stateward::webhook=debug"),
            ("kube_runtime=warn", "kube_runtime=warn"),
        ] {
            assert_eq!(parse_level(text).unwrap(), read);
        }
    }
}
