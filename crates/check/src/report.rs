//! What `check` says, and the formats in which it and `audit` say it.
//!
//! Each format is one pure function from a [`CheckReport`] to text. An audit becomes such a report for the
//! formats that it has no form of its own for.

pub mod checkout;
pub mod excerpt;
mod finding;
pub mod format;
pub mod github;
pub mod json;
pub mod junit;
pub mod markdown;
mod not_judged;
mod notice;
pub mod sarif;
pub mod text;

use std::fmt;

use serde::Serialize;
use stateward_core::text::cut;
use stateward_core::yaml::{InputError, printable};

use crate::system::System;

pub use self::checkout::Checkout;
pub use self::excerpt::Excerpt;
pub use self::finding::{Cause, Level, Outcome, Place, RefusedBy, ReportedFinding, Severity};
pub use self::format::{Format, FormatError, Formats, Options, Output, RenderError, render};
pub use self::not_judged::NotJudged;
pub use self::notice::{Notice, NoticeLevel};

/// How rendered output is named where a file would be; the template stands beside it.
pub const RENDERED: &str = "rendered";

/// Everything that one run found. Its JSON is the stable format: fields are only ever added.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// 1
    pub version: u8,
    /// what was found, by file, then line
    pub findings: Vec<ReportedFinding>,
    /// what could not be judged, and what was missing
    pub not_judged: Vec<NotJudged>,
    /// inputs that could not be read
    pub errors: Vec<InputError>,
    /// counts
    pub summary: Summary,
    /// the objects that were judged, whatever was found
    pub judged: Vec<JudgedObject>,
    /// objects that only the old manifests have, where deletions are not judged
    pub removed: Vec<UnjudgedObject>,
    /// objects of kinds that no rule judges
    pub ignored: Vec<UnjudgedObject>,
    /// what else is worth knowing about the inputs
    pub notices: Vec<Notice>,
    /// what was judged
    #[serde(skip)]
    pub subject: Subject,
}

/// What a report is about.
#[derive(Clone, Debug, Default)]
pub enum Subject {
    /// manifests, judged by rules
    #[default]
    Manifests,
    /// a cluster, without a change
    Cluster {
        /// what was looked for
        checks: &'static [Check],
        /// what was found, in one line
        summary: String,
    },
}

/// What an audit looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// in kebab case; never reused
    pub id: &'static str,
    /// how bad a finding is
    pub severity: Severity,
    /// what is found
    pub title: &'static str,
}

impl Subject {
    /// The command that judged.
    pub(super) const fn command(&self) -> &'static str {
        match self {
            Self::Manifests => "check",
            Self::Cluster { .. } => "audit",
        }
    }
}

impl CheckReport {
    /// A report in its stable order, counted. `skipped` documents are no Kubernetes objects.
    pub fn new(
        judged: Vec<JudgedObject>,
        skipped: usize,
        mut findings: Vec<ReportedFinding>,
        mut not_judged: Vec<NotJudged>,
        mut errors: Vec<InputError>,
    ) -> Self {
        findings.iter_mut().for_each(ReportedFinding::limit);
        for not in &mut not_judged {
            limit(&mut not.needs);
        }
        for error in &mut errors {
            limit(&mut error.message);
        }
        // The sort is stable: findings at one place stay in the order of the rules.
        findings.sort_by(|a, b| a.order().cmp(&b.order()));
        errors.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        let of = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
        let summary = Summary {
            objects: judged.len(),
            skipped,
            deny: of(Outcome::Deny),
            warn: of(Outcome::Warn),
            error: of(Outcome::Error) + errors.len(),
            not_judged: not_judged::by_object(&not_judged).len(),
            removed: 0,
            left_out: 0,
        };
        let (removed, ignored, notices) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            version: 1,
            findings,
            not_judged,
            errors,
            summary,
            judged,
            removed,
            ignored,
            notices,
            subject: Subject::Manifests,
        }
    }

    /// The line that counts what was judged and found.
    fn headline(&self) -> String {
        match &self.subject {
            Subject::Manifests => self.summary.to_string(),
            Subject::Cluster { summary, .. } => summary.clone(),
        }
    }

    /// The report with what else is worth knowing about the inputs.
    #[must_use]
    pub fn with_notices(mut self, mut notices: Vec<Notice>) -> Self {
        // Of a folder of which nothing is left out, only a change is worth a word.
        notices.retain(|notice| {
            notice.level == NoticeLevel::Warning
                || notice.own.is_empty()
                || !notice.left_out.is_empty()
        });
        for notice in &mut notices {
            limit(&mut notice.input.message);
        }
        let key = |notice: &Notice| {
            let InputError { file, line, column, .. } = &notice.input;
            (file.clone(), *line, *column)
        };
        notices.sort_by_cached_key(key);
        self.summary.left_out = notices.iter().map(|notice| notice.left_out.len()).sum();
        self.notices = notices;
        self
    }

    /// The report with what was not looked at.
    #[must_use]
    pub fn with_unjudged(
        mut self,
        removed: Vec<UnjudgedObject>,
        ignored: Vec<UnjudgedObject>,
    ) -> Self {
        self.summary.removed = removed.len();
        self.removed = removed;
        self.ignored = ignored;
        self
    }

    /// Whether everything could be read and nothing was found.
    pub const fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.errors.is_empty()
    }
}

