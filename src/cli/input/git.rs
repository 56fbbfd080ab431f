//! Manifests as a git revision holds them.
//!
//! Everything is read from git's objects: neither the work tree nor the index is touched, or even
//! looked at.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Output, Stdio};

use stateward_check::layout::is_kustomization;
use stateward_check::report::Notice;
use stateward_core::yaml::{File, InputError};

use super::{Exclude, Files, Source, is_hidden, is_manifest};

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

/// The revision with which a change is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// its name
    pub revision: String,
    /// the revision from which the policy comes: a branch must not choose it by being old
    pub tip: String,
    /// how it was found, if it is not simply what was named
    pub note: Option<String>,
    /// why it may be the wrong one
    pub doubt: Option<String>,
}

/// The revision that `asked` stands for: the commit at which HEAD and `asked` parted, so that a
/// branch which is behind is not held responsible for what others changed meanwhile. `A...B` is
/// where these two parted, and `A..` is A itself.
///
/// # Errors
/// The folder is in no repository, or a revision does not exist.
pub fn base(folder: &Path, asked: &str) -> Result<Base, GitError> {
    let or_head = |name: &str| if name.is_empty() { "HEAD".to_owned() } else { name.to_owned() };
    let (tip, other) = match (asked.split_once("..."), asked.split_once("..")) {
        (Some((one, two)), _) => (or_head(one), or_head(two)),
        (None, Some((one, _))) => {
            let tip = or_head(one);
            Repository::open(folder, &tip)?;
            return Ok(Base { revision: tip.clone(), tip, note: None, doubt: None });
        }
        (None, None) => (asked.to_owned(), "HEAD".to_owned()),
    };
    let one = Repository::open(folder, &tip)?.commit;
    let two = match Repository::open(folder, &other) {
        Ok(repository) => repository.commit,
        // A repository whose first commit is yet to be made.
        Err(GitError::NoRevision(_)) if other == "HEAD" => one.clone(),
        Err(error) => return Err(error),
    };
    let (revision, note, doubt) = match text(&["merge-base", &one, &two], folder) {
        Ok(parted) if parted == one => (tip.clone(), None, None),
        Ok(parted) => {
            let short = text(&["rev-parse", "--short", &parted], folder)?;
            let note = format!("{other} and {tip} parted at {short}, which is the old state");
            (short, Some(note), None)
        }
        Err(GitError::Failed { .. }) => {
            let doubt = format!(
                "this clone holds no common ancestor of {other} and {tip}, so {tip} itself is the \
                 old state; a deeper clone may hold one"
            );
            (tip.clone(), None, Some(doubt))
        }
        Err(error) => return Err(error),
    };
    Ok(Base { revision, tip, note, doubt })
}

/// Reads files and folders as they are in `revision`, leaving out what [`super::load`] leaves out.
/// Relative paths start at `folder`, which may be any folder of the repository. A path that the
/// revision does not have is empty.
///
/// # Errors
/// The folder is in no repository, the revision does not exist, a path leads outside.
pub fn load_revision(
    folder: &Path,
    revision: &str,
    paths: &[PathBuf],
    exclude: &Exclude,
) -> Result<Files, GitError> {
    let repository = Repository::open(folder, revision)?;
    let mut found = Files::default();
    let mut blobs = Vec::new();
    for path in paths {
        let (name, full) = repository.place(path)?;
        let mut walk = Walk { repository: &repository, blobs: &mut blobs, found: &mut found };
        walk.path(&name, &full, true, &mut HashSet::new())?;
    }
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let own_path = |blob: &Blob| super::exclude::normal(&folder.join(&blob.name));
    let (named, mut walked): (Vec<Blob>, Vec<Blob>) =
        blobs.into_iter().partition(|blob| blob.named);
    let mut blobs = named;
    blobs.retain(|blob| seen.insert(own_path(blob)));
    walked.retain(|blob| seen.insert(own_path(blob)) && !exclude.excludes(folder, &blob.name));
    let kustomizations: Vec<Blob> =
        walked.iter().filter(|blob| is_kustomization(&blob.name)).cloned().collect();
    let texts: HashMap<String, String> = kustomizations
        .iter()
        .map(|blob| blob.name.clone())
        .zip(repository.read(&kustomizations)?)
        .map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned()))
        .collect();
    found.notices.extend(super::leave_out(&mut walked, |blob| texts.get(&blob.name).cloned()));
    blobs.append(&mut walked);
    let contents = repository.read(&blobs)?;
    for (blob, bytes) in blobs.into_iter().zip(contents) {
        let name = format!("{revision}:{}", blob.name);
        let bytes = match Repository::unfiltered(bytes) {
            Ok(bytes) => bytes,
            Err(message) => {
                found.errors.push(InputError { file: name, line: 0, column: 0, message });
                continue;
            }
        };
        found.sources.push(Source::Memory(File { name, bytes }));
    }
    Ok(found)
}

