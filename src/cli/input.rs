//! Files, folders, standard input, git revisions and rendered output → manifests.

pub mod exclude;
pub mod git;
pub mod render;

use std::collections::{BTreeSet, HashSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};

use stateward_check::kustomize::{Kustomization, Renamings};
use stateward_check::layout::{KUSTOMIZATIONS, Layout, is_chart_part, is_kustomization};
use stateward_check::report::Notice;
use stateward_core::yaml::{File, InputError, Inputs, Part, split};
use walkdir::WalkDir;

pub use self::exclude::Exclude;
pub use self::git::{GitError, load_revision};
pub use self::render::{RenderError, Templates, render, render_revision};
use super::parallel;

/// Files that are yet to be read, and what could not be found.
#[derive(Debug, Default)]
pub struct Files {
    sources: Vec<Source>,
    errors: Vec<InputError>,
    /// what was left out
    pub notices: Vec<Notice>,
    /// the paths that the manifests of an old revision have in the work tree
    pub paths: BTreeSet<PathBuf>,
    /// what the templates that a rendering names are called in the work tree
    pub templates: Templates,
    /// what kustomizations make of the names
    pub renamings: Renamings,
}

/// Where the bytes of a file come from.
#[derive(Debug)]
enum Source {
    Disk { name: String, path: PathBuf, named: bool },
    Memory(File),
}

impl Files {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Takes out the files on disk that `is` picks.
    pub fn take(&mut self, is: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let picked = |source: &mut Source| match source {
            Source::Disk { path, .. } => is(path),
            Source::Memory(_) => false,
        };
        let taken = self.sources.extract_if(.., picked);
        taken
            .filter_map(|source| match source {
                Source::Disk { path, .. } => Some(path),
                Source::Memory(_) => None,
            })
            .collect()
    }

    /// Reads every file by up to `threads` threads, in the order in which they were named. `keep`
    /// makes of each part what is still needed, so that the rest is freed at once.
    pub fn read<T: Send>(
        self,
        threads: NonZero<usize>,
        keep: impl Fn(Inputs) -> T + Sync,
    ) -> Vec<T> {
        let failed = |error| keep(Inputs { errors: vec![error], ..Inputs::default() });
        // A walk may meet any sort of file. What is named was meant to be read.
        let keep = |mut inputs: Inputs, named: bool| {
            if named {
                inputs.errors.append(&mut inputs.harmless);
            }
            keep(inputs)
        };
        let read = parallel::map(self.sources, threads, |file| {
            let (file, named) = match file {
                Source::Memory(file) => (file, true),
                Source::Disk { name, path, named } => match std::fs::read(&path) {
                    Ok(bytes) => (File { name, bytes }, named),
                    Err(error) => {
                        return vec![Read::Done(failed(unreadable(&name, &path, &error)))];
                    }
                },
            };
            let large = file.bytes.len() > LARGE;
            match split(file) {
                Ok(parts) if large => {
                    parts.into_iter().map(|part| Read::Later(part, named)).collect()
                }
                Ok(parts) => {
                    parts.iter().map(|part| Read::Done(keep(part.read(), named))).collect()
                }
                Err(unread) => vec![Read::Done(keep(unread, named))],
            }
        });
        let read = read.into_iter().flatten().collect();
        let mut kept = parallel::map(read, threads, |part| match part {
            Read::Done(kept) => kept,
            Read::Later(part, named) => keep(part.read(), named),
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
    /// a part, and whether its file was named
    Later(Part, bool),
}

/// Finds files, walks folders and, for the path `-`, reads `stdin`.
///
/// A folder is walked in order of names, hidden files included, as `kubectl apply -f` does. What a
/// version control keeps for itself, what is neither `.yaml`, `.yml` nor `.json`, what `exclude` names
/// and what is only a part of a chart or a kustomization are left out, unless it is among
/// `manifests`. A file that is named is read whatever it is called.
pub fn load(
    paths: &[PathBuf],
    exclude: &Exclude,
    manifests: &BTreeSet<PathBuf>,
    stdin: &mut dyn std::io::Read,
) -> Files {
    let here = std::env::current_dir().unwrap_or_default();
    let mut found = Files::default();
    let mut named = HashSet::new();
    let mut walked = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            if !named.insert(PathBuf::from("-")) {
                continue;
            }
            let mut bytes = Vec::new();
            match stdin.read_to_end(&mut bytes) {
                Ok(_) => found.sources.push(Source::Memory(File { name: "-".to_owned(), bytes })),
                Err(error) => found.errors.push(unreadable("-", path, &error)),
            }
        } else if path.is_dir() {
            walk(path, &mut walked, &mut found.errors);
        } else if named.insert(exclude::normal(&here.join(path))) {
            found.sources.push(on_disk(path));
        }
    }
    // A file that is named twice, or is in a folder that is named too, is read once.
    walked.retain(|file| named.insert(exclude::normal(&here.join(&file.path))));
    walked.retain(|file| !exclude.excludes(&here, &file.name));
    let read = |file: &Walked| std::fs::read_to_string(&file.path).ok();
    let was_manifest = |file: &Walked| {
        manifests.contains(&exclude::normal(&here.join(&file.path)))
            && read(file).is_none_or(|text| may_be_whole(&text))
    };
    let mut kustomizations = kustomizations(&walked, read);
    found.notices = leave_out(&mut walked, &kustomizations, was_manifest);
    kustomizations.extend(beside(&found.sources));
    found.renamings = Renamings::of(&kustomizations);
    let walked = walked.into_iter().map(|file| {
        let Walked { name, path } = file;
        Source::Disk { name, path, named: false }
    });
    found.sources.extend(walked);
    found
}

/// Whether a set or a claim in this text may be whole. A patch that takes the place of a manifest
/// lacks the fields without which Kubernetes rejects either.
fn may_be_whole(text: &str) -> bool {
    text.contains("selector") || text.contains("accessModes")
}

/// A file that a walk has found.
struct Walked {
    name: String,
    path: PathBuf,
}

impl AsRef<str> for Walked {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// The files among `files` that describe a folder to Kustomize.
fn kustomizations<T: AsRef<str>>(
    files: &[T],
    read: impl Fn(&T) -> Option<String>,
) -> Vec<Kustomization> {
    let own = files.iter().filter(|file| is_kustomization(file.as_ref()));
    own.filter_map(|file| Kustomization::read(file.as_ref(), &read(file)?)).collect()
}

/// The kustomizations beside files that are named: a hook names only those that change.
fn beside(sources: &[Source]) -> Vec<Kustomization> {
    let folder = |source: &Source| match source {
        Source::Disk { path, .. } => path.parent().map(Path::to_owned),
        Source::Memory(_) => None,
    };
    let folders: BTreeSet<PathBuf> = sources.iter().filter_map(folder).collect();
    let in_folder = |folder: PathBuf| {
        KUSTOMIZATIONS.iter().map(|name| folder.join(name)).find_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            Kustomization::read(&shown(&path), &text)
        })
    };
    folders.into_iter().filter_map(in_folder).collect()
}

