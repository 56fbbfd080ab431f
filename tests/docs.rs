//! The commands of docs/ci.md work as they are typed there.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what tests have in common is not seen as part of them"
)]

#[allow(dead_code, reason = "shared with the tests of check, which use more of it")]
#[path = "check/folder.rs"]
mod folder;

use std::path::Path;
use std::process::Command;

use folder::{Folder, SET, size};

/// Every command line of the page that runs a check, wherever its code block puts it.
fn commands() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ci.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```").skip(1).step_by(2);
    let lines = blocks.flat_map(str::lines);
    lines
        .filter_map(|line| line.find("stateward check").map(|start| line[start..].to_owned()))
        .collect()
}

/// A repository whose last commit shrinks a claim template, in a manifest and in what stand-ins
/// for helm and kustomize print.
fn repository() -> Folder {
    let stand_in = "#!/bin/sh\necho '# Source: db/templates/set.yaml'\ncat deploy/db.yaml\n";
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    for tool in ["helm", "kustomize"] {
        let name = format!(".git/bin/{tool}");
        folder.write(&name, stand_in);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path().join(name), mode).unwrap();
    }
    folder
}

#[test]
fn the_commands_of_the_page_find_what_a_change_breaks() {
    let commands = commands();
    assert_eq!(commands.len(), 5, "{commands:#?}");
    for command in commands {
        let folder = repository();
        let base = folder.git(&["rev-parse", "HEAD"]);
        folder.write("deploy/db.yaml", &size("5Gi"));
        if command.contains("HEAD^1") || command.contains("DIFF_BASE") {
            folder.commit();
        }
        let summary = folder.path().join(".git/summary.md");
        let program = Path::new(env!("CARGO_BIN_EXE_stateward")).parent().unwrap();
        let path = format!(
            "{}:{}:{}",
            program.display(),
            folder.path().join(".git/bin").display(),
            std::env::var("PATH").unwrap()
        );
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder.path())
            .env("PATH", path)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .env("CI_MERGE_REQUEST_DIFF_BASE_SHA", base.trim())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.contains("claim template data would shrink, 10Gi → 5Gi"), "{command}");
        if command.contains("GITHUB_STEP_SUMMARY") {
            let summary = std::fs::read_to_string(&summary).unwrap();
            assert!(summary.starts_with("**stateward**: 1 object judged: 1 denied"), "{summary}");
        }
    }
}

#[test]
fn the_pipelines_are_yaml() {
    for page in ["ci.md", "policy.md", "metrics.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let mut blocks = 0;
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let read: Result<serde_json::Value, _> = serde_saphyr::from_str(block);
            assert!(read.unwrap_or_else(|error| panic!("{page}: {error}")).is_object());
            blocks += 1;
        }
        assert!(blocks > 0, "{page}");
    }
}
