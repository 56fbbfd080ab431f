//! Leases: who leads, and whether a resize that is asked for would be carried out.
//!
//! A Lease is alive while it is seen to change within its duration, by the reader's own monotonic
//! clock: the clocks of two machines are never compared.

use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::{Cluster, Outcome, ReadError};
use super::json_fields::{number, text};

/// The Lease of the instance that works.
pub const LEADER: &str = "stateward-controller";
const JSON: &str = "application/json";

/// What was last seen of a Lease.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    seen: Option<(String, Instant)>,
    duration: Duration,
    changes: bool,
}

impl Watched {
    /// Takes note of the Lease as just read.
    pub fn note(&mut self, lease: &Value) {
        let version = text(lease, "/metadata/resourceVersion");
        let seconds = number(lease, "/spec/leaseDurationSeconds").unwrap_or(0);
        self.duration = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        match &self.seen {
            Some((seen, _)) if seen == version => {}
            seen => {
                self.changes = seen.is_some();
                self.seen = Some((version.to_owned(), Instant::now()));
            }
        }
    }

    /// Whether it changed within its duration. What was seen once only may have stood there for
    /// years: it counts as alive only after a change was seen.
    pub fn is_alive(&self) -> bool {
        self.changes && !self.is_over()
    }

    /// Whether it did not change for its whole duration: whoever holds it is gone.
    pub fn is_over(&self) -> bool {
        self.seen.as_ref().is_none_or(|(_, since)| since.elapsed() >= self.duration)
    }
}

/// A Lease that this process wants to hold.
pub struct Lease {
    cluster: Cluster,
    namespace: String,
    name: &'static str,
    identity: String,
    duration: Duration,
    watched: Watched,
}

impl Lease {
    /// The Lease `name` of `namespace`, held for `duration` (rounded up to a second).
    pub fn new(
        cluster: Cluster,
        namespace: &str,
        name: &'static str,
        identity: &str,
        duration: Duration,
    ) -> Self {
        Self {
            cluster,
            namespace: namespace.to_owned(),
            name,
            identity: identity.to_owned(),
            duration,
            watched: Watched::default(),
        }
    }

    /// Takes the Lease, or renews it; says whether it is held.
    ///
    /// # Errors
    /// It could not be read or written.
    pub async fn hold(&mut self) -> Result<bool, LeaseError> {
        let Some(lease) = self.cluster.get(&self.path()).await? else {
            let path = self.collection();
            return self.write(Method::POST, &path, &self.object(None)).await;
        };
        self.watched.note(&lease);
        let holder = text(&lease, "/spec/holderIdentity");
        let free = holder.is_empty()
            || holder == self.identity
            || self.watched.is_over()
            || host(holder) == host(&self.identity);
        if !free {
            return Ok(false);
        }
        let path = self.path();
        self.write(Method::PUT, &path, &self.object(Some(&lease))).await
    }

    /// Gives the Lease back, if it is held.
    pub async fn release(&self) {
        let Ok(Some(lease)) = self.cluster.get(&self.path()).await else { return };
        if text(&lease, "/spec/holderIdentity") != self.identity {
            return;
        }
        let mut object = self.object(Some(&lease));
        object["spec"]["holderIdentity"] = "".into();
        // Unreleased it runs out by itself.
        let _ = self.cluster.write(Method::PUT, &self.path(), JSON, &object).await;
    }

    async fn write(&self, method: Method, path: &str, lease: &Value) -> Result<bool, LeaseError> {
        match self.cluster.write(method, path, JSON, lease).await {
            Outcome::Committed(_) => Ok(true),
            // Somebody else was faster.
            Outcome::Rejected(refusal) if refusal.code == 409 => Ok(false),
            Outcome::Rejected(refusal) => Err(LeaseError::Write(refusal.message)),
            Outcome::Unknown(why) => Err(LeaseError::Write(why)),
        }
    }

    fn object(&self, lease: Option<&Value>) -> Value {
        let now = self.cluster.now();
        let before = lease.map(|lease| text(lease, "/spec/holderIdentity"));
        let transitions =
            lease.and_then(|lease| number(lease, "/spec/leaseTransitions")).unwrap_or(0);
        let same = before == Some(&self.identity);
        let acquired = lease.map(|lease| text(lease, "/spec/acquireTime")).filter(|_| same);
        let seconds = self.duration.as_secs() + u64::from(self.duration.subsec_nanos() > 0);
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "resourceVersion": lease.map(|lease| text(lease, "/metadata/resourceVersion")),
            },
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": seconds.max(1),
                "acquireTime": acquired.map_or_else(|| micro(now), str::to_owned),
                "renewTime": micro(now),
                "leaseTransitions": transitions + i64::from(!same && lease.is_some()),
            },
        })
    }

    fn collection(&self) -> String {
        collection(&self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.name)
    }
}

/// Why a Lease is neither held nor known to be somebody else's.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// it could not be read
    #[error(transparent)]
    Read(#[from] ReadError),
    /// it could not be written
    #[error("the Lease cannot be written: {0}")]
    Write(String),
}

/// The path of the Leases of `namespace`.
pub fn collection(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}

/// An identity: the host, then what tells processes on it apart. Whoever starts on a host again
/// need not wait for what it left there itself.
pub fn identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}_{}", std::process::id())
}

fn host(identity: &str) -> &str {
    identity.rsplit_once('_').map_or(identity, |(host, _)| host)
}

/// A time as Kubernetes' `MicroTime`.
fn micro(now: Timestamp) -> String {
    format!("{now:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_alive_while_it_is_seen_to_change() {
        let lease = |version: &str| json!({"metadata": {"resourceVersion": version}, "spec": {"leaseDurationSeconds": 10}});
        let mut watched = Watched::default();
        assert!(watched.is_over());
        watched.note(&lease("1"));
        assert!(!watched.is_alive() && !watched.is_over(), "seen once, it may be years old");
        watched.note(&lease("2"));
        assert!(watched.is_alive());
        tokio::time::advance(Duration::from_secs(9)).await;
        watched.note(&lease("2"));
        assert!(watched.is_alive());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!watched.is_alive() && watched.is_over());
    }

    #[test]
    fn a_host_is_what_stands_before_the_process() {
        assert_eq!(host("node_7_123"), "node_7");
        assert_eq!(host("x"), "x");
        assert_eq!(micro(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
    }
}
