//! `stateward check`: judges manifests.

mod live;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{ColorChoice, ValueEnum};
use jiff::Timestamp;
use stateward_check::judge::check_with;
use stateward_check::pair::{Paired, pair};
use stateward_check::report::{Level, Notice, NoticeLevel, Options, Output};
use stateward_check::select::Selection;
use stateward_core::change::KubernetesVersion;
use stateward_core::decide::EvaluationContext;
use stateward_core::facts::Facts;
use stateward_core::yaml::InputError;

use super::connection::Connection;
use super::input::exclude::{IGNORE_FILE, normal};
use super::input::git::{self, Base};
use super::input::render::outside_of_sparse_checkout;
use super::input::{DEAD_LINK, Exclude, Files, load, load_revision, render, render_revision};
use super::{Outcome, output, parallel};

/// Arguments of `stateward check`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    stateward check --old-ref origin/main --format text --format sarif=out.sarif deploy/\n\n\
    Exit codes:\n  \
    0  nothing was denied (warnings count only with --fail-on warn)\n  \
    1  a change was denied\n  \
    2  the command failed, or could not read its input")]
pub struct Args {
    /// Files or folders with manifests; "-" is standard input
    #[arg(value_name = "PATH", required_unless_present = "render")]
    pub paths: Vec<PathBuf>,

    /// File or folder with the old manifests; "-" is standard input; repeatable
    #[arg(long, value_name = "PATH", conflicts_with = "old_ref")]
    pub old: Vec<PathBuf>,

    /// Compare with the same paths of the commit at which HEAD left this git revision. "A...B"
    /// names the commit at which A and B parted, and "A.." the revision A itself
    #[arg(long, value_name = "REF")]
    pub old_ref: Option<String>,

    /// Leave out files that match this pattern, written as in .gitignore; repeatable. The file
    /// .statewardignore, here or in a folder above, holds patterns for every run
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Judge what this command prints, such as 'helm template db charts/db -f values.yaml'; with
    /// --old-ref it also runs in a checkout of that revision
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["paths", "old"])]
    pub render: Option<String>,

    /// Judge an object that is only in the old version as a DELETE; always so with --render
    #[arg(long)]
    pub deletions: bool,

    /// Compare with what lives in the cluster, and judge with its facts. Fields that a manifest leaves
    /// out stay as they are, as with kubectl apply
    #[arg(long, conflicts_with_all = ["old", "old_ref", "deletions", "facts"])]
    pub live: bool,

    /// With --live: the namespace of manifests that name none, and the only one to look at
    /// [default: that of the context, and all]
    #[arg(short, long, value_name = "NAMESPACE", requires = "live")]
    pub namespace: Option<String>,

    /// Which cluster --live asks
    #[command(flatten)]
    pub connection: Connection,

    /// File or folder with facts: what `stateward facts export` or `kubectl get -o yaml` printed;
    /// repeatable
    #[arg(long, value_name = "PATH")]
    pub facts: Vec<PathBuf>,

    /// Fail with exit code 2 if a rule could not be judged for want of a fact
    #[arg(long)]
    pub require_facts: bool,

    /// Policy file [default: the nearest stateward.yaml in this folder or above; with --old-ref,
    /// as that revision has it]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The version of the API server that the manifests are meant for
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    pub kubernetes_version: KubernetesVersion,

    /// The least bad outcome that makes the exit code 1
    #[arg(long, value_name = "OUTCOME", default_value = "deny")]
    pub fail_on: FailOn,

    /// Output format, and the file to write it to: text, json, sarif, junit, github, markdown; repeatable
    /// [default: text]
    #[arg(short = 'o', long, value_name = "FORMAT[=FILE]")]
    pub format: Vec<Output>,

    /// When to colour text; NO_COLOR turns colours off
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,

    /// How many threads read and judge [default: one for each core]
    #[arg(long, value_name = "NUMBER")]
    pub jobs: Option<NonZero<usize>>,

    /// List what was judged and what was not
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

impl FailOn {
    const fn level(self) -> Level {
        match self {
            Self::Warn => Level::Warning,
            Self::Deny => Level::Error,
        }
    }
}

/// Judges.
///
/// # Errors
/// A policy that is wrong, a revision that is not there, a command that fails.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let outputs = Output::resolve(&args.format)?;
    judge(args, &outputs).inspect_err(|error| output::annotate_failure("check", &outputs, error))
}

