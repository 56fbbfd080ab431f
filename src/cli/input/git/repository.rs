//! One revision of a repository, and of its submodules.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use super::{Git, GitError};

/// The mode of a submodule.
pub(super) const SUBMODULE: &str = "160000";

/// A revision of a repository.
pub(in crate::cli::input) struct Repository {
    folder: PathBuf,
    pub(super) revision: String,
    pub(super) commit: String,
    /// the objects of submodules that were looked into
    alternates: RefCell<Vec<OsString>>,
    /// the folder within the repository, with a slash at its end; empty at the top
    pub(in crate::cli::input) prefix: String,
}

/// What a path of a revision holds.
pub(super) enum Entry {
    File(String),
    Folder(String),
    DeadLink,
    /// in a submodule whose commit the clone lacks
    Unreadable(Submodule),
    Absent,
}

/// A submodule as its parent records it.
#[derive(Clone, Debug)]
pub(super) struct Submodule {
    /// from the top of the outermost repository
    pub(super) path: String,
    pub(super) commit: String,
}

/// What a checkout does not hold.
#[derive(Debug, Default)]
pub(in crate::cli::input) struct CheckedOut {
    /// files outside of the sparse checkout
    pub(in crate::cli::input) sparse: Vec<String>,
    /// submodules of which the clone lacks the commit
    pub(in crate::cli::input) missing: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Blob {
    pub(super) name: String,
    pub(super) id: String,
    /// named on the command line, and not found by a walk
    pub(super) named: bool,
}

impl AsRef<str> for Blob {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Repository {
    pub(in crate::cli::input) fn open(folder: &Path, revision: &str) -> Result<Self, GitError> {
        let folder = folder.to_owned();
        let unknown = || GitError::NoRevision(revision.to_owned());
        let prefix = match Git::new(&folder).line(&["rev-parse", "--show-prefix"]) {
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
        let commit = match Git::new(&folder).line(&["rev-parse", "--verify", "--quiet", &commit]) {
            Ok(commit) => commit,
            Err(GitError::Failed { .. }) => return Err(unknown()),
            Err(error) => return Err(error),
        };
        let alternates = RefCell::default();
        Ok(Self { folder, revision: revision.to_owned(), commit, alternates, prefix })
    }

    /// A process that finds the objects of submodules, too.
    fn git(&self) -> Git {
        self.with_submodules(Git::new(&self.folder))
    }

    fn with_submodules(&self, git: Git) -> Git {
        let mut all = self.alternates.borrow().clone();
        if all.is_empty() {
            return git;
        }
        let name = "GIT_ALTERNATE_OBJECT_DIRECTORIES";
        all.extend(std::env::var_os(name));
        git.variable(name, all.join(OsStr::new(":")))
    }

    /// Writes the revision to `into`, with its submodules, by indexes of its own beside `index`. A
    /// sparse checkout leaves out the same files as in the work tree.
    pub(in crate::cli::input) fn check_out(
        &self,
        into: &Path,
        index: &Path,
    ) -> Result<CheckedOut, GitError> {
        let directory = Git::new(&self.folder).line(&["rev-parse", "--absolute-git-dir"])?;
        let mut all = CheckedOut::default();
        let mut left = vec![Submodule { path: String::new(), commit: self.commit.clone() }];
        let mut number = 0;
        while let Some(Submodule { path, commit }) = left.pop() {
            let tree = into.join(&path);
            let index = index.with_extension(number.to_string());
            number += 1;
            let git = || {
                let git = Git::new(&tree).variable("GIT_INDEX_FILE", &index);
                let git = git.variable("GIT_DIR", &directory).variable("GIT_WORK_TREE", &tree);
                // Nothing of the user's settings may reach beyond the temporary places.
                let settings = [
                    "core.hooksPath=/dev/null",
                    "core.splitIndex=false",
                    "core.fsmonitor=false",
                    "index.sparse=false",
                ];
                let git = settings.into_iter().fold(self.with_submodules(git), Git::setting);
                // The patterns of a sparse checkout are those of the outermost repository.
                if path.is_empty() { git } else { git.setting("core.sparseCheckout=false") }
            };
            git().run(&["read-tree", "-m", "-u", &commit])?;
            all.sparse.extend(left_out(&git().list(&["ls-files", "-t", "-z"])?));
            for (mode, commit, below) in self.list(&format!("{commit}^{{tree}}"))? {
                if mode != SUBMODULE {
                    continue;
                }
                let path = if path.is_empty() { below } else { format!("{path}/{below}") };
                let submodule = Submodule { path, commit };
                // git has made its folder, unless a sparse checkout leaves it out.
                if into.join(&submodule.path).is_dir() && self.enter(&submodule)? {
                    left.push(submodule);
                } else {
                    all.missing.push(submodule.path);
                }
            }
        }
        Ok(all)
    }

    /// The path as it is shown, and as the repository knows it.
    pub(super) fn place(&self, path: &Path) -> Result<(String, String), GitError> {
        let outside = || GitError::Outside(path.display().to_string());
        // A request to `cat-file` is one line.
        if path.as_os_str() == "-" || path.to_string_lossy().contains('\n') {
            return Err(outside());
        }
        if path.is_absolute() {
            let top = self.top()?;
            let full = canonical(path);
            let full = full.strip_prefix(canonical(&top)).map_err(|_| outside())?;
            return Ok((path.display().to_string(), full.to_string_lossy().into_owned()));
        }
        let full = simple(&Path::new(&self.prefix).join(path)).ok_or_else(outside)?;
        let mut name = super::super::shown(path);
        while name.len() > 1 && name.ends_with('/') {
            name.pop();
        }
        Ok((name, full))
    }

    fn top(&self) -> Result<PathBuf, GitError> {
        Git::new(&self.folder).line(&["rev-parse", "--show-toplevel"]).map(PathBuf::from)
    }

    /// What is at a path from the top, with links followed and submodules entered.
    pub(super) fn look_up(&self, full: &str) -> Result<Entry, GitError> {
        let mut commit = self.commit.clone();
        let (mut above, mut rest) = (String::new(), full.to_owned());
        loop {
            let entry = self.look_up_in(&commit, &rest)?;
            if !matches!(entry, Entry::Absent) {
                return Ok(entry);
            }
            let Some((path, id)) = self.submodule_above(&commit, &rest)? else { return Ok(entry) };
            rest = rest[path.len()..].trim_start_matches('/').to_owned();
            let submodule = Submodule { path: format!("{above}{path}"), commit: id };
            if !self.enter(&submodule)? {
                return Ok(Entry::Unreadable(submodule));
            }
            above = format!("{}/", submodule.path);
            commit = submodule.commit;
        }
    }

    fn look_up_in(&self, commit: &str, path: &str) -> Result<Entry, GitError> {
        let request = format!("{commit}:{path}\n");
        let arguments =
            ["cat-file", "--batch-check=%(objecttype) %(objectname)", "--follow-symlinks"];
        let answer = self.git().input(request).run(&arguments)?;
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().next().unwrap_or_default();
        Ok(match line.split_once(' ') {
            Some(("blob", id)) => Entry::File(id.to_owned()),
            Some(("tree", id)) => Entry::Folder(id.to_owned()),
            Some(("symlink" | "dangling" | "loop", _)) => Entry::DeadLink,
            _ => Entry::Absent,
        })
    }

    /// The submodule of `commit` at `path` or above it, and what is recorded of it.
    fn submodule_above(
        &self,
        commit: &str,
        path: &str,
    ) -> Result<Option<(String, String)>, GitError> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let above: Vec<&str> = ends.map(|end| &path[..end]).filter(|one| !one.is_empty()).collect();
        if above.is_empty() {
            return Ok(None);
        }
        let arguments = ["ls-tree", "-z", "--full-tree", commit, "--"];
        let entries = self.git().literal_paths().list_of(&arguments, &above)?;
        let link = entries.iter().filter_map(|one| parse(one)).find(|one| one.0 == SUBMODULE);
        Ok(link.map(|(_, id, path)| (path.to_owned(), id.to_owned())))
    }

