//! YAML and JSON text → Kubernetes objects with the places of their fields.
//!
//! YAML becomes JSON here, read as kubectl reads it, and then passes through the same views as a
//! review. [`Document::locate`] finds a place in the tree of the document, which each of its objects
//! keeps.
//!
//! A stream is split at its `---` before any of it is read, so that one bad document hides no
//! other.

mod document;
mod events;
mod json;
mod locate;
mod packed;
mod scalar;
mod template;
mod tree;
mod view;
mod yaml_document;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

pub use self::document::{Document, Location};
use self::document::{Form, Source};
pub use self::yaml_document::YamlDocument;

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// objects, in the order of the inputs
    pub documents: Vec<Document>,
    /// what could not be read
    pub errors: Vec<InputError>,
    /// what could not be read in a text that does not name a judged kind
    pub harmless: Vec<InputError>,
    /// what is wrong and changes no verdict
    pub warnings: Vec<InputError>,
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
        for file in files {
            match split(file) {
                Ok(parts) => parts.iter().for_each(|part| self.append(part.read())),
                Err(unread) => self.append(unread),
            }
        }
    }

    /// Notes what could not be read; `relevant` if it may hide an object that is judged.
    fn fault(&mut self, error: InputError, relevant: bool) {
        if relevant {
            self.errors.push(error);
        } else {
            self.harmless.push(error);
        }
    }

    /// Adds what was read elsewhere.
    pub fn append(&mut self, mut other: Self) {
        self.documents.append(&mut other.documents);
        self.errors.append(&mut other.errors);
        self.harmless.append(&mut other.harmless);
        self.warnings.append(&mut other.warnings);
        self.skipped += other.skipped;
    }
}

/// A part of a file that can be read on its own, by whichever thread.
#[derive(Clone, Debug)]
pub struct Part(Arc<Source>);

impl Part {
    /// Its objects, and what could not be read.
    pub fn read(&self) -> Inputs {
        document::read(&self.0)
    }
}

/// Splits a file into what can be read on its own: the documents of a stream, or all of a JSON
/// file.
///
/// # Errors
/// The file is not UTF-8, or another tool keeps its text elsewhere.
pub fn split(file: File) -> Result<Vec<Part>, Inputs> {
    if let Some(message) = stand_in(&file.bytes) {
        let message = message.to_owned();
        let mut inputs = Inputs::default();
        inputs.harmless.push(InputError { file: file.name, line: 0, column: 0, message });
        return Err(inputs);
    }
    let relevant = names_a_judged_kind(&file.bytes);
    match text(file.bytes) {
        Ok(text) => Ok(split_text(&file.name, text)),
        Err((line, column, message)) => {
            let mut inputs = Inputs::default();
            inputs.fault(InputError { file: file.name, line, column, message }, relevant);
            Err(inputs)
        }
    }
}

/// Why the bytes are not those of the file: Git LFS or git-crypt keeps them elsewhere.
fn stand_in(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        Some("this is a pointer of Git LFS, and the file itself is not here")
    } else if bytes.starts_with(b"\0GITCRYPT\0") {
        Some("this file is encrypted by git-crypt, and not unlocked here")
    } else {
        None
    }
}

/// Whether a text may hold an object that is judged: it has the name of a judged kind outside of
/// comments, in any case, or is UTF-16.
fn names_a_judged_kind(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"statefulset", b"persistentvolumeclaim", b"storageclass"];
    text.starts_with(&[0xff, 0xfe])
        || text.starts_with(&[0xfe, 0xff])
        || text.split(|byte| matches!(byte, b'\n' | b'\r')).map(without_comment).any(|text| {
            text.iter().enumerate().any(|(at, byte)| {
                matches!(byte, b's' | b'S' | b'p' | b'P')
                    && NAMES.iter().any(|name| {
                        text.get(at..at + name.len())
                            .is_some_and(|part| part.eq_ignore_ascii_case(name))
                    })
            })
        })
}

/// A line up to its comment: of YAML, of JSON with comments, or of a template.
fn without_comment(line: &[u8]) -> &[u8] {
    let begins = |at: usize| match &line[at..] {
        [b'#', ..] => at == 0 || matches!(line[at - 1], b' ' | b'\t' | b'{'),
        [b'/', b'/', ..] => at == 0 || matches!(line[at - 1], b' ' | b'\t' | b','),
        [b'/', b'*', ..] => true,
        _ => false,
    };
    let end = (0..line.len()).find(|at| begins(*at)).unwrap_or(line.len());
    &line[..end]
}

/// The text of a file, or line, column and what is wrong.
fn text(bytes: Vec<u8>) -> Result<String, (usize, usize, String)> {
    if bytes.len() > tree::LARGEST {
        return Err((0, 0, "this file is larger than 1 GiB".to_owned()));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((1, 1, "this is UTF-16: save it as UTF-8".to_owned()));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (line, column, "this is not UTF-8".to_owned())
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    // Files that were joined: each may begin with a mark, and kubectl reads past it.
    if text.contains("\n\u{feff}") {
        text = text.replace("\n\u{feff}", "\n");
    }
    Ok(text)
}

/// Splits a stream at its `---`, which at the start of a line always begins a document.
fn split_text(name: &str, text: String) -> Vec<Part> {
    let text = Arc::new(text);
    let file: Arc<str> = name.into();
    let mut parts = Vec::new();
    let mut add = |span: Range<usize>, first_line: usize, form: Form| {
        let text = Arc::clone(&text);
        let file = Arc::clone(&file);
        parts.push(Part(Arc::new(Source { file, text, span, first_line, form })));
    };
    if ending(name) == "json" {
        add(0..text.len(), 1, Form::Json);
        return parts;
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
    parts
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
    // Nearly every text is of this kind, and then nothing has to be looked up.
    if text.bytes().all(|byte| byte == b'\n' || matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let lines: Vec<String> =
        text.split('\n').map(annotate_snippets::normalize_untrusted_str).collect();
    lines.join("\n").replace(|c: char| c.is_control() && c != '\n', "�")
}
