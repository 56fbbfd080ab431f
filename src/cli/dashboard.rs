//! `stateward dashboard`: the page of an audit, always current, for a browser on this machine.

mod server;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::body::Bytes;
use stateward_check::audit::audit;
use stateward_core::facts::Facts;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Outcome;
use super::connection::Connection;
use super::serve::duration;
use crate::cluster::Client;
use crate::http_server::{HealthPort, Shutdown};

/// Arguments of `stateward dashboard`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  stateward dashboard\n  stateward dashboard -n shop --listen 127.0.0.1:8080"
)]
pub struct Args {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Look at this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Show facts from files instead of a cluster; the files are read again as a cluster would be. Repeatable
    #[arg(long, value_name = "PATH", conflicts_with_all = ["namespace", "kubeconfig", "context"])]
    pub facts: Vec<PathBuf>,
    /// Loopback address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub listen: SocketAddr,
    /// How often to read the cluster again while the page is open
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub interval: Duration,
}

/// The page has no login, so nobody else may reach it.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "it has to be an address with a port".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("the dashboard has no login, so it listens on loopback only: 127.0.0.1 or [::1]. To reach it \
         from elsewhere, forward the port with ssh -L"
        .to_owned())
}

/// Serves until it is interrupted.
///
/// # Errors
/// No cluster, or an address that is taken.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    super::runtime()?.block_on(async {
        let source = Source::open(args).await?;
        let port = HealthPort::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        super::print(&format!("http://{}/ until Ctrl-C\n", port.local_addr()))?;
        // Requests beyond this many wait to be put in the queue.
        let (asks, asked) = mpsc::channel(16);
        let end = Shutdown::new();
        tokio::select! {
            () = port.serve_router(server::router(asks, args.interval), end) => {}
            () = answer(source, asked, args.interval) => {}
            interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot receive signals")?,
        }
        Ok(Outcome::Clean)
    })
}

/// The audit as JSON, or why there is none.
type Audited = Result<Bytes, String>;
/// Somebody who waits for it.
type Ask = oneshot::Sender<Audited>;

/// Reads the facts one time after another, however many ask, and not again before `interval` has passed.
async fn answer(source: Source, mut asked: mpsc::Receiver<Ask>, interval: Duration) {
    let mut last: Option<(Instant, Audited)> = None;
    while let Some(ask) = asked.recv().await {
        // Who has closed the page waits no longer.
        if ask.is_closed() {
            continue;
        }
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= interval) {
            let audited = source.audit().await.map_err(|error| format!("{error:#}"));
            last = Some((Instant::now(), audited));
        }
        let Some((_, audited)) = &last else { return };
        let _ = ask.send(audited.clone());
    }
}

/// Where facts come from.
enum Source {
    Cluster { client: Client, namespace: Option<String> },
    Files(Vec<PathBuf>),
}

impl Source {
    async fn open(args: &Args) -> anyhow::Result<Self> {
        if !args.facts.is_empty() {
            if args.facts.iter().any(|path| path.as_os_str() == "-") {
                bail!("standard input can be read only once; name a file");
            }
            return Ok(Self::Files(args.facts.clone()));
        }
        let client = args.connection.open().await?;
        client.version().await.context("cannot read the cluster")?;
        Ok(Self::Cluster { client, namespace: args.namespace.clone() })
    }

    async fn audit(&self) -> anyhow::Result<Bytes> {
        match self {
            Self::Cluster { client, namespace } => {
                // Without an answer to this, every kind would be unknown for the same reason.
                client.version().await.context("cannot read the cluster")?;
                let facts = client.survey(namespace.as_deref(), &BTreeSet::new()).await.facts;
                let namespace = namespace.clone();
                tokio::task::spawn_blocking(move || audited(&facts, namespace)).await?
            }
            Self::Files(paths) => {
                let paths = paths.clone();
                let read = move || audited(&super::facts::read(&paths)?, None);
                tokio::task::spawn_blocking(read).await?
            }
        }
    }
}

fn audited(facts: &Facts, namespace: Option<String>) -> anyhow::Result<Bytes> {
    let mut found = audit(facts);
    found.namespace = namespace;
    Ok(serde_json::to_vec(&found)?.into())
}
