//! Tells the tests whether to leave out those that need a cluster, so that they count as ignored, and the
//! program the commit that it was built from.

use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(without_cluster)");
    println!("cargo::rerun-if-env-changed=STATEWARD_TESTBED");
    if std::env::var("STATEWARD_TESTBED").is_ok_and(|value| value == "skip") {
        println!("cargo::rustc-cfg=without_cluster");
    }
    println!("cargo::rerun-if-env-changed=STATEWARD_COMMIT");
    println!("cargo::rustc-env=STATEWARD_COMMIT={}", commit());
}

/// The commit: as the environment says, else as Git says. A debug build does not ask Git, since it would
/// be built again after every commit.
fn commit() -> String {
    if let Ok(commit) = std::env::var("STATEWARD_COMMIT") {
        return commit.trim().to_owned();
    }
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        return "debug build".to_owned();
    }
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some();
    match commit {
        Some(commit) if changed => format!("{commit}, changed"),
        Some(commit) => commit,
        None => "unknown commit".to_owned(),
    }
}

/// What Git prints; none if it prints nothing or fails, as outside of a clone.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
