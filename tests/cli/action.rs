//! The steps of action.yml run as a runner of GitHub runs them: the scripts by bash, with the
//! variables and files that a runner gives them. What comes from other actions is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::folder::{Folder, SET, size};
use serde_json::Value;

fn file(name: &str) -> Value {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    serde_saphyr::from_str(&std::fs::read_to_string(text).unwrap()).unwrap()
}

/// What the steps know of each other and of the inputs: `inputs.paths`, `steps.check.outputs.sarif`.
struct Runner {
    known: BTreeMap<String, String>,
    temp: tempfile::TempDir,
    /// put before the PATH of the scripts
    tools: Option<PathBuf>,
    /// variables of the job
    variables: Vec<(String, String)>,
}

/// How the action ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    printed: String,
    summary: String,
    outputs: BTreeMap<String, String>,
    /// the actions that it would have used
    used: Vec<String>,
}

impl Runner {
    fn new(inputs: &[(&str, &str)]) -> Self {
        let mut known = BTreeMap::new();
        let temp = tempfile::tempdir().unwrap();
        for (name, input) in file("action.yml")["inputs"].as_object().unwrap() {
            assert!(input["description"].is_string(), "{name}");
            let default = input["default"].as_str().unwrap_or_else(|| panic!("{name}"));
            known.insert(format!("inputs.{name}"), default.to_owned());
        }
        for (name, value) in inputs {
            let old = known.insert(format!("inputs.{name}"), (*value).to_owned());
            assert!(old.is_some(), "there is no input {name}");
        }
        known.insert("runner.temp".to_owned(), temp.path().display().to_string());
        known.insert("runner.os".to_owned(), "Linux".to_owned());
        known.insert("runner.arch".to_owned(), "X64".to_owned());
        Self { known, temp, tools: None, variables: Vec::new() }
    }

    /// `${{ inputs.paths }}` and the text around it.
    fn expand(&self, text: &str) -> String {
        let mut parts = text.split("${{ ");
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once(" }}").unwrap();
            expanded.push_str(self.value(name));
            expanded.push_str(rest);
        }
        expanded
    }

    /// An output of a step that did not run is empty, as GitHub has it; an unknown input is a slip.
    fn value(&self, name: &str) -> &str {
        match self.known.get(name) {
            Some(value) => value,
            None if name.starts_with("steps.") => "",
            None => panic!("nobody knows {name}"),
        }
    }

    /// The conditions that action.yml uses: comparisons joined by `&&`. A step after a failed one
    /// runs only where it says `always()`.
    fn holds(&self, condition: &str, failed: bool) -> bool {
        let mut parts: Vec<&str> =
            condition.split(" && ").filter(|part| !part.is_empty()).collect();
        let all = parts.len();
        parts.retain(|part| *part != "always()");
        let runs = !failed || parts.len() < all;
        runs && parts.iter().all(|part| {
            let (name, equal, value) = match (part.split_once(" == "), part.split_once(" != ")) {
                (Some((name, value)), None) => (name, true, value),
                (None, Some((name, value))) => (name, false, value),
                _ => panic!("cannot judge {part}"),
            };
            (self.value(name) == value.trim_matches('\'')) == equal
        })
    }

    fn run(mut self, workspace: &Path) -> Ended {
        let action = file("action.yml");
        let mut ended = Ended {
            code: 0,
            printed: String::new(),
            summary: String::new(),
            outputs: BTreeMap::new(),
            used: Vec::new(),
        };
        for (number, step) in action["runs"]["steps"].as_array().unwrap().iter().enumerate() {
            if !self.holds(step["if"].as_str().unwrap_or_default(), ended.code != 0) {
                continue;
            }
            if let Some(uses) = step["uses"].as_str() {
                for value in step["with"].as_object().unwrap().values() {
                    self.expand(value.as_str().unwrap());
                }
                ended.used.push(uses.to_owned());
                continue;
            }
            let files =
                ["output", "summary"].map(|name| self.temp.path().join(format!("{name}{number}")));
            for file in &files {
                std::fs::write(file, "").unwrap();
            }
            let output = self.script(step, workspace, &files).output().unwrap();
            ended.printed += &String::from_utf8(output.stdout).unwrap();
            ended.printed += &String::from_utf8(output.stderr).unwrap();
            if !output.status.success() {
                ended.code = output.status.code().unwrap();
            }
            ended.summary += &std::fs::read_to_string(&files[1]).unwrap();
            for line in std::fs::read_to_string(&files[0]).unwrap().lines() {
                let (name, value) = line.split_once('=').unwrap();
                let id = step["id"].as_str().unwrap();
                self.known.insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
            }
        }
        for (name, output) in action["outputs"].as_object().unwrap() {
            let value = self.expand(output["value"].as_str().unwrap());
            ended.outputs.insert(name.clone(), value);
        }
        if let Some(sarif) = ended.outputs.get("sarif").filter(|sarif| !sarif.is_empty()) {
            let text = std::fs::read_to_string(sarif).unwrap();
            ended.outputs.insert("sarif".to_owned(), text);
        }
        ended
    }

    fn script(&self, step: &Value, workspace: &Path, files: &[PathBuf; 2]) -> Command {
        let run = step["run"].as_str().unwrap();
        assert!(!run.contains("${{"), "an input would be run as a part of a script: {run}");
        assert_eq!(step["shell"], "bash");
        let folder = self.expand(step["working-directory"].as_str().unwrap_or("."));
        // As a runner starts `shell: bash`.
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", run])
            .current_dir(workspace.join(folder))
            .env("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR"))
            .env("GITHUB_WORKSPACE", workspace)
            .env("GITHUB_SERVER_URL", "https://github.com")
            .env("GITHUB_REPOSITORY", "shop/deploy")
            .env("GITHUB_SHA", "abc")
            .env("GITHUB_OUTPUT", &files[0])
            .env("GITHUB_STEP_SUMMARY", &files[1])
            .env("RUNNER_TEMP", self.temp.path());
        bash.envs(self.variables.iter().cloned());
        if let Some(tools) = &self.tools {
            bash.env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").unwrap()));
        }
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            bash.env(name, self.expand(value.as_str().unwrap()));
        }
        bash
    }
}