/// The longest text about an input, in bytes. Findings repeat what manifests hold, and a manifest can
/// hold a name of megabytes.
const TEXT: usize = 4096;

fn limit(text: &mut String) {
    *text = cut(std::mem::take(text), TEXT);
}

/// An object that was judged.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedObject {
    /// `CREATE`, `UPDATE` or `DELETE`; empty if nothing changes
    pub operation: &'static str,
    /// the object
    pub object: ObjectRef,
    /// where it begins; in the old file on DELETE; empty if it is in no file
    pub file: String,
    /// from 1
    pub line: usize,
    /// the pack that knows its system; null if none does
    pub system: Option<System>,
    /// why only what Kubernetes refuses was judged, as in the audit annotations; null as a rule
    pub exemption: Option<&'static str>,
    /// rules that an annotation of the object silenced
    pub allowed: Vec<&'static str>,
    /// why such an annotation, or a part of it, does not count
    #[serde(skip)]
    pub allow_faults: Vec<String>,
    /// `exemption` for people
    #[serde(skip)]
    pub exemption_reason: Option<&'static str>,
}

/// An object at which no rule looked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnjudgedObject {
    /// the object
    pub object: ObjectRef,
    /// where it begins
    pub file: String,
    /// from 1
    pub line: usize,
}

impl UnjudgedObject {
    /// An object that is removed, as every format says it.
    fn removal_notice(&self) -> String {
        let Self { object, file, line } = self;
        format!("removed: {object} ({file}:{line}), not judged without --deletions")
    }
}

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apps/v1`
    pub api_version: String,
    /// `StatefulSet`
    pub kind: String,
    /// empty where the manifest leaves it out
    pub namespace: String,
    /// name, `stem-*` where the server makes one, `(no name)` without either; empty for a whole cluster
    pub name: String,
}

impl fmt::Display for ObjectRef {
    /// As people name it: `StatefulSet shop/db`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => f.write_str(&self.kind),
            ("", name) => write!(f, "{} {name}", self.kind),
            (namespace, name) => write!(f, "{} {namespace}/{name}", self.kind),
        }
    }
}

/// Counts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// objects judged
    pub objects: usize,
    /// documents that are no Kubernetes objects
    pub skipped: usize,
    /// findings that deny
    pub deny: usize,
    /// findings that warn
    pub warn: usize,
    /// findings that are errors, and unreadable inputs
    pub error: usize,
    /// objects of which at least one rule gave no verdict
    pub not_judged: usize,
    /// objects that are removed and not judged
    pub removed: usize,
    /// files that are parts of a chart or a kustomization, and no manifests by themselves
    pub left_out: usize,
}

impl fmt::Display for Summary {
    /// `3 objects judged: 1 denied, 1 warning; 2 documents skipped; 1 not judged`, and so on.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.objects {
            0 => f.write_str("no StatefulSet or PersistentVolumeClaim to judge")?,
            objects => write!(f, "{} judged", count(objects, "object"))?,
        }
        let mut outcomes = Vec::new();
        if self.deny > 0 {
            outcomes.push(format!("{} denied", self.deny));
        }
        if self.warn > 0 {
            outcomes.push(count(self.warn, "warning"));
        }
        if self.error > 0 {
            outcomes.push(count(self.error, "error"));
        }
        if outcomes.is_empty() {
            if self.objects > 0 {
                f.write_str(": nothing found")?;
            }
        } else {
            write!(f, ": {}", outcomes.join(", "))?;
        }
        if self.skipped > 0 {
            write!(f, "; {} skipped", count(self.skipped, "document"))?;
        }
        if self.not_judged > 0 {
            write!(f, "; {} not judged", self.not_judged)?;
        }
        if self.removed > 0 {
            write!(f, "; {} removed, not judged without --deletions", self.removed)?;
        }
        if self.left_out > 0 {
            write!(f, "; {} left out", count(self.left_out, "file"))?;
        }
        Ok(())
    }
}

/// A number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