/// Files of the work tree below `paths` that git ignores: they are in no revision. Each is named as
/// a walk from `folder` names it; a folder has a slash at its end.
///
/// # Errors
/// The folder is in no repository.
pub fn ignored(folder: &Path, paths: &[PathBuf]) -> Result<Vec<String>, GitError> {
    listed(folder, &["--others", "--ignored", "--exclude-standard", "--directory"], paths)
}

/// Those of `files` that the work tree holds otherwise than `revision`, or that are new there.
///
/// # Errors
/// The folder is in no repository, or the revision does not exist.
pub fn changed(
    folder: &Path,
    revision: &str,
    files: &[&String],
) -> Result<HashSet<PathBuf>, GitError> {
    let commit = Repository::open(folder, revision)?.commit;
    let top = folder.join(text(&["rev-parse", "--show-cdup"], folder)?);
    let mut changed = HashSet::new();
    // A command line has a limit.
    for some in files.chunks(500) {
        for arguments in [
            &["diff", "--name-only", "--no-renames", "-z", &commit, "--"][..],
            &["ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--"],
        ] {
            let mut command = git(folder);
            command.env("GIT_LITERAL_PATHSPECS", "1").args(arguments).args(some);
            let listing = succeed(arguments[0], command.stdin(Stdio::null()).output())?;
            let listing = String::from_utf8_lossy(&listing).into_owned();
            let names = listing.split('\0').filter(|name| !name.is_empty());
            changed.extend(names.map(|name| super::exclude::normal(&top.join(name))));
        }
    }
    Ok(changed)
}

/// Files below `paths` that a sparse checkout leaves out of the work tree.
///
/// # Errors
/// The folder is in no repository.
pub fn sparse(folder: &Path, paths: &[PathBuf]) -> Result<Vec<String>, GitError> {
    let files = listed(folder, &["-t"], paths)?;
    Ok(files.iter().filter_map(|file| Some(file.strip_prefix("S ")?.to_owned())).collect())
}

fn listed(folder: &Path, options: &[&str], paths: &[PathBuf]) -> Result<Vec<String>, GitError> {
    let mut command = git(folder);
    command.env("GIT_LITERAL_PATHSPECS", "1");
    command.args(["ls-files", "-z"]).args(options).arg("--").args(paths);
    let listing = succeed("ls-files", command.stdin(Stdio::null()).output())?;
    let listing = String::from_utf8_lossy(&listing).into_owned();
    Ok(listing.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect())
}

/// The file `name` in `folder` or the nearest folder above it, as `revision` holds it: its path in
/// the repository, and its text.
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
            let blob = Blob { name: full.clone(), id, named: true };
            let mut files = repository.read(&[blob])?;
            let text = files.pop().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            return Ok(text.map(|text| (full, text)));
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

#[derive(Clone)]
struct Blob {
    name: String,
    id: String,
    /// named on the command line, and not found by a walk
    named: bool,
}

impl AsRef<str> for Blob {
    fn as_ref(&self) -> &str {
        &self.name
    }
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

