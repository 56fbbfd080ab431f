//! A temporary folder in which the program runs.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A set with which no rule finds fault.
pub(crate) const SET: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
  namespace: shop
spec:
  replicas: 3
  serviceName: db
  selector:
    matchLabels: {app: db}
  template:
    metadata: {labels: {app: db}}
    spec:
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: db}}
      containers:
        - name: db
          image: postgres:17.2
          resources: {requests: {cpu: 500m, memory: 1Gi}}
          readinessProbe: {exec: {command: [pg_isready]}}
          volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 10Gi}}
";

/// A claim with which no rule finds fault.
pub(crate) const CLAIM: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-db-0, namespace: shop}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: fast
  volumeName: pv-1
  resources: {requests: {storage: 10Gi}}
status: {phase: Bound, capacity: {storage: 10Gi}}
";

/// The set under another name.
pub(crate) fn set(name: &str) -> String {
    SET.replacen("name: db", &format!("name: {name}"), 1)
}

/// The set with annotations.
pub(crate) fn annotated(annotations: &str) -> String {
    SET.replacen("namespace: shop", &format!("namespace: shop\n  annotations: {annotations}"), 1)
}

pub(crate) fn replicas(number: u32) -> String {
    SET.replace("replicas: 3", &format!("replicas: {number}"))
}

pub(crate) fn size(size: &str) -> String {
    SET.replace("10Gi", size)
}

/// Git reads no settings of the user or the machine.
const NO_SETTINGS: [(&str, &str); 2] =
    [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")];

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Rule, outcome and who refuses, of each finding.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        let json = self.json();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let one = |finding: &Value| {
            let [rule, outcome, by] =
                ["rule", "outcome", "refusedBy"].map(|key| text(&finding[key]));
            format!("{rule} {outcome} {by}")
        };
        json["findings"].as_array().unwrap().iter().map(one).collect()
    }

    /// `file:line:column: message` of each input that could not be read.
    pub(crate) fn errors(&self) -> Vec<String> {
        let one = |error: &Value| {
            let message = error["message"].as_str().unwrap();
            let file = error["file"].as_str().unwrap();
            format!("{file}:{}:{}: {message}", error["line"], error["column"])
        };
        self.json()["errors"].as_array().unwrap().iter().map(one).collect()
    }
}

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    /// A repository whose one commit holds `files`.
    pub(crate) fn repository(files: &[(&str, &str)]) -> Self {
        let folder = Self::new(files);
        folder.git(&["init", "--quiet"]);
        folder.commit();
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .envs(NO_SETTINGS)
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args(["-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    /// `stateward` with the arguments and something on standard input, in this folder.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Ran {
        run(self.path(), arguments, input)
    }

    /// `stateward check` with the arguments, in this folder.
    pub(crate) fn check(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["check"], arguments].concat(), "")
    }

    /// The same in a folder below.
    pub(crate) fn check_in(&self, below: &str, arguments: &[&str]) -> Ran {
        run(&self.path().join(below), &[&["check"], arguments].concat(), "")
    }

    /// The same with something on standard input.
    pub(crate) fn check_with(&self, input: &str, arguments: &[&str]) -> Ran {
        self.run(&[&["check"], arguments].concat(), input)
    }

    /// The report as JSON, by its exit code.
    pub(crate) fn judged(&self, code: i32, arguments: &[&str]) -> Ran {
        let ran = self.check(&[&["--format", "json"], arguments].concat());
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        ran
    }
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(arguments)
        .current_dir(folder)
        .envs(NO_SETTINGS)
        // The test itself may run in a pipeline.
        .env_remove("GITHUB_SERVER_URL")
        .env_remove("CI_PROJECT_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
