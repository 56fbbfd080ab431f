//! Files, folders, standard input, git revisions and rendered output → manifests.

pub mod git;
pub mod render;

use std::num::NonZero;
use std::path::{Path, PathBuf};

use stateward_core::yaml::{File, InputError, Inputs, Part, split};
use walkdir::WalkDir;

pub use self::git::{GitError, load_revision};
pub use self::render::{RenderError, render, render_revision};
use super::parallel;

/// Files that are yet to be read, and what could not be found.
#[derive(Debug, Default)]
pub struct Files {
    files: Vec<Source>,
    errors: Vec<InputError>,
}

/// Where the bytes of a file come from.
#[derive(Debug)]
enum Source {
    Disk { name: String, path: PathBuf },
    Memory(File),
}

impl Files {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Reads every file by up to `threads` threads, in the order in which they were named. `keep`
    /// makes of each part what is still needed, so that the rest is freed at once.
    pub fn read<T: Send>(
        self,
        threads: NonZero<usize>,
        keep: impl Fn(Inputs) -> T + Sync,
    ) -> Vec<T> {
        let failed = |error| keep(Inputs { errors: vec![error], ..Inputs::default() });
        let read = parallel::map(self.files, threads, |file| {
            let file = match file {
                Source::Memory(file) => Ok(file),
                Source::Disk { name, path } => match std::fs::read(&path) {
                    Ok(bytes) => Ok(File { name, bytes }),
                    Err(error) => Err(unreadable(&name, &error)),
                },
            };
            let large = file.as_ref().is_ok_and(|file| file.bytes.len() > LARGE);
            match file.and_then(split) {
                Ok(parts) if large => parts.into_iter().map(Read::Later).collect(),
                Ok(parts) => parts.iter().map(|part| Read::Done(keep(part.read()))).collect(),
                Err(error) => vec![Read::Done(failed(error))],
            }
        });
        let read = read.into_iter().flatten().collect();
        let mut kept = parallel::map(read, threads, |part| match part {
            Read::Done(kept) => kept,
            Read::Later(part) => keep(part.read()),
        });
        kept.extend(self.errors.into_iter().map(failed));
        kept
    }
}

/// A file above this many bytes is shared among the threads, part by part.
const LARGE: usize = 256 * 1024;

/// A part of a file that was read, or that a thread has yet to read.
enum Read<T> {
    Done(T),
    Later(Part),
}

/// Finds files, walks folders and, for the path `-`, reads `stdin`.
///
/// A folder is walked in order of names; hidden files and what is neither `.yaml`, `.yml` nor
/// `.json` are left out. A file that is named is read whatever it is called.
pub fn load(paths: &[PathBuf], stdin: &mut dyn std::io::Read) -> Files {
    let mut found = Files::default();
    let mut seen = Vec::new();
    for path in paths {
        if seen.contains(&path) {
            continue;
        }
        seen.push(path);
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            match stdin.read_to_end(&mut bytes) {
                Ok(_) => found.files.push(Source::Memory(File { name: "-".to_owned(), bytes })),
                Err(error) => found.errors.push(unreadable("-", &error)),
            }
        } else if path.is_dir() {
            walk(path, &mut found);
        } else {
            found.files.push(on_disk(path));
        }
    }
    found
}

fn on_disk(path: &Path) -> Source {
    Source::Disk { name: shown(path), path: path.to_owned() }
}

fn walk(folder: &Path, found: &mut Files) {
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !is_hidden(&entry.file_name().to_string_lossy())
    };
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(visible) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => {
                if is_manifest(&entry.file_name().to_string_lossy()) {
                    found.files.push(on_disk(entry.path()));
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
                found.errors.push(match error.io_error() {
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
