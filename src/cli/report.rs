//! `stateward report`: what audit mode saw.

pub(super) mod log;
mod proposal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde_json::Value;
use stateward_core::policy::Policy;

use self::log::{Denial, Log};
use super::Outcome;
use super::columns::columns;

/// A proposal from the log alone would undo what the running policy says beyond it.
const NOT_KEPT: &str = "It comes from the log alone. To keep your own resize, scopes, allow and help, \
                        give the running policy file with --current.\n";
/// Names in a column before the rest is counted.
const NAMED: usize = 3;

/// Arguments of `stateward report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  kubectl logs -n stateward -l app.kubernetes.io/name=stateward --tail=-1 \
                  | stateward report --since 7d\n  \
                  kubectl get configmap stateward -n stateward -o jsonpath='{.data.stateward\\.yaml}' > running.yaml\n  \
                  stateward report serve.log --policy --current running.yaml > stateward.yaml"
)]
pub struct Args {
    /// Log files with JSON lines; "-" is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub files: Vec<PathBuf>,
    /// Time to cover, such as 7d or 12h
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = days)]
    pub since: SignedDuration,
    /// Print only the proposed policy, as a policy file
    #[arg(long)]
    pub policy: bool,
    /// The running policy file. The proposed policy keeps all of it, except what the report relaxes
    #[arg(long, value_name = "FILE")]
    pub current: Option<PathBuf>,
}

/// A duration that may have days and weeks.
fn days(text: &str) -> Result<SignedDuration, String> {
    let span: Result<Span, _> = text.parse();
    span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .filter(SignedDuration::is_positive)
        .ok_or_else(|| format!("\"{text}\" is not a duration such as 7d or 12h"))
}

/// A duration in the words of the option: whole days as days.
fn asked(since: SignedDuration) -> String {
    let hours = since.as_hours();
    if hours > 0 && SignedDuration::from_hours(hours / 24 * 24) == since {
        format!("{}d", hours / 24)
    } else {
        format!("{since:#}")
    }
}

/// Prints it.
///
/// # Errors
/// A file that cannot be read; a log without any line of stateward's.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let log = read(&args.files, Timestamp::now() - args.since)?;
    let Some((first, last)) = log.span else {
        bail!(
            "found no log line of stateward from the last {}: the log must be in JSON, as \
             `serve --log-format json` writes it ({} lines were something else)",
            asked(args.since),
            log.foreign
        );
    };
    let policy = match &args.current {
        Some(file) => on_current(file, &log.denials)?,
        None => proposal::policy(&log.denials),
    };
    if args.policy {
        super::print(&policy)?;
        return Ok(Outcome::Clean);
    }
    let audited = log.denials.iter().filter(|denial| denial.is_audited()).count();
    let denied = log.denials.len() - audited;
    let were = if denied == 1 { "was" } else { "were" };
    let mut text = format!(
        "{audited} would have been denied, {denied} {were} denied, from {first:.0} to {last:.0}\n"
    );
    let dry_runs = log.denials.iter().filter(|denial| denial.is_dry_run()).count();
    if dry_runs > 0 {
        let _ = writeln!(
            text,
            "{dry_runs} of them were dry runs, as kubectl diff and GitOps controllers send them"
        );
    }
    if !log.warnings.is_empty() {
        let times = log.warnings.len();
        let _ = writeln!(text, "{times} findings were warnings, which stop nobody");
    }
    if log.foreign > 0 {
        let _ =
            writeln!(text, "{} lines are not from stateward's log and were skipped", log.foreign);
    }
    let denials = |audited: bool| -> Vec<&Denial> {
        log.denials.iter().filter(|denial| denial.is_audited() == audited).collect()
    };
    let warnings = log.warnings.iter().collect();
    for (title, of) in
        [("would deny", denials(true)), ("denied", denials(false)), ("warned", warnings)]
    {
        if !of.is_empty() {
            text.push_str(&table(title, &of));
        }
    }
    if audited > 0 {
        let _ = write!(
            text,
            "\nThe policy to enforce next. It enforces every rule except where it would have denied \
             something. Talk to the users above, then shorten it.\n{}\n{policy}",
            if args.current.is_some() { "" } else { NOT_KEPT }
        );
    }
    super::print(&text)?;
    Ok(Outcome::Clean)
}

/// The proposal as a change of the running policy.
fn on_current(file: &Path, denials: &[Denial]) -> anyhow::Result<String> {
    let at = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read \"{at}\""))?;
    Policy::parse(&text, "").with_context(|| format!("\"{at}\" is no policy"))?;
    let current: Value =
        serde_saphyr::from_str(&text).with_context(|| format!("\"{at}\" is no policy"))?;
    Ok(serde_saphyr::to_string(&proposal::policy_on(&current, denials))?)
}

/// Reads logs from files, or from standard input.
pub(super) fn read(files: &[PathBuf], since: Timestamp) -> anyhow::Result<Log> {
    let mut log = Log::default();
    for file in files {
        let read = if file.as_os_str() == "-" {
            log.read(stdin().lock(), since)
        } else {
            File::open(file).and_then(|open| log.read(BufReader::new(open), since))
        };
        read.with_context(|| format!("cannot read \"{}\"", file.display()))?;
    }
    Ok(log)
}

/// One line per rule, the most frequent first.
fn table(title: &str, denials: &[&Denial]) -> String {
    let mut by_rule: BTreeMap<&str, Vec<&Denial>> = BTreeMap::new();
    for denial in denials {
        by_rule.entry(&denial.rule).or_default().push(denial);
    }
    let mut rules: Vec<_> = by_rule.into_iter().collect();
    rules.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    let mut rows =
        vec![[title, "times", "objects", "namespaces", "users", "last"].map(String::from)];
    for (rule, of) in rules {
        let objects: BTreeSet<&str> = of.iter().map(|one| one.object.as_str()).collect();
        let last = of.iter().max_by_key(|one| one.timestamp);
        rows.push([
            rule.to_owned(),
            of.len().to_string(),
            objects.len().to_string(),
            frequent(of.iter().map(|one| one.namespace.as_str())),
            frequent(of.iter().map(|one| one.user.as_str())),
            last.map(|one| format!("{}: {}", one.object, one.reason)).unwrap_or_default(),
        ]);
    }
    format!("\n{}\n", columns(&rows).join("\n"))
}

/// The most frequent names, and how many more there are.
fn frequent<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = counts.len().saturating_sub(NAMED);
    let first: Vec<&str> = counts.iter().take(NAMED).map(|(name, _)| *name).collect();
    let mut text = first.join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_may_have_days() {
        for text in ["7d", "1d", "12h", "36h", "90m"] {
            assert_eq!(asked(days(text).unwrap()), text.replace("90m", "1h 30m"));
        }
        assert_eq!(days("7d"), Ok(SignedDuration::from_hours(168)));
        assert_eq!(days("1w 12h"), Ok(SignedDuration::from_hours(180)));
        for wrong in ["", "7", "-1d", "0s", "1mo", "soon"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_most_frequent_names_come_first() {
        let names = ["a", "b", "b", "c", "d", "e", "e", "e"];
        assert_eq!(frequent(names.into_iter()), "e, b, a and 2 more");
        assert_eq!(frequent(["x"].into_iter()), "x");
    }
}
