//! Starting, holding and stopping the control plane.

mod arguments;
mod credentials;
mod start;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use credentials::Credentials;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use tokio::sync::OnceCell;

use crate::client::Session;
use crate::commands::{self, Output};
use crate::csi::{Driver, Place, Resizer};
use crate::install::{Kubernetes, Tools};
use crate::kubelet::Kubelet;
use crate::process::{Janitor, Process};
use crate::proxy::Proxy;
use crate::storage::Storage;
use crate::wait::wait_for;

/// A part of the control plane that is a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The store behind the API server.
    Etcd,
    /// `kube-apiserver`.
    ApiServer,
    /// `kube-controller-manager`: sets, volumes, garbage collection.
    ControllerManager,
    /// `kube-scheduler`.
    Scheduler,
    /// Plays nodes and pods.
    Kwok,
}

impl Component {
    /// The name in messages and of the log file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
        }
    }
}

/// What a control plane should be like; see [`Testbed::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    kubernetes: Option<Kubernetes>,
    api_server: Vec<String>,
    controller_manager: Vec<String>,
    feature_gates: Vec<String>,
    audit: bool,
    controllers: bool,
    nodes: usize,
    users: Vec<(String, Vec<String>)>,
    service_range: Option<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            kubernetes: None,
            api_server: Vec::new(),
            controller_manager: Vec::new(),
            feature_gates: Vec::new(),
            audit: false,
            controllers: true,
            nodes: 3,
            users: Vec::new(),
            service_range: None,
        }
    }
}

impl Builder {
    /// The version of Kubernetes; by default what `STATEWARD_KUBERNETES` names.
    pub fn kubernetes(mut self, version: Kubernetes) -> Self {
        self.kubernetes = Some(version);
        self
    }

    /// One more argument for the API server, such as `--enable-admission-plugins=…`.
    pub fn api_server_argument(mut self, argument: impl Into<String>) -> Self {
        self.api_server.push(argument.into());
        self
    }

    /// One more argument for the controller manager.
    pub fn controller_manager_argument(mut self, argument: impl Into<String>) -> Self {
        self.controller_manager.push(argument.into());
        self
    }

    /// A feature gate for every component, as `Name=true`.
    pub fn feature_gate(mut self, gate: impl Into<String>) -> Self {
        self.feature_gates.push(gate.into());
        self
    }

    /// Whether the API server writes an audit log; see [`Testbed::audit_events`]. Off by default.
    pub fn audit_log(mut self, on: bool) -> Self {
        self.audit = on;
        self
    }

    /// Whether controllers, scheduler and nodes run. On by default; without them a start takes a
    /// second less, and objects stay as they were written.
    pub fn controllers(mut self, on: bool) -> Self {
        self.controllers = on;
        self
    }

    /// How many nodes there are, in zones `a`, `b`, `c` in turn. 3 by default.
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes = count;
        self
    }

    /// A user beside `admin`, `dev` (in group `devs`) and `ci`.
    pub fn user(mut self, name: impl Into<String>, groups: &[&str]) -> Self {
        self.users.push((name.into(), groups.iter().map(|&group| group.to_owned()).collect()));
        self
    }

    /// Where Services get their addresses; by default a `127.77.N.0/24` of this testbed's own.
    ///
    /// A server that listens on such an address stands for the pods behind the Service.
    pub fn service_range(mut self, cidr: impl Into<String>) -> Self {
        self.service_range = Some(cidr.into());
        self
    }

    /// Builds the components where needed, starts them and waits until they are ready.
    pub async fn start(self) -> Result<Testbed> {
        // Boxed, because the future of a whole start is large.
        Box::pin(start::start(self)).await
    }
}

/// A running control plane; dropping it stops everything.
///
/// It dereferences to the [`Session`] of its admin, so requests can be sent to it directly.
#[derive(Debug)]
pub struct Testbed {
    // Fields are dropped in this order: first who talks to the cluster, then it, then its files.
    storage: OnceCell<Storage>,
    _kubelet: Option<Kubelet>,
    admin: Session,
    plan: arguments::Plan,
    credentials: Credentials,
    ca: String,
    processes: Mutex<BTreeMap<Component, Process>>,
    runtime: Option<Runtime>,
    _janitor: Option<Janitor>,
    folder: TempDir,
}

