//! Which formats there are, and where each goes.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{CheckReport, Checkout, Level, Place, github, json, junit, markdown, sarif, text};

/// A format of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// for people at a terminal
    #[default]
    Text,
    /// for programs; fields are only ever added
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for test dashboards
    Junit,
    /// workflow commands that GitHub shows beside the changed lines
    Github,
    /// for a comment on a pull request
    Markdown,
}

impl Formats for Format {
    const ALL: &'static [Self] =
        &[Self::Text, Self::Json, Self::Sarif, Self::Junit, Self::Github, Self::Markdown];

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Sarif => "sarif",
            Self::Junit => "junit",
            Self::Github => "github",
            Self::Markdown => "markdown",
        }
    }
}

/// A `--format` that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// no such format
    #[error("there is no format \"{0}\"; there are {1}")]
    Unknown(String, String),
    /// `sarif=`
    #[error("\"{0}=\" names no file; write {0}=FILE, or {0} alone for standard output")]
    NoFile(&'static str),
    /// two formats would be mixed
    #[error(
        "{0} and {1} would both go to standard output; give one of them a file, as in {1}=FILE"
    )]
    BothToStdout(&'static str, &'static str),
    /// one would overwrite the other
    #[error("{0} and {1} would both go to \"{file}\"", file = .2.display())]
    SameFile(&'static str, &'static str, PathBuf),
}

/// The formats that a command has.
pub trait Formats: Copy + 'static {
    /// all of them
    const ALL: &'static [Self];

    /// The name on the command line.
    fn name(self) -> &'static str;

    /// The format of this name.
    ///
    /// # Errors
    /// There is none.
    fn named(name: &str) -> Result<Self, FormatError> {
        let found = Self::ALL.iter().find(|format| format.name() == name);
        found.copied().ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|format| format.name()).collect();
            FormatError::Unknown(name.to_owned(), names.join(", "))
        })
    }
}

/// One `--format`: `text`, or `sarif=out.sarif`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output<F = Format> {
    /// the format
    pub format: F,
    /// the file; `None` is standard output
    pub file: Option<PathBuf>,
}

impl<F: Formats + Default> Output<F> {
    /// The outputs that were asked for, or the default format to standard output if none was.
    ///
    /// # Errors
    /// Two outputs would go to the same place.
    pub fn resolve(asked: &[Self]) -> Result<Vec<Self>, FormatError> {
        if asked.is_empty() {
            return Ok(vec![Self { format: F::default(), file: None }]);
        }
        for (index, output) in asked.iter().enumerate() {
            let name = output.format.name();
            let Some(other) = asked[..index].iter().find(|other| other.file == output.file) else {
                continue;
            };
            return Err(match &output.file {
                None => FormatError::BothToStdout(other.format.name(), name),
                Some(file) => FormatError::SameFile(other.format.name(), name, file.clone()),
            });
        }
        Ok(asked.to_vec())
    }
}

impl<F: Formats> FromStr for Output<F> {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let Some((format, file)) = text.split_once('=') else {
            return Ok(Self { format: F::named(text)?, file: None });
        };
        let format = F::named(format)?;
        match file {
            "" => Err(FormatError::NoFile(format.name())),
            "-" => Ok(Self { format, file: None }),
            file => Ok(Self { format, file: Some(Path::new(file).to_owned()) }),
        }
    }
}

/// What a format may need to know besides the report.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// text: say what was judged, and what was not, even where nothing was found
    pub verbose: bool,
    /// text: use colours
    pub color: bool,
    /// JUnit: the mildest finding that is a failed test
    pub fail_at: Level,
    /// Markdown: where a file can be opened, such as `https://github.com/o/r/blob/main`
    pub link_base: Option<String>,
    /// GitHub, SARIF, Markdown: the repository in which the files lie
    pub checkout: Option<Checkout>,
}

impl Options {
    /// Whether `place` is in the old revision: no line of a file that is there now is meant.
    pub(super) fn is_of_old_revision(&self, place: &Place) -> bool {
        let revision = self.checkout.as_ref().and_then(|checkout| checkout.revision.as_deref());
        revision
            .and_then(|revision| place.file.strip_prefix(revision))
            .is_some_and(|rest| rest.starts_with(':'))
    }

    /// The file of `place` as a code host names it.
    pub(super) fn hosted_file(&self, place: &Place) -> String {
        if let Some(checkout) = &self.checkout {
            return checkout.path(place);
        }
        let file = place.shown_file();
        file.strip_prefix("./").unwrap_or(file).to_owned()
    }
}

/// A report that could not be written in a format.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// JSON or SARIF
    #[error("the report cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// JUnit
    #[error("the report cannot be written as JUnit XML")]
    Junit(#[from] quick_junit::SerializeError),
}

/// The report in `format`.
///
/// # Errors
/// The serialiser of the format failed.
pub fn render(
    format: Format,
    report: &CheckReport,
    options: &Options,
) -> Result<String, RenderError> {
    match format {
        Format::Text => Ok(text::render(report, options)),
        Format::Json => json::render(report),
        Format::Sarif => sarif::render(report, options),
        Format::Junit => junit::render(report, options),
        Format::Github => Ok(github::render(report, options)),
        Format::Markdown => Ok(markdown::render(report, options)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(texts: &[&str]) -> Result<Vec<Output>, String> {
        let asked: Result<Vec<Output>, FormatError> = texts.iter().map(|t| t.parse()).collect();
        Output::resolve(&asked.map_err(|e| e.to_string())?).map_err(|e| e.to_string())
    }

    #[test]
    fn reads_pairs() {
        assert_eq!(
            outputs(&["text", "sarif=out=1.sarif"]),
            Ok(vec![
                Output::default(),
                Output { format: Format::Sarif, file: Some("out=1.sarif".into()) }
            ])
        );
        assert_eq!(outputs(&["json=-"]).map(|o| o[0].file.clone()), Ok(None));
        assert_eq!(outputs(&[]), Ok(vec![Output::default()]));
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert_eq!(
            outputs(&["xml"]),
            Err("there is no format \"xml\"; there are text, json, sarif, junit, github, markdown"
                .to_owned())
        );
        assert_eq!(outputs(&["json", "a=b"]).map_err(|e| e.contains("no format \"a\"")), Err(true));
        assert_eq!(
            outputs(&["sarif="]),
            Err("\"sarif=\" names no file; write sarif=FILE, or sarif alone for standard output"
                .to_owned())
        );
        assert_eq!(
            outputs(&["text", "json=a", "markdown"]),
            Err("text and markdown would both go to standard output; give one of them a file, as \
                 in markdown=FILE"
                .to_owned())
        );
        assert_eq!(
            outputs(&["sarif=a", "json=a"]),
            Err("sarif and json would both go to \"a\"".to_owned())
        );
    }
}
