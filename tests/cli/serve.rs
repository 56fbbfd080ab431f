//! `stateward serve` as a person runs it: what it prints, a policy that changes, SIGTERM.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A running server with the lines that it printed at start.
struct Serving {
    child: Child,
    printed: Vec<String>,
}

impl Serving {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, &folder.join("it's here"), arguments)
    }

    /// Starts it in `folder`.
    fn start_with(folder: &Path, certificates: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stateward"))
            .current_dir(folder)
            .args(["serve", "--dev", "--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"])
            .args(["--certificate-poll=50ms", "--log-level=error"])
            .arg("--certs-dir")
            .arg(certificates)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        while !printed.iter().any(|line: &String| line.starts_with("try")) {
            printed.push(lines.next().unwrap().unwrap());
        }
        Self { child, printed }
    }

    fn line(&self, label: &str) -> &str {
        let line = self.printed.iter().find(|line| line.starts_with(label));
        line.unwrap_or_else(|| panic!("no {label} in {:?}", self.printed))[label.len()..].trim()
    }

    /// The printed command, with another body or path if asked.
    fn shell(command: &str) -> String {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "curl is needed for this test: {complaint}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn ready(&self) -> String {
        let url = self.line("health").split(',').next().unwrap();
        Self::shell(&format!("curl -sS {url}"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Already gone where the test has ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never happens");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn serve_prints_a_command_that_works_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(folder.path(), &[]);
    assert_eq!(serving.line("policy"), "built-in defaults");
    assert!(serving.line("resize").starts_with("no cluster is read"));
    assert!(serving.line("CA file").ends_with("ca.crt (newly made)"));
    let review: Value = serde_json::from_str(&Serving::shell(serving.line("try"))).unwrap();
    assert_eq!(review["response"]["allowed"], true);
    let warning = review["response"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("scaled to zero"), "{warning}");

    let pid = rustix::process::Pid::from_child(&serving.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_changed_policy_is_taken_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    std::fs::write(&policy, "version: 1\nrules:\n  sts-scale-to-zero: deny\n").unwrap();
    let file = format!("--policy={}", policy.display());
    let serving = Serving::start(folder.path(), &[&file]);
    assert_eq!(serving.line("policy"), policy.to_str().unwrap());
    let allowed = || {
        let review: Value = serde_json::from_str(&Serving::shell(serving.line("try"))).unwrap();
        review["response"]["allowed"].as_bool().unwrap()
    };
    assert!(!allowed());
    std::fs::write(&policy, "version: 1\nrules:\n  sts-scale-to-nought: off\n").unwrap();
    until(|| serving.ready().contains("sts-scale-to-nought"));
    assert!(serving.ready().contains("did you mean"), "{}", serving.ready());
    assert!(!allowed(), "the old policy is gone");
    std::fs::write(&policy, "version: 1\nrules:\n  sts-scale-to-zero: off\n").unwrap();
    until(allowed);
    until(|| !serving.ready().contains("sts-scale-to-nought"));
}

#[test]
fn a_kubeconfig_that_is_none_keeps_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["serve", "--dev", "--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"])
        .arg("--certs-dir")
        .arg(folder.path())
        .args(["--kubeconfig", "/no/such/file"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("there is no kubeconfig /no/such/file"), "{error}");
}

#[test]
fn a_wrong_policy_keeps_it_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.yaml");
    std::fs::write(&policy, "version: 1\nscops: []\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["serve", "--dev", "--policy"])
        .arg(&policy)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(":2:1: there is no key \"scops\""), "{error}");
    assert!(error.contains("did you mean \"scopes\""), "{error}");
}

#[test]
fn the_printed_command_runs_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start_with(folder.path(), Path::new("certs/dev"), &[]);
    // This test does not run in the server's folder.
    let answer = Serving::shell(serving.line("try"));
    assert!(answer.contains("\"allowed\":true"), "{answer}");
}
