//! Files, folders, standard input, git revisions and rendered output → manifests.

pub mod git;
pub mod render;

use std::io::Read;
use std::path::{Path, PathBuf};

use stateward_core::yaml::{File, InputError, Inputs};
use walkdir::WalkDir;

pub use self::git::{GitError, load_revision};
pub use self::render::{RenderError, render, render_revision};

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
