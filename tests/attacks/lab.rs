//! The control plane with stateward in front of it, and a tenant.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use testbed::process::Process;
use testbed::{Reply, Session, Testbed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::OnceCell;

pub(crate) const LONG: Duration = Duration::from_secs(90);

/// Only this user may use the annotation `allow`, and the tenant is somebody else.
const POLICY: &str = "version: 1\nallow:\n  users: [alice@example.com]\n";

/// The binary under attack, built as people run it: time and memory count.
pub(crate) fn binary() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(binary) = std::env::var_os("STATEWARD_ATTACK_BINARY") {
            return PathBuf::from(binary);
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--bin=stateward"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .unwrap();
        assert!(built.success(), "cargo build --release: {built}");
        // This test runs as target/debug/deps/attacks-….
        let test = std::env::current_exe().unwrap();
        test.ancestors().nth(3).unwrap().join("release/stateward")
    });
    BUILT.clone()
}

/// A control plane, the webhook with facts and events, and a controller.
pub(crate) struct Lab {
    pub(crate) bed: Testbed,
    /// The kubeconfig of the webhook's account.
    facts: PathBuf,
    /// The kubeconfig of the controller's account.
    pub(crate) account: PathBuf,
    pub(crate) webhook: Webhook,
    _controller: Process,
}

/// `serve --dev` as a process.
pub(crate) struct Webhook {
    pub(crate) port: u16,
    pub(crate) health: u16,
    pub(crate) certs: PathBuf,
    pub(crate) process: Process,
    _folder: tempfile::TempDir,
}

impl Lab {
    /// The one for all tests.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Lab> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    async fn start() -> Self {
        let bed = Testbed::start().await.unwrap();
        bed.play_storage().await.unwrap();
        bed.ensure_namespace("stateward").await.unwrap();
        bed.apply(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "stateward", "namespace": "stateward"},
        }))
        .await
        .unwrap();
        let rights = output(&["manifests", "--crds", "--rights"]);
        let apply = ["apply", "--server-side", "-f", "-"];
        bed.kubectl_with("admin", &apply, Some(&rights)).await.unwrap().ok().unwrap();
        // The chart grants this where events are on, as they are by default.
        bed.kubectl(&["create", "clusterrole", "events", "--verb=create", "--resource=events"])
            .await
            .unwrap()
            .ok()
            .unwrap();
        let bind = ["create", "clusterrolebinding", "events", "--clusterrole=events"];
        let subject = ["--serviceaccount=stateward:stateward"];
        bed.kubectl(&[&bind[..], &subject].concat()).await.unwrap().ok().unwrap();

        let facts = bed.kubeconfig_for_service_account("stateward", "stateward").await.unwrap();
        let account =
            bed.kubeconfig_for_service_account("stateward", "stateward-controller").await.unwrap();
        let webhook = Webhook::start(&facts).await;
        webhook.register(&bed).await;
        let controller = controller(&account, bed.folder());
        Self { bed, facts, account, webhook, _controller: controller }
    }

    /// A replica that starts now. The API server does not call it.
    pub(crate) async fn replica(&self) -> Webhook {
        Webhook::start(&self.facts).await
    }

    /// The same with another account.
    pub(crate) async fn replica_with(&self, kubeconfig: &Path) -> Webhook {
        Webhook::start(kubeconfig).await
    }

    /// A namespace in which the user `dev` has the role `edit`.
    pub(crate) async fn tenant(&self) -> Tenant {
        let namespace = self.bed.namespace("tenant").await.unwrap();
        let bind = ["create", "rolebinding", "dev", "--clusterrole=edit", "--user=dev", "-n"];
        let line = [&bind[..], &[namespace.as_str()]].concat();
        self.bed.kubectl(&line).await.unwrap().ok().unwrap();
        let session = self.bed.user("dev").await.unwrap();
        let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
        testbed::wait::wait_for("the tenant's rights", LONG, async || {
            Ok((session.get(&maps).await?.status == 200).then_some(()))
        })
        .await
        .unwrap();
        Tenant { lab: self.bed.admin().clone(), session, namespace }
    }
}

