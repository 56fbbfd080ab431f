//! The real binary, registered with a real API server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use testbed::process::Process;
use testbed::{Output, Testbed};
use tokio::sync::OnceCell;

pub(crate) const LONG: Duration = Duration::from_secs(60);

/// `stateward serve --dev`, with its certificates in a folder of its own.
pub(crate) struct Webhook {
    pub(crate) certs: PathBuf,
    pub(crate) port: u16,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Webhook {
    /// Starts `serve --dev` and waits until it is ready.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("certs");
        let mut all = vec!["--dev".to_owned(), format!("--certs-dir={}", certs.display())];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self::serve(folder, certs, all).await
    }

    /// Starts `serve` with a certificate that the authority of `certs` has signed.
    pub(crate) async fn start_without_dev(certs: &Path, arguments: &[&str]) -> Self {
        let all = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::serve(tempfile::tempdir().unwrap(), certs.to_owned(), all).await
    }

    async fn serve(folder: tempfile::TempDir, certs: PathBuf, arguments: Vec<String>) -> Self {
        let (port, health) = (testbed::free_port().unwrap(), testbed::free_port().unwrap());
        let mut all = vec![
            "serve".to_owned(),
            format!("--listen=127.0.0.1:{port}"),
            format!("--health-listen=127.0.0.1:{health}"),
        ];
        all.extend(arguments);
        let program = PathBuf::from(env!("CARGO_BIN_EXE_stateward"));
        let log = folder.path().join("serve.log");
        let process = Process::start("stateward", &program, &all, &log).unwrap();
        testbed::wait::wait_for("stateward to be ready", LONG, async || {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", process.tail()));
        Self { certs, port, _process: process, _folder: folder }
    }

    /// Both webhook configurations, as `stateward manifests` prints them.
    pub(crate) fn manifests(&self, arguments: &[&str]) -> String {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
            .arg("manifests")
            .arg("--ca")
            .arg(self.certs.join("ca.crt"))
            .arg(format!("--url=https://127.0.0.1:{}", self.port))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Registers it, and waits until the API server calls it: a refusal proves it.
    pub(crate) async fn register(&self, testbed: &Testbed, arguments: &[&str]) {
        let manifests = self.manifests(arguments);
        let applied =
            testbed.kubectl_with("admin", &["apply", "-f", "-"], Some(&manifests)).await.unwrap();
        applied.ok().unwrap();
        let namespace = testbed.namespace("probe").await.unwrap();
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
        testbed.create(&path, set("probe", &namespace)).await.unwrap().ok().unwrap();
        testbed::wait::wait_for("the API server to call stateward", LONG, async || {
            let path = format!("{path}/probe?dryRun=All");
            let reply = testbed.merge(&path, json!({"spec": {"serviceName": "x"}})).await?;
            Ok((reply.status == 403).then_some(()))
        })
        .await
        .unwrap();
    }
}

/// One control plane with stateward in front of it, for all tests of this process.
pub(crate) async fn cluster() -> &'static Testbed {
    static WEBHOOK: OnceCell<Webhook> = OnceCell::const_new();
    let testbed = Testbed::shared().await.unwrap();
    WEBHOOK
        .get_or_init(async || {
            let webhook = Webhook::start(&[]).await;
            webhook.register(testbed, &[]).await;
            webhook
        })
        .await;
    testbed
}

/// A set with one claim template of 10Gi, two pods, and an answer of its own to anti-affinity.
pub(crate) fn set(name: &str, namespace: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "serviceName": "db",
            "replicas": 2,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "db",
                        "image": "postgres:17.2",
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}]
                    }]
                }
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "immediate",
                    "resources": {"requests": {"storage": "10Gi"}}
                }
            }]
        }
    })
}

pub(crate) fn path(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}")
}

pub(crate) const STORAGE: &str = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";

/// `object` with the value at `pointer` replaced.
pub(crate) fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    *object.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    object
}

/// `kubectl apply` of an object, with further arguments.
pub(crate) async fn apply(testbed: &Testbed, object: &Value, arguments: &[&str]) -> Output {
    let mut all = vec!["apply", "-f", "-"];
    all.extend(arguments);
    testbed.kubectl_with("admin", &all, Some(&object.to_string())).await.unwrap()
}

/// Creates the set and waits until its pods are ready.
pub(crate) async fn running(testbed: &Testbed, set: &Value) -> Value {
    apply(testbed, set, &[]).await.ok().unwrap();
    let path = testbed::client::path_of(set).unwrap();
    let replicas = set["spec"]["replicas"].clone();
    testbed
        .wait_object(&path, LONG, |live| live["status"]["readyReplicas"] == replicas)
        .await
        .unwrap()
}

/// Names and UIDs of the pods of a namespace.
pub(crate) async fn pod_uids(testbed: &Testbed, namespace: &str) -> Vec<(String, String)> {
    let pods = testbed.get(&format!("/api/v1/namespaces/{namespace}/pods")).await.unwrap();
    let mut uids: Vec<(String, String)> = pods.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| {
            let text = |key: &str| pod["metadata"][key].as_str().unwrap().to_owned();
            (text("name"), text("uid"))
        })
        .collect();
    uids.sort();
    uids
}