    /// The bytes of each blob, as the work tree would hold them: in another encoding, or from a filter
    /// such as that of Git LFS. If a filter fails, the bytes are those that git keeps.
    fn read(&self, blobs: &[Blob]) -> Result<Vec<Vec<u8>>, GitError> {
        let mut contents = self.stored(blobs)?;
        let converted = self.converted(blobs)?;
        for (blob, bytes) in blobs.iter().zip(&mut contents) {
            let path = self.full_path(blob);
            if converted.contains(&path) {
                let path = format!("--path={path}");
                let filtered = run(&["cat-file", "--filters", &path, &blob.id], &self.folder);
                *bytes = filtered.unwrap_or(std::mem::take(bytes));
            }
        }
        Ok(contents)
    }

    /// The paths of blobs that a filter or an encoding changes on their way to the work tree.
    fn converted(&self, blobs: &[Blob]) -> Result<HashSet<String>, GitError> {
        let mut request = String::new();
        for blob in blobs {
            request.push_str(&self.full_path(blob));
            request.push('\0');
        }
        // From the top of the repository, as the paths are.
        let up = if self.prefix.is_empty() { "." } else { "../" };
        let top = self.folder.join(up.repeat(self.prefix.matches('/').count().max(1)));
        let arguments = ["check-attr", "--stdin", "-z", "filter", "working-tree-encoding"];
        let answer = feed(&arguments, &top, request.into_bytes())?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let mut fields = answer.split('\0');
        let mut converted = HashSet::new();
        while let (Some(path), Some(_), Some(value)) = (fields.next(), fields.next(), fields.next())
        {
            if !matches!(value, "unspecified" | "unset" | "set") {
                converted.insert(path.to_owned());
            }
        }
        Ok(converted)
    }

    /// The bytes of each blob as git keeps them.
    fn stored(&self, blobs: &[Blob]) -> Result<Vec<Vec<u8>>, GitError> {
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        let mut request = String::new();
        for blob in blobs {
            request.push_str(&blob.id);
            request.push('\n');
        }
        let answer =
            feed(&["cat-file", "--batch", "--buffer"], &self.folder, request.into_bytes())?;
        let mut rest = answer.as_slice();
        let mut contents = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let Some((bytes, after)) = object(rest) else {
                let message = format!("it did not answer with {}", blob.id);
                return Err(GitError::Failed { command: "cat-file".to_owned(), message });
            };
            rest = after;
            contents.push(bytes.to_vec());
        }
        Ok(contents)
    }

    fn full_path(&self, blob: &Blob) -> String {
        simple(&Path::new(&self.prefix).join(&blob.name)).unwrap_or_default()
    }

    /// The bytes, unless they are still what Git LFS or git-crypt keeps in the place of a file.
    fn unfiltered(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let tool = if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
            "Git LFS"
        } else if bytes.starts_with(b"\0GITCRYPT\0") {
            "git-crypt"
        } else {
            return Ok(bytes);
        };
        Err(format!("{tool} keeps this file, and did not give it out for this revision"))
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
    found: &'a mut Files,
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
            Entry::File(id) if wanted => {
                self.blobs.push(Blob { name: name.to_owned(), id, named });
            }
            // A link back to a folder that is being walked adds nothing.
            Entry::Folder(id) if within.insert(id.clone()) => {
                self.tree(name, full, &id, within)?;
                within.remove(&id);
            }
            Entry::DeadLink if wanted => self.found.errors.push(InputError {
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
                    self.blobs.push(Blob { name: join(name), id, named: false });
                }
                // A submodule: its files are another repository's.
                "160000" => {
                    let input = InputError {
                        file: format!("{}:{}", self.repository.revision, join(name)),
                        line: 0,
                        column: 0,
                        message:
                            "the old files of this submodule are not read, so its objects are \
                                  judged as new"
                                .to_owned(),
                    };
                    self.found.notices.push(Notice::warning(input));
                }
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