impl Webhook {
    async fn start(kubeconfig: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certs = folder.path().join("certs");
        let policy = folder.path().join("stateward.yaml");
        std::fs::write(&policy, POLICY).unwrap();
        let (port, health) = (testbed::free_port().unwrap(), testbed::free_port().unwrap());
        let arguments = [
            "serve".to_owned(),
            "--dev".to_owned(),
            format!("--certs-dir={}", certs.display()),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--policy={}", policy.display()),
            format!("--listen=127.0.0.1:{port}"),
            format!("--health-listen=127.0.0.1:{health}"),
        ];
        let log = folder.path().join("serve.log");
        let process = Process::start("stateward", &binary(), &arguments, &log).unwrap();
        testbed::wait::wait_for("stateward to listen", LONG, async || {
            Ok(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop))
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}\n{}", process.tail()));
        Self { port, health, certs, process, _folder: folder }
    }

    /// Registers it as `manifests` prints it, with `failurePolicy: Ignore`: the weakest form. A binary
    /// without optimisation gets more time.
    async fn register(&self, bed: &Testbed) {
        let ca = self.certs.join("ca.crt").display().to_string();
        let url = format!("--url=https://127.0.0.1:{}", self.port);
        let manifests = output(&["manifests", "--ca", &ca, &url, "--timeout=10"]);
        bed.kubectl_with("admin", &["apply", "-f", "-"], Some(&manifests))
            .await
            .unwrap()
            .ok()
            .unwrap();
        let namespace = bed.namespace("probe").await.unwrap();
        let sets = sets(&namespace);
        bed.create(&sets, set("probe", &namespace)).await.unwrap().ok().unwrap();
        testbed::wait::wait_for("the API server to call stateward", LONG, async || {
            let path = format!("{sets}/probe?dryRun=All");
            let reply = bed.merge(&path, json!({"spec": {"serviceName": "x"}})).await?;
            Ok((reply.status == 403).then_some(()))
        })
        .await
        .unwrap();
        bed.delete(&format!("{sets}/probe"), json!({})).await.unwrap().ok().unwrap();
    }

    /// What its health port answers; empty if it does not.
    pub(crate) async fn page(&self, path: &str) -> String {
        let ask = async || -> std::io::Result<String> {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.health)).await?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
        };
        ask().await.unwrap_or_default()
    }

    /// The memory of the process in KiB, by a line of `/proc/PID/status`: `VmRSS` or `VmHWM`.
    pub(crate) fn memory(&self, line: &str) -> u64 {
        let id = self.process.id().unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|text| text.strip_prefix(&format!("{line}:"))).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

fn controller(kubeconfig: &Path, folder: &Path) -> Process {
    let arguments = [
        "controller".to_owned(),
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--listen=127.0.0.1:{}", testbed::free_port().unwrap()),
        "--resync=1s".to_owned(),
        "--renew=300ms".to_owned(),
        "--back-off=500ms".to_owned(),
        "--just-changed=2s".to_owned(),
        "--create-quarantine=3s".to_owned(),
    ];
    let log = folder.join("controller.log");
    Process::start("controller", &binary(), &arguments, &log).unwrap()
}