/// Leaves out what is only a part of a chart or a kustomization.
fn leave_out<T: AsRef<str>>(
    files: &mut Vec<T>,
    kustomizations: &[Kustomization],
    was_manifest: impl Fn(&T) -> bool,
) -> Vec<Notice> {
    let layout = Layout::new(files.iter().map(AsRef::as_ref), kustomizations);
    layout.leave_out(files, |file| file.as_ref(), was_manifest)
}

fn on_disk(path: &Path) -> Source {
    Source::Disk { name: shown(path), path: path.to_owned(), named: true }
}

fn walk(folder: &Path, found: &mut Vec<Walked>, errors: &mut Vec<InputError>) {
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !is_history(&entry.file_name().to_string_lossy())
    };
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(visible) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => {
                // A named pipe would never end.
                let is_file = entry.file_type().is_file();
                if is_file && is_wanted(&entry.file_name().to_string_lossy()) {
                    found.push(Walked { name: shown(entry.path()), path: entry.path().to_owned() });
                }
            }
            // What a loop leads back to is being walked already.
            Err(error) if error.loop_ancestor().is_some() => {}
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // A link that leads nowhere matters where it would have been read.
                if path.is_symlink() && !is_manifest(&name) {
                    continue;
                }
                let name = shown(path);
                errors.push(match error.io_error() {
                    Some(error) => unreadable(&name, path, error),
                    None => {
                        InputError { file: name, line: 0, column: 0, message: error.to_string() }
                    }
                });
            }
        }
    }
}

/// Whether a folder of this name holds the history of a repository.
fn is_history(name: &str) -> bool {
    matches!(name, ".git" | ".hg" | ".jj" | ".svn")
}

fn is_manifest(name: &str) -> bool {
    let ending = ending(name);
    let endings = ["yaml", "yml", "json"];
    endings.iter().any(|known| ending.eq_ignore_ascii_case(known)) || is_kustomization(name)
}

/// Whether a walk takes a file of this name: as a manifest, or to see that it changed.
fn is_wanted(name: &str) -> bool {
    is_manifest(name) || is_chart_part(name)
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.strip_prefix("./").filter(|rest| !rest.is_empty()).unwrap_or(&text).to_owned()
}

/// The message about a dead link, the same for the work tree and for a revision.
pub const DEAD_LINK: &str = "this link leads to nothing that could be read";

fn unreadable(file: &str, path: &Path, error: &std::io::Error) -> InputError {
    let message = match error.kind() {
        _ if path.is_symlink() => DEAD_LINK.to_owned(),
        std::io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        _ => format!("could not be read: {error}"),
    };
    InputError { file: file.to_owned(), line: 0, column: 0, message }
}
