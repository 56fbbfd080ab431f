//! A cluster that runs until Ctrl-C, with the webhook in front of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use testbed::process::Process;
use testbed::wait::wait_for;
use testbed::{Testbed, install};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::print;

const EXAMPLE: &str = include_str!("up/example.yaml");

/// Which webhook to register.
pub(crate) enum Choice {
    /// The newest build in the target folder, if there is one.
    IfBuilt,
    /// This binary.
    Path(PathBuf),
    /// None.
    No,
}

pub(crate) async fn up(choice: Choice) -> Result<()> {
    let binary = match choice {
        Choice::IfBuilt => newest_build(),
        Choice::Path(path) => Some(path),
        Choice::No => None,
    };
    let bed = tokio::select! {
        bed = Testbed::builder().audit_log(true).start() => bed?,
        () = stopped() => return Ok(()),
    };
    bed.play_storage().await?;
    let example = bed.folder().join("example.yaml");
    std::fs::write(&example, EXAMPLE)?;

    // Held until the end, because dropping it stops the webhook.
    let mut webhook = None;
    if let Some(binary) = &binary {
        let started = tokio::select! {
            started = serve(&bed, binary) => started,
            () = stopped() => return Ok(()),
        };
        webhook = Some(started.with_context(|| {
            format!("could not put {} in front of the cluster", binary.display())
        })?);
    }
    print(&text(&bed, &example, binary.as_deref()));
    let ended = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some(Err(error)) = webhook.as_mut().map(Process::check) {
                return error;
            }
        }
    };
    tokio::select! {
        () = stopped() => {}
        error = ended => return Err(error),
    }
    print("stopping");
    Ok(())
}

fn text(bed: &Testbed, example: &Path, binary: Option<&Path>) -> String {
    let tools = bed.tools().kubectl.parent().map(Path::display);
    let tools = tools.map(|path| path.to_string()).unwrap_or_default();
    let helm = bed.tools().helm.parent().map(Path::display);
    let helm = helm.map(|path| path.to_string()).unwrap_or_default();
    let example = example.display();
    let webhook = match binary {
        Some(path) => format!(
            "{} is asked about every change (log: {})",
            path.display(),
            bed.folder().join("stateward.log").display()
        ),
        None => {
            "no webhook: build one with `cargo build`, or name it with --stateward PATH".to_owned()
        }
    };
    format!(
        "
the cluster is up at {url}; {webhook}

in another terminal:

  export KUBECONFIG={kubeconfig}
  export PATH={tools}:{helm}:$PATH

  kubectl apply -f {example}
  kubectl get statefulsets,pods,persistentvolumeclaims
  sed 's/storage: 1Gi/storage: 2Gi/' {example} | kubectl apply -f -   # refused until a controller runs
  kubectl delete statefulset db --cascade=orphan                      # pods stay

logs are in {folder}; Ctrl-C stops everything and removes it",
        url = bed.url(),
        kubeconfig = bed.kubeconfig().display(),
        folder = bed.folder().display(),
    )
}

/// Starts `stateward serve --dev` and has the API server ask it.
async fn serve(bed: &Testbed, binary: &Path) -> Result<Process> {
    let listen = format!("127.0.0.1:{}", testbed::free_port()?);
    let health = format!("127.0.0.1:{}", testbed::free_port()?);
    let certificates = bed.folder().join("stateward-certs");
    let kubeconfig = bed.kubeconfig();
    let arguments = [
        "serve",
        "--dev",
        "--kubeconfig",
        &kubeconfig.display().to_string(),
        "--certs-dir",
        &certificates.display().to_string(),
        "--listen",
        &listen,
        "--health-listen",
        &health,
    ];
    let arguments = arguments.map(str::to_owned);
    let log = bed.folder().join("stateward.log");
    let mut process = Process::start("stateward", binary, &arguments, &log)?;
    let waited = wait_for("the webhook", Duration::from_secs(30), async || {
        if let Err(ended) = process.check() {
            return Ok(Some(Err(ended)));
        }
        Ok(ready(&health).await?.then_some(Ok(())))
    })
    .await;
    waited.with_context(|| testbed::process::tail(&log, 25))??;

    let ca = authority(&certificates)?;
    let output = Command::new(binary)
        .arg("manifests")
        .arg("--ca")
        .arg(&ca)
        .args(["--url", &format!("https://{listen}")])
        .output()
        .await?;
    if !output.status.success() {
        bail!("`stateward manifests` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let manifests = String::from_utf8_lossy(&output.stdout);
    bed.kubectl_with("admin", &["apply", "-f", "-"], Some(&manifests)).await?.ok()?;
    Ok(process)
}

/// Asks `/readyz` in plain HTTP, for which no client library is worth its weight here.
async fn ready(address: &str) -> Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// The authority among the development certificates.
fn authority(folder: &Path) -> Result<PathBuf> {
    let names = ["ca.crt", "ca.pem"];
    let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("no {} in {}", names.join(" or "), folder.display()))
}

fn newest_build() -> Option<PathBuf> {
    let builds =
        ["debug", "release"].map(|profile| install::target().join(profile).join("stateward"));
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    builds.into_iter().filter(|path| age(path).is_some()).max_by_key(age)
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