const BINARY: (&str, &str) = ("binary", env!("CARGO_BIN_EXE_stateward"));

/// A pull request as it is checked out: a merge whose first parent is the base.
fn pull_request(manifest: &str) -> Folder {
    let folder = Folder::repository(&[("apps/shop/db.yaml", SET), ("apps/other.yaml", "a: b\n")]);
    folder.git(&["checkout", "--quiet", "-b", "change"]);
    folder.write("apps/shop/db.yaml", manifest);
    folder.commit();
    folder.git(&["checkout", "--quiet", "-"]);
    folder.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "change"]);
    folder
}

#[test]
fn a_denial_fails_the_step_and_stands_beside_the_line() {
    let folder = pull_request(&size("5Gi"));
    for (inputs, below) in [
        (&[BINARY, ("paths", "apps/other.yaml\n\napps/shop\n")][..], ""),
        (&[BINARY, ("working-directory", "apps/shop"), ("upload-sarif", "true")], "from below"),
        (&[BINARY, ("render", "cat apps/shop/db.yaml")], "rendered"),
    ] {
        let ended = Runner::new(inputs).run(folder.path());
        assert_eq!((ended.code, &*ended.outputs["exit-code"]), (1, "1"), "{ended:#?}");
        let file = if below == "rendered" { "rendered" } else { "apps/shop/db.yaml" };
        let annotation = format!("::error file={file},line=");
        assert!(ended.printed.starts_with(&annotation), "{below}: {}", ended.printed);
        assert!(ended.printed.contains("claim template data would shrink, 10Gi → 5Gi"));
        assert!(ended.summary.contains("1 object judged: 1 denied"), "{}", ended.summary);
        let link = format!("](https://github.com/shop/deploy/blob/abc/{file}#L");
        assert!(ended.summary.contains(&link), "{}", ended.summary);
        let log: Value = serde_json::from_str(&ended.outputs["sarif"]).unwrap();
        let location = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], file);
        let uploads = ended.used.iter().any(|used| used.starts_with("github/codeql-action/upload"));
        assert_eq!(uploads, below == "from below", "{:?}", ended.used);
    }
}

