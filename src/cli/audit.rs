//! `stateward audit`: what can lose data in a cluster, or is stuck.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context as _;
use clap::ValueEnum;
use stateward_check::audit::{Audit, AuditFinding, Earlier, EarlierFinding, Severity, audit, page};
use stateward_core::facts::Facts;
use stateward_core::yaml::printable;

use super::Outcome;
use super::columns::columns;
use super::connection::Connection;

/// Arguments of `stateward audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward audit\n  stateward audit -n shop -o json\n  \
                        stateward audit -o html=report.html\n\n\
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
    /// Output format, and the file to write it to: text, json, html
    #[arg(short = 'o', long, value_name = "FORMAT[=FILE]", default_value = "text")]
    pub format: Output,
    /// Show what is new and what is fixed since an earlier audit, as `-o json` printed it. `--fail-on`
    /// then looks at new findings only
    #[arg(long, value_name = "FILE")]
    pub since: Option<PathBuf>,
    /// The least bad finding that makes the exit code 1
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
}

/// How an audit is printed, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    format: Format,
    /// standard output if absent
    file: Option<PathBuf>,
}

/// How an audit is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// for people
    Text,
    /// for programs; fields are only ever added
    Json,
    /// one page of its own for a browser
    Html,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((name, "")) => return Err(format!("\"{name}=\" names no file")),
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (text, None),
        };
        let format = Format::from_str(name, false)
            .map_err(|_| format!("there is no format \"{name}\"; there are text, json, html"))?;
        Ok(Self { format, file })
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
    let earlier = args.since.as_deref().map(earlier).transpose()?;
    let facts = facts(args)?;
    let mut found = audit(&facts);
    found.namespace.clone_from(&args.namespace);
    found.since = earlier.map(|earlier| earlier.compare(&found));
    let text = match args.format.format {
        Format::Text => text(&found),
        Format::Json => serde_json::to_string_pretty(&found)? + "\n",
        Format::Html => page(&found)?,
    };
    match &args.format.file {
        Some(file) => std::fs::write(file, text)
            .with_context(|| format!("cannot write \"{}\"", file.display()))?,
        None => super::print(&text)?,
    }
    let fails = args
        .fail_on
        .is_some_and(|fail_on| found.worst().is_some_and(|worst| worst <= fail_on.severity()));
    Ok(if fails { Outcome::Findings } else { Outcome::Clean })
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

/// `systems: 2 PostgreSQL, 1 etcd; no pack knows 3 StatefulSets`
fn systems(audit: &Audit<'_>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for system in audit.sets.iter().filter_map(|set| set.system.as_ref()) {
        *counts.entry(&system.title).or_default() += 1;
    }
    let unknown = audit.sets.iter().filter(|set| set.system.is_none()).count();
    let mut known: Vec<(usize, &str)> =
        counts.into_iter().map(|(title, count)| (count, title)).collect();
    known.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let known: Vec<String> =
        known.iter().map(|(count, title)| format!("{count} {title}")).collect();
    let known = if known.is_empty() { "none known".to_owned() } else { known.join(", ") };
    let rest = if unknown == 0 {
        String::new()
    } else {
        format!("; no pack knows {unknown} StatefulSets")
    };
    format!("systems: {known}{rest}")
}

fn row(first: String, kind: &str, namespace: &str, name: &str, message: &str) -> [String; 4] {
    let kind = if kind == "StatefulSet" { "sts" } else { "pvc" };
    let object = format!("{kind}/{}", printable(name));
    [first, printable(namespace), object, printable(message)]
}

/// The table, then what helps, then the counts.
fn text(audit: &Audit<'_>) -> String {
    let shown: Vec<&AuditFinding> = match &audit.since {
        Some(since) => since.new.iter().filter_map(|index| audit.findings.get(*index)).collect(),
        None => audit.findings.iter().collect(),
    };
    let rows: Vec<[String; 4]> = shown
        .iter()
        .map(|found| {
            let severity = found.severity.name().to_owned();
            row(severity, found.kind, &found.namespace, &found.name, &found.message)
        })
        .collect();
    let mut text = String::new();
    for (line, finding) in columns(&rows).iter().zip(&shown) {
        let _ = writeln!(text, "{line}");
        let Some(step) = &finding.remedy else { continue };
        let _ = match &step.command {
            Some(command) => {
                writeln!(text, "       {}:\n         {}", step.text, printable(command))
            }
            None => writeln!(text, "       {}", printable(&step.text)),
        };
    }
    if let Some(since) = &audit.since {
        let rows: Vec<[String; 4]> = since
            .fixed
            .iter()
            .map(|EarlierFinding { kind, namespace, name, message, .. }| {
                row("FIXED".to_owned(), kind, namespace, name, message)
            })
            .collect();
        for line in columns(&rows) {
            let _ = writeln!(text, "{line}");
        }
        let same = audit.findings.len() - shown.len();
        let _ =
            writeln!(text, "{} new, {} fixed, {same} as before", shown.len(), since.fixed.len());
        if since.not_looked_at > 0 {
            let _ = writeln!(
                text,
                "{} more are in what this audit did not look at",
                since.not_looked_at
            );
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    for why in &audit.unknown {
        let _ = writeln!(text, "incomplete: needs {}", printable(why));
    }
    let summary = &audit.summary;
    let size = summary.size.as_ref().map(|size| format!(", {size}")).unwrap_or_default();
    let _ = writeln!(text, "{} StatefulSets and {} claims{size}", summary.sets, summary.claims);
    let _ = writeln!(text, "{}", systems(audit));
    let _ = writeln!(
        text,
        "{} claims lose their volume when they are deleted (reclaim policy Delete)",
        summary.deleted_with_claim
    );
    if let Some(without) = summary.without_snapshot {
        let _ = writeln!(text, "{without} claims have no VolumeSnapshot that is ready to use");
    }
    let found = |severity| audit.findings.iter().filter(|f| f.severity == severity).count();
    let counts = [Severity::Lost, Severity::Risk, Severity::Stuck, Severity::Note]
        .map(|severity| format!("{} {}", found(severity), severity.name().to_lowercase()));
    let _ = writeln!(text, "found: {}", counts.join(", "));
    text
}