impl Testbed {
    /// Options first, then [`Builder::start`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A cluster with the default options.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// One cluster for all tests of a process, with storage played; use a
    /// [`namespace`](Self::namespace) each.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Testbed> = OnceCell::const_new();
        let start = async || {
            let bed = Self::start().await?;
            bed.play_storage().await?;
            Ok(bed)
        };
        SHARED.get_or_try_init(start).await
    }

    /// The address of the API server, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.plan.url
    }

    /// The certificate authority of the API server.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// The folder with logs, keys and kubeconfigs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The binaries in use.
    pub fn tools(&self) -> &Tools {
        &self.plan.tools
    }

    /// The kubeconfig of `admin`, who is in `system:masters`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.credentials.kubeconfig("admin")
    }

    /// The kubeconfig of a known user: `admin`, `dev`, `ci` or one of the builder's.
    pub fn kubeconfig_for(&self, user: &str) -> Result<PathBuf> {
        self.credentials.known(user)?;
        Ok(self.credentials.kubeconfig(user))
    }

    /// Writes a kubeconfig for a service account, with a fresh token of one hour.
    pub async fn kubeconfig_for_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = self.create(&path, request).await?.ok()?;
        let token = answer["status"]["token"].as_str().context("an answer without a token")?;
        self.credentials.write_kubeconfig(&format!("{namespace}.{name}"), &self.plan.url, token)
    }

    /// Requests in the name of `admin`.
    pub fn admin(&self) -> &Session {
        &self.admin
    }

    /// Requests in the name of a known user.
    pub async fn user(&self, name: &str) -> Result<Session> {
        self.credentials.known(name)?;
        self.session(&self.credentials.kubeconfig(name)).await
    }

    /// Requests with the credentials of a kubeconfig.
    pub async fn session(&self, kubeconfig: &Path) -> Result<Session> {
        let runtime = self.runtime()?;
        Session::new(credentials::config(kubeconfig).await?, runtime)
    }

    /// The address with this last byte in the range of Services.
    pub fn service_ip(&self, host: u8) -> String {
        let network = self.plan.service_range.rsplit_once('.').map_or("", |(network, _)| network);
        format!("{network}.{host}")
    }

    /// Runs kubectl as admin.
    pub async fn kubectl<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Output> {
        self.kubectl_with("admin", arguments, None).await
    }

    /// Runs kubectl as a known user, with a manifest on standard input.
    pub async fn kubectl_with<S: AsRef<str>>(
        &self,
        user: &str,
        arguments: &[S],
        stdin: Option<&str>,
    ) -> Result<Output> {
        self.kubectl_as(&self.kubeconfig_for(user)?, arguments, stdin).await
    }

    /// Runs kubectl with a kubeconfig, such as one through a [`proxy`](Self::proxy).
    pub async fn kubectl_as<S: AsRef<str>>(
        &self,
        kubeconfig: &Path,
        arguments: &[S],
        stdin: Option<&str>,
    ) -> Result<Output> {
        commands::run(&self.plan.tools.kubectl, self.folder(), kubeconfig, arguments, stdin).await
    }

    /// Runs helm as admin.
    pub async fn helm<S: AsRef<str>>(&self, arguments: &[S]) -> Result<Output> {
        self.helm_with("admin", arguments, None).await
    }

    /// Runs helm as a known user, with values on standard input.
    pub async fn helm_with<S: AsRef<str>>(
        &self,
        user: &str,
        arguments: &[S],
        stdin: Option<&str>,
    ) -> Result<Output> {
        let kubeconfig = self.kubeconfig_for(user)?;
        commands::run(&self.plan.tools.helm, self.folder(), &kubeconfig, arguments, stdin).await
    }

    /// Creates a namespace whose name begins with `prefix`.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"generateName": format!("{prefix}-")},
        });
        let made = self.create("/api/v1/namespaces", object).await?.ok()?;
        Ok(made["metadata"]["name"].as_str().context("a namespace without name")?.to_owned())
    }

    /// Makes sure that there is a namespace of this name.
    pub async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply(object).await.map(drop)
    }

    /// See [`wait_for`].
    pub async fn wait_for<T, F>(&self, description: &str, timeout: Duration, probe: F) -> Result<T>
    where
        F: AsyncFnMut() -> Result<Option<T>>,
    {
        wait_for(description, timeout, probe).await
    }

    /// Waits until the object at `path` exists and `accept` says yes; gives that object.
    pub async fn wait_object<F>(&self, path: &str, timeout: Duration, accept: F) -> Result<Value>
    where
        F: Fn(&Value) -> bool,
    {
        let last = Mutex::new(Value::Null);
        let probe = async || {
            let reply = self.get(path).await?;
            let accepted = reply.is_success() && accept(&reply.body);
            let shown = if reply.is_success() { &reply.body["status"] } else { &reply.body };
            *last.lock().unwrap_or_else(PoisonError::into_inner) = shown.clone();
            Ok(accepted.then_some(reply.body))
        };
        wait_for(path, timeout, probe).await.with_context(|| {
            format!("last seen: {}", last.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// Starts to play storage, with the classes of [`storage`](crate::storage); again gives the
    /// same player.
    pub async fn play_storage(&self) -> Result<&Storage> {
        let start = async || {
            let runtime = self.runtime()?;
            let csi = self.session(&self.credentials.kubeconfig(credentials::CSI)).await?;
            let node = self.session(&self.credentials.kubeconfig(credentials::NODE)).await?;
            Storage::start(&self.admin, csi, node, runtime).await
        };
        self.storage.get_or_try_init(start).await
    }

    /// Starts the real external-resizer over a driver that answers like this, with a class named
    /// [`Resizer::class`](crate::csi::Resizer::class); storage is played for the rest.
    ///
    /// One of each kind per testbed, since class and socket are named after it.
    pub async fn csi_resizer(&self, driver: Driver) -> Result<Resizer> {
        self.play_storage().await?;
        let runtime = self.runtime()?;
        let kubeconfig = self.credentials.kubeconfig(credentials::CSI);
        let csi = self.session(&kubeconfig).await?;
        let place = Place { folder: self.folder().to_owned(), kubeconfig };
        Resizer::start(driver, place, &self.admin, &csi, runtime).await
    }

    /// Starts a proxy in front of the API server, for one process whose requests are to fail.
    pub async fn proxy(&self) -> Result<Proxy> {
        let runtime = self.runtime()?;
        Proxy::start(self.admin.config(), self.folder(), runtime).await
    }

    /// What the audit log holds so far; nothing where the builder left it off.
    pub fn audit_events(&self) -> Result<Vec<Value>> {
        self.audit_events_after(0)
    }

    /// How long the audit log is, in bytes, the half written line at its end included.
    pub fn audit_position(&self) -> u64 {
        std::fs::metadata(self.plan.audit_log()).map_or(0, |file| file.len())
    }

    /// What the audit log holds beyond a [position](Self::audit_position); long logs take seconds
    /// to read.
    pub fn audit_events_after(&self, position: u64) -> Result<Vec<Value>> {
        let mut bytes = Vec::new();
        // The byte before the position tells whether a line begins there.
        let start = position.saturating_sub(1);
        if let Ok(mut file) = File::open(self.plan.audit_log()) {
            file.seek(SeekFrom::Start(start))?;
            file.read_to_end(&mut bytes)?;
        }
        let lines = whole_lines(&bytes, position > 0);
        lines.map(|line| Ok(serde_json::from_slice(line)?)).collect()
    }

    /// Kills a component, as a crash would. It stays away until [`resume`](Self::resume).
    pub fn stop(&self, component: Component) {
        let process = self.lock().remove(&component);
        drop(process);
    }

    /// Starts a stopped component and waits until it answers.
    pub async fn resume(&self, component: Component) -> Result<()> {
        let mut process = self.plan.launch(component)?;
        if component == Component::Etcd {
            start::listening(&mut process, self.plan.etcd_port()).await?;
        }
        self.lock().insert(component, process);
        if matches!(component, Component::Etcd | Component::ApiServer) {
            self.ready(Duration::from_secs(60)).await?;
            self.renew_scheduler()?;
        }
        Ok(())
    }

    /// Starts the scheduler anew, if it runs.
    ///
    /// Up to 1.36.3 it never schedules a pod that was deleted and created under the same name
    /// before its watch was back, and may end (kubernetes/kubernetes#141255). Pods of a
    /// `StatefulSet` do that, so a test would wait for the bug and not for what it tests.
    fn renew_scheduler(&self) -> Result<()> {
        let Some(old) = self.lock().remove(&Component::Scheduler) else { return Ok(()) };
        drop(old);
        let new = self.plan.launch(Component::Scheduler)?;
        self.lock().insert(Component::Scheduler, new);
        Ok(())
    }

    /// Kills a component and starts it again on the same port.
    pub async fn restart(&self, component: Component) -> Result<()> {
        self.stop(component);
        self.resume(component).await
    }

    /// Sends a signal to a component by its name without `SIG`; `STOP` and `CONT` freeze it.
    pub fn signal(&self, component: Component, signal: &str) -> Result<()> {
        let mut processes = self.lock();
        let process = processes.get_mut(&component);
        process.with_context(|| format!("{} does not run", component.name()))?.signal(signal)
    }

    /// The last lines that a component has logged.
    pub fn log_tail(&self, component: Component) -> String {
        crate::process::tail(&self.plan.log(component), 25)
    }

    /// The runtime that lives as long as the testbed.
    pub(crate) fn runtime(&self) -> Result<&runtime::Handle> {
        Ok(self.runtime.as_ref().context("the testbed is stopped")?.handle())
    }

    /// Waits until the API server says that it is ready, or a component has ended.
    async fn ready(&self, timeout: Duration) -> Result<()> {
        wait_for("the API server", timeout, async || {
            Ok((self.get("/readyz").await?.status == 200).then_some(()))
        })
        .await
        .with_context(|| self.log_tail(Component::ApiServer))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Component, Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Testbed {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.admin
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not wait for its tasks inside another one.
            runtime.shutdown_background();
        }
        let mut processes = std::mem::take(&mut *self.lock());
        // The API server first: without its etcd it would log at length.
        for component in [Component::ApiServer, Component::Etcd] {
            drop(processes.remove(&component));
        }
    }
}

/// The whole lines of a part of a log: its last line may be half written. Where `tail` is set, the part
/// begins with one byte of an older line, and what is left of that line is dropped.
fn whole_lines(part: &[u8], tail: bool) -> impl Iterator<Item = &[u8]> {
    let ends = |byte: &u8| *byte == b'\n';
    let end = part.iter().rposition(ends).unwrap_or(0);
    let start = if tail { part.iter().position(ends).map_or(end, |end| end + 1) } else { 0 };
    let whole = part.get(start..end).unwrap_or_default();
    whole.split(ends).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_written_lines_are_not_read() {
        let lines = |part: &str, tail| -> Vec<String> {
            let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            whole_lines(part.as_bytes(), tail).map(text).collect()
        };
        assert_eq!(lines("", false), [""; 0]);
        assert_eq!(lines("", true), [""; 0]);
        assert_eq!(lines("hal", false), [""; 0]);
        assert_eq!(lines("one\ntwo\nhal", false), ["one", "two"]);
        // A position at the end of a line, in the middle of one, and at the end of the log.
        assert_eq!(lines("\none\ntwo\n", true), ["one", "two"]);
        assert_eq!(lines("zero\none\nhal", true), ["one"]);
        assert_eq!(lines("zero\nhal", true), [""; 0]);
        assert_eq!(lines("zero", true), [""; 0]);
        assert_eq!(lines("\n", true), [""; 0]);
        // A character that is cut in two at either end does not matter.
        let cut = ["\u{e4}".as_bytes()[1..].to_vec(), b"\none\n\xc3".to_vec()].concat();
        assert_eq!(whole_lines(&cut, true).collect::<Vec<_>>(), [b"one"]);
    }
}
