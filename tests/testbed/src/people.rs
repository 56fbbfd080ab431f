//! What people and their tools keep doing to a set, again and again, until told to stop.
//!
//! Each is a [`Loop`] in the background. None of them cares whether its turn succeeds: it does what
//! such a tool does, and tries again at the next.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::client::{Session, path_of};
use crate::cluster::Testbed;
use crate::commands::{self, Output};

/// What runs until [`stop`](Self::stop); it ends at once when it is dropped.
#[derive(Debug)]
pub struct Loop {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stops: AtomicBool,
    wake: Notify,
    // What each turn came to: nothing, or why it failed.
    turns: Mutex<Vec<Option<String>>>,
}

impl Loop {
    /// Runs `turn` with its number, counted from 0, with this pause in between.
    fn start<F, T>(testbed: &Testbed, pause: Duration, mut turn: F) -> Result<Self>
    where
        F: FnMut(usize) -> T + Send + 'static,
        T: Future<Output = Result<()>> + Send,
    {
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        let task = testbed.runtime()?.spawn(async move {
            for number in 0.. {
                if mine.stops.load(Ordering::SeqCst) {
                    return;
                }
                let failed = turn(number).await.err().map(|error| format!("{error:#}"));
                mine.turns.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
                let _ = tokio::time::timeout(pause, mine.wake.notified()).await;
            }
        });
        Ok(Self { shared, task: Some(task) })
    }

