//! One finding, with its places in the files.

use serde::Serialize;
use stateward_core::loss::Loss;
use stateward_core::object::Pointer;
use stateward_core::rules::{self, Step};
use stateward_core::text::cut;
use stateward_core::yaml::InputError;

use super::{Excerpt, ObjectRef, limit};

/// The longest message of a finding, in bytes. It begins with the object's name.
const MESSAGE: usize = 2048;

/// How much a finding matters, in the degrees that report formats know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// a pipeline has to stop
    #[default]
    Error,
    /// somebody should look at it
    Warning,
    /// worth knowing
    Note,
}

impl Level {
    /// As SARIF names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What a finding leads to, or how bad it is if nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// the change would be refused
    Deny,
    /// the change would be allowed with a warning
    Warn,
    /// a field could not be decoded, so that nothing could be judged
    Error,
    /// nothing changes, and an audit found it
    #[serde(untagged)]
    Found(Severity),
}

/// How bad it is what an audit found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// data is lost, or will be without another decision
    Lost,
    /// one ordinary command loses data
    Risk,
    /// something waits for a person
    Stuck,
    /// worth knowing
    Note,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 4] = [Self::Lost, Self::Risk, Self::Stuck, Self::Note];

    /// As JSON and the command line name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Risk => "risk",
            Self::Stuck => "stuck",
            Self::Note => "note",
        }
    }

    /// Lost data and data at risk are errors, because a pipeline must not go on over them. What is stuck
    /// loses no data.
    pub const fn level(self) -> Level {
        match self {
            Self::Lost | Self::Risk => Level::Error,
            Self::Stuck => Level::Warning,
            Self::Note => Level::Note,
        }
    }
}

impl Outcome {
    /// For people: `denied`, `warning`, `error`, or the severity that an audit gives.
    pub const fn severity(self) -> &'static str {
        match self {
            Self::Deny => "denied",
            Self::Warn => "warning",
            Self::Error => "error",
            Self::Found(severity) => severity.name(),
        }
    }

    pub(super) const fn level(self) -> Level {
        match self {
            Self::Deny | Self::Error => Level::Error,
            Self::Warn => Level::Warning,
            Self::Found(severity) => severity.level(),
        }
    }

    /// The worst is 0.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Deny => 0,
            Self::Error => 1,
            Self::Warn => 2,
            Self::Found(severity) => severity as u8,
        }
    }
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
    /// `CREATE`, `UPDATE` or `DELETE`; empty if nothing changes
    pub operation: &'static str,
    /// the object
    pub object: ObjectRef,
    /// JSON pointer; empty if the finding is about the whole object
    pub field: String,
    /// the old value and its place
    pub old: Option<Place>,
    /// the new value and its place
    pub new: Option<Place>,
    /// one sentence: what changes, with values, beginning with the object
    pub message: String,
    /// one sentence: why it matters
    pub why: String,
    /// the claims that would be deleted, where facts describe them
    pub loss: Option<Loss>,
    /// the way out
    pub remedy: Vec<Step>,
    /// field and message, as in `status.details.causes` of a review
    pub causes: Vec<Cause>,
    /// who refuses; null on a warning
    pub refused_by: Option<RefusedBy>,
    /// where people get help, as the policy says
    pub help: Option<String>,
    /// how to allow it on purpose, where the policy lets one
    pub how_to_allow: Option<String>,
}

impl ReportedFinding {
    /// Cuts what the rules do not: texts about fields that cannot be read, and values.
    pub(super) fn limit(&mut self) {
        let field = Pointer::from(std::mem::take(&mut self.field));
        self.field = field.nameable().to_string();
        self.message = cut(std::mem::take(&mut self.message), MESSAGE);
        for cause in &mut self.causes {
            cause.field = cut(std::mem::take(&mut cause.field), MESSAGE);
            cause.message = cut(std::mem::take(&mut cause.message), MESSAGE);
        }
        limit(&mut self.why);
        if self.remedy.iter().any(Step::is_too_long) {
            self.remedy.clear();
        }
    }

    /// Where it is shown: in the new file, or in the old one on DELETE.
    pub fn place(&self) -> Option<&Place> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// Says it where Kubernetes itself refuses: no policy can allow the edit then.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        (self.refused_by == Some(RefusedBy::Kubernetes))
            .then_some("Kubernetes itself refuses this, whatever the policy says.")
    }

    /// Every claim that would be deleted, each on a line of its own.
    pub(super) fn lost(&self) -> Option<String> {
        let lines: Vec<String> = self.loss.iter().flat_map(Loss::all_lines).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The way out in numbered steps, each command on a line of its own.
    pub(super) fn steps(&self) -> Option<String> {
        let steps: Vec<String> = self
            .remedy
            .iter()
            .enumerate()
            .map(|(number, step)| match &step.command {
                Some(command) => {
                    let command = command.replace('\n', "\n   ");
                    format!("{}. {}:\n   {command}", number + 1, step.text)
                }
                None => format!("{}. {}", number + 1, step.text),
            })
            .collect();
        (!steps.is_empty()).then(|| steps.join("\n"))
    }

    /// The whole finding but for its place, as plain text.
    pub(super) fn prose(&self) -> String {
        let mut lines = vec![self.message.clone()];
        if !self.why.is_empty() {
            lines.push(self.why.clone());
        }
        lines.extend(self.lost());
        lines.extend(self.refusal().map(ToOwned::to_owned));
        lines.extend(self.steps());
        lines.extend(self.how_to_allow.clone());
        lines.extend(self.help_note());
        lines.join("\n")
    }

    pub(super) fn help_note(&self) -> Option<String> {
        self.help.as_ref().map(|help| format!("help: {help}"))
    }

    /// How to read on; nothing where no rule speaks.
    pub(super) fn more(&self) -> Option<String> {
        (self.outcome != Outcome::Error && rules::by_id(&self.rule).is_some())
            .then(|| format!("{rule} · stateward explain {rule}", rule = self.rule))
    }

    pub(super) fn order(&self) -> (&str, usize, usize) {
        self.place()
            .map(|place| (place.file.as_str(), place.line, place.column))
            .unwrap_or_default()
    }
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
    /// the part of the field's name that the manifest lacks, if any
    #[serde(skip)]
    pub missing: Option<String>,
    /// the line with the value marked, if the text is known
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

impl Place {
    /// What to open: the template where the file is rendered output, which exists nowhere.
    pub(super) fn shown_file(&self) -> &str {
        self.template.as_deref().unwrap_or(&self.file)
    }

    /// Line and column in [`Self::shown_file`], where they are known.
    pub(super) const fn shown_position(&self) -> Option<(usize, usize)> {
        if self.template.is_some() || self.line == 0 {
            None
        } else {
            Some((self.line, if self.column == 0 { 1 } else { self.column }))
        }
    }
}

/// One field of a finding.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// in the words of its YAML
    pub field: String,
    /// what is wrong with it
    pub message: String,
}

impl From<&InputError> for Place {
    fn from(error: &InputError) -> Self {
        Self {
            value: None,
            file: error.file.clone(),
            line: error.line,
            column: error.column,
            template: None,
            missing: None,
            excerpt: None,
        }
    }
}
