//! `stateward report` and `stateward bug-report`, on the log of a real server in audit mode.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use serde_json::Value;

/// A server whose log is a file.
struct Serving {
    child: Child,
    log: PathBuf,
    reviews: String,
    health: String,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let (policy, log) = (folder.join("audit.yaml"), folder.join("serve.log"));
        std::fs::write(&policy, "version: 1\nmode: audit\n").unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_stateward"))
            .args(["serve", "--dev", "--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"])
            .args(["--log-format=json", "--policy"])
            .arg(&policy)
            .arg("--certs-dir")
            .arg(folder.join("certs"))
            .stdout(std::fs::File::create(folder.join("stdout")).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        // With JSON lines everything is in the log: what collects it reads standard output, too.
        let started = (0..600).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let mut lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
            lines.find(|line: &Value| line["message"] == "serving")
        });
        let started = started.unwrap();
        let find = |key: &str, scheme: &str| {
            started[key].as_str().unwrap().strip_prefix(scheme).unwrap().to_owned()
        };
        Self { reviews: find("reviews", "https://"), health: find("health", "http://"), log, child }
    }

    /// Sends every review to both endpoints.
    fn judge(&self, files: &[PathBuf]) {
        let mut config = String::new();
        let both = files.iter().flat_map(|file| ENDPOINTS.map(|endpoint| (file, endpoint)));
        for (file, endpoint) in both {
            let url = format!("https://{}/{endpoint}", self.reviews);
            write!(
                config,
                "insecure\nsilent\nshow-error\nfail\nurl = \"{url}\"\noutput = \"/dev/null\"\n\
                 header = \"Content-Type: application/json\"\ndata-binary = \"@{}\"\nnext\n",
                file.display()
            )
            .unwrap();
        }
        let config = config.trim_end_matches("next\n");
        let file = self.log.with_extension("curl");
        std::fs::write(&file, config).unwrap();
        let output = Command::new("curl").arg("--config").arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whichever webhook a review was recorded for, the other one has something to say as well.
const ENDPOINTS: [&str; 2] = ["mutate", "validate"];

fn reviews() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reviews");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn stateward(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stateward"))
        .env("KUBECONFIG", "/nonexistent")
        .args(arguments)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn what_audit_mode_saw_becomes_a_policy_that_breaks_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    let files = reviews();
    serving.judge(&files);
    let log = serving.log.to_str().unwrap();
    let report = text(&stateward(&["report", "--since=1h", log]));
    let (head, rest) = report.split_once('\n').unwrap();
    assert!(head.contains(" would have been denied, 0 were denied, from 20"), "{head}");
    let count: usize = head.split(' ').next().unwrap().parse().unwrap();
    assert!(count > 20, "{head}");
    let title = rest.lines().find(|line| line.starts_with("would deny")).unwrap();
    let columns: Vec<&str> = title.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    assert_eq!(columns, ["would deny", "times", "objects", "namespaces", "users", "last"]);
    assert!(rest.contains("\nsts-retention-to-delete "), "{rest}");
    let (_, warned) = rest.split_once("\nwarned ").expect("warnings are counted, too");
    assert!(warned.contains("\nsts-scale-to-zero "), "{warned}");
    assert!(rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(" were warnings"));
    assert!(rest.contains("\nmode: enforce\n"), "{rest}");

    let policy = text(&stateward(&["report", "--since=1h", "--policy", log]));
    assert!(report.ends_with(&policy), "{policy}");
    let file = folder.path().join("next.yaml");
    std::fs::write(&file, &policy).unwrap();
    let lint = stateward(&["policy", "lint", file.to_str().unwrap()]);
    assert!(lint.status.success(), "{policy}{}", String::from_utf8_lossy(&lint.stderr));
    // Nobody is denied who was not denied before: by audit mode nobody, by Kubernetes its refusals.
    let mut denied = BTreeSet::new();
    let both = files.iter().flat_map(|file| ENDPOINTS.map(|endpoint| (file, endpoint)));
    for (review, endpoint) in both {
        let output = stateward(&[
            "review",
            review.to_str().unwrap(),
            "--endpoint",
            endpoint,
            "--policy",
            file.to_str().unwrap(),
        ]);
        if output.status.code() != Some(0) {
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            let rules =
                answer["response"]["auditAnnotations"]["rules"].as_str().unwrap().to_owned();
            denied.extend(
                rules.split(',').filter_map(|one| one.strip_suffix("=denied")).map(str::to_owned),
            );
        }
    }
    assert!(denied.contains("sts-vct-size-shrink"), "refusals are enforced: {denied:?}");
    for rule in denied {
        let group = stateward_core::rules::by_id(&rule).unwrap().meta.group;
        assert_eq!(group, stateward_core::rules::Group::Refusal, "{rule}: {policy}");
    }
}

#[test]
fn a_json_log_holds_nothing_else_from_the_first_line_on() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    assert_eq!(std::fs::read_to_string(folder.path().join("stdout")).unwrap(), "");
    let log = std::fs::read_to_string(&serving.log).unwrap();
    assert!(!log.is_empty());
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

