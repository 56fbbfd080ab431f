//! What a release offers, made from the binary of the tests, and the workflow that makes it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TARGET: &str = "x86_64-unknown-linux-musl";

fn run(command: &mut Command) -> Output {
    command.current_dir(ROOT).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap()
}

fn prints(program: &str, arguments: &[&str]) -> String {
    let output = run(Command::new(program).args(arguments));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// An archive of the binary of the tests, without its debug information, which takes long to pack.
fn archive(out: &Path, sbom: &[&str]) -> PathBuf {
    let binary = out.join("binary");
    let binary = binary.to_str().unwrap();
    prints("strip", &["-o", binary, env!("CARGO_BIN_EXE_stateward")]);
    let arguments = ["--binary", binary, "--target", TARGET];
    let out = ["--out", out.to_str().unwrap()];
    let archive = prints("scripts/release-archive", &[&arguments, sbom, &out[..]].concat());
    PathBuf::from(archive.trim_end())
}

#[test]
fn the_archive_holds_everything_and_is_the_same_each_time() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sbom = ["--sbom", "Cargo.lock"];
    let path = archive(one.path(), &sbom);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(archive(two.path(), &sbom)).unwrap());
    let name = format!("stateward-v{}-{TARGET}", env!("CARGO_PKG_VERSION"));
    assert_eq!(path, one.path().join(format!("{name}.tar.gz")));
    let listing = prints("tar", &["--list", "--verbose", "--file", path.to_str().unwrap()]);
    let files: Vec<&str> = listing.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    for file in [
        "stateward",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "stateward.cdx.json",
        "completions/stateward.bash",
        "completions/stateward.fish",
        "completions/stateward.zsh",
        "man/stateward.1",
        "man/stateward-check.1",
        "man/stateward-policy-lint.1",
    ] {
        assert!(files.contains(&&*format!("{name}/{file}")), "{file}: {listing}");
    }
    for line in listing.lines() {
        let program = line.starts_with("-rwxr-xr-x 0/0") && line.ends_with("/stateward");
        let folder = line.starts_with("drwxr-xr-x 0/0") && line.ends_with('/');
        assert!(program || folder || line.starts_with("-rw-r--r-- 0/0"), "{line}");
    }
    let sum = one.path().join(format!("{name}.tar.gz.sha256"));
    let checked =
        Command::new("sha256sum").arg("--check").arg(&sum).current_dir(one.path()).output();
    assert!(checked.unwrap().status.success());

    let wrong = run(Command::new("scripts/release-archive").args(["--binary", "/bin/true"]));
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

/// krew unpacks an archive, copies what `files` names, and links `bin` as kubectl-NAME.
#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn krew_installs_a_plugin_that_kubectl_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = archive(folder.path(), &[]);
    let manifest = prints("scripts/krew-manifest", &[path.to_str().unwrap()]);
    let manifest: Value = serde_saphyr::from_str(&manifest).unwrap();
    assert_eq!(manifest["metadata"]["name"], "stateward");
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["spec"]["version"], version);
    let short = manifest["spec"]["shortDescription"].as_str().unwrap();
    assert!(short.len() <= 50 && !short.contains("kubectl"), "krew asks for a short one");
    let platform = &manifest["spec"]["platforms"][0];
    assert_eq!(platform["selector"]["matchLabels"]["arch"], "amd64");
    let file = path.file_name().unwrap().to_str().unwrap();
    assert!(platform["uri"].as_str().unwrap().ends_with(&format!("/download/{version}/{file}")));
    let sum = prints("sha256sum", &[path.to_str().unwrap()]);
    assert_eq!(platform["sha256"], sum.split(' ').next().unwrap());

    // The name of a pre-release has one dash more.
    let early = path.with_file_name(file.replace(&version, &format!("{version}-rc.1")));
    std::fs::copy(&path, &early).unwrap();
    let manifest = prints("scripts/krew-manifest", &[early.to_str().unwrap()]);
    let manifest: Value = serde_saphyr::from_str(&manifest).unwrap();
    assert_eq!(manifest["spec"]["version"], format!("{version}-rc.1"));
    let uri = manifest["spec"]["platforms"][0]["uri"].as_str().unwrap();
    assert!(uri.contains(&format!("/download/{version}-rc.1/stateward-{version}-rc.1-")), "{uri}");

    prints("tar", &["-x", "-f", path.to_str().unwrap(), "-C", folder.path().to_str().unwrap()]);
    let (store, bin) = (folder.path().join("store"), folder.path().join("bin"));
    std::fs::create_dir(&store).unwrap();
    std::fs::create_dir(&bin).unwrap();
    for file in platform["files"].as_array().unwrap() {
        assert_eq!(file["to"], ".");
        let from = folder.path().join(file["from"].as_str().unwrap());
        std::fs::copy(&from, store.join(from.file_name().unwrap())).unwrap();
    }
    let program = store.join(platform["bin"].as_str().unwrap());
    std::os::unix::fs::symlink(&program, bin.join("kubectl-stateward")).unwrap();

    // As kubectl starts it: by the name of the link.
    let called = Command::new(bin.join("kubectl-stateward")).args(["check"]).output().unwrap();
    let usage = String::from_utf8(called.stderr).unwrap();
    assert!(usage.contains("Usage: kubectl stateward check"), "{usage}");

    let unknown = run(Command::new("scripts/krew-manifest").arg("stateward-v9-riscv.tar.gz"));
    assert!(!unknown.status.success());
    let tools =
        testbed::install::install(testbed::Kubernetes::from_environment().unwrap()).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new(&tools.kubectl)
        .args(["stateward", "explain", "sts-vct-size-shrink"])
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("Way out:"));
}

