//! `stateward check`: judges manifests.

use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{ColorChoice, ValueEnum};
use jiff::Timestamp;
use stateward_check::judge::check_with;
use stateward_check::pair::{Paired, pair};
use stateward_check::report::{Options, Output};
use stateward_check::select::Selection;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;

use super::input::{Files, load, load_revision, render, render_revision};
use super::{Outcome, output, parallel};

/// Arguments of `stateward check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    stateward check --old-ref origin/main --format text --format sarif=out.sarif deploy/\n\n\
    Exit codes:\n  \
    0  nothing denied; warnings do not count, but with --fail-on warn\n  \
    1  something denied\n  \
    2  could not run, or not read a manifest")]
pub struct Args {
    /// Files or folders with manifests; "-" is standard input
    #[arg(value_name = "PATH", required_unless_present = "render")]
    pub paths: Vec<PathBuf>,

    /// File or folder with the manifests as they were, "-" is standard input; repeatable
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

    /// How many threads read and judge [default: one for each core]
    #[arg(long, value_name = "NUMBER")]
    pub jobs: Option<NonZero<usize>>,

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
            checkout: output::checkout(self.old_ref.clone()),
        }
    }
}

/// Judges.
///
/// # Errors
/// A policy that is wrong, a revision that is not there, a command that fails.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let outputs = Output::resolve(&args.format)?;
    let stdin = Path::new("-");
    if args.paths.iter().any(|path| path == stdin) && args.old.iter().any(|path| path == stdin) {
        bail!("the old and the new manifests cannot both come from standard input");
    }
    let policy = match (&args.policy, &args.old_ref) {
        (None, Some(revision)) => super::policy::find_in_revision(revision)?,
        (named, _) => super::policy::find(named.as_deref())?,
    };
    let threads = args.jobs.unwrap_or_else(parallel::cores);
    let new = select(args.new_files()?, threads);
    let (facts, unreadable) = Facts::from_documents(new.documents.iter().chain(&new.classes));
    let mut paired = match args.old_files()? {
        Some(old) => pair(select(old, threads), new, args.deletions),
        None => Paired::created(new),
    };
    paired.errors.extend(unreadable);
    let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::now() };
    let report = check_with(paired, args.kubernetes_version, &context, |pairings, judge| {
        parallel::map(pairings, threads, judge)
    });
    let options = args.options();
    if args.verbose {
        super::print_error(&format!("policy: {}\n", policy.source));
    }
    output::write(&outputs, &report, &options)?;
    Ok(Outcome::of(&report, args.fail_on))
}

impl Args {
    fn new_files(&self) -> anyhow::Result<Files> {
        let folder = std::env::current_dir()?;
        if let Some(command) = &self.render {
            return Ok(render(command, &folder)?);
        }
        let there = |path: &&PathBuf| !self.was_removed(&folder, path);
        let paths: Vec<PathBuf> = self.paths.iter().filter(there).cloned().collect();
        Ok(load(&paths, &mut std::io::stdin()))
    }

    /// Whether the old revision has manifests at a path that the work tree does not have: then
    /// they are gone, and the path is no slip of the pen.
    fn was_removed(&self, folder: &Path, path: &Path) -> bool {
        let Some(revision) = &self.old_ref else { return false };
        path != Path::new("-")
            && !path.exists()
            && load_revision(folder, revision, &[path.to_owned()]).is_ok_and(|old| !old.is_empty())
    }

    fn old_files(&self) -> anyhow::Result<Option<Files>> {
        let folder = std::env::current_dir()?;
        Ok(match (&self.old_ref, &self.render) {
            (Some(revision), Some(command)) => Some(render_revision(command, &folder, revision)?),
            (Some(revision), None) => Some(load_revision(&folder, revision, &self.paths)?),
            (None, _) if !self.old.is_empty() => Some(load(&self.old, &mut std::io::stdin())),
            (None, _) => None,
        })
    }
}

/// Reads files and keeps what is judged.
fn select(files: Files, threads: NonZero<usize>) -> Selection {
    let mut all = Selection::default();
    files.read(threads, Selection::from).into_iter().for_each(|part| all.append(part));
    all
}
