//! What the documentation shows is what the binary prints, and its commands work as they are typed.
//!
//! `STATEWARD_UPDATE=1 cargo test --test cli documentation` writes pictures and outputs again.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::folder::{CLAIM, Folder, SET, size};
use crate::picture;
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

/// Standard output of `stateward` with these arguments, in the root of the repository.
fn stateward(arguments: &str, code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(arguments.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The first thing that anybody sees is what the command of the quick start prints.
#[test]
fn the_picture_of_the_readme_is_what_its_command_prints() {
    let command = "check --old examples/old.yaml examples/new.yaml";
    assert!(readme().contains(&format!("\nstateward {command}\n")), "the quick start runs it");
    let printed = stateward(&format!("{command} --color always"), 1);
    assert!(printed.contains("\u{1b}["), "{printed}");
    picture::hold("check.svg", &picture::typed(&format!("stateward {command}"), &printed));
}

/// Edits of examples/old.yaml in examples/catches, with what Kubernetes alone does about them.
const CATCHES: [(&str, &str); 5] = [
    (
        "mount",
        "**A mount moves.** Kubernetes accepts it, and the database starts with an empty folder.",
    ),
    (
        "retention",
        "**The claims are tied to the set.** Kubernetes accepts it. Months later, deleting the \
         set deletes the data.",
    ),
    (
        "image",
        "**The database skips to a version that cannot read its data.** Kubernetes accepts it, and pod \
         after pod fails.",
    ),
    (
        "service-name",
        "**The Service is renamed.** Kubernetes rejects it, and does not say how to do it.",
    ),
    ("scale-to-zero", "**The set is scaled to zero.** Kubernetes accepts it."),
];

/// The lines of `new` that differ from `old`, with the old ones before them.
fn changed_lines(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let before = old.iter().zip(&new).take_while(same).count();
    let rest = old.len().min(new.len()) - before;
    let after = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(same).count();
    let mut lines = String::new();
    for (sign, side) in [('-', &old), ('+', &new)] {
        for line in &side[before..side.len() - after] {
            writeln!(lines, "   {sign} {}", line.trim_start()).unwrap();
        }
    }
    lines
}

#[test]
fn the_readme_shows_what_is_caught() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let old = read("examples/old.yaml");
    let mut list = "\n".to_owned();
    for (index, (name, kubernetes)) in CATCHES.iter().enumerate() {
        let file = format!("examples/catches/{name}.yaml");
        let severity = if *name == "scale-to-zero" { "warning" } else { "denied" };
        let code = i32::from(severity == "denied");
        let printed = stateward(&format!("check --old examples/old.yaml {file}"), code);
        let (headline, why) = printed.split_once('\n').unwrap();
        assert!(headline.starts_with(severity), "{headline}");
        let why = why.lines().find_map(|line| line.trim().strip_prefix("= why: ")).unwrap();
        let diff = changed_lines(&old, &read(&file));
        writeln!(
            list,
            "{}. {kubernetes}\n\n   ```diff\n{diff}   ```\n   ```text\n   {headline}\n   {why}\n   ```\n",
            index + 1
        )
        .unwrap();
    }
    let readme = readme();
    let begin = "<!-- catches: generated by tests/cli/documentation.rs -->\n";
    let (before, rest) = readme.split_once(begin).unwrap();
    let (_, after) = rest.split_once("<!-- end of catches -->\n").unwrap();
    let wanted = format!("{before}{begin}{list}<!-- end of catches -->\n{after}");
    if std::env::var_os("STATEWARD_UPDATE").is_some() {
        std::fs::write(root.join("README.md"), wanted).unwrap();
    } else {
        assert_eq!(
            readme, wanted,
            "STATEWARD_UPDATE=1 cargo test --test cli documentation writes it"
        );
    }
}

/// Every file under examples/catches is shown, and every sample policy is tried.
#[test]
fn every_example_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut catches = names("catches");
    catches.sort_unstable();
    let mut shown: Vec<String> = CATCHES.iter().map(|(name, _)| format!("{name}.yaml")).collect();
    shown.sort_unstable();
    assert_eq!(catches, shown);
    let mut policies = names("policies");
    policies.sort_unstable();
    assert_eq!(policies, SAMPLES.map(|(name, ..)| format!("{name}.yaml")));
}

/// The sample policies, with the exit code and the words that scaling a set to zero gets from each.
const SAMPLES: [(&str, i32, &str); 3] = [
    ("development", 0, "1 object judged: nothing found"),
    ("production", 1, "denied: StatefulSet shop/db: would be scaled to zero"),
    ("staging", 0, "StatefulSet shop/db: would be scaled to zero"),
];

#[test]
fn the_sample_policies_do_what_their_environments_need() {
    for (name, code, answer) in SAMPLES {
        let policy = format!("examples/policies/{name}.yaml");
        stateward(&format!("policy lint {policy}"), 0);
        let edit = "examples/old.yaml examples/catches/scale-to-zero.yaml";
        let printed = stateward(&format!("check --policy {policy} --old {edit}"), code);
        assert!(printed.contains(answer), "{name}: {printed}");
    }
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
