//! What `kubectl` and `helm` said.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How a command ended and what it printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output of a command that had to succeed.
    pub fn ok(self) -> Result<String> {
        if !self.success() {
            bail!("exit code {}: {}{}", self.status, self.stderr, self.stdout);
        }
        Ok(self.stdout)
    }
}

/// Runs a client against the cluster of `kubeconfig`, with its caches in `home`.
pub(crate) async fn run<S: AsRef<str>>(
    program: &Path,
    home: &Path,
    kubeconfig: &Path,
    arguments: &[S],
    stdin: Option<&str>,
) -> Result<Output> {
    let mut command = Command::new(program);
    command
        .args(arguments.iter().map(AsRef::as_ref))
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        // Both remember what a server at this address offered; an address may be used again.
        .env("KUBECACHEDIR", home.join("kubectl"))
        .env("HELM_CACHE_HOME", home.join("helm/cache"))
        .env("HELM_CONFIG_HOME", home.join("helm/config"))
        .env("HELM_DATA_HOME", home.join("helm/data"))
        .env_remove("KUBECTL_EXTERNAL_DIFF")
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child =
        command.spawn().with_context(|| format!("could not start {}", program.display()))?;
    let pipe = child.stdin.take();
    let feed = async {
        if let (Some(mut pipe), Some(text)) = (pipe, stdin) {
            // A command that ends before it has read everything has a reason, and prints it.
            let _ = pipe.write_all(text.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let output = output.with_context(|| format!("could not run {}", program.display()))?;
    Ok(Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