/// What the binary prints.
fn output(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A user with the rights of the role `edit` in one namespace.
pub(crate) struct Tenant {
    /// The cluster's admin, who looks at the outcome.
    pub(crate) lab: Session,
    pub(crate) session: Session,
    pub(crate) namespace: String,
}

impl Tenant {
    /// Creates a set made from [`set`] by `change` and waits until its pods and claims are there.
    ///
    /// Alice creates it: she may set annotations that a tenant may not.
    pub(crate) async fn running(&self, name: &str, change: impl Fn(&mut Value)) -> Value {
        let mut object = set(name, &self.namespace);
        change(&mut object);
        let alice = self.lab.impersonate("alice@example.com", &["system:masters"]).unwrap();
        let created = alice.create(&sets(&self.namespace), object).await.unwrap();
        let created = created.ok().unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let replicas = created["spec"]["replicas"].as_u64().unwrap();
        testbed::wait::wait_for("pods to be ready", LONG, async || {
            let live = self.lab.get(&self.path(name)).await?.ok()?;
            let ready = live["status"]["readyReplicas"].as_u64().unwrap_or(0);
            Ok((ready == replicas).then_some(live))
        })
        .await
        .unwrap()
    }

    /// The path of a set of the namespace.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", sets(&self.namespace))
    }

    /// The claims of the namespace.
    pub(crate) async fn claims(&self) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.namespace);
        let list = self.lab.get(&path).await.unwrap().ok().unwrap();
        list["items"].as_array().unwrap().clone()
    }

    /// A `ConfigMap` of the tenant's, to be named as an owner.
    pub(crate) async fn owner(&self, controller: bool) -> Value {
        let maps = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "owner-"},
        });
        let made = self.session.create(&maps, object).await.unwrap().ok().unwrap();
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "controller": controller,
            "name": made["metadata"]["name"], "uid": made["metadata"]["uid"],
        })
    }

    /// Sends requests in turn until stateward refuses one. All of them together would have deleted
    /// claims.
    pub(crate) async fn refused(&self, attack: &str, requests: &[Request]) -> String {
        let before = self.claims().await;
        assert!(!before.is_empty(), "{attack}: there is nothing to lose");
        let mut answers = Vec::new();
        for request in requests {
            let reply = request.send(&self.session).await;
            answers.push(format!(
                "{} {} {}",
                reply.status,
                reply.message(),
                reply.warnings.join("; ")
            ));
            if is_denial(&reply) {
                let after = self.claims().await;
                assert_eq!(after.len(), before.len(), "{attack}: a claim is gone");
                for claim in after {
                    let deleted = &claim["metadata"]["deletionTimestamp"];
                    assert!(deleted.is_null(), "{attack}: a claim is being deleted: {claim}");
                }
                return reply.message().to_owned();
            }
            assert!(reply.is_success(), "{attack}: not carried out: {answers:#?}");
        }
        panic!("{attack}: nothing was refused: {answers:#?}");
    }
}

/// Whether stateward, and not the API server, refused a request.
pub(crate) fn is_denial(reply: &Reply) -> bool {
    reply.status == 403 && reply.message().contains("stateward")
}

/// One request of an attack.
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: Value,
}

impl Request {
    /// A merge patch.
    pub(crate) fn merge(path: impl Into<String>, body: Value) -> Self {
        let content_type = testbed::client::MERGE_PATCH;
        Self { method: "PATCH", path: path.into(), content_type, body }
    }

    /// A DELETE without options.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        let content_type = testbed::client::JSON;
        Self { method: "DELETE", path: path.into(), content_type, body: json!({}) }
    }

    /// Sends it, again if a busy API server gives up on it.
    pub(crate) async fn send(&self, session: &Session) -> Reply {
        let body = || self.body.clone();
        for _ in 0..4 {
            let reply =
                session.request(self.method, &self.path, self.content_type, body()).await.unwrap();
            if reply.status != 504 {
                return reply;
            }
        }
        session.request(self.method, &self.path, self.content_type, body()).await.unwrap()
    }
}

/// The edit that makes a DELETE of the set delete its claims.
pub(crate) fn to_delete() -> Value {
    json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}})
}

/// Where the sets of a namespace are.
pub(crate) fn sets(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/statefulsets")
}

/// A set of two with one claim of 1Gi each.
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
                    "storageClassName": "standard",
                    "resources": {"requests": {"storage": "1Gi"}}
                }
            }]
        }
    })
}