#[test]
fn inputs_reach_the_check() {
    let folder = pull_request(&SET.replace("replicas: 3", "replicas: 0"));
    let run =
        |inputs: &[(&str, &str)]| Runner::new(&[&[BINARY], inputs].concat()).run(folder.path());
    let ended = run(&[]);
    assert_eq!(ended.code, 0, "{ended:#?}");
    assert!(ended.printed.starts_with("::warning file=apps/shop/db.yaml,"), "{}", ended.printed);
    assert_eq!(run(&[("fail-on", "warn")]).code, 1);
    assert_eq!(run(&[("old-ref", "HEAD")]).printed, "");
    folder.write("strict.yaml", "version: 1\nrules: {sts-scale-to-zero: deny}\n");
    assert_eq!(run(&[("policy", "strict.yaml")]).code, 1);
    let ended = run(&[("kubernetes-version", "new")]);
    assert_eq!((ended.code, &*ended.outputs["sarif"], &*ended.summary), (2, "", ""), "{ended:#?}");
    let ended = run(&[("old-ref", "origin/nowhere")]);
    assert_eq!(ended.code, 2);
    assert!(ended.printed.contains("a shallow clone may lack it"), "{}", ended.printed);
    // Nothing of an input is run.
    let ended =
        run(&[("paths", "$(touch hacked)`touch hacked`\n;touch hacked"), ("deletions", "true")]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(!folder.path().join("hacked").exists());
    std::fs::remove_file(folder.path().join("apps/shop/db.yaml")).unwrap();
    let ended = run(&[("deletions", "true"), ("paths", "apps")]);
    assert!(ended.summary.contains("1 object judged"), "{ended:#?}");
}

/// A folder with a `cargo` that stands for a build of several minutes: it runs `check`, and puts
/// the tested binary where the build would.
fn cargo(check: &str) -> tempfile::TempDir {
    let tools = tempfile::tempdir().unwrap();
    let script = format!(
        "#!/bin/bash\nset -eu\n{check}\n\
         [ \"$1 $2 $3 $4 $6\" = 'install --locked --quiet --path --root' ]\n\
         grep -q '^name = \"stateward\"' \"$5/Cargo.toml\"\n\
         mkdir -p \"$7/bin\"\ncp '{}' \"$7/bin/stateward\"\n",
        BINARY.1
    );
    let path = tools.path().join("cargo");
    std::fs::write(&path, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    tools
}

#[test]
fn without_a_binary_the_sources_of_the_action_are_built() {
    let folder = pull_request(&size("5Gi"));
    let tools = cargo("");
    let mut runner = Runner::new(&[]);
    runner.tools = Some(tools.path().to_owned());
    let ended = runner.run(folder.path());
    assert_eq!(ended.code, 1, "{ended:#?}");
    assert!(ended.printed.starts_with("::error file=apps/shop/db.yaml,"), "{}", ended.printed);
    assert_eq!(ended.used, ["actions/cache@v4"]);
}

#[test]
fn nothing_of_a_pull_request_configures_the_build() {
    let folder = pull_request(&size("5Gi"));
    folder.write("rust-toolchain.toml", "[toolchain]\npath = \"/evil\"\n");
    folder.write("rust-toolchain", "evil\n");
    folder.write(".cargo/config.toml", "[build]\nrustc-wrapper = \"/evil/rustc\"\n");
    // rustup and cargo look for these files in the working folder and in every folder above it.
    let tools = cargo(
        "above=$PWD\n\
         while [ -n \"$above\" ]; do\n  \
           ! grep -qs evil \"$above\"/{rust-toolchain,rust-toolchain.toml,.cargo/config.toml} || exit 41\n  \
           above=${above%/*}\n\
         done\n\
         [ \"$RUSTUP_TOOLCHAIN\" = stable ] || exit 42\n\
         ! grep -qs evil \"$CARGO_HOME/config.toml\" || exit 43\n\
         ! env | grep -q evil || exit 44",
    );
    let mut runner = Runner::new(&[]);
    runner.tools = Some(tools.path().to_owned());
    // What an earlier step may have copied from a file of the pull request.
    runner.variables = [
        "RUSTUP_TOOLCHAIN",
        "RUSTC",
        "RUSTC_WRAPPER",
        "RUSTFLAGS",
        "CARGO_HOME",
        "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
        "CC",
        "CFLAGS",
        "LD_LIBRARY_PATH",
    ]
    .map(|name| (name.to_owned(), format!("{}/evil", folder.path().display())))
    .into();
    folder.write("evil/config.toml", "[build]\nrustc-wrapper = \"/evil/rustc\"\n");
    let ended = runner.run(folder.path());
    assert_eq!(ended.code, 1, "{ended:#?}");
    assert!(ended.printed.starts_with("::error file=apps/shop/db.yaml,"), "{}", ended.printed);
}

#[test]
fn the_pre_commit_hook_compares_with_the_last_commit() {
    let hooks = file(".pre-commit-hooks.yaml");
    let hook = &hooks[0];
    assert_eq!((&hook["id"], &hook["language"]), (&"stateward".into(), &"rust".into()));
    assert_eq!(hook["pass_filenames"], false);
    let entry = hook["entry"].as_str().unwrap();
    let folder = Folder::repository(&[("deploy/db.yaml", SET)]);
    folder.write("deploy/db.yaml", &size("5Gi"));
    let mut words = entry.split(' ');
    assert_eq!(words.next(), Some("stateward"));
    let arguments: Vec<&str> = words
        .chain(hook["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()))
        .collect();
    let ran = folder.run(&arguments, "");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("claim template data would shrink, 10Gi → 5Gi"), "{}", ran.stdout);
}
