//! YAML and JSON text → Kubernetes objects with the places of their fields.
//!
//! YAML becomes JSON here, read as kubectl reads it, and then passes through the same views as a
//! review. The first pass keeps no places, because most objects have no findings.
//! [`Document::locate`] finds a place by reading that one document again.
//!
//! A stream is split at its `---` before any of it is read, so that one bad document hides no
//! other.

mod document;
mod events;
mod json;
mod locate;
mod scalar;
mod template;
mod tree;
mod view;
mod yaml_document;

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

pub use self::document::{Document, Location};
use self::document::{Form, Found, Source};
pub use self::yaml_document::YamlDocument;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// objects, in the order of the inputs
    pub documents: Vec<Document>,
    /// what could not be read
    pub errors: Vec<InputError>,
    /// documents that are no Kubernetes objects
    pub skipped: usize,
}

/// Bytes that are yet to be read as YAML or JSON.
#[derive(Clone, Debug)]
pub struct File {
    /// how errors and findings name it; the ending `.json` makes it JSON
    pub name: String,
    /// the content
    pub bytes: Vec<u8>,
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

impl fmt::Display for InputError {
    /// `file:line:column: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => write!(f, "{}: {}", self.file, self.message),
            (line, column) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
        }
    }
}

impl Inputs {
    /// Adds what `files` hold.
    pub fn read(&mut self, files: Vec<File>) {
        let mut sources = Vec::new();
        for file in files {
            match text(file.bytes) {
                Ok(text) => split(&file.name, &text, &mut sources),
                Err((line, column, message)) => {
                    self.errors.push(InputError { file: file.name, line, column, message });
                }
            }
        }
        for found in read_all(&sources) {
            self.documents.extend(found.documents);
            self.errors.extend(found.faults);
            self.skipped += found.skipped;
        }
    }
}

/// Reading is what `check` spends its time on, so that large inputs use every core.
fn read_all(sources: &[Arc<Source>]) -> Vec<Found> {
    let read = |sources: &[Arc<Source>]| {
        let mut found = Found::default();
        for source in sources {
            document::read(source, &mut found);
        }
        found
    };
    let bytes: usize = sources.iter().map(|source| source.span.len()).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if bytes < 256 * 1024 || threads == 1 {
        return vec![read(sources)];
    }
    // More parts than threads would be better balanced; equal parts are good enough.
    let share = sources.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            sources.chunks(share).map(|part| scope.spawn(move || read(part))).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Found>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().map(join).collect()
    })
}

/// The text of a file, or line, column and what is wrong.
fn text(bytes: Vec<u8>) -> Result<Arc<str>, (usize, usize, String)> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((1, 1, "this is UTF-16: save it as UTF-8".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (line, column, "this is not UTF-8".to_owned())
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).into())
}

/// Splits a stream at its `---`, which at the start of a line always begins a document.
fn split(name: &str, text: &Arc<str>, sources: &mut Vec<Arc<Source>>) {
    let file: Arc<str> = name.into();
    let mut add = |span: Range<usize>, first_line: usize, form: Form| {
        let text = Arc::clone(text);
        let tree = OnceLock::new();
        let file = Arc::clone(&file);
        sources.push(Arc::new(Source { file, text, span, first_line, form, tree }));
    };
    if ending(name) == "json" {
        add(0..text.len(), 1, Form::Json);
        return;
    }
    let mut start = 0;
    let mut line = 1;
    let marks = text.match_indices("\n---").map(|(at, _)| at + 1);
    for mark in marks.chain([text.len()]) {
        let end = mark == text.len();
        if !end && !text[mark + 3..].starts_with([' ', '\t', '\r', '\n']) && text.len() > mark + 3 {
            continue;
        }
        // Directives and the comments at the head of a file belong to its first document.
        if !end && start == 0 && is_preface(&text[..mark]) {
            continue;
        }
        let part = &text[start..mark];
        let form = if is_json(part) { Form::Json } else { Form::Yaml };
        add(start..mark, line, form);
        line += part.bytes().filter(|byte| *byte == b'\n').count();
        start = mark;
    }
}

fn is_preface(text: &str) -> bool {
    text.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '%']))
}

/// kubectl, too, tries JSON where a document begins with a brace.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::Deserializer::from_str(text)
            .into_iter::<&serde_json::value::RawValue>()
            .all(|document| document.is_ok())
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// `text` without what would steer a terminal: it comes from manifests that anybody may have
/// written. Line ends stay.
pub fn printable(text: &str) -> String {
    let lines: Vec<String> =
        text.split('\n').map(annotate_snippets::normalize_untrusted_str).collect();
    lines.join("\n").replace(|c: char| c.is_control() && c != '\n', "�")
}