    /// Makes the objects of a submodule known; false if the clone lacks its commit.
    pub(super) fn enter(&self, submodule: &Submodule) -> Result<bool, GitError> {
        let Submodule { path, commit } = submodule;
        let tree = format!("{commit}^{{tree}}");
        let is_known = || self.git().run(&["cat-file", "-e", &tree]).is_ok();
        if is_known() {
            return Ok(true);
        }
        let top = self.top()?;
        let own = top.join(path);
        let mut places = Vec::new();
        // In the folder of a submodule that is not there, git would answer for its parent.
        if own.join(".git").exists()
            && let Ok(place) = Git::new(&own).line(&["rev-parse", "--git-path", "objects"])
        {
            places.push(own.join(place));
        }
        // One that the work tree has no more is still kept.
        let kept = format!("modules/{path}/objects");
        places.push(top.join(Git::new(&top).line(&["rev-parse", "--git-path", &kept])?));
        for place in places.into_iter().filter(|place| place.is_dir()) {
            self.alternates.borrow_mut().push(place.into());
            if is_known() {
                return Ok(true);
            }
            self.alternates.borrow_mut().pop();
        }
        Ok(false)
    }

    /// Everything below a tree: mode, id, path.
    pub(super) fn list(&self, tree: &str) -> Result<Vec<(String, String, String)>, GitError> {
        let listing = self.git().list(&["ls-tree", "-r", "-t", "-z", "--full-tree", tree])?;
        let owned = |(mode, id, path): (&str, &str, &str)| {
            (mode.to_owned(), id.to_owned(), path.to_owned())
        };
        Ok(listing.iter().filter_map(|entry| parse(entry).map(owned)).collect())
    }

