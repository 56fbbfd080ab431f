//! The cluster as one decision sees it, from quorum reads: the set first, then the rest.

mod claims;
mod others;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Deserialize as _;
use serde_json::Value;
use stateward_core::annotations::RESIZE_MAX;
use stateward_core::facts::{ClassFact, Fact, NamespaceFact};
use stateward_core::record::snapshot;
use stateward_core::record::{Phase, Record, Recreation, Status};
use stateward_resize::observed::{Memory, Observed, Pod, Set};

use super::cluster::Cluster;
use super::intervals::{OBSERVING, SLOW_ORPHANING};
use super::json_fields::{annotation, name, number, time, uid};
use super::record::Stored;
use super::{Key, pods, set};
use crate::cluster::{Extent, ReadError, path, with_query};

/// A part that could not be read is unknown, with the reason.
fn fact<T>(read: Result<T, ReadError>) -> Fact<T> {
    match read {
        Ok(value) => Fact::Known(value),
        Err(why) => Fact::Unknown(why.to_string()),
    }
}

impl Cluster {
    /// The record of `key`, or that there is none.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn record(&self, key: &Key) -> Result<Option<Stored>, ReadError> {
        let path = key.record();
        self.client.read(&path).await?.map(|object| Stored::read(object, &path)).transpose()
    }

    /// All records, of `namespace` or everywhere, without the copies of sets that they hold.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn records(&self, namespace: Option<&str>) -> Result<Vec<Stored>, ReadError> {
        let path = super::records(namespace);
        let read = |object: &Value| Some(Stored::listed(object, &path));
        self.client.list(&path, Extent::Whole, read).await?.into_iter().collect()
    }

    /// What a decision about `key` reads. Dry runs are not part of it: they are asked for by
    /// [`Cluster::dry_runs`]. What the phase of the record has no use for is not read, and neither is
    /// what takes longer than `OBSERVING`.
    pub async fn observe(&self, key: &Key, record: Option<&Record>, memory: Memory) -> Observed {
        let deadline = tokio::time::Instant::now() + OBSERVING;
        let live = match tokio::time::timeout_at(deadline, self.client.read(&key.set())).await {
            Ok(Ok(live)) => live,
            Ok(Err(why)) => {
                return unread(memory, Fact::Unknown(why.to_string()), "no set was read");
            }
            Err(_) => return unread(memory, Fact::Unknown(late()), "no set was read"),
        };
        let status = record.map(|record| &record.status);
        let before = before(status);
        let set = live.as_ref().map(|live| read_set(live, status, before.as_ref()));
        let in_window = live.as_ref().is_none_or(super::json_fields::terminating);
        let parts = match status {
            Some(status) if may_be_away(&status.phase) && in_window => {
                let window = self.observe_window(
                    key,
                    live.as_ref(),
                    status,
                    before.as_ref(),
                    memory.clone(),
                );
                tokio::time::timeout_at(deadline, Box::pin(window)).await
            }
            _ => {
                // What is left of a set that is away is found by its snapshot.
                let shape = live.as_ref().or(before.as_ref());
                let parts = self.observe_parts(key, shape, record, memory.clone());
                tokio::time::timeout_at(deadline, Box::pin(parts)).await
            }
        };
        match parts {
            Ok(parts) => Observed { set: Fact::Known(set), ..parts },
            Err(_) => unread(memory, Fact::Known(set), &late()),
        }
    }

    /// Everything around a set of this shape.
    async fn observe_parts(
        &self,
        key: &Key,
        shape: Option<&Value>,
        record: Option<&Record>,
        memory: Memory,
    ) -> Observed {
        let status = record.map(|record| &record.status);
        let touches = status.is_some_and(|status| touches_the_set(&status.phase, &memory));
        let (namespace, siblings, pods, classes, neighbours, dependents, admission_policy) = tokio::join!(
            self.namespace(key),
            self.siblings(key, shape),
            self.pods_of(key, shape),
            self.classes(),
            only_if(touches, self.neighbours(key, shape)),
            only_if(touches, self.dependents(key, shape)),
            self.admission_policy_for(shape, status),
        );
        let revisions = match &siblings {
            Ok(siblings) if touches => {
                let live: Vec<&str> = siblings.iter().map(|one| one.uid.as_str()).collect();
                fact(self.revisions(key, shape, status, &live).await)
            }
            Ok(_) => Fact::Unknown(NOT_READ.to_owned()),
            Err(why) => Fact::Unknown(why.to_string()),
        };
        let neighbours = match (&siblings, neighbours) {
            (Ok(siblings), Fact::Known(mut found)) => {
                let others = siblings.iter().filter(|one| one.selects && one.name != key.name);
                found.extend(others.map(|one| format!("StatefulSet {}", one.name)));
                Fact::Known(found)
            }
            (Err(why), _) => Fact::Unknown(why.to_string()),
            (Ok(_), unknown) => unknown,
        };
        let claims = match (&siblings, &pods) {
            (Ok(siblings), Ok(pods)) => {
                fact(self.claims_of(key, shape, record, siblings, pods).await)
            }
            (Err(why), _) | (_, Err(why)) => Fact::Unknown(why.to_string()),
        };
        Observed {
            namespace: fact(namespace),
            pods: fact(pods.map(|pods| pods.into_iter().map(|(pod, _)| pod).collect())),
            claims,
            classes: fact(classes),
            revisions,
            neighbours,
            dependents,
            admission_policy,
            ..unread(memory, Fact::Known(None), NOT_READ)
        }
    }

    /// A re-creation window is closed by as few reads as can be, and of other objects only metadata
    /// is read: who deleted the set is told by what it owned.
    async fn observe_window(
        &self,
        key: &Key,
        live: Option<&Value>,
        status: &Status,
        before: Option<&Value>,
        memory: Memory,
    ) -> Observed {
        let nothing = unread(memory, Fact::Known(None), NOT_READ);
        if let Some(live) = live {
            // What it owns tells how far the garbage collector is, if that takes long.
            let deleted = time(live, "/metadata/deletionTimestamp");
            let long = |since| self.now().duration_since(since) >= SLOW_ORPHANING;
            if !deleted.is_some_and(long) {
                return nothing;
            }
            let uids = [uid(live)];
            let (pods, dependents, revisions) = tokio::join!(
                self.pods_left(key, before),
                self.dependents(key, Some(live)),
                self.revisions(key, None, Some(status), &uids),
            );
            return Observed {
                pods: fact(pods),
                dependents: fact(dependents),
                revisions: fact(revisions),
                ..nothing
            };
        }
        let (live, pods) = tokio::join!(self.live_sets(key), self.pods_left(key, before));
        let revisions = match live {
            Ok(live) => {
                let live: Vec<&str> = live.iter().map(String::as_str).collect();
                self.revisions(key, None, Some(status), &live).await
            }
            Err(why) => Err(why),
        };
        Observed { pods: fact(pods), revisions: fact(revisions), ..nothing }
    }

    /// The admission policy counts for a request of the annotation that is to enter the record.
    async fn admission_policy_for(
        &self,
        shape: Option<&Value>,
        status: Option<&Status>,
    ) -> Fact<bool> {
        let requested = shape.map(set::requested).unwrap_or_default();
        let enters =
            |status: &Status| !requested.is_empty() && requested != status.annotation_targets;
        let read = async { Ok(self.admission_policy().await?.is_ok()) };
        only_if(status.is_some_and(enters), read).await
    }

    async fn namespace(&self, key: &Key) -> Result<NamespaceFact, ReadError> {
        let path = path(["api", "v1", "namespaces", &key.namespace]);
        let object = self.client.read(&path).await?.ok_or_else(|| ReadError::Refused {
            path: path.clone(),
            code: 404,
            message: "there is no such namespace".to_owned(),
        })?;
        Ok(NamespaceFact {
            terminating: super::json_fields::terminating(&object),
            resize_max: annotation(&object, RESIZE_MAX).map(str::to_owned),
            ..NamespaceFact::default()
        })
    }

    /// The set's pods, each with the claims that it mounts.
    async fn pods_of(
        &self,
        key: &Key,
        shape: Option<&Value>,
    ) -> Result<Vec<(Pod, Vec<String>)>, ReadError> {
        let Some(shape) = shape else { return Ok(Vec::new()) };
        let seconds = number(shape, "/spec/minReadySeconds").unwrap_or(0);
        let (min_ready, now) = (SignedDuration::from_secs(seconds), self.client.now());
        let read = |pod: &Value| {
            let mounts = pods::claims(pod).map(str::to_owned).collect();
            Some((pods::read(pod, &key.name, min_ready, now)?, mounts))
        };
        self.client.list(&pods_path(key, shape), Extent::Whole, read).await
    }

    /// The same, while the set is away: to whom each pod belongs. No pod counts as available.
    async fn pods_left(&self, key: &Key, shape: Option<&Value>) -> Result<Vec<Pod>, ReadError> {
        let Some(shape) = shape else { return Ok(Vec::new()) };
        let now = self.client.now();
        let read = |pod: &Value| pods::read(pod, &key.name, SignedDuration::ZERO, now);
        self.client.list(&pods_path(key, shape), Extent::Metadata, read).await
    }

    async fn classes(&self) -> Result<BTreeMap<String, ClassFact>, ReadError> {
        let path = path(["apis", "storage.k8s.io", "v1", "storageclasses"]);
        let read =
            |class: &Value| Some((name(class).to_owned(), ClassFact::deserialize(class).ok()?));
        Ok(self.client.list(&path, Extent::Whole, read).await?.into_iter().collect())
    }
}