    /// How many turns have ended.
    pub fn turns(&self) -> usize {
        self.shared.turns.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Lets the turn that is under way end, and gives why turns failed.
    pub async fn stop(mut self) -> Vec<String> {
        self.shared.stops.store(true, Ordering::SeqCst);
        self.shared.wake.notify_one();
        if let Some(task) = self.task.take() {
            // Nothing in it panics, and nobody aborts it.
            let _ = task.await;
        }
        let turns = self.shared.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.iter().flatten().cloned().collect()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// How a tool applies a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// `kubectl apply`, as Argo CD does by default.
    ClientSide,
    /// `kubectl apply --server-side --force-conflicts` as a manager of its own, as Flux does.
    ServerSide,
}

impl Testbed {
    /// Applies an object again and again, as Argo CD and Flux do.
    pub fn applies(&self, object: &Value, how: Apply, pause: Duration) -> Result<Loop> {
        let hands = Hands::new(self);
        let manifest = object.to_string();
        let arguments: &[&str] = match how {
            Apply::ClientSide => &["apply", "-f", "-"],
            Apply::ServerSide => &[
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=gitops",
                "-f",
                "-",
            ],
        };
        Loop::start(self, pause, move |_| {
            let (hands, manifest) = (hands.clone(), manifest.clone());
            async move { hands.kubectl(arguments, Some(&manifest)).await?.ok().map(drop) }
        })
    }

    /// Runs helm with each of these arguments in turn, beginning anew after the last.
    pub fn helms(&self, turns: Vec<Vec<String>>, pause: Duration) -> Result<Loop> {
        if turns.is_empty() {
            bail!("helm needs something to do");
        }
        let hands = Hands::new(self);
        Loop::start(self, pause, move |number| {
            let (hands, arguments) = (hands.clone(), turns[number % turns.len()].clone());
            async move { hands.helm(&arguments).await?.ok().map(drop) }
        })
    }

    /// Deletes a set whose claim templates are not those of `object`, with its pods where
    /// `foreground`, and creates it anew, as prometheus-operator does when an update is refused.
    pub fn recreates(&self, object: &Value, foreground: bool, pause: Duration) -> Result<Loop> {
        let path = path_of(object)?;
        let (collection, _) = path.rsplit_once('/').context("a path without a name")?;
        let (admin, path, collection) = (self.admin().clone(), path.clone(), collection.to_owned());
        let object = object.clone();
        Loop::start(self, pause, move |_| {
            let (admin, object) = (admin.clone(), object.clone());
            let (path, collection) = (path.clone(), collection.clone());
            async move { recreate(&admin, &path, &collection, object, foreground).await }
        })
    }

    /// Raises the smallest claim of a namespace by `step` bytes each turn, as long as its size is
    /// below `limit` bytes: what an autoresizer does for a volume that is nearly full.
    pub fn autoresizes(
        &self,
        namespace: &str,
        step: u128,
        limit: u128,
        pause: Duration,
    ) -> Result<Loop> {
        let admin = self.admin().clone();
        let claims = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims");
        Loop::start(self, pause, move |_| {
            let (admin, claims) = (admin.clone(), claims.clone());
            async move { autoresize(&admin, &claims, step, limit).await }
        })
    }

    /// Deletes what is at `path` and orphans what it owns, whenever it is there.
    pub fn orphans(&self, path: &str, pause: Duration) -> Result<Loop> {
        let (admin, path) = (self.admin().clone(), path.to_owned());
        Loop::start(self, pause, move |_| {
            let (admin, path) = (admin.clone(), path.clone());
            async move {
                let reply = admin.delete(&path, json!({"propagationPolicy": "Orphan"})).await?;
                if reply.status == 404 { Ok(()) } else { reply.ok().map(drop) }
            }
        })
    }
}

async fn recreate(
    admin: &Session,
    path: &str,
    collection: &str,
    object: Value,
    foreground: bool,
) -> Result<()> {
    const STORAGE: &str = "/spec/volumeClaimTemplates/0/spec/resources/requests/storage";
    let live = admin.get(path).await?;
    if live.status == 200 && live.body.pointer(STORAGE) != object.pointer(STORAGE) {
        let policy = if foreground { "Foreground" } else { "Orphan" };
        admin.delete(path, json!({"propagationPolicy": policy})).await?.ok()?;
    }
    let live = admin.get(path).await?;
    if live.status == 404 {
        admin.create(collection, object).await?.ok()?;
    }
    Ok(())
}

async fn autoresize(admin: &Session, claims: &str, step: u128, limit: u128) -> Result<()> {
    let list = admin.get(claims).await?.ok()?;
    let claims_of = list["items"].as_array().context("a list without items")?.iter();
    let sizes = claims_of.filter_map(|claim| {
        let request = claim["spec"]["resources"]["requests"]["storage"].as_str()?;
        Some((crate::storage::bytes(request)?, &claim["metadata"]))
    });
    let Some((size, metadata)) = sizes.min_by_key(|(size, _)| *size) else { return Ok(()) };
    if size >= limit {
        return Ok(());
    }
    let name = metadata["name"].as_str().context("a claim without a name")?;
    // Without the version, a size raised meanwhile would be lowered, which the API server lets
    // through until the capacity has followed.
    let patch = json!({
        "metadata": {"resourceVersion": metadata["resourceVersion"]},
        "spec": {"resources": {"requests": {"storage": (size + step).to_string()}}},
    });
    let reply = admin.merge(&format!("{claims}/{name}"), patch).await?;
    if reply.status == 409 { Ok(()) } else { reply.ok().map(drop) }
}

/// What a tool needs to run on after the call that started it.
#[derive(Debug, Clone)]
struct Hands {
    kubectl: std::path::PathBuf,
    helm: std::path::PathBuf,
    home: std::path::PathBuf,
    kubeconfig: std::path::PathBuf,
}

impl Hands {
    fn new(testbed: &Testbed) -> Self {
        Self {
            kubectl: testbed.tools().kubectl.clone(),
            helm: testbed.tools().helm.clone(),
            home: testbed.folder().to_owned(),
            kubeconfig: testbed.kubeconfig(),
        }
    }

    async fn kubectl(&self, arguments: &[&str], stdin: Option<&str>) -> Result<Output> {
        self.run(&self.kubectl, arguments, stdin).await
    }

    async fn helm(&self, arguments: &[String]) -> Result<Output> {
        self.run(&self.helm, arguments, None).await
    }

    async fn run<S: AsRef<str>>(
        &self,
        program: &Path,
        arguments: &[S],
        stdin: Option<&str>,
    ) -> Result<Output> {
        commands::run(program, &self.home, &self.kubeconfig, arguments, stdin).await
    }
}
