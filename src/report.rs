//! What `check` says, and the formats in which it says it.

use serde::Serialize;

use crate::rules::Step;

/// Everything that one run found. Its JSON is the stable format: fields are only ever added.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
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
}

/// What a finding leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// the change would be refused
    Deny,
    /// the change would be allowed with a warning
    Warn,
    /// a field could not be decoded, so that nothing could be judged
    Error,
}

/// Who refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RefusedBy {
    /// the bare API server
    Kubernetes,
    /// only stateward
    Policy,
}

/// One finding with its places in the files.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedFinding {
    /// rule id
    pub rule: String,
    /// what it leads to
    pub outcome: Outcome,
    /// `CREATE`, `UPDATE` or `DELETE`
    pub operation: &'static str,
    /// the object
    pub object: ObjectRef,
    /// JSON pointer
    pub field: String,
    /// the old value and its place
    pub old: Option<Place>,
    /// the new value and its place
    pub new: Option<Place>,
    /// one sentence: what changes, with values, beginning with the object
    pub message: String,
    /// one sentence: why it matters
    pub why: String,
    /// the way out
    pub remedy: Vec<Step>,
    /// field and message, as in `status.details.causes` of a review
    pub causes: Vec<Cause>,
    /// who refuses; null on a warning
    pub refused_by: Option<RefusedBy>,
}

/// Names an object.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apps/v1`
    pub api_version: String,
    /// `StatefulSet`
    pub kind: String,
    /// empty where the manifest leaves it out
    pub namespace: String,
    /// name, or generateName
    pub name: String,
}

/// A value and where it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// as written; null where the field is absent and the place is that of its parent
    pub value: Option<String>,
    /// the file as named on the command line, `<revision>:<path>` for one from git
    pub file: String,
    /// from 1
    pub line: usize,
    /// in characters, from 1
    pub column: usize,
    /// the template that a `# Source:` comment of rendered output names
    pub template: Option<String>,
}

/// One field of a finding.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// in the words of its YAML
    pub field: String,
    /// what is wrong with it
    pub message: String,
}

/// A rule that gave no verdict.
#[derive(Clone, Debug, Serialize)]
pub struct NotJudged {
    /// rule id
    pub rule: String,
    /// the object
    pub object: ObjectRef,
    /// what would have to be known
    pub needs: String,
}

/// An input that could not be read.
#[derive(Clone, Debug, Serialize)]
pub struct InputError {
    /// the file, or what was asked for
    pub file: String,
    /// from 1; 0 where no place is known
    pub line: usize,
    /// from 1; 0 where no place is known
    pub column: usize,
    /// what is wrong
    pub message: String,
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
    /// rules that gave no verdict
    pub not_judged: usize,
}
