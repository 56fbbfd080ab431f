//! Manifests as a git revision holds them.
//!
//! Everything is read from git's objects: neither the work tree nor the index is touched, or even
//! looked at.

mod process;
mod repository;
mod walk;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use stateward_check::kustomize::{Kustomization, Renamings};
use stateward_check::layout::{KUSTOMIZATIONS, is_kustomization};
use stateward_core::yaml::File;

use self::process::Git;
pub(super) use self::repository::Repository;
use self::repository::{Blob, Entry};
use self::walk::Walk;
use super::{Exclude, Files, Source};

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
    /// the path is in a submodule whose old files are not in the clone
    #[error(
        "the old files below \"{path}\" are those of a submodule, and the clone lacks its commit \
         {commit}: fetch it, as with git submodule update --init, or leave the path out"
    )]
    Submodule {
        /// where the submodule is
        path: String,
        /// what the revision records of it
        commit: String,
    },
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
    let (revision, note, doubt) = match Git::new(folder).line(&["merge-base", &one, &two]) {
        Ok(parted) if parted == one => (tip.clone(), None, None),
        Ok(parted) => {
            let short = Git::new(folder).line(&["rev-parse", "--short", &parted])?;
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

/// Whether `asked` is HEAD on a branch that has no commit yet, so that there is nothing old.
pub fn is_unborn(folder: &Path, asked: &str) -> bool {
    asked == "HEAD"
        && Git::new(folder).run(&["symbolic-ref", "--quiet", "HEAD"]).is_ok()
        && Git::new(folder).run(&["rev-parse", "--verify", "--quiet", "HEAD"]).is_err()
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
    let (mut beside, mut looked) = (Vec::new(), HashSet::new());
    for path in paths {
        let (name, full) = repository.place(path)?;
        let mut walk = Walk { repository: &repository, blobs: &mut blobs, found: &mut found };
        walk.named(&name, &full)?;
        if !blobs.last().is_some_and(|blob| blob.named && blob.name == name) {
            continue;
        }
        // A hook names only the files that change.
        let in_folder = |path: &str, file: &str| match path.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{file}"),
            None => file.to_owned(),
        };
        for file in KUSTOMIZATIONS {
            let name = in_folder(&name, file);
            if !looked.insert(name.clone()) {
                break;
            }
            if let Entry::File(id) = repository.look_up(&in_folder(&full, file))? {
                beside.push(Blob { name, id, named: false });
                break;
            }
        }
    }
    let mut seen: HashSet<PathBuf> = HashSet::new();
    let own_path = |blob: &Blob| super::exclude::normal(&folder.join(&blob.name));
    let (named, mut walked): (Vec<Blob>, Vec<Blob>) =
        blobs.into_iter().partition(|blob| blob.named);
    let mut blobs = named;
    blobs.retain(|blob| seen.insert(own_path(blob)));
    walked.retain(|blob| seen.insert(own_path(blob)) && !exclude.excludes(folder, &blob.name));
    let read = |blobs: &[Blob]| -> Result<Vec<Kustomization>, GitError> {
        if blobs.is_empty() {
            return Ok(Vec::new());
        }
        let texts = blobs.iter().zip(repository.read(blobs)?);
        let read = texts.filter_map(|(blob, bytes)| {
            Kustomization::read(&blob.name, &String::from_utf8_lossy(&bytes))
        });
        Ok(read.collect())
    };
    let own: Vec<Blob> =
        walked.iter().filter(|blob| is_kustomization(&blob.name)).cloned().collect();
    let mut kustomizations = read(&own)?;
    found.notices.extend(super::leave_out(&mut walked, &kustomizations, |_| false));
    kustomizations.extend(read(&beside)?);
    found.renamings = Renamings::of(&kustomizations);
    blobs.append(&mut walked);
    found.paths = blobs.iter().map(own_path).collect();
    let contents = repository.read(&blobs)?;
    for (blob, bytes) in blobs.into_iter().zip(contents) {
        let name = format!("{revision}:{}", blob.name);
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
    let top = folder.join(Git::new(folder).line(&["rev-parse", "--show-cdup"])?);
    let mut changed = HashSet::new();
    // A command line has a limit.
    for some in files.chunks(500) {
        for arguments in [
            &["diff", "--name-only", "--no-renames", "-z", &commit, "--"][..],
            &["ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--"],
        ] {
            let names = Git::new(folder).literal_paths().list_of(arguments, some)?;
            changed.extend(names.iter().map(|name| super::exclude::normal(&top.join(name))));
        }
    }
    Ok(changed)
}

/// Files below `paths` that a sparse checkout leaves out of the work tree.
///
/// # Errors
/// The folder is in no repository.
pub fn sparse(folder: &Path, paths: &[PathBuf]) -> Result<Vec<String>, GitError> {
    Ok(repository::left_out(&listed(folder, &["-t"], paths)?))
}

fn listed(folder: &Path, options: &[&str], paths: &[PathBuf]) -> Result<Vec<String>, GitError> {
    let arguments = [&["ls-files", "-z"], options, &["--"]].concat();
    Git::new(folder).literal_paths().list_of(&arguments, paths)
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