#[test]
fn a_proposed_policy_keeps_the_running_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let line = |rule: &str, namespace: &str, dry_run: bool| {
        serde_json::json!({
            "timestamp": "2999-01-01T00:00:00Z", "message": "would be denied", "rule": rule,
            "object": "StatefulSet db", "namespace": namespace, "user": "ann", "dry_run": dry_run,
        })
        .to_string()
    };
    let mut lines = vec![
        line("sts-scale-to-zero", "shop", true),
        line("pvc-fractional-or-huge", "shop", false),
    ];
    lines.extend(
        (0..30).map(|number| line("sts-retention-to-delete", &format!("n{number}"), false)),
    );
    let log = file("serve.log", &lines.join("\n"));
    let running = file(
        "running.yaml",
        "version: 1\nmode: audit\nresize: orchestrate\nhelp: {contact: '#storage'}\n\
         rules: {sts-scale-to-zero: deny, sts-retention-to-delete: {action: deny}}\nscopes:\n\
         - match: {namespaces: [shop]}\n  rules: {sts-retention-to-delete: deny, sts-no-spread: 'off'}\n\
         - match: {namespaces: [lab]}\n  resize: ignore\n",
    );
    let proposed = text(&stateward(&["report", "--policy", "--current", &running, &log]));
    let found: Value = serde_saphyr::from_str(&proposed).unwrap();
    let proposed_file = file("next.yaml", &proposed);
    assert!(stateward(&["policy", "lint", &proposed_file]).status.success(), "{proposed}");
    assert_eq!(found["mode"], "enforce");
    assert_eq!(found["resize"], "orchestrate");
    assert_eq!(found["help"]["contact"], "#storage");
    assert_eq!(found["rules"]["sts-scale-to-zero"], "deny");
    assert_eq!(found["rules"]["sts-retention-to-delete"]["action"], "warn");
    assert_eq!(found["scopes"][0]["rules"]["sts-retention-to-delete"], "warn");
    assert_eq!(found["scopes"][0]["rules"]["sts-no-spread"], "off");
    assert_eq!(found["scopes"][1]["resize"], "ignore");
    assert_eq!(found["scopes"][2]["match"]["namespaces"], serde_json::json!(["shop"]));
    assert_eq!(found["scopes"][2]["rules"]["pvc-fractional-or-huge"], "warn");

    let report = text(&stateward(&["report", "--current", &running, &log]));
    assert!(report.contains("1 of them were dry runs"), "{report}");
    assert!(!report.contains("--current"), "{report}");
    let report = text(&stateward(&["report", &log]));
    assert!(report.contains("give the running policy file with --current"), "{report}");
    let broken = file("broken.yaml", "version: 1\nmodes: audit\n");
    let output = stateward(&["report", "--current", &broken, &log]);
    assert_eq!(output.status.code(), Some(2), "a policy that cannot be read is not kept");
}

#[test]
fn a_log_without_our_lines_is_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("some.log");
    std::fs::write(&log, "plain\n{\"timestamp\":\"2020-01-01T00:00:00Z\",\"message\":\"old\"}\n")
        .unwrap();
    let output = stateward(&["report", log.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("found no log line of stateward from the last"), "{error}");
    assert!(error.contains("(1 lines were something else)"), "{error}");
}

#[test]
fn a_bug_report_holds_no_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path());
    serving.judge(&reviews());
    let policy = folder.path().join("audit.yaml");
    let output = stateward(&[
        "bug-report",
        "--offline",
        "--logs",
        serving.log.to_str().unwrap(),
        "--policy",
        policy.to_str().unwrap(),
        "--health",
        &serving.health,
    ]);
    let report = text(&output);
    let found: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(found["stateward"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(found["stateward"]["commit"].is_string());
    assert_eq!(found["policy"]["text"], "version: 1\nmode: audit\n");
    assert_eq!(found["policy"]["error"], Value::Null);
    let metrics = found["metrics"].as_array().unwrap();
    assert!(metrics.iter().any(|line| line == "stateward_audit_mode 1"), "{metrics:?}");
    let denials = found["denials"].as_array().unwrap();
    assert!(denials.len() > 20, "{}", denials.len());
    for denial in denials {
        assert_eq!(denial["message"], "would be denied");
        let keys: Vec<&String> = denial.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 9, "{keys:?}");
    }
    for word in ["managedFields", "terminationMessagePath", "last-applied", "PRIVATE KEY"] {
        assert!(!report.contains(word), "{word}");
    }
    // What cannot be had is named.
    let nothing: Value = serde_json::from_str(&text(&stateward(&["bug-report"]))).unwrap();
    let why = |key: &str| nothing[key]["unavailable"].as_str().unwrap();
    assert!(why("cluster").contains("no cluster"));
    assert!(why("denials").contains("--logs") && why("metrics").contains("--health"));
}