/// The pods that the selector of `shape` matches.
fn pods_path(key: &Key, shape: &Value) -> String {
    let selector = others::selector(shape).map(|one| one.to_string()).unwrap_or_default();
    with_query(&key.core("pods"), [("labelSelector", &selector)])
}

/// The set as the record holds it.
fn before(status: Option<&Status>) -> Option<Value> {
    snapshot::decode(status?.snapshot.as_deref()?).ok()
}

fn read_set(live: &Value, status: Option<&Status>, before: Option<&Value>) -> Set {
    let none = Recreation::default();
    set::read(live, status.map_or(&none, |status| &status.recreation), before)
}

const NOT_READ: &str = "it was not read";

/// What is said of the parts that a reading which takes too long does not come to.
fn late() -> String {
    format!("reading the set and what is around it took longer than {} s", OBSERVING.as_secs())
}

/// The set, what this process remembers, and nothing else, since `why`.
fn unread(memory: Memory, set: Fact<Option<Set>>, why: &str) -> Observed {
    fn not_read<T>(why: &str) -> Fact<T> {
        Fact::Unknown(why.to_owned())
    }
    Observed {
        fresh: true,
        namespace: not_read(why),
        set,
        pods: not_read(why),
        claims: not_read(why),
        classes: not_read(why),
        revisions: not_read(why),
        neighbours: not_read(why),
        dependents: not_read(why),
        admission_policy: not_read(why),
        dry_runs: not_read(NOT_READ),
        last_seen_edit: not_read(NOT_READ),
        memory,
    }
}