fn judge(args: &Args, outputs: &[Output]) -> anyhow::Result<Outcome> {
    let stdin = Path::new("-");
    if args.paths.iter().any(|path| path == stdin) && args.old.iter().any(|path| path == stdin) {
        bail!("the old and the new manifests cannot both come from standard input");
    }
    let Connection { kubeconfig, context } = &args.connection;
    if !args.live && (kubeconfig.is_some() || context.is_some()) {
        bail!("--kubeconfig and --context are for --live: without it, no cluster is asked");
    }
    let folder = std::env::current_dir().context("cannot tell the working folder")?;
    let asked = args.old_ref.as_deref();
    let unborn = asked.is_some_and(|asked| git::is_unborn(&folder, asked));
    if unborn {
        super::print_error(
            "note: this branch has no commit yet, so every object is judged as new\n",
        );
    }
    let asked = asked.filter(|_| !unborn);
    let base = asked.map(|asked| git::base(&folder, asked)).transpose()?;
    let policy = match (&args.policy, &base) {
        (None, Some(base)) => super::policy::find_in_revision(&base.tip)?,
        (named, _) => super::policy::find(named.as_deref())?,
    };
    let threads = args.jobs.unwrap_or_else(parallel::cores);
    let inputs = Inputs { args, folder, base };
    let old = inputs.old_files()?;
    let manifests = old.as_ref().map(|old| old.paths.clone()).unwrap_or_default();
    let mut old = old.map(|mut old| (std::mem::take(&mut old.notices), select(old, threads)));
    let mut new = select(inputs.new_files(&manifests)?, threads);
    let mut facts =
        if args.facts.is_empty() { Facts::none() } else { super::facts::read(&args.facts)? };
    if args.live {
        let live = live::read(&args.connection, args.namespace.as_deref(), &mut new)?;
        facts = live.facts;
        old = Some((Vec::new(), live.selection));
    }
    let unreadable = facts.add_documents(new.documents.iter().chain(&new.facts));
    // What a command renders is whole: an object that is missing from it is deleted.
    let deletions = args.deletions || args.render.is_some();
    let mut paired = match old {
        Some((notices, mut old)) => {
            // A file without any place in it is missing: that is no fault which the change mends.
            let missing = |error: &InputError| {
                inputs.base.is_none() && error.line == 0 && error.message != DEAD_LINK
            };
            let (missing, errors) = old.errors.into_iter().partition(missing);
            old.errors = errors;
            let mut paired = pair(old, new, deletions);
            paired.errors.extend::<Vec<InputError>>(missing);
            paired.notices.extend(notices);
            paired
        }
        None => Paired::created(new),
    };
    // A rule that needs such a fact says that it is not known.
    paired.notices.extend(unreadable.into_iter().map(Notice::warning));
    let context = EvaluationContext { policy: &policy, facts: &facts, now: Timestamp::now() };
    let report = check_with(paired, args.kubernetes_version, &context, |pairings, judge| {
        parallel::map(pairings, threads, judge)
    });
    let options = inputs.options();
    if let Some(doubt) = inputs.base.as_ref().and_then(|base| base.doubt.as_ref()) {
        super::print_error(&format!("warning: {doubt}\n"));
    }
    if args.verbose {
        super::print_error(&format!("policy: {}\n", policy.source));
        if let Some(note) = inputs.base.as_ref().and_then(|base| base.note.as_ref()) {
            super::print_error(&format!("note: {note}\n"));
        }
    }
    output::write(outputs, &report, &options, threads)?;
    if args.require_facts && report.summary.not_judged > 0 {
        super::print_error(
            "error: rules could not be judged for want of facts (--require-facts)\n",
        );
        return Ok(Outcome::Failed);
    }
    Ok(Outcome::of(&report, args.fail_on))
}

/// Where the old and the new manifests come from.
struct Inputs<'a> {
    args: &'a Args,
    /// the working folder
    folder: PathBuf,
    /// the revision of `--old-ref`
    base: Option<Base>,
}

