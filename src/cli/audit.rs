//! `stateward audit`: what can lose data in a cluster, or is stuck.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;
use stateward_check::audit::{Audit, AuditFinding, Severity, audit};
use stateward_core::facts::Facts;
use stateward_core::yaml::printable;

use super::Outcome;
use super::columns::columns;
use super::connection::Connection;

/// Arguments of `stateward audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward audit\n  stateward audit -n shop -o json\n\n\
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
    /// Output format
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// The least bad finding that makes the exit code 1
    #[arg(long, value_name = "SEVERITY")]
    pub fail_on: Option<FailOn>,
}

/// How an audit is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// for people
    Text,
    /// for programs; fields are only ever added
    Json,
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
    let found = audit(&facts(args)?);
    let text = match args.format {
        Format::Text => text(&found),
        Format::Json => serde_json::to_string_pretty(&found)? + "\n",
    };
    super::print(&text)?;
    let fails = args
        .fail_on
        .is_some_and(|fail_on| found.worst().is_some_and(|worst| worst <= fail_on.severity()));
    Ok(if fails { Outcome::Findings } else { Outcome::Clean })
}

fn facts(args: &Args) -> anyhow::Result<Facts> {
    if args.facts.is_empty() {
        super::facts::of_cluster(&args.connection, args.namespace.as_deref())
    } else {
        super::facts::read(&args.facts)
    }
}

/// `systems: 2 PostgreSQL, 1 etcd; no pack knows 3 StatefulSets`
fn systems(audit: &Audit) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for system in &audit.systems {
        *counts.entry(&system.title).or_default() += 1;
    }
    let unknown = audit.summary.sets.saturating_sub(audit.systems.len());
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

/// The table, then what helps, then the counts.
fn text(audit: &Audit) -> String {
    let rows: Vec<[String; 4]> = audit
        .findings
        .iter()
        .map(|finding| {
            let AuditFinding { severity, kind, namespace, name, message, .. } = finding;
            let kind = if *kind == "StatefulSet" { "sts" } else { "pvc" };
            let (place, message) = (printable(namespace), printable(message));
            [severity.name().to_owned(), place, format!("{kind}/{}", printable(name)), message]
        })
        .collect();
    let mut text = String::new();
    for (line, finding) in columns(&rows).iter().zip(&audit.findings) {
        let _ = writeln!(text, "{line}");
        let Some(step) = &finding.remedy else { continue };
        let _ = match &step.command {
            Some(command) => {
                writeln!(text, "       {}:\n         {}", step.text, printable(command))
            }
            None => writeln!(text, "       {}", printable(&step.text)),
        };
    }
    if !audit.findings.is_empty() {
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