/// What is not read, because no decision asks for it, is unknown and not empty.
async fn only_if<T>(asked: bool, read: impl Future<Output = Result<T, ReadError>>) -> Fact<T> {
    if asked { fact(read.await) } else { Fact::Unknown(NOT_READ.to_owned()) }
}

/// Whether the set may be away through a resize; a phase of another version may mean that, too.
fn may_be_away(phase: &Phase) -> bool {
    matches!(phase, Phase::Deleting | Phase::Creating | Phase::Unknown(_))
}

/// Whether the set is about to be touched, or may be: not while all slots are taken, and not by an
/// instance that does not lead.
fn touches_the_set(phase: &Phase, memory: &Memory) -> bool {
    !memory.standby
        && match phase {
            Phase::ClaimsGrown => !memory.full,
            Phase::RetentionPinned | Phase::Deleting | Phase::Creating => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use hyper::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use stateward_core::annotations::RESIZE_REQUESTED;
    use stateward_core::record::RevisionName;

    use super::*;

    /// An API server that answers at once, but for paths with this end: page after page, each of
    /// which takes nine seconds.
    fn slow(end: &'static str) -> Cluster {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            let path = request.uri().path();
            let mut next = "";
            if path.ends_with(end) {
                tokio::time::sleep(Duration::from_secs(9)).await;
                next = "more";
            }
            let set = json!({"metadata": {"uid": "U", "name": "db"}, "spec": {}});
            let list = json!({"metadata": {"continue": next}, "items": []});
            let body = if path.ends_with("/db") { set } else { list };
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, Infallible>(Response::new(body))
        });
        Cluster::new(kube::Client::new(service, "default"))
    }

    #[tokio::test(start_paused = true)]
    async fn reading_a_set_ends_in_time_and_says_why() {
        let key = Key { namespace: "prod".to_owned(), name: "db".to_owned() };
        for end in ["/pods", "/persistentvolumeclaims", "/statefulsets", "/storageclasses"] {
            let began = tokio::time::Instant::now();
            let observed = slow(end).observe(&key, None, Memory::default()).await;
            assert_eq!(began.elapsed(), OBSERVING, "{end}");
            assert!(matches!(observed.set, Fact::Known(Some(_))), "the set is known");
            let Fact::Unknown(why) = observed.claims else { panic!("{end}: claims are known") };
            assert_eq!(why, "reading the set and what is around it took longer than 60 s");
        }
        let observed = slow("/none").observe(&key, None, Memory::default()).await;
        assert!(matches!(observed.claims, Fact::Known(_)));
    }

    /// What is observed of set `db` as given (none is a 404), and the kinds or names at the ends of
    /// the paths that were asked for.
    async fn asked(
        set: Option<Value>,
        record: &Record,
        memory: Memory,
    ) -> (Observed, BTreeSet<String>) {
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let (set, ends) = (set.map(|set| set.to_string()), Arc::clone(&asked));
        let service = tower::service_fn(move |request: Request<Body>| {
            let end = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            let (code, body) = match (end.as_str(), &set) {
                ("db", Some(set)) => (200, set.clone()),
                ("db", None) => (404, "{}".to_owned()),
                _ => (200, json!({"metadata": {}, "items": []}).to_string()),
            };
            ends.lock().unwrap().insert(end);
            let answer = Response::builder().status(code).body(Body::from(body.into_bytes()));
            std::future::ready(Ok::<_, Infallible>(answer.unwrap()))
        });
        let cluster = Cluster::new(kube::Client::new(service, "default"));
        let key = Key { namespace: "prod".to_owned(), name: "db".to_owned() };
        let observed = cluster.observe(&key, Some(record), memory).await;
        let asked = asked.lock().unwrap().clone();
        (observed, asked)
    }

    fn set() -> Value {
        json!({
            "metadata": {"uid": "U", "name": "db", "annotations": {}},
            "status": {"updateRevision": "db-1"},
        })
    }

    #[tokio::test]
    async fn who_else_holds_the_set_is_not_asked_while_all_slots_are_taken() {
        let mut record = Record::default();
        record.status.phase = Phase::ClaimsGrown;
        for (full, reads) in [(false, true), (true, false)] {
            let memory = Memory { full, ..Memory::default() };
            let (observed, asked) = asked(Some(set()), &record, memory).await;
            for end in ["replicasets", "configmaps", "db-1"] {
                assert_eq!(asked.contains(end), reads, "{end}");
            }
            assert_eq!(matches!(observed.neighbours, Fact::Known(_)), reads);
            assert_eq!(matches!(observed.dependents, Fact::Known(_)), reads);
            assert_eq!(matches!(observed.revisions, Fact::Known(_)), reads);
        }
    }

    #[tokio::test]
    async fn the_admission_policy_is_asked_for_a_new_request_only() {
        let policy = stateward_resize::admission_policy::NAME;
        let mut record = Record::default();
        let mut set = set();
        let (observed, without) = asked(Some(set.clone()), &record, Memory::default()).await;
        assert!(!without.contains(policy) && matches!(observed.admission_policy, Fact::Unknown(_)));
        set["metadata"]["annotations"][RESIZE_REQUESTED] = r#"{"data":"20Gi"}"#.into();
        assert!(asked(Some(set.clone()), &record, Memory::default()).await.1.contains(policy));
        record.status.annotation_targets = set::requested(&set);
        assert!(!asked(Some(set), &record, Memory::default()).await.1.contains(policy));
    }

    #[tokio::test]
    async fn in_a_phase_of_another_version_the_revision_of_a_set_that_is_away_is_read() {
        let mut record = Record::default();
        record.status.phase = Phase::Unknown("Sleeping".to_owned());
        record.status.recreation.revision =
            Some(RevisionName { name: "db-1".to_owned(), uid: "V".to_owned() });
        let (_, asked) = asked(None, &record, Memory::default()).await;
        assert!(asked.contains("db-1"), "{asked:?}");
    }
}
