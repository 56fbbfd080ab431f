//! Files, folders, streams, git revisions and rendered output → objects with line numbers.
//!
//! YAML becomes JSON here, read as kubectl reads it, and then passes through the same views as a
//! review. The first pass keeps no places: most objects have no findings. A place is found when
//! [`Document::locate`] asks for it, by reading that one document again.
//!
//! One bad document hides no other: a stream is split at its `---` before any of it is read.

mod document;
pub mod git;
mod json;
pub mod pair;
mod place;
pub mod render;
mod scalar;
mod single;
mod template;
mod tree;
mod view;
mod yaml;

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use walkdir::WalkDir;

pub use self::document::{Document, Location};
use self::document::{Form, Found, Source};
pub use self::git::{GitError, load_revision};
pub use self::pair::{Paired, Pairing, pair};
pub use self::render::{RenderError, render, render_revision};
pub use self::single::Single;
use crate::report::InputError;

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

/// Reads files, folders and, for the path `-`, `stdin`.
///
/// A folder is walked in order of names; hidden files and what is neither `.yaml`, `.yml` nor
/// `.json` are left out. A file that is named is read whatever it is called.
pub fn load(paths: &[PathBuf], stdin: &mut dyn Read) -> Inputs {
    let mut inputs = Inputs::default();
    let mut files = Vec::new();
    let mut seen = Vec::new();
    for path in paths {
        if seen.contains(&path) {
            continue;
        }
        seen.push(path);
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            match stdin.read_to_end(&mut bytes) {
                Ok(_) => files.push(File { name: "-".to_owned(), bytes }),
                Err(error) => inputs.errors.push(unreadable("-", &error)),
            }
        } else if path.is_dir() {
            walk(path, &mut files, &mut inputs.errors);
        } else {
            open(path, &mut files, &mut inputs.errors);
        }
    }
    inputs.read(files);
    inputs
}

/// Bytes that are yet to be read as YAML or JSON.
struct File {
    name: String,
    bytes: Vec<u8>,
}

fn open(path: &Path, files: &mut Vec<File>, errors: &mut Vec<InputError>) {
    let name = shown(path);
    match std::fs::read(path) {
        Ok(bytes) => files.push(File { name, bytes }),
        Err(error) => errors.push(unreadable(&name, &error)),
    }
}

fn walk(folder: &Path, files: &mut Vec<File>, errors: &mut Vec<InputError>) {
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !is_hidden(&entry.file_name().to_string_lossy())
    };
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(visible) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => {
                if is_manifest(&entry.file_name().to_string_lossy()) {
                    open(entry.path(), files, errors);
                }
            }
            // What a loop leads back to is being walked already.
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // A link that leads nowhere matters where it would have been read.
                if path.is_symlink() && (is_hidden(&name) || !is_manifest(&name)) {
                    continue;
                }
                let name = shown(path);
                errors.push(match error.io_error() {
                    Some(error) => unreadable(&name, error),
                    None => {
                        InputError { file: name, line: 0, column: 0, message: error.to_string() }
                    }
                });
            }
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

fn is_manifest(name: &str) -> bool {
    matches!(ending(name), "yaml" | "yml" | "json")
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.strip_prefix("./").filter(|rest| !rest.is_empty()).unwrap_or(&text).to_owned()
}

fn unreadable(file: &str, error: &std::io::Error) -> InputError {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        _ => format!("could not be read: {error}"),
    };
    InputError { file: file.to_owned(), line: 0, column: 0, message }
}

impl Inputs {
    fn read(&mut self, files: Vec<File>) {
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
