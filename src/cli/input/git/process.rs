//! Git processes.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::GitError;

/// One git process that is yet to run.
#[derive(Debug)]
pub(super) struct Git {
    command: Command,
    input: Vec<u8>,
}

impl Git {
    pub(super) fn new(folder: &Path) -> Self {
        let mut command = Command::new("git");
        // Messages are recognised by their words.
        command.arg("-C").arg(folder).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
        Self { command, input: Vec::new() }
    }

    pub(super) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets an option of git's configuration for this process.
    pub(super) fn setting(mut self, setting: &str) -> Self {
        self.command.args(["-c", setting]);
        self
    }

    /// Takes paths as they are written: `*` is a character of a name.
    pub(super) fn literal_paths(self) -> Self {
        self.variable("GIT_LITERAL_PATHSPECS", "1")
    }

    pub(super) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs a command of git, and returns what it prints.
    pub(super) fn run(self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        self.run_on::<OsString>(arguments, &[])
    }

    /// The same with `paths` behind the arguments.
    pub(super) fn run_on<P: AsRef<OsStr>>(
        self,
        arguments: &[&str],
        paths: &[P],
    ) -> Result<Vec<u8>, GitError> {
        let Self { mut command, input } = self;
        command.args(arguments).args(paths);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(GitError::Start)?;
        let stdin = child.stdin.take();
        // Input is written beside the reading, since either pipe may fill up.
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // A git that stops reading says why by itself.
                stdin.map(|mut stdin| stdin.write_all(&input))
            });
            child.wait_with_output()
        });
        let output = output.map_err(GitError::Start)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let command = arguments.first().copied().unwrap_or_default().to_owned();
        Err(GitError::Failed { command, message })
    }

    /// One line.
    pub(super) fn line(self, arguments: &[&str]) -> Result<String, GitError> {
        let output = self.run(arguments)?;
        Ok(String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned())
    }

    /// What a command prints with `-z`.
    pub(super) fn list(self, arguments: &[&str]) -> Result<Vec<String>, GitError> {
        self.list_of::<OsString>(arguments, &[])
    }

    /// The same with `paths` behind the arguments.
    pub(super) fn list_of<P: AsRef<OsStr>>(
        self,
        arguments: &[&str],
        paths: &[P],
    ) -> Result<Vec<String>, GitError> {
        let output = self.run_on(arguments, paths)?;
        let output = String::from_utf8_lossy(&output);
        Ok(output.split('\0').filter(|one| !one.is_empty()).map(str::to_owned).collect())
    }
}
