//! An audit for people: a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stateward_check::audit::{Audit, AuditFinding, EarlierFinding, Severity};
use stateward_core::yaml::printable;

use crate::cli::columns::columns;

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
pub(super) fn text(audit: &Audit<'_>) -> String {
    let shown: Vec<&AuditFinding> = audit.shown().collect();
    let rows: Vec<[String; 4]> = shown
        .iter()
        .map(|found| {
            let severity = found.severity.name().to_uppercase();
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
    let counts = Severity::ALL.map(|severity| format!("{} {}", found(severity), severity.name()));
    let _ = writeln!(text, "found: {}", counts.join(", "));
    text
}
