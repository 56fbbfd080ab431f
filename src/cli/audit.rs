//! `stateward audit`: what can lose data in a cluster, or is stuck.

mod text;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use stateward_check::audit::{Audit, Earlier, Severity, audit, report, write_page};
use stateward_check::report::{self, Formats, Options, Output, render};
use stateward_core::facts::Facts;

use super::connection::Connection;
use super::{Outcome, output};

/// Arguments of `stateward audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward audit\n  stateward audit -n shop -o json\n  \
                        stateward audit -o text -o html=report.html\n\n\
                        Exit codes:\n  \
                        0  nothing as bad as --fail-on was found\n  \
                        1  something was\n  \
                        2  the cluster or the file could not be read")]
pub struct Args {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Look at this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Look at facts from files instead of a cluster: what `stateward facts export` or
    /// `kubectl get -o yaml` printed; repeatable
    #[arg(long, value_name = "PATH", conflicts_with_all = ["namespace", "kubeconfig", "context"])]
    pub facts: Vec<PathBuf>,
    /// Output format, and the file to write it to: text, json, html, sarif, junit, github, markdown;
    /// repeatable [default: text]
    #[arg(short = 'o', long, value_name = "FORMAT[=FILE]")]
    pub format: Vec<Output<Format>>,
    /// Show what is new and what is fixed since an earlier audit, as `-o json` printed it. `--fail-on`
    /// then looks at new findings only
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// The least bad finding that makes the exit code 1
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
}

/// How an audit is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// one page of its own for a browser
    Html,
    /// a format of `check`
    Shared(report::Format),
}

impl Default for Format {
    fn default() -> Self {
        Self::Shared(report::Format::Text)
    }
}

impl Formats for Format {
    const ALL: &'static [Self] = &[
        Self::Shared(report::Format::Text),
        Self::Shared(report::Format::Json),
        Self::Html,
        Self::Shared(report::Format::Sarif),
        Self::Shared(report::Format::Junit),
        Self::Shared(report::Format::Github),
        Self::Shared(report::Format::Markdown),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Shared(format) => format.name(),
        }
    }
}

/// What makes the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// data is lost
    Lost,
    /// one ordinary command loses data
    Risk,
    /// something waits for a person
    Stuck,
    /// anything
    Note,
}

impl FailOn {
    const fn severity(self) -> Severity {
        match self {
            Self::Lost => Severity::Lost,
            Self::Risk => Severity::Risk,
            Self::Stuck => Severity::Stuck,
            Self::Note => Severity::Note,
        }
    }
}

/// Looks, and prints what was found.
///
/// # Errors
/// No cluster, or a file that holds no facts.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let outputs = Output::resolve(&args.format)?;
    look(args, &outputs).inspect_err(|error| output::annotate_failure("audit", &outputs, error))
}

fn look(args: &Args, outputs: &[Output<Format>]) -> anyhow::Result<Outcome> {
    let earlier = args.since.as_deref().map(earlier).transpose()?;
    let facts = facts(args)?;
    let mut found = audit(&facts);
    found.namespace.clone_from(&args.namespace);
    found.since = earlier.map(|earlier| earlier.compare(&found));
    let fail_on = args.fail_on.map(FailOn::severity);
    output::write_each(outputs, |output, out| write(&found, output.format, fail_on, out))?;
    let fails = fail_on.is_some_and(|fail_on| found.worst().is_some_and(|worst| worst <= fail_on));
    Ok(if fails { Outcome::Findings } else { Outcome::Clean })
}

fn write(
    found: &Audit<'_>,
    format: Format,
    fail_on: Option<Severity>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match format {
        Format::Html => write_page(found, out)?,
        Format::Shared(report::Format::Text) => out.write_all(text::text(found).as_bytes())?,
        Format::Shared(report::Format::Json) => {
            // The cause of an error of serde_json is not its source.
            serde_json::to_writer_pretty(&mut *out, found).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
        Format::Shared(format) => {
            let fail_at = fail_on.map(Severity::level).unwrap_or_default();
            let options = Options { fail_at, ..Options::default() };
            out.write_all(render(format, &report(found), &options)?.as_bytes())?;
        }
    }
    Ok(())
}

fn earlier(file: &std::path::Path) -> anyhow::Result<Earlier> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read \"{}\"", file.display()))?;
    Earlier::read(&text).with_context(|| {
        format!("\"{}\" is not what `stateward audit -o json` prints", file.display())
    })
}

fn facts(args: &Args) -> anyhow::Result<Facts> {
    if args.facts.is_empty() {
        super::facts::of_cluster(&args.connection, args.namespace.as_deref())
    } else {
        super::facts::read(&args.facts)
    }
}
