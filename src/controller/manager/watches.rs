//! What wakes a set's task: changes of its record, of itself, of its pods and claims.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Resource;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use stateward_core::annotations::RESIZE_REQUESTED;
use stateward_core::object::json::null_default;
use stateward_core::object::names::{claim_parts, is_pod_of};
use stateward_core::record::FINALIZER;
use tokio::time::Instant;

use super::{RecordSummary, Shared};
use crate::cluster::Extent;
use crate::cluster::watch::{Failure, Seen, Watched, Watcher};
use crate::controller::Key;
use crate::controller::reconcile::LastSeen;

/// The metadata that is read of a record or set. Times stay text: a tenant may store one that no
/// decoder of times can read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    generation: i64,
    #[serde(deserialize_with = "null_default")]
    annotations: Map<String, Value>,
    #[serde(deserialize_with = "null_default")]
    finalizers: Vec<String>,
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(deserialize_with = "null_default")]
    managed_fields: Vec<Writer>,
}

/// An entry of `managedFields`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Writer {
    manager: String,
    subresource: String,
    /// the API server writes all times in one form, in which their order is that of the text
    time: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    metadata: Metadata,
}

/// An event's record, reduced.
pub(super) struct SeenRecord {
    key: Key,
    summary: RecordSummary,
    touched: bool,
}

impl SeenRecord {
    /// A record that cannot be read still wakes the task of its set.
    pub(super) fn read(record: &RawValue) -> Option<Self> {
        let key = key(record)?;
        let object: Value = serde_json::from_str(record.get()).unwrap_or_default();
        let Object { metadata } = serde_json::from_str(record.get()).unwrap_or_default();
        let touched = metadata.finalizers.iter().any(|name| name == FINALIZER);
        Some(Self { key, summary: RecordSummary::of(&object), touched })
    }
}

/// An event's set, reduced.
struct SeenSet {
    key: Key,
    requested: bool,
    /// what is remembered if it is being deleted
    deleting: Option<LastSeen>,
}

impl SeenSet {
    fn read(set: &RawValue) -> Option<Self> {
        let key = key(set)?;
        let Object { metadata } = serde_json::from_str(set.get()).unwrap_or_default();
        Some(Self {
            key,
            requested: metadata.annotations.contains_key(RESIZE_REQUESTED),
            deleting: metadata.deletion_timestamp.is_some().then(|| last_seen(metadata)),
        })
    }
}

impl Shared {
    fn watcher<R>(
        &self,
        path: String,
        extent: Extent,
        read: fn(&RawValue) -> Option<R>,
    ) -> Watcher<R> {
        let seconds = self.intervals.watch.as_secs().clamp(1, 290);
        let seconds = u32::try_from(seconds).unwrap_or(290);
        let watched = Watched { path, extent, seconds };
        Watcher::new(self.cluster.client.clone(), watched, read)
    }

    pub(super) async fn watch_records(self: Arc<Self>) {
        let path = DynamicObject::url_path(&crate::cluster::record_resource(), None);
        let mut watcher = self.watcher(path, Extent::Whole, SeenRecord::read);
        let mut complaint = Complaint::default();
        loop {
            match watcher.next().await {
                Seen::All(records) => {
                    // What a new list does not name is gone, and nobody told of it.
                    let mut unlisted: BTreeSet<Key> =
                        self.state().records.keys().cloned().collect();
                    for record in records {
                        unlisted.remove(&record.key);
                        self.record_applied(record);
                    }
                    for key in unlisted {
                        self.record_gone(&key);
                        self.wake(&key);
                    }
                }
                Seen::Applied(record) => self.record_applied(record),
                Seen::Deleted(SeenRecord { key, .. }) => {
                    self.record_gone(&key);
                    self.wake(&key);
                }
                Seen::Lost(failure) => complaint.tell(&failure, "StatefulSetResize"),
            }
        }
    }

    fn record_applied(self: &Arc<Self>, record: SeenRecord) {
        let key = record.key.clone();
        self.record_seen(record);
        self.wake(&key);
    }

    /// Whose set is touched is told by the record's finalizer, also of sets that another instance
    /// has touched.
    pub(super) fn record_seen(self: &Arc<Self>, record: SeenRecord) {
        let SeenRecord { key, summary, touched } = record;
        let mut state = self.state();
        state.records.insert(key.clone(), summary);
        if touched {
            state.touched.note(&key);
        } else if !state.tasks.contains_key(&key) {
            let released = state.touched.release(&key);
            drop(state);
            self.wake_waiting_if(released);
        }
    }

    pub(super) fn record_gone(self: &Arc<Self>, key: &Key) {
        let mut state = self.state();
        state.records.remove(key);
        state.seen.remove(key);
        let released = state.touched.release(key);
        drop(state);
        self.wake_waiting_if(released);
    }

    pub(super) async fn watch_sets(self: Arc<Self>) {
        let path = StatefulSet::url_path(&(), None);
        let mut watcher = self.watcher(path, Extent::Metadata, SeenSet::read);
        let mut complaint = Complaint::default();
        loop {
            for set in touched(watcher.next().await, &mut complaint, "sets") {
                self.set_seen(set);
            }
        }
    }