fn workflow() -> Value {
    let text = std::fs::read_to_string(Path::new(ROOT).join(".github/workflows/release.yml"));
    serde_saphyr::from_str(&text.unwrap()).unwrap()
}

fn steps(workflow: &Value) -> Vec<(&str, &Value)> {
    let jobs = workflow["jobs"].as_object().unwrap();
    let steps = jobs.iter().flat_map(|(name, job)| {
        job["steps"].as_array().unwrap().iter().map(move |step| (name.as_str(), step))
    });
    steps.collect()
}

#[test]
fn the_workflow_names_scripts_that_are_there_and_asks_for_few_rights() {
    let workflow = workflow();
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    let writes: Vec<String> = workflow["jobs"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(name, job)| {
            let rights = job["permissions"].as_object().unwrap();
            rights
                .iter()
                .filter(|(_, right)| *right != "read")
                .map(move |(right, _)| format!("{name} {right}"))
        })
        .collect();
    assert_eq!(
        writes,
        ["publish attestations", "publish contents", "publish id-token", "publish packages"]
    );
    let mut scripts = std::collections::BTreeSet::new();
    for (job, step) in steps(&workflow) {
        let Some(run) = step["run"].as_str() else {
            assert!(step["uses"].as_str().unwrap().contains('@'), "{job}: {step}");
            continue;
        };
        assert!(!run.contains("${{"), "{job}: an expression would be run as a part of {run}");
        for word in run.split_whitespace().map(|word| word.trim_start_matches("again=$(")) {
            if let Some(script) = word.strip_prefix("scripts/") {
                assert!(Path::new(ROOT).join(word).is_file(), "{job}: there is no {word}");
                scripts.insert(script.to_owned());
            }
        }
        let checked = run_bash("", &["-n"], run);
        assert!(checked.status.success(), "{job}: {checked:?}");
    }
    let expected = ["image", "krew-manifest", "release-archive", "reproducible", "sbom"];
    assert_eq!(scripts.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

fn run_bash(tag: &str, options: &[&str], script: &str) -> Output {
    run(Command::new("bash").args(options).args(["-e", "-c", script]).env("GITHUB_REF_NAME", tag))
}

#[test]
fn a_release_is_told_its_tag_for_links_to_rules() {
    let page = std::fs::read_to_string(Path::new(ROOT).join("crates/core/src/rules/page.rs"));
    assert!(page.unwrap().contains("option_env!(\"STATEWARD_TAG\")"));
    let workflow = workflow();
    assert_eq!(workflow["jobs"]["build"]["env"]["STATEWARD_TAG"], "${{ github.ref_name }}");
}

#[test]
fn a_tag_of_another_version_is_refused() {
    let workflow = workflow();
    let all = steps(&workflow);
    let (_, step) = all
        .iter()
        .find(|(_, step)| step["name"] == "Check that the tag names the version")
        .unwrap();
    let script = step["run"].as_str().unwrap();
    let right = format!("v{}", env!("CARGO_PKG_VERSION"));
    assert!(run_bash(&right, &[], script).status.success());
    assert!(!run_bash("v99.0.0", &[], script).status.success());
}
