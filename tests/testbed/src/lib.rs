//! A real Kubernetes control plane for the tests of stateward and for people.
//!
//! Nothing is mocked where the real thing runs: `kube-apiserver`, `kube-controller-manager`,
//! `kube-scheduler`, `etcd`, `kubectl`, `helm` and `kwok` are built from their published Go modules
//! ([`install`]) and started on loopback in a temporary folder ([`Testbed`]). Two things are
//! played, since they need machines: nodes and pods ([`nodes`], by kwok and a task of ours) and storage
//! ([`storage`], by a task of ours that does what a CSI provisioner, resizer and kubelet do). Where
//! the resizer itself is what matters, the real one runs over a played driver ([`csi`]).
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let bed = testbed::Testbed::start().await?;
//! bed.play_storage().await?;
//! bed.apply(serde_json::json!({
//!     "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"},
//! }))
//! .await?;
//! assert_eq!(bed.get("/api/v1/namespaces/shop").await?.status, 200);
//! # Ok(())
//! # }
//! ```
//!
//! | Variable | Effect |
//! | --- | --- |
//! | `STATEWARD_TESTBED=skip` | when tests are built: those that need a cluster are ignored |
//! | `STATEWARD_TESTBED_KEEP=1` | the temporary folder with all logs stays |
//! | `STATEWARD_KUBERNETES=1.36` | the version of Kubernetes that runs if a test names none; by default the newest |
//! | `KUBEBUILDER_ASSETS` | `kube-apiserver`, `etcd`, `kubectl` are taken from there |

pub mod client;
pub mod cluster;
pub mod commands;
pub mod csi;
mod files;
pub mod install;
mod kubelet;
pub mod nodes;
pub mod people;
mod ports;
pub mod process;
pub mod proxy;
pub mod storage;
pub mod wait;

use std::io::Write as _;

pub use client::{Reply, Session};
pub use cluster::{Builder, Component, Testbed};
pub use commands::Output;
pub use install::{Kubernetes, Tools};
pub use ports::free_port;
pub use storage::Storage;

/// Writes a line to the real standard error, past the capture of the test harness.
pub(crate) fn say(line: &str) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}
