//! The order in which a control plane comes up.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::runtime::{self, Runtime};
use tokio::sync::OnceCell;

use super::arguments::Plan;
use super::credentials::{self, Credentials};
use super::{Builder, Component, Testbed};
use crate::client::Session;
use crate::install::{self, Kubernetes, Tools};
use crate::kubelet::Kubelet;
use crate::process::{Janitor, Process};
use crate::wait::wait_for;
use crate::{nodes, say};

const TIMEOUT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

pub(super) async fn start(options: Builder) -> Result<Testbed> {
    let kubernetes = match options.kubernetes {
        Some(kubernetes) => kubernetes,
        None => Kubernetes::from_environment()?,
    };
    let tools = tokio::task::spawn_blocking(move || install::install(kubernetes)).await??;
    // A port may be taken between choosing and listening, by a test in parallel.
    for _ in 0..3 {
        match try_start(&tools, &options).await {
            Err(error) if format!("{error:#}").contains("address already in use") => {
                say("testbed: a port was taken, starting again");
            }
            other => return other,
        }
    }
    try_start(&tools, &options).await
}

async fn try_start(tools: &Tools, options: &Builder) -> Result<Testbed> {
    let keep = std::env::var_os("STATEWARD_TESTBED_KEEP").is_some_and(|value| !value.is_empty());
    let folder = tempfile::Builder::new().prefix("testbed-").disable_cleanup(keep).tempdir()?;
    if keep {
        say(&format!("testbed: keeping {}", folder.path().display()));
    }
    let janitor = if keep { None } else { Some(Janitor::start(folder.path())?) };
    let credentials = Credentials::write(folder.path(), &options.users)?;
    nodes::write_stages(folder.path())?;
    let plan = Plan::new(tools.clone(), options.clone(), folder.path())?;
    let runtime = Hidden(Some(
        runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("testbed")
            .enable_all()
            .build()?,
    ));

    let mut processes = BTreeMap::new();
    let mut etcd = plan.launch(Component::Etcd)?;
    listening(&mut etcd, plan.etcd_port()).await?;
    processes.insert(Component::Etcd, etcd);
    processes.insert(Component::ApiServer, plan.launch(Component::ApiServer)?);

    let ca = until(&mut processes, "the certificate of the API server", async || {
        Ok(credentials::authority(&plan.certificates()))
    })
    .await?;
    credentials.write_kubeconfigs(&ca, &plan.url)?;
    let config = credentials::config(&credentials.kubeconfig("admin")).await?;
    let admin = Session::new(config, runtime.handle()?)?;
    until(&mut processes, "the API server", async || {
        Ok((admin.get("/readyz").await?.status == 200).then_some(()))
    })
    .await?;
    nodes::grant(&admin, credentials::CSI).await?;

    let mut kubelet = None;
    if options.controllers {
        let node = credentials::config(&credentials.kubeconfig(credentials::NODE)).await?;
        let node = Session::new(node, runtime.handle()?)?;
        kubelet = Some(Kubelet::start(node, runtime.handle()?)?);
        for component in [Component::ControllerManager, Component::Scheduler, Component::Kwok] {
            processes.insert(component, plan.launch(component)?);
        }
        nodes::create(&admin, options.nodes).await?;
        until(&mut processes, "nodes and controllers", async || {
            nodes::ready(&admin, options.nodes).await
        })
        .await?;
    }
    Ok(Testbed {
        storage: OnceCell::new(),
        _kubelet: kubelet,
        admin,
        plan,
        credentials,
        ca,
        processes: Mutex::new(processes),
        runtime: runtime.show(),
        _janitor: janitor,
        folder,
    })
}

/// Waits for the port of a process.
pub(super) async fn listening(process: &mut Process, port: u16) -> Result<()> {
    wait_listening(process, port).await.with_context(|| process.tail())
}

async fn wait_listening(process: &mut Process, port: u16) -> Result<()> {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        process.check()?;
        if tokio::time::Instant::now() > deadline {
            bail!("nothing listens on port {port} after {TIMEOUT:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Waits for `probe`, and no longer than until a component ends.
async fn until<T, F>(
    processes: &mut BTreeMap<Component, Process>,
    description: &str,
    mut probe: F,
) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let answer = wait_for(description, TIMEOUT, async || {
        for process in processes.values_mut() {
            if let Err(ended) = process.check() {
                return Ok(Some(Err(ended)));
            }
        }
        Ok(probe().await?.map(Ok))
    })
    .await;
    match answer {
        Ok(answer) => answer,
        Err(error) => {
            let tail = |(component, process): (&Component, &Process)| {
                format!("{}:\n{}", component.name(), process.tail())
            };
            let tails: String = processes.iter().map(tail).collect();
            Err(error.context(format!("the control plane did not start\n{tails}")))
        }
    }
}

/// A runtime that may be dropped inside another one, when a start fails halfway.
struct Hidden(Option<Runtime>);

impl Hidden {
    fn handle(&self) -> Result<&runtime::Handle> {
        Ok(self.0.as_ref().context("no runtime")?.handle())
    }

    fn show(mut self) -> Option<Runtime> {
        self.0.take()
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
