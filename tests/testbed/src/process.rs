//! A child process that never outlives this one.
//!
//! Each component runs under a small shell that reads our end of a pipe: when this process ends,
//! however it ends, the pipe closes and the shell kills the component. The same pipe carries
//! signals, so that none of this needs unsafe code.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

// The reader sits in the background, because a component that ends on its own must end the shell.
const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
(
  while read -r signal <&3; do kill -s "$signal" "$child"; done
  kill -s KILL "$child"
) 2>/dev/null &
reader=$!
exec 3<&-
wait "$child" 2>/dev/null
code=$?
kill -s KILL "$reader" 2>/dev/null
exit "$code"
"#;

// Removes the folder of a testbed whose process ended without cleaning up.
const JANITOR: &str = r#"read -r _; sleep 2; rm -rf "$1""#;

/// A running component.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    keeper: Child,
    pipe: Option<ChildStdin>,
}

impl Process {
    /// Starts `program`; what it prints is appended to `log`.
    pub fn start(name: &str, program: &Path, arguments: &[String], log: &Path) -> Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let err = out.try_clone()?;
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            // Ctrl-C in a terminal must reach us alone, so that the order of stopping is ours.
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {name}"))?;
        let pipe = keeper.stdin.take();
        Ok(Self { name: name.to_owned(), log: log.to_owned(), keeper, pipe })
    }

    /// An error with the end of the log if the component has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.keeper.try_wait()? {
            bail!("{} ended with {status}\n{}", self.name, self.tail());
        }
        Ok(())
    }

    /// Sends a signal by its name without `SIG`: `TERM`, `STOP`, `CONT` …
    pub fn signal(&mut self, signal: &str) -> Result<()> {
        let pipe = self.pipe.as_mut().context("already stopped")?;
        writeln!(pipe, "{signal}")
            .with_context(|| format!("could not send {signal} to {}", self.name))
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        let keeper = self.keeper.id();
        let children = format!("/proc/{keeper}/task/{keeper}/children");
        // The component is started before the reader of signals.
        std::fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        tail(&self.log, 25)
    }

    /// Kills the component and waits until it is gone.
    pub fn stop(&mut self) {
        // Closing the pipe is the order to kill.
        self.pipe = None;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if !matches!(self.keeper.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Removes a folder when this process ends, even by SIGKILL.
#[derive(Debug)]
pub(crate) struct Janitor(Child);

impl Janitor {
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", JANITOR, "sh"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("could not start the janitor")?;
        Ok(Self(child))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // Here the folder is removed by its owner, so the janitor is only in the way.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last `lines` lines of a file, indented for an error message.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all[from..].iter().flat_map(|line| ["    ", line, "\n"]).collect()
}
