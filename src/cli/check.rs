//! `stateward check`: judges manifests.

use std::path::PathBuf;

use clap::{ColorChoice, ValueEnum};

use super::{Outcome, output};
use crate::change::KubernetesVersion;
use crate::report::{Options, Output};

/// Arguments of `stateward check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    stateward check --old-ref origin/main --format text --format sarif=out.sarif deploy/")]
pub struct Args {
    /// Files or folders with manifests; "-" is standard input
    #[arg(value_name = "PATH", required_unless_present = "render")]
    pub paths: Vec<PathBuf>,

    /// File or folder with the manifests as they were; repeatable
    #[arg(long, value_name = "PATH", conflicts_with = "old_ref")]
    pub old: Vec<PathBuf>,

    /// Git revision with the manifests as they were: reads the same paths from it
    #[arg(long, value_name = "REF")]
    pub old_ref: Option<String>,

    /// Judge what this command prints, run in a checkout of each revision,
    /// such as 'helm template db charts/db -f values.yaml'
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["paths", "old"])]
    pub render: Option<String>,

    /// Judge an object that is only in the old version as a DELETE
    #[arg(long)]
    pub deletions: bool,

    /// The policy [default: stateward.yaml in this folder or one above it; with --old-ref, the
    /// one of that revision]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The version that decides what the API server would refuse
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    pub kubernetes_version: KubernetesVersion,

    /// What makes the exit code 1
    #[arg(long, value_name = "OUTCOME", default_value = "deny")]
    pub fail_on: FailOn,

    /// Format, and the file it goes to: text, json, sarif, junit, github, markdown; repeatable
    /// [default: text]
    #[arg(long, value_name = "FORMAT[=FILE]")]
    pub format: Vec<Output>,

    /// Whether text is coloured; NO_COLOR is honoured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,

    /// Say what was judged, and what was not
    #[arg(short, long)]
    pub verbose: bool,
}

/// What makes the exit code 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// a warning
    Warn,
    /// a denial
    #[default]
    Deny,
}

impl Args {
    /// What the formats are told.
    pub fn options(&self) -> Options {
        Options {
            verbose: self.verbose,
            color: output::color(self.color),
            warnings_fail: self.fail_on == FailOn::Warn,
            link_base: output::link_base(|name| std::env::var(name).ok()),
        }
    }
}

/// Judges.
///
/// # Errors
/// It could not run.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    Output::resolve(&args.format)?;
    anyhow::bail!("check is not part of this build")
}