    fn set_seen(self: &Arc<Self>, set: SeenSet) {
        let SeenSet { key, requested, deleting } = set;
        let known = {
            let mut state = self.state();
            if requested && deleting.is_none() {
                state.requests.entry(key.clone()).or_insert_with(Instant::now);
            } else {
                state.requests.remove(&key);
            }
            let known = state.records.contains_key(&key);
            if let Some(seen) = deleting.filter(|_| known) {
                state.seen.insert(key.clone(), seen);
            }
            known
        };
        if requested || known {
            self.wake(&key);
        }
    }

    /// Pods and claims wake the set that their names say.
    pub(super) async fn watch_parts<K: Resource<DynamicType = ()>>(self: Arc<Self>) {
        let kind = K::kind(&());
        let mut watcher = self.watcher(K::url_path(&(), None), Extent::Metadata, key);
        let mut complaint = Complaint::default();
        loop {
            for part in touched(watcher.next().await, &mut complaint, &kind) {
                for set in &self.sets_of(&part) {
                    self.wake(set);
                }
            }
        }
    }

    /// The sets to wake for a pod or a claim: those with a task, and those whose claims still grow after
    /// their resize is complete. Their tasks have ended, and the record has to count what grows.
    pub(super) fn sets_of(&self, part: &Key) -> BTreeSet<Key> {
        let state = self.state();
        let unfinished = state.records.iter().filter(|(_, known)| known.grows_later());
        let sets = state.tasks.keys().chain(unfinished.map(|(key, _)| key));
        sets.filter(|set| belongs(part, set)).cloned().collect()
    }
}

/// The objects that were listed, or changed, or are gone.
fn touched<R>(seen: Seen<R>, complaint: &mut Complaint, kind: &str) -> Vec<R> {
    match seen {
        Seen::All(objects) => objects,
        Seen::Applied(object) | Seen::Deleted(object) => vec![object],
        Seen::Lost(failure) => {
            complaint.tell(&failure, kind);
            Vec::new()
        }
    }
}

/// The same failure of a watch is told once in this time; a watch is retried every few seconds.
const TOLD_EVERY: Duration = Duration::from_secs(300);

/// Tells why a watch fails.
#[derive(Default)]
struct Complaint {
    told: Option<(String, Instant)>,
}

impl Complaint {
    fn tell(&mut self, failure: &Failure, kind: &str) {
        let Failure { why, not_served } = failure;
        if let Some((error, advice)) = self.news(why, *not_served, Instant::now()) {
            tracing::warn!(error, kind, advice, "changes cannot be watched");
        }
    }

    /// What is to be told now, if anything.
    fn news(
        &mut self,
        why: &str,
        not_served: bool,
        now: Instant,
    ) -> Option<(String, &'static str)> {
        let recent = self
            .told
            .as_ref()
            .is_some_and(|(told, at)| told == why && now.duration_since(*at) < TOLD_EVERY);
        if recent {
            return None;
        }
        self.told = Some((why.to_owned(), now));
        let advice = "install what resizes need: stateward manifests --crds | kubectl apply \
                      --server-side -f -";
        Some((why.to_owned(), if not_served { advice } else { "" }))
    }
}

/// What is remembered of a set that goes.
fn last_seen(metadata: Metadata) -> LastSeen {
    let own = metadata.managed_fields.into_iter().filter(|entry| entry.subresource.is_empty());
    let last = own.max_by(|one, other| one.time.cmp(&other.time));
    LastSeen {
        uid: metadata.uid,
        generation: metadata.generation,
        manager: last.map(|entry| entry.manager).unwrap_or_default(),
    }
}

/// Every stored object of a namespace has both; one without is left out.
fn key(object: &RawValue) -> Option<Key> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Names,
    }
    #[derive(Deserialize)]
    struct Names {
        namespace: String,
        name: String,
    }
    let Named { metadata: Names { namespace, name } } = serde_json::from_str(object.get()).ok()?;
    Some(Key { namespace, name })
}

/// Whether a pod or claim is one of the set's, by its name.
fn belongs(part: &Key, set: &Key) -> bool {
    part.namespace == set.namespace
        && (is_pod_of(&part.name, &set.name) || claim_parts(&part.name, &set.name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_is_told_once_in_five_minutes() {
        let (mut complaint, start) = (Complaint::default(), Instant::now());
        let mut told = |why: &str, seconds| {
            complaint.news(why, true, start + Duration::from_secs(seconds)).is_some()
        };
        assert!(told("a", 0));
        assert!(!told("a", 1) && !told("a", 299));
        assert!(told("b", 299), "another failure is news");
        assert!(told("b", 600));
        let (_, advice) = Complaint::default().news("a", true, start).unwrap();
        assert!(advice.contains("manifests --crds"));
        assert_eq!(Complaint::default().news("a", false, start).unwrap().1, "");
    }

    #[test]
    fn pods_and_claims_belong_to_the_set_that_gives_them_their_names() {
        let key = |name: &str| Key { namespace: "prod".to_owned(), name: name.to_owned() };
        assert!(belongs(&key("db-0"), &key("db")));
        assert!(belongs(&key("data-db-12"), &key("db")));
        assert!(!belongs(&key("data-mydb-0"), &key("db")));
        for name in ["db-x", "db-", "db-01", "-db-0"] {
            assert!(!belongs(&key(name), &key("db")), "{name}");
        }
        assert!(!belongs(&key("db"), &key("db")));
        let elsewhere = Key { namespace: "test".to_owned(), ..key("db-0") };
        assert!(!belongs(&elsewhere, &key("db")));
    }
}
