//! Leases that this process holds: who leads, and that resizes are carried out.

use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::json_fields::{number, text};
use crate::cluster::lease::{LeaseLiveness, LeaseRead, leases};
use crate::cluster::{Client, ReadError, WriteOutcome};

/// The Lease of the instance that works.
pub const LEADER: &str = "stateward-controller";
const JSON: &str = "application/json";

/// A Lease that this process wants to hold.
pub struct Lease {
    client: Client,
    namespace: String,
    name: &'static str,
    identity: String,
    duration: Duration,
    liveness: LeaseLiveness,
}

impl Lease {
    /// The Lease `name` of `namespace`, held for `duration` (rounded up to a second).
    pub fn new(
        client: Client,
        namespace: &str,
        name: &'static str,
        identity: &str,
        duration: Duration,
    ) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name,
            identity: identity.to_owned(),
            duration,
            liveness: LeaseLiveness::default(),
        }
    }

    /// Takes the Lease, or renews it; says whether it is held.
    ///
    /// # Errors
    /// It could not be read or written.
    pub async fn hold(&mut self) -> Result<bool, LeaseError> {
        let Some(lease) = self.client.read(&self.path()).await? else {
            let path = self.collection();
            return self.write(Method::POST, &path, &self.object(None)).await;
        };
        let read = serde_json::from_value(lease.clone())
            .map_err(|why| ReadError::Decode { path: self.path(), why: why.to_string() })?;
        let now = Instant::now();
        self.liveness.observe(LeaseRead::new(&read), now);
        let holder = text(&lease, "/spec/holderIdentity");
        let free = holder.is_empty()
            || holder == self.identity
            || self.liveness.is_expired(now)
            || host(holder) == host(&self.identity);
        if !free {
            return Ok(false);
        }
        let path = self.path();
        self.write(Method::PUT, &path, &self.object(Some(&lease))).await
    }

    /// Gives the Lease back, if it is held.
    pub async fn release(&self) {
        let Ok(Some(lease)) = self.client.read(&self.path()).await else { return };
        if text(&lease, "/spec/holderIdentity") != self.identity {
            return;
        }
        let mut object = self.object(Some(&lease));
        object["spec"]["holderIdentity"] = "".into();
        // Unreleased it runs out by itself.
        let _ = self.client.write(Method::PUT, &self.path(), JSON, &object).await;
    }

    async fn write(&self, method: Method, path: &str, lease: &Value) -> Result<bool, LeaseError> {
        match self.client.write(method, path, JSON, lease).await {
            WriteOutcome::Committed(_) => Ok(true),
            // Somebody else was faster.
            WriteOutcome::Rejected(refusal) if refusal.code == 409 => Ok(false),
            WriteOutcome::Rejected(refusal) => Err(LeaseError::Write(refusal.message)),
            WriteOutcome::Unknown(why) => Err(LeaseError::Write(why)),
        }
    }

    fn object(&self, lease: Option<&Value>) -> Value {
        let now = self.client.now();
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
                "leaseTransitions": transitions.saturating_add(i64::from(!same && lease.is_some())),
            },
        })
    }

    fn collection(&self) -> String {
        leases(&self.namespace)
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

    #[test]
    fn a_host_is_what_stands_before_the_process() {
        assert_eq!(host("node_7_123"), "node_7");
        assert_eq!(host("x"), "x");
        assert_eq!(micro(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
    }
}