impl Inputs<'_> {
    fn options(&self) -> Options {
        let revision = self.base.as_ref().map(|base| base.revision.clone());
        Options {
            verbose: self.args.verbose,
            color: output::color(self.args.color),
            fail_at: self.args.fail_on.level(),
            link_base: output::link_base(|name| std::env::var(name).ok()),
            checkout: output::checkout(revision),
        }
    }

    /// The new files. `manifests` were read as such in the old revision.
    fn new_files(&self, manifests: &BTreeSet<PathBuf>) -> anyhow::Result<Files> {
        if let Some(command) = &self.args.render {
            return Ok(render(command, &self.folder)?);
        }
        let there = |path: &&PathBuf| !self.was_removed(path);
        let paths: Vec<PathBuf> = self.args.paths.iter().filter(there).cloned().collect();
        let mut exclude = self.exclude()?;
        if self.base.is_some() {
            exclude.add_files(&self.folder, &git::ignored(&self.folder, &self.in_repository())?);
        }
        let mut files = load(&paths, &exclude, manifests, &mut std::io::stdin());
        if let Some(base) = &self.base {
            let left_out: Vec<&String> = files.notices.iter().flat_map(Notice::unjudged).collect();
            let changed = git::changed(&self.folder, &base.revision, &left_out)?;
            for notice in &mut files.notices {
                notice.warn_of_changes(|file| changed.contains(&normal(&self.folder.join(file))));
            }
        }
        Ok(files)
    }

    /// Whether the old revision has manifests at a path that the work tree does not have. They were
    /// deleted then, and the path is no typo.
    fn was_removed(&self, path: &Path) -> bool {
        let Some(base) = &self.base else { return false };
        let old =
            || load_revision(&self.folder, &base.revision, &[path.to_owned()], &Exclude::default());
        path != Path::new("-") && !path.exists() && old().is_ok_and(|old| !old.is_empty())
    }

    fn old_files(&self) -> anyhow::Result<Option<Files>> {
        let Self { args, folder, base } = self;
        Ok(match (base, &args.render) {
            (Some(base), Some(command)) => Some(render_revision(command, folder, &base.revision)?),
            (Some(base), None) => {
                let mut exclude = self.exclude()?;
                // The work tree lacks these on purpose; they are not deleted.
                let sparse = git::sparse(folder, &self.in_repository())?;
                exclude.add_files(folder, &sparse);
                let mut old = load_revision(folder, &base.revision, &args.paths, &exclude)?;
                // Of the files that are left out, those of the work tree are told with it.
                for notice in &mut old.notices {
                    notice.left_out.retain(|file| !folder.join(file).exists());
                    notice.own.retain(|file| !folder.join(file).exists());
                    notice.warn_of_changes(|_| true);
                }
                old.notices.retain(|notice| notice.level == NoticeLevel::Warning);
                old.notices.extend(outside_of_sparse_checkout(sparse));
                Some(old)
            }
            (None, _) if !args.old.is_empty() => {
                let exclude = self.exclude()?;
                Some(load(&args.old, &exclude, &BTreeSet::new(), &mut std::io::stdin()))
            }
            (None, _) => None,
        })
    }

    /// The paths that git knows.
    fn in_repository(&self) -> Vec<PathBuf> {
        self.args.paths.iter().filter(|path| *path != Path::new("-")).cloned().collect()
    }

    /// What `--exclude` and the ignore file leave out. As with the policy, the ignore file is that
    /// of the old revision, so that a change cannot hide from its own check.
    fn exclude(&self) -> anyhow::Result<Exclude> {
        let mut exclude = Exclude::default();
        let file = if let Some(base) = &self.base {
            self.ignore_file_of(&base.tip)?
        } else {
            self.folder.ancestors().find_map(|folder| {
                let text = std::fs::read_to_string(folder.join(IGNORE_FILE)).ok()?;
                Some((folder.to_owned(), text))
            })
        };
        if let Some((folder, text)) = file {
            exclude.add(&folder, IGNORE_FILE, &text)?;
        }
        exclude.add(&self.folder, "--exclude", &self.args.exclude.join("\n"))?;
        Ok(exclude)
    }

    fn ignore_file_of(&self, revision: &str) -> anyhow::Result<Option<(PathBuf, String)>> {
        let file = git::nearest_file(&self.folder, revision, IGNORE_FILE)?;
        let root = output::checkout(None).map(|checkout| checkout.root).unwrap_or_default();
        Ok(file.map(|(path, text)| {
            (root.join(Path::new(&path).parent().unwrap_or(Path::new(""))), text)
        }))
    }
}

/// Reads files and keeps what is judged.
pub(super) fn select(mut files: Files, threads: NonZero<usize>) -> Selection {
    let notices = std::mem::take(&mut files.notices);
    let templates = std::mem::take(&mut files.templates);
    let renamings = std::mem::take(&mut files.renamings);
    let mut all = Selection { notices, renamings, ..Selection::default() };
    files.read(threads, Selection::from).into_iter().for_each(|part| all.append(part));
    let lists = [&mut all.documents, &mut all.facts, &mut all.workloads];
    for document in lists.into_iter().flatten() {
        templates.name(&mut document.template);
    }
    all
}
