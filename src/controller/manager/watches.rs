//! What wakes a set's task: changes of its record, of itself, of its pods and claims.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Resource, ResourceExt};
use stateward_core::annotations::RESIZE_REQUESTED;
use stateward_core::object::names::{claim_parts, is_pod_of};
use stateward_core::record::FINALIZER;
use tokio::time::Instant;

use super::{RecordSummary, Shared};
use crate::controller::Key;
use crate::controller::reconcile::LastSeen;

/// How many objects one page of a list holds: their authors choose how large they are, and a page is
/// in memory as a whole.
const PAGE: u32 = 100;

impl Shared {
    fn watching(&self) -> watcher::Config {
        let seconds = self.intervals.watch.as_secs().clamp(1, 290);
        let seconds = u32::try_from(seconds).unwrap_or(290);
        watcher::Config::default().timeout(seconds).page_size(PAGE)
    }

    pub(super) async fn watch_records(self: Arc<Self>) {
        let api: Api<DynamicObject> =
            Api::all_with(self.cluster.client.kube(), &crate::cluster::record_resource());
        let events = watcher(api, self.watching()).default_backoff();
        let mut events = pin!(events);
        let mut complaint = Complaint::default();
        // What a new list does not name is gone, and nobody told of it.
        let mut unlisted = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(record) | watcher::Event::InitApply(record)) => {
                    let Some(key) = key(&record) else { continue };
                    unlisted.remove(&key);
                    self.record_seen(&key, &record);
                    self.wake(&key);
                }
                Ok(watcher::Event::Delete(record)) => {
                    let Some(key) = key(&record) else { continue };
                    self.record_gone(&key);
                    self.wake(&key);
                }
                Ok(watcher::Event::Init) => {
                    unlisted = self.state().records.keys().cloned().collect();
                }
                Ok(watcher::Event::InitDone) => {
                    for key in std::mem::take(&mut unlisted) {
                        self.record_gone(&key);
                        self.wake(&key);
                    }
                }
                Err(why) => complaint.tell(&why, "StatefulSetResize"),
            }
        }
    }

    /// Whose set is touched is told by the record's finalizer, also of sets that another instance
    /// has touched.
    pub(super) fn record_seen(self: &Arc<Self>, key: &Key, record: &DynamicObject) {
        let mut state = self.state();
        state.records.insert(key.clone(), RecordSummary::of(&record.data));
        if record.finalizers().iter().any(|name| name == FINALIZER) {
            state.touched.note(key);
        } else if !state.tasks.contains_key(key) {
            let released = state.touched.release(key);
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
        let api = Api::<PartialObjectMeta<StatefulSet>>::all(self.cluster.client.kube());
        let mut sets = pin!(touched("sets", api, self.watching()));
        while let Some(set) = sets.next().await {
            let Some(key) = key(&set) else { continue };
            let requested = set.annotations().contains_key(RESIZE_REQUESTED);
            let known = {
                let mut state = self.state();
                if set.meta().deletion_timestamp.is_some() && state.records.contains_key(&key) {
                    state.seen.insert(key.clone(), seen(set.meta()));
                }
                if requested && set.meta().deletion_timestamp.is_none() {
                    state.requests.entry(key.clone()).or_insert_with(Instant::now);
                } else {
                    state.requests.remove(&key);
                }
                state.records.contains_key(&key)
            };
            if requested || known {
                self.wake(&key);
            }
        }
    }

    /// Pods and claims wake the set that their names say.
    pub(super) async fn watch_parts<K>(self: Arc<Self>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
        PartialObjectMeta<K>: Resource<DynamicType = ()>,
    {
        let api = Api::<PartialObjectMeta<K>>::all(self.cluster.client.kube());
        let kind = K::kind(&());
        let mut parts = pin!(touched(&kind, api, self.watching()));
        while let Some(part) = parts.next().await {
            let Some(part) = key(&part) else { continue };
            let sets: Vec<Key> = {
                let state = self.state();
                let tasks = state.tasks.keys();
                tasks.filter(|set| belongs(&part, set)).cloned().collect()
            };
            for set in &sets {
                self.wake(set);
            }
        }
    }
}

/// The objects that change, deletions included.
fn touched<K>(
    kind: &str,
    api: Api<PartialObjectMeta<K>>,
    watching: watcher::Config,
) -> impl Stream<Item = PartialObjectMeta<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
    PartialObjectMeta<K>: Resource<DynamicType = ()>,
{
    let kind = kind.to_owned();
    let mut complaint = Complaint::default();
    watcher(api, watching).default_backoff().touched_objects().filter_map(move |object| {
        if let Err(why) = &object {
            complaint.tell(why, &kind);
        }
        std::future::ready(object.ok())
    })
}

/// The same failure of a watch is told once in this time; a watch is retried every few seconds.
const TOLD_EVERY: Duration = Duration::from_secs(300);

/// Tells why a watch fails.
#[derive(Default)]
struct Complaint {
    told: Option<(String, Instant)>,
}

impl Complaint {
    fn tell(&mut self, why: &watcher::Error, kind: &str) {
        if let Some((error, advice)) = self.news(&reason(why), not_served(why), Instant::now()) {
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

/// What the API server answered, without the form in which the client keeps it.
fn reason(why: &watcher::Error) -> String {
    match answer(why) {
        Some(status) if status.code == 404 => "the cluster does not know this kind".to_owned(),
        Some(status) => status.message.clone(),
        None => why.to_string(),
    }
}

fn not_served(why: &watcher::Error) -> bool {
    answer(why).is_some_and(|status| status.code == 404)
}

fn answer(why: &watcher::Error) -> Option<&kube::core::Status> {
    match why {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// What is remembered of a set that goes.
fn seen(metadata: &ObjectMeta) -> LastSeen {
    let entries = metadata.managed_fields.iter().flatten();
    let own = entries.filter(|entry| entry.subresource.is_none());
    let last = own.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    LastSeen {
        uid: metadata.uid.clone().unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        manager: last.and_then(|entry| entry.manager.clone()).unwrap_or_default(),
    }
}

fn key<K: ResourceExt>(object: &K) -> Option<Key> {
    Some(Key { namespace: object.namespace()?, name: object.name_any() })
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
