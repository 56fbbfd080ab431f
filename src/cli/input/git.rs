//! Manifests as a git revision holds them.
//!
//! Everything is read from git's objects: neither the work tree nor the index is touched, or even
//! looked at.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use stateward_core::yaml::{File, InputError};

use super::{Files, Source, is_hidden, is_manifest};

/// Why git could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// the executable is missing
    #[error("could not run git; is it installed?")]
    Start(#[source] std::io::Error),
    /// the folder lies in no repository
    #[error("\"{0}\" is not in a git repository")]
    NotARepository(String),
    /// the revision is unknown
    #[error(
        "no revision \"{0}\" in this repository; a shallow clone may lack it: fetch it, or clone \
         with the whole history"
    )]
    NoRevision(String),
    /// the path leads out of the repository
    #[error("\"{0}\" is outside the repository")]
    Outside(String),
    /// git said no
    #[error("git {command} failed: {message}")]
    Failed {
        /// its command
        command: String,
        /// what it printed
        message: String,
    },
}

/// Reads files and folders as they are in `revision`. Relative paths start at `folder`, which may
/// be any folder of the repository. A path that the revision does not have is empty.
///
/// # Errors
/// The folder is in no repository, the revision does not exist, a path leads outside.
pub fn load_revision(folder: &Path, revision: &str, paths: &[PathBuf]) -> Result<Files, GitError> {
    let repository = Repository::open(folder, revision)?;
    let mut errors = Vec::new();
    let mut blobs = Vec::new();
    for path in paths {
        let (name, full) = repository.place(path)?;
        let mut walk = Walk { repository: &repository, blobs: &mut blobs, errors: &mut errors };
        walk.path(&name, &full, true, &mut HashSet::new())?;
    }
    let mut seen = HashSet::new();
    blobs.retain(|blob: &Blob| seen.insert(blob.name.clone()));
    let files = repository.read(blobs)?.into_iter().map(Source::Memory).collect();
    Ok(Files { files, errors })
}

/// The file `name` in `folder` or the nearest folder above it, as `revision` holds it: its name
/// with the revision, and its text.
///
/// # Errors
/// The folder is in no repository, or the revision does not exist.
pub fn nearest_file(
    folder: &Path,
    revision: &str,
    name: &str,
) -> Result<Option<(String, String)>, GitError> {
    let repository = Repository::open(folder, revision)?;
    for above in Path::new(&repository.prefix).ancestors() {
        let full = above.join(name).to_string_lossy().into_owned();
        if let Entry::File(id) = repository.look_up(&full)? {
            let mut files = repository.read(vec![Blob { name: full, id }])?;
            return Ok(files
                .pop()
                .map(|file| (file.name, String::from_utf8_lossy(&file.bytes).into_owned())));
        }
    }
    Ok(None)
}

/// A revision of a repository.
pub(super) struct Repository {
    folder: PathBuf,
    revision: String,
    commit: String,
    /// the folder within the repository, with a slash at its end; empty at the top
    pub(super) prefix: String,
}

/// What a path of a revision holds.
enum Entry {
    File(String),
    Folder(String),
    DeadLink,
    Absent,
}

struct Blob {
    name: String,
    id: String,
}

impl Repository {
    pub(super) fn open(folder: &Path, revision: &str) -> Result<Self, GitError> {
        let folder = folder.to_owned();
        let unknown = || GitError::NoRevision(revision.to_owned());
        let prefix = match text(&["rev-parse", "--show-prefix"], &folder) {
            Ok(prefix) => prefix,
            Err(GitError::Failed { message, .. }) if message.contains("not a git repository") => {
                return Err(GitError::NotARepository(folder.display().to_string()));
            }
            Err(error) => return Err(error),
        };
        // What begins with a dash would be taken for an option.
        if revision.is_empty() || revision.starts_with('-') {
            return Err(unknown());
        }
        let commit = format!("{revision}^{{commit}}");
        let commit = match text(&["rev-parse", "--verify", "--quiet", &commit], &folder) {
            Ok(commit) => commit,
            Err(GitError::Failed { .. }) => return Err(unknown()),
            Err(error) => return Err(error),
        };
        Ok(Self { folder, revision: revision.to_owned(), commit, prefix })
    }

