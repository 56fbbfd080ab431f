//! The real external-resizer, in front of a CSI driver that is played.
//!
//! The driver speaks CSI over a socket and does only what a resizer asks for. Volumes are provisioned
//! and the node's step is played by [`storage`](crate::storage), as for every class of the testbed.

mod driver;
mod server;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::client::Session;
use crate::process::Process;
use crate::storage::PROVISIONER;
use crate::wait::wait_for;

/// How a played CSI driver answers `ControllerExpandVolume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Grows at once; the file system grows on the node.
    Online,
    /// Grows at once and needs no node.
    Controller,
    /// `FAILED_PRECONDITION` while a pod uses the volume.
    Offline,
    /// `OUT_OF_RANGE` above 15Gi.
    Infeasible,
    /// Like [`Driver::Online`], three seconds later.
    Slow,
    /// Rounds up to whole GiB.
    Rounding,
}

impl Driver {
    /// The name in the class, the driver and the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Controller => "controller",
            Self::Offline => "offline",
            Self::Infeasible => "infeasible",
            Self::Slow => "slow",
            Self::Rounding => "rounding",
        }
    }
}

/// One call of `ControllerExpandVolume`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The volume's handle, which is also the name of the `PersistentVolume`.
    pub volume: String,
    /// The bytes asked for.
    pub required: i64,
    /// The gRPC status of the answer; 0 is success.
    pub code: u8,
}

type Calls = Arc<Mutex<Vec<Call>>>;

/// A running resizer with its driver; both end with it.
#[derive(Debug)]
pub struct Resizer {
    class: String,
    calls: Calls,
    process: Process,
    server: JoinHandle<()>,
}

impl Resizer {
    pub(crate) async fn start(
        driver: Driver,
        place: Place,
        admin: &Session,
        csi: &Session,
        runtime: &Handle,
    ) -> Result<Self> {
        let program = tokio::task::spawn_blocking(crate::install::install_resizer).await??;
        let name = driver.name();
        let provisioner = format!("{name}.{PROVISIONER}");
        let class = format!("csi-{name}");
        for object in objects(&provisioner, &class) {
            admin.apply(object).await?;
        }
        let socket = place.folder.join(format!("{class}.sock"));
        let listener = {
            let _guard = runtime.enter();
            UnixListener::bind(&socket)
                .with_context(|| format!("could not listen on {}", socket.display()))?
        };
        let calls = Calls::default();
        let player = driver::Player {
            driver,
            name: provisioner,
            csi: csi.clone(),
            calls: Arc::clone(&calls),
        };
        let server = runtime.spawn(server::serve(listener, Arc::new(player)));
        let arguments = [
            format!("--csi-address={}", socket.display()),
            format!("--kubeconfig={}", place.kubeconfig.display()),
            // Between failures it waits from one second to five minutes; a test has no such time.
            "--retry-interval-start=200ms".to_owned(),
            "--retry-interval-max=2s".to_owned(),
            "--v=4".to_owned(),
        ];
        let log = place.folder.join(format!("{class}.log"));
        let mut process = Process::start("csi-resizer", &program, &arguments, &log)?;
        wait_for("the resizer", Duration::from_secs(30), async || {
            if let Err(ended) = process.check() {
                return Ok(Some(Err(ended)));
            }
            let started = std::fs::read_to_string(&log)?.contains("Starting external resizer");
            Ok(started.then_some(Ok(())))
        })
        .await??;
        Ok(Self { class, calls, process, server })
    }

    /// The `StorageClass` whose claims this resizer grows; it waits for the first pod.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// What the driver was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last lines that the resizer has logged.
    pub fn log_tail(&self) -> String {
        self.process.tail()
    }
}

impl Drop for Resizer {
    fn drop(&mut self) {
        self.process.stop();
        self.server.abort();
    }
}

/// Where a resizer keeps its socket and log, and in whose name it works.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

fn objects(provisioner: &str, class: &str) -> [serde_json::Value; 2] {
    [
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": provisioner},
            "spec": {"attachRequired": false, "podInfoOnMount": false},
        }),
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": class},
            "provisioner": provisioner,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowVolumeExpansion": true,
        }),
    ]
}
