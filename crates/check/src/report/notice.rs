//! What is worth knowing about the inputs beside the findings.

use serde::Serialize;
use stateward_core::yaml::InputError;

use super::count;

/// Something about an input that changes no verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// how much it matters
    pub level: NoticeLevel,
    /// its place
    #[serde(flatten)]
    pub input: InputError,
    /// the files that were left out
    #[serde(skip)]
    pub left_out: Vec<String>,
    /// the files by which a tool knows the folder, such as `Chart.yaml`
    #[serde(skip)]
    pub own: Vec<String>,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeLevel {
    /// something that somebody should mend
    Warning,
    /// something that is as it should be
    Note,
}

impl Notice {
    /// Something that somebody should mend.
    pub const fn warning(input: InputError) -> Self {
        Self { level: NoticeLevel::Warning, input, left_out: Vec::new(), own: Vec::new() }
    }

    /// Something that is as it should be.
    pub const fn note(input: InputError) -> Self {
        Self { level: NoticeLevel::Note, input, left_out: Vec::new(), own: Vec::new() }
    }

    /// Says that files were left out.
    pub fn left_out(place: &str, files: Vec<String>, message: String) -> Self {
        let input = InputError { file: place.to_owned(), line: 0, column: 0, message };
        Self { left_out: files, ..Self::note(input) }
    }

    /// The files whose changes nobody judges.
    pub fn unjudged(&self) -> impl Iterator<Item = &String> {
        self.left_out.iter().chain(&self.own)
    }

    /// Makes a warning of it if one of these files has changed.
    pub fn warn_of_changes(&mut self, is_changed: impl Fn(&str) -> bool) {
        let changed = self.unjudged().filter(|file| is_changed(file)).count();
        if changed > 0 {
            self.level = NoticeLevel::Warning;
            let changed = count(changed, "changed file");
            self.input.message = format!("{changed} not judged: {}", self.input.message);
        }
    }
}
