//! The controllers beside ours, as tasks. They act in small steps with pauses between, each from
//! what it has read, which may be old by then.

pub(crate) mod garbage;
pub(crate) mod housekeeping;
pub(crate) mod sets;
pub(crate) mod storage;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::server::Server;

/// How fast controllers work, and whether they do.
#[derive(Clone)]
pub(crate) struct Pace {
    rng: Arc<Mutex<Rng>>,
    moods: Arc<Moods>,
}

#[derive(Debug, Default)]
pub(crate) struct Moods {
    /// the controller manager is down
    pub down: AtomicBool,
    /// it works by seconds instead of milliseconds
    pub slow: AtomicBool,
}

impl Pace {
    pub(crate) fn new(rng: Rng, moods: Arc<Moods>) -> Self {
        Self { rng: Arc::new(Mutex::new(rng)), moods }
    }

    fn draw(&self, most: u64) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let factor = if self.moods.slow.load(Ordering::Relaxed) { 40 } else { 1 };
        Duration::from_millis(rng.u64(1..=most * factor))
    }

    /// A pause between two steps.
    pub(crate) async fn rest(&self) {
        sleep(self.draw(30)).await;
        while self.moods.down.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(700)).await;
        }
    }
}

/// Lets `step` act until it has nothing to do, and again whenever something changes.
pub(crate) async fn act(server: Server, pace: Pace, mut step: impl FnMut(&Server, &Pace) -> bool) {
    loop {
        let changed = server.changed();
        pace.rest().await;
        if !step(&server, &pace) {
            // Some steps wait for the time.
            let _ = timeout(Duration::from_secs(20), changed).await;
        }
    }
}

/// The text at `pointer`.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at `pointer`.
pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn name(value: &Value) -> &str {
    text(value, "/metadata/name")
}

pub(crate) fn uid(value: &Value) -> &str {
    text(value, "/metadata/uid")
}

pub(crate) fn is_going(value: &Value) -> bool {
    !text(value, "/metadata/deletionTimestamp").is_empty()
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    list(pod, "/status/conditions")
        .iter()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The UID of the owner that controls the object.
pub(crate) fn controller(object: &Value) -> Option<&str> {
    let owners = list(object, "/metadata/ownerReferences");
    owners.iter().find(|owner| owner["controller"] == true).map(|owner| text(owner, "/uid"))
}

/// The claims that a pod mounts.
pub(crate) fn mounts(pod: &Value) -> impl Iterator<Item = &str> {
    let claims = list(pod, "/spec/volumes").iter();
    claims.map(|volume| text(volume, "/persistentVolumeClaim/claimName"))
}

/// Labels as a map, for comparing.
pub(crate) fn labels(value: &Value) -> BTreeMap<&str, &str> {
    let map = value.as_object().into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}