    /// Writes the whole revision to `into`, by an index of its own at `index`.
    pub(super) fn check_out(&self, into: &Path, index: &Path) -> Result<(), GitError> {
        let directory = text(&["rev-parse", "--absolute-git-dir"], &self.folder)?;
        for arguments in [&["read-tree", &self.commit][..], &["checkout-index", "--all", "--force"]]
        {
            let mut command = git(into);
            // Nothing of the user's settings may reach beyond the two temporary places, or leave
            // a file out.
            for setting in [
                "core.hooksPath=/dev/null",
                "core.splitIndex=false",
                "core.fsmonitor=false",
                "core.sparseCheckout=false",
            ] {
                command.args(["-c", setting]);
            }
            command.env("GIT_INDEX_FILE", index).env("GIT_DIR", &directory);
            command.env("GIT_WORK_TREE", into).args(arguments);
            succeed(arguments[0], command.stdin(Stdio::null()).output())?;
        }
        Ok(())
    }

    /// The path as it is shown, and as the repository knows it.
    fn place(&self, path: &Path) -> Result<(String, String), GitError> {
        let outside = || GitError::Outside(path.display().to_string());
        // A request to `cat-file` is one line.
        if path.as_os_str() == "-" || path.to_string_lossy().contains('\n') {
            return Err(outside());
        }
        if path.is_absolute() {
            let top = PathBuf::from(text(&["rev-parse", "--show-toplevel"], &self.folder)?);
            let full = canonical(path);
            let full = full.strip_prefix(canonical(&top)).map_err(|_| outside())?;
            return Ok((path.display().to_string(), full.to_string_lossy().into_owned()));
        }
        let full = simple(&Path::new(&self.prefix).join(path)).ok_or_else(outside)?;
        let mut name = super::shown(path);
        while name.len() > 1 && name.ends_with('/') {
            name.pop();
        }
        Ok((name, full))
    }

    /// What stands at a path, links followed.
    fn look_up(&self, full: &str) -> Result<Entry, GitError> {
        let request = format!("{}:{full}\n", self.commit);
        let arguments =
            ["cat-file", "--batch-check=%(objecttype) %(objectname)", "--follow-symlinks"];
        let answer = feed(&arguments, &self.folder, request.into_bytes())?;
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().next().unwrap_or_default();
        Ok(match line.split_once(' ') {
            Some(("blob", id)) => Entry::File(id.to_owned()),
            Some(("tree", id)) => Entry::Folder(id.to_owned()),
            Some(("symlink" | "dangling" | "loop", _)) => Entry::DeadLink,
            _ => Entry::Absent,
        })
    }

    /// Everything below a tree: mode, id, path.
    fn list(&self, tree: &str) -> Result<Vec<(String, String, String)>, GitError> {
        let listing = run(&["ls-tree", "-r", "-t", "-z", "--full-tree", tree], &self.folder)?;
        let listing = String::from_utf8_lossy(&listing).into_owned();
        let entry = |entry: &str| {
            let (head, path) = entry.split_once('\t')?;
            let mut head = head.split(' ');
            let mode = head.next()?.to_owned();
            Some((mode, head.nth(1)?.to_owned(), path.to_owned()))
        };
        Ok(listing.split('\0').filter_map(entry).collect())
    }

    fn read(&self, blobs: Vec<Blob>) -> Result<Vec<File>, GitError> {
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut request = String::new();
        for blob in &blobs {
            request.push_str(&blob.id);
            request.push('\n');
        }
        let answer =
            feed(&["cat-file", "--batch", "--buffer"], &self.folder, request.into_bytes())?;
        let mut rest = answer.as_slice();
        let mut files = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let Some((bytes, after)) = object(rest) else {
                let message = format!("it did not answer with {}", blob.id);
                return Err(GitError::Failed { command: "cat-file".to_owned(), message });
            };
            rest = after;
            let name = format!("{}:{}", self.revision, blob.name);
            files.push(File { name, bytes: bytes.to_vec() });
        }
        Ok(files)
    }
}

