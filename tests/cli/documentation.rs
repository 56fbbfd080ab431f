//! The commands of docs/ci.md work as they are typed there.

#[allow(dead_code, reason = "shared with the tests of check, which use more of it")]
use std::path::Path;
use std::process::Command;

use crate::folder::{CLAIM, Folder, SET, size};
use serde_json::Value;

/// The code blocks of the page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix(&format!("{language}\n")))
        .map(str::to_owned)
        .collect()
}

/// Every command of the page that runs a check: a line of a shell block with those above it, or one
/// line of a pipeline.
fn commands() -> Vec<String> {
    let mut commands = Vec::new();
    for block in blocks("ci.md", "sh") {
        let mut before = String::new();
        for line in block.lines() {
            before += line;
            before.push('\n');
            if line.contains("stateward check") {
                commands.push(std::mem::take(&mut before));
            }
        }
    }
    for block in blocks("ci.md", "yaml") {
        let lines = block.lines().filter_map(|line| Some(&line[line.find("stateward check")?..]));
        commands.extend(lines.map(str::to_owned));
    }
    commands
}

/// A repository whose last commit shrinks a claim template, in a manifest and in what stand-ins
/// for helm, kustomize, kubectl and argocd-diff-preview print.
fn repository() -> Folder {
    let print = "#!/bin/sh\necho '# Source: db/templates/set.yaml'\ncat deploy/db.yaml\n";
    // What a release has is what was there before the change.
    let helm = print.replace("cat", "[ $1 = get ] && cat output/base/db.yaml || cat");
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    let kubectl = format!("#!/bin/sh\ncat <<'---'\n{CLAIM}---\n");
    for (tool, stand_in) in [("helm", &*helm), ("kustomize", print), ("kubectl", &kubectl)] {
        let name = format!(".git/bin/{tool}");
        folder.write(&name, stand_in);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path().join(name), mode).unwrap();
    }
    for (branch, manifest) in [("base", SET), ("target", &*size("5Gi"))] {
        folder.write(&format!("output/{branch}/db.yaml"), manifest);
        folder.write(&format!("output/{branch}-branch.yaml"), &format!("---\n{manifest}"));
    }
    folder
}

#[test]
fn the_commands_of_the_page_find_what_a_change_breaks() {
    let commands = commands();
    assert_eq!(commands.len(), 9, "{commands:#?}");
    for command in commands {
        let folder = repository();
        let base = folder.git(&["rev-parse", "HEAD"]);
        folder.write("deploy/db.yaml", &size("5Gi"));
        if command.contains("HEAD^1") || command.contains("DIFF_BASE") {
            folder.commit();
        }
        if command.contains("claim.yaml") {
            folder.write("deploy/claim.yaml", &CLAIM.replace("10Gi", "5Gi"));
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
        assert!(printed.contains("would shrink, 10Gi → 5Gi"), "{command}: {printed}");
        if command.contains("GITHUB_STEP_SUMMARY") {
            let summary = std::fs::read_to_string(&summary).unwrap();
            assert!(summary.starts_with("**stateward**: 1 object judged: 1 denied"), "{summary}");
        }
    }
}

/// The first thing that anybody reads is what the command prints.
#[test]
fn the_readme_begins_with_what_its_command_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let block = readme.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    let (command, printed) = block.strip_prefix("$ ").unwrap().split_once('\n').unwrap();
    let arguments: Vec<&str> = command.split(' ').collect();
    assert_eq!(arguments[..2], ["stateward", "check"]);
    let output = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(&arguments[1..])
        .current_dir(root)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), printed);
    assert!(readme.contains(&format!("\n{command}  ")), "Quick start runs the same command");
}

/// What the workflow and the hook name exists: inputs of the action, the id of the hook.
#[test]
fn the_examples_name_what_is_there() {
    let read = |name: &str| -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let (action, hooks) = (read("action.yml"), read(".pre-commit-hooks.yaml"));
    let mut seen = 0;
    for block in blocks("ci.md", "yaml") {
        let example: Value = serde_saphyr::from_str(&block).unwrap();
        for step in example["jobs"]["check"]["steps"].as_array().into_iter().flatten() {
            if step["uses"].as_str().unwrap().starts_with("stateward/") {
                for input in step["with"].as_object().unwrap().keys() {
                    assert!(action["inputs"][input].is_object(), "no input {input}");
                }
                seen += 1;
            }
        }
        let repository = &example["repos"][0];
        if repository["repo"] == env!("CARGO_PKG_REPOSITORY") {
            assert_eq!(repository["hooks"][0]["id"], hooks[0]["id"]);
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn the_pipelines_are_yaml() {
    for page in ["ci.md", "policy.md", "metrics.md"] {
        let blocks = blocks(page, "yaml");
        assert!(!blocks.is_empty(), "{page}");
        for block in blocks {
            let read: Result<Value, _> = serde_saphyr::from_str(&block);
            assert!(read.unwrap_or_else(|error| panic!("{page}: {error}")).is_object());
        }
    }
}