    /// The bytes of each blob, as the work tree would hold them: in another encoding, or from a filter
    /// such as that of Git LFS. If a filter fails, the bytes are those that git keeps.
    pub(super) fn read(&self, blobs: &[Blob]) -> Result<Vec<Vec<u8>>, GitError> {
        let mut contents = self.stored(blobs)?;
        let converted = self.converted(blobs)?;
        for (blob, bytes) in blobs.iter().zip(&mut contents) {
            let path = self.full_path(blob);
            if converted.contains(&path) {
                let path = format!("--path={path}");
                let filtered = self.git().run(&["cat-file", "--filters", &path, &blob.id]);
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
        let fields = Git::new(&top).input(request).run(&arguments)?;
        let fields = String::from_utf8_lossy(&fields);
        let mut fields = fields.split('\0');
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
        let answer = self.git().input(request).run(&["cat-file", "--batch", "--buffer"])?;
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
}

/// The first object of what `cat-file --batch` prints, and the rest.
fn object(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.iter().position(|byte| *byte == b'\n')?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let size: usize = head.rsplit(' ').next()?.parse().ok()?;
    let body = answer.get(end + 1..)?;
    Some((body.get(..size)?, body.get(size + 1..)?))
}

/// Mode, id and path of a line of `ls-tree`.
fn parse(entry: &str) -> Option<(&str, &str, &str)> {
    let (head, path) = entry.split_once('\t')?;
    let mut head = head.split(' ');
    Some((head.next()?, head.nth(1)?, path))
}

/// The files of `ls-files -t` that a sparse checkout leaves out.
pub(super) fn left_out(files: &[String]) -> Vec<String> {
    files.iter().filter_map(|file| file.strip_prefix("S ").map(str::to_owned)).collect()
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
