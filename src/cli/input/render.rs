//! What a command such as `helm template` or `kustomize build` prints.

use std::path::Path;
use std::process::{Command, Stdio};

use stateward_check::report::{Notice, RENDERED};
use stateward_core::yaml::{File, InputError};

use super::git::{GitError, Repository};
use super::{Files, Source};

/// How many of its last lines a command that fails is quoted with.
const QUOTED: usize = 10;

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// the shell did not start
    #[error("could not run `{command}`")]
    Start {
        /// the command
        command: String,
        /// why
        source: std::io::Error,
    },
    /// the command failed
    #[error("`{command}`{} ended with {status}{}", at(revision.as_deref()), quoted(message))]
    Failed {
        /// the command
        command: String,
        /// where it ran, `None` for the work tree
        revision: Option<String>,
        /// such as `exit status: 1`
        status: std::process::ExitStatus,
        /// the last lines that it printed to standard error
        message: String,
    },
    /// the revision could not be checked out
    #[error("could not check out the revision to render")]
    Git(#[from] GitError),
    /// no temporary folder
    #[error("could not make a temporary folder")]
    Folder(#[source] std::io::Error),
}

fn at(revision: Option<&str>) -> String {
    revision.map_or_else(String::new, |revision| format!(" at {revision}"))
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(":\n{message}") }
}

/// Runs `command` by `sh -c` in `folder` and reads what it prints.
///
/// # Errors
/// The command does not start, or fails.
pub fn render(command: &str, folder: &Path) -> Result<Files, RenderError> {
    rendered(command, folder, None)
}

/// The same in a temporary checkout of `revision`, in the folder that corresponds to `folder`. The
/// checkout is as sparse as the work tree, or what that lacks would look deleted. The work tree and
/// the index stay as they are. A folder that the revision does not have renders to nothing.
///
/// # Errors
/// The revision does not exist, or the command does not start or fails.
pub fn render_revision(command: &str, folder: &Path, revision: &str) -> Result<Files, RenderError> {
    let repository = Repository::open(folder, revision)?;
    let temporary = tempfile::tempdir().map_err(RenderError::Folder)?;
    let tree = temporary.path().join("tree");
    std::fs::create_dir(&tree).map_err(RenderError::Folder)?;
    let checked_out = repository.check_out(&tree, &temporary.path().join("index"))?;
    let folder = tree.join(&repository.prefix);
    if !folder.is_dir() {
        return Ok(Files::default());
    }
    let mut files = rendered(command, &folder, Some(revision))?;
    files.notices.extend(checked_out.missing.into_iter().map(|path| {
        let message = "the clone lacks the old commit of this submodule, so the old rendering is made \
                       without its files";
        Notice::warning(InputError {
            file: format!("{revision}:{path}"),
            line: 0,
            column: 0,
            message: message.to_owned(),
        })
    }));
    files.notices.extend(outside_of_sparse_checkout(checked_out.sparse));
    Ok(files)
}

/// Says how many files were not compared, as the work tree lacks them on purpose.
pub fn outside_of_sparse_checkout(files: Vec<String>) -> Option<Notice> {
    let message = "outside of the sparse checkout, and so not compared";
    (!files.is_empty()).then(|| Notice::left_out(".", files, message.to_owned()))
}

fn rendered(command: &str, folder: &Path, revision: Option<&str>) -> Result<Files, RenderError> {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| RenderError::Start { command: command.to_owned(), source })?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = printed.trim_end().lines().collect();
        let message = lines[lines.len().saturating_sub(QUOTED)..].join("\n");
        return Err(RenderError::Failed {
            command: command.to_owned(),
            revision: revision.map(str::to_owned),
            status: output.status,
            message,
        });
    }
    let name = match revision {
        Some(revision) => format!("{revision}:{RENDERED}"),
        None => RENDERED.to_owned(),
    };
    let file = Source::Memory(File { name, bytes: output.stdout });
    Ok(Files { sources: vec![file], ..Files::default() })
}