/// The first object of what `cat-file --batch` prints, and the rest.
fn object(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let size: usize = head.rsplit(' ').next()?.parse().ok()?;
    let body = answer.get(end + 1..)?;
    Some((body.get(..size)?, body.get(size + 1..)?))
}

struct Walk<'a> {
    repository: &'a Repository,
    blobs: &'a mut Vec<Blob>,
    errors: &'a mut Vec<InputError>,
}

impl Walk<'_> {
    fn path(
        &mut self,
        name: &str,
        full: &str,
        named: bool,
        within: &mut HashSet<String>,
    ) -> Result<(), GitError> {
        let wanted = named || is_manifest(name);
        match self.repository.look_up(full)? {
            Entry::File(id) if wanted => self.blobs.push(Blob { name: name.to_owned(), id }),
            // A link back to a folder that is being walked adds nothing.
            Entry::Folder(id) if within.insert(id.clone()) => {
                self.tree(name, full, &id, within)?;
                within.remove(&id);
            }
            Entry::DeadLink if wanted => self.errors.push(InputError {
                file: format!("{}:{name}", self.repository.revision),
                line: 0,
                column: 0,
                message: "this link leads to nothing within the revision".to_owned(),
            }),
            _ => {}
        }
        Ok(())
    }

    fn tree(
        &mut self,
        name: &str,
        full: &str,
        id: &str,
        within: &mut HashSet<String>,
    ) -> Result<(), GitError> {
        let mut folders = HashMap::new();
        for (mode, id, below) in self.repository.list(id)? {
            if below.split('/').any(is_hidden) {
                continue;
            }
            let join = |parent: &str| match parent {
                "" | "." => below.clone(),
                parent => format!("{parent}/{below}"),
            };
            match mode.as_str() {
                "040000" => {
                    folders.insert(below.clone(), id);
                }
                "120000" => {
                    let parents = Path::new(&below).ancestors().skip(1);
                    let parents = parents.filter_map(|path| folders.get(path.to_str()?).cloned());
                    let mut within: HashSet<String> =
                        within.iter().cloned().chain(parents).collect();
                    self.path(&join(name), &join(full), false, &mut within)?;
                }
                "100644" | "100755" if is_manifest(&below) => {
                    self.blobs.push(Blob { name: join(name), id });
                }
                // Other files, and submodules, whose files are another repository's.
                _ => {}
            }
        }
        Ok(())
    }
}

/// `a/./b/../c` as `a/c`; `None` where it leads above its start.
fn simple(path: &Path) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => {
                parts.pop()?;
            }
            _ => {}
        }
    }
    Some(parts.join("/"))
}

/// The canonical form of a path whose end may not exist.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(path) = path.canonicalize() {
        return path;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => path.to_owned(),
    }
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    // Messages are recognised by their words.
    command.arg("-C").arg(folder).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
    command
}

fn run(arguments: &[&str], folder: &Path) -> Result<Vec<u8>, GitError> {
    succeed(arguments[0], git(folder).args(arguments).stdin(Stdio::null()).output())
}

fn text(arguments: &[&str], folder: &Path) -> Result<String, GitError> {
    let output = run(arguments, folder)?;
    Ok(String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned())
}

/// Runs git with `input`, written beside the reading, since either pipe may fill up.
fn feed(arguments: &[&str], folder: &Path, input: Vec<u8>) -> Result<Vec<u8>, GitError> {
    let mut command = git(folder);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(GitError::Start)?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A git that stops reading says why by itself.
            stdin.map(|mut stdin| stdin.write_all(&input))
        });
        child.wait_with_output()
    });
    succeed(arguments[0], output)
}

fn succeed(command: &str, output: std::io::Result<Output>) -> Result<Vec<u8>, GitError> {
    let output = output.map_err(GitError::Start)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(GitError::Failed { command: command.to_owned(), message })
}
