//! What wakes a set's task: changes of its record, of itself, of its pods and claims.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Resource, ResourceExt};
use stateward_core::annotations::RESIZE_REQUESTED;
use stateward_core::record::FINALIZER;
use tokio::time::Instant;

use super::{RecordSummary, Shared};
use crate::controller::Key;
use crate::controller::reconcile::LastSeen;

impl Shared {
    fn watching(&self) -> watcher::Config {
        let seconds = self.intervals.watch.as_secs().clamp(1, 290);
        watcher::Config::default().timeout(u32::try_from(seconds).unwrap_or(290))
    }

    pub(super) async fn watch_records(self: Arc<Self>) {
        let api: Api<DynamicObject> =
            Api::all_with(self.cluster.client.kube(), &crate::cluster::record_resource());
        let events = watcher(api, self.watching()).default_backoff();
        let mut events = pin!(events);
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
                Err(why) => tracing::warn!(error = %why, "records cannot be watched"),
            }
        }
    }

    /// Whose set is touched is told by the record's finalizer, also of sets that another instance
    /// has touched.
    fn record_seen(&self, key: &Key, record: &DynamicObject) {
        let mut state = self.state();
        state.records.insert(key.clone(), RecordSummary::of(&record.data));
        if record.finalizers().iter().any(|name| name == FINALIZER) {
            state.touched.note(key);
        } else if !state.tasks.contains_key(key) {
            state.touched.release(key);
        }
    }

    fn record_gone(&self, key: &Key) {
        let mut state = self.state();
        state.records.remove(key);
        state.seen.remove(key);
        state.touched.release(key);
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
    watcher(api, watching).default_backoff().touched_objects().filter_map(move |object| {
        if let Err(why) = &object {
            tracing::warn!(error = %why, kind, "changes cannot be watched");
        }
        std::future::ready(object.ok())
    })
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

/// Whether a pod or claim is one of the set's, by its name: `<set>-<ordinal>` at its end.
fn belongs(part: &Key, set: &Key) -> bool {
    let Some((rest, ordinal)) = part.name.rsplit_once('-') else { return false };
    part.namespace == set.namespace
        && ordinal.bytes().all(|byte| byte.is_ascii_digit())
        && (rest == set.name
            || rest.strip_suffix(set.name.as_str()).is_some_and(|front| front.ends_with('-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_claims_belong_to_the_set_that_their_names_end_with() {
        let key = |name: &str| Key { namespace: "prod".to_owned(), name: name.to_owned() };
        assert!(belongs(&key("db-0"), &key("db")));
        assert!(belongs(&key("data-db-12"), &key("db")));
        assert!(!belongs(&key("data-mydb-0"), &key("db")));
        assert!(!belongs(&key("db-x"), &key("db")));
        assert!(!belongs(&key("db"), &key("db")));
        let elsewhere = Key { namespace: "test".to_owned(), ..key("db-0") };
        assert!(!belongs(&elsewhere, &key("db")));
    }
}
