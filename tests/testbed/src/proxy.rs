//! A proxy between one process and the API server, which loses, hides and delays on request.
//!
//! ```no_run
//! # async fn example(bed: &testbed::Testbed) -> anyhow::Result<()> {
//! use testbed::proxy::{Fault, Request};
//! let proxy = bed.proxy().await?;
//! let kubeconfig = proxy.kubeconfig(&bed.kubeconfig())?; // for the process under test
//! let lost = proxy.on(Request::is_write).nth(3).fault(Fault::After);
//! // … the process works …
//! assert_eq!(lost.hits(), 1);
//! let writes = proxy.exchanges().iter().filter(|one| one.request.is_write()).count();
//! # let _ = (kubeconfig, writes);
//! # Ok(())
//! # }
//! ```

mod fault;
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
pub use fault::{Armed, Fault, On};
use fault::{Held, Rule};
use kube::Config;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A request as it reached the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query, empty where there is none.
    pub query: String,
    /// The body as it was sent.
    pub body: Bytes,
}

impl Request {
    /// Whether it may change something; a dry run does not.
    pub fn is_write(&self) -> bool {
        let reads = matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        // DELETE has its options in the body.
        let dry = self.query.contains("dryRun=")
            || (self.method == "DELETE" && !self.json()["dryRun"].is_null());
        !reads && !dry
    }

    /// Whether it is a watch.
    pub fn is_watch(&self) -> bool {
        self.query.split('&').any(|part| matches!(part, "watch=true" | "watch=1"))
    }

    /// The body as JSON, null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A hash of the body, the same from run to run.
    pub fn hash(&self) -> u64 {
        crate::install::fnv1a(&[&self.body])
    }
}

/// A request and what became of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The request.
    pub request: Request,
    /// The status that the API server gave; none where it was not asked, or has not answered yet.
    pub committed: Option<u16>,
    /// The status that the process was given; none where the connection was cut.
    pub answered: Option<u16>,
}

/// A running proxy; it ends when it is dropped, and with it every connection.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    authority: PathBuf,
    folder: PathBuf,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// What connections and the owner of the proxy both look at.
#[derive(Debug)]
struct Shared {
    upstream: http::Uri,
    rules: Mutex<Vec<Arc<Rule>>>,
    held: Mutex<Vec<Held>>,
    // Tells those who hold events back to look again.
    released: watch::Sender<u64>,
    log: Mutex<Vec<Exchange>>,
}

impl Proxy {
    pub(crate) async fn start(config: &Config, folder: &Path, runtime: &Handle) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        // The runtime that will serve must own the socket.
        let listener = listener.into_std()?;
        let (tls, pem) = server::certificate()?;
        let authority = folder.join(format!("proxy-{port}.pem"));
        std::fs::write(&authority, pem)?;
        let shared = Arc::new(Shared {
            upstream: config.cluster_url.clone(),
            rules: Mutex::default(),
            held: Mutex::default(),
            released: watch::Sender::new(0),
            log: Mutex::default(),
        });
        let _guard = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let task = runtime.spawn(server::serve(listener, tls, config.clone(), Arc::clone(&shared)));
        let url = format!("https://127.0.0.1:{port}");
        Ok(Self { url, authority, folder: folder.to_owned(), shared, task })
    }

    /// The address, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same credentials through the proxy, as a kubeconfig of its own.
    pub fn kubeconfig(&self, direct: &Path) -> Result<PathBuf> {
        let text = std::fs::read_to_string(direct)
            .with_context(|| format!("could not read {}", direct.display()))?;
        // The testbed writes its kubeconfigs as JSON.
        let mut config: Value = serde_json::from_str(&text)?;
        let cluster = &mut config["clusters"][0]["cluster"];
        cluster["server"] = self.url.clone().into();
        cluster["certificate-authority"] = self.authority.display().to_string().into();
        let port = self.url.rsplit(':').next().unwrap_or_default();
        let name = direct.file_name().context("a kubeconfig without a name")?.to_string_lossy();
        let path = self.folder.join(format!("proxy-{port}.{name}"));
        crate::files::write_secret(&path, &config.to_string())?;
        Ok(path)
    }

    /// The requests to which a fault is to happen.
    pub fn on(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> On {
        On::new(Arc::clone(&self.shared), matches)
    }

    /// Holds events of matching watches back, for `delay` each, or until [`release`](Self::release).
    pub fn hold(
        &self,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
        delay: Option<Duration>,
    ) {
        lock(&self.shared.held).push(Held { matches: Box::new(matches), delay, before: None });
    }

    /// Holds back the events of all watches that are open now, as a connection does that died
    /// without a word. Watches that begin later speak.
    pub fn silence(&self) {
        let before = Some(Instant::now());
        lock(&self.shared.held).push(Held { matches: Box::new(|_| true), delay: None, before });
    }

    /// Lets all events go, and holds none back any more.
    pub fn release(&self) {
        lock(&self.shared.held).clear();
        self.shared.released.send_modify(|count| *count += 1);
    }

    /// Takes all faults back.
    pub fn disarm(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Every request so far, in the order of arrival.
    pub fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.shared.log).clone()
    }

    /// Forgets every request so far, when none is under way.
    pub fn forget(&self) {
        lock(&self.shared.log).clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
