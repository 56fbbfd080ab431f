//! The StatefulSet controller, as Kubernetes 1.36 was measured to be: adoption, pods and claims
//! in order, retention by owner references, rolling updates, status.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Pace, controller, is_going, is_ready, labels, list, name, text, uid};
use crate::server::Server;
use crate::server::store::{Change, Id};

const WHO: &str = "statefulset-controller";
/// A set is looked at after this long whatever happens.
const PERIOD: Duration = Duration::from_secs(20);

/// Looks after the set of this name for ever.
pub(crate) async fn run(server: Server, pace: Pace, namespace: String, set: String) {
    let id = Id::new("statefulsets", &namespace, &set);
    let (mut seen, mut again) = (0, Duration::ZERO);
    loop {
        let changed = server.changed();
        pace.rest().await;
        let length = server.look(|store| store.log.len());
        // Names of pods, claims and revisions hold the name of their set.
        let concerns = |change: &Change| change.id.name.contains(&set);
        let news = server.look(|store| store.log[seen..length].iter().any(concerns));
        seen = length;
        if !news && server.up() < again {
            let _ = timeout(again.saturating_sub(server.up()), changed).await;
            continue;
        }
        again = server.up() + PERIOD;
        if let Some(set) = server.get(&id) {
            // The set is read here, and what follows takes its time.
            pace.rest().await;
            Sync { server: &server, pace: &pace, set, namespace: &namespace }.run().await;
        }
    }
}

/// One sync, from the set as it was read.
struct Sync<'s> {
    server: &'s Server,
    pace: &'s Pace,
    set: Arc<Value>,
    namespace: &'s str,
}

impl Sync<'_> {
    fn id(&self, plural: &str, name: &str) -> Id {
        Id::new(plural, self.namespace, name)
    }

    /// A write, and a pause after it.
    async fn write(&self, method: &'static str, id: &Id, body: Value) -> bool {
        let done = if method == "POST" {
            let path = Id { name: String::new(), ..id.clone() }.path();
            self.server.send(WHO, method, path.trim_end_matches('/'), body)
        } else {
            self.server.send(WHO, method, &id.path(), body)
        };
        self.pace.rest().await;
        done.is_ok()
    }

    fn owner(&self) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name(&self.set),
            "uid": uid(&self.set), "controller": true, "blockOwnerDeletion": true,
        })
    }

    fn ordinal(&self, pod: &Value) -> Option<i64> {
        name(pod).strip_prefix(name(&self.set))?.strip_prefix('-')?.parse().ok()
    }

    fn matching(&self, plural: &'static str) -> Vec<Arc<Value>> {
        let wanted = labels(&self.set["spec"]["selector"]["matchLabels"]);
        let fits = |object: &Value| {
            let has = labels(&object["metadata"]["labels"]);
            wanted.iter().all(|(key, value)| has.get(key) == Some(value))
        };
        self.server.look(|store| {
            let all = store.list(plural, self.namespace);
            all.into_iter().filter(|object| fits(object)).cloned().collect()
        })
    }

    /// Takes over what has no controller; whether the set still stands is asked anew.
    async fn adopt(&self, plural: &'static str) {
        for object in self.matching(plural) {
            let ours = plural != "pods" || self.ordinal(&object).is_some();
            if !ours || controller(&object).is_some() || is_going(&object) {
                continue;
            }
            let live = self.server.get(&self.id("statefulsets", name(&self.set)));
            if live.is_none_or(|live| uid(&live) != uid(&self.set) || is_going(&live)) {
                return;
            }
            let mut owners = list(&object, "/metadata/ownerReferences").to_vec();
            owners.push(self.owner());
            let patch = json!({"metadata": {"uid": uid(&object), "ownerReferences": owners}});
            self.write("PATCH", &self.id(plural, name(&object)), patch).await;
        }
    }

    fn owned(&self, plural: &'static str) -> Vec<Arc<Value>> {
        let mut owned = self.matching(plural);
        owned.retain(|object| controller(object) == Some(uid(&self.set)));
        owned
    }

    async fn run(&self) {
        self.adopt("controllerrevisions").await;
        self.adopt("pods").await;
        if is_going(&self.set) {
            return;
        }
        let Some(update) = self.revision().await else { return };
        let current = match text(&self.set, "/status/currentRevision") {
            "" => update.clone(),
            current => current.to_owned(),
        };
        self.pods(&current, &update).await;
        self.status(&current, &update);
    }

    /// The name of the revision of the set's pod template, which is made where it is missing.
    async fn revision(&self) -> Option<String> {
        let template = &self.set["spec"]["template"];
        let owned = self.owned("controllerrevisions");
        if let Some(found) = owned.iter().find(|one| one["data"]["template"] == *template) {
            return Some(name(found).to_owned());
        }
        let mut hasher = DefaultHasher::new();
        template.to_string().hash(&mut hasher);
        let revision = format!("{}-{:08x}", name(&self.set), hasher.finish() as u32);
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {
                "name": revision, "namespace": self.namespace,
                "labels": template["metadata"]["labels"], "ownerReferences": [self.owner()],
            },
            "data": {"template": template}, "revision": owned.len() + 1,
        });
        self.write("POST", &self.id("controllerrevisions", &revision), object).await;
        let live = self.server.get(&self.id("controllerrevisions", &revision))?;
        (controller(&live) == Some(uid(&self.set))).then_some(revision)
    }

    fn number(&self, pointer: &str, default: i64) -> i64 {
        self.set.pointer(pointer).and_then(Value::as_i64).unwrap_or(default)
    }

    async fn pods(&self, current: &str, update: &str) {
        let start = self.number("/spec/ordinals/start", 0);
        let end = start + self.number("/spec/replicas", 1);
        let partition = self.number("/spec/updateStrategy/rollingUpdate/partition", 0);
        let ordered = text(&self.set, "/spec/podManagementPolicy") != "Parallel";
        let pods = self.owned("pods");
        let of = |ordinal: i64| pods.iter().find(|pod| self.ordinal(pod) == Some(ordinal));
        for ordinal in start..end {
            match of(ordinal) {
                None => {
                    if !self.claims(ordinal, true, None).await {
                        return;
                    }
                    let revision = if ordinal < partition { current } else { update };
                    self.create_pod(ordinal, revision).await;
                    if ordered {
                        return;
                    }
                }
                Some(pod) => {
                    if !is_going(pod) {
                        self.claims(ordinal, false, None).await;
                    }
                    if ordered && (is_going(pod) || !is_ready(pod)) {
                        return;
                    }
                }
            }
        }
        let condemned = pods.iter().filter(|pod| {
            self.ordinal(pod).is_some_and(|ordinal| !(start..end).contains(&ordinal))
        });
        if let Some(pod) = condemned.max_by_key(|pod| self.ordinal(pod)) {
            let ordinal = self.ordinal(pod).unwrap_or_default();
            if !is_going(pod) {
                self.claims(ordinal, false, Some(pod)).await;
                self.delete_pod(pod).await;
            }
            return;
        }
        if text(&self.set, "/spec/updateStrategy/type") == "OnDelete" {
            return;
        }
        for ordinal in (start.max(partition)..end).rev() {
            let Some(pod) = of(ordinal) else { return };
            if is_going(pod) {
                return;
            }
            if text(pod, "/metadata/labels/controller-revision-hash") != update {
                self.delete_pod(pod).await;
                return;
            }
            if !is_ready(pod) {
                return;
            }
        }
    }

    async fn delete_pod(&self, pod: &Value) {
        let options = json!({"preconditions": {"uid": uid(pod)}});
        self.write("DELETE", &self.id("pods", name(pod)), options).await;
    }

    /// The claims of one ordinal: made where they are missing, owned as retention says.
    async fn claims(&self, ordinal: i64, make: bool, condemned: Option<&Value>) -> bool {
        let set = name(&self.set);
        for template in list(&self.set, "/spec/volumeClaimTemplates") {
            let claim = format!("{}-{set}-{ordinal}", name(template));
            let id = self.id("persistentvolumeclaims", &claim);
            let Some(live) = self.server.get(&id) else {
                if make {
                    let labels = &self.set["spec"]["selector"]["matchLabels"];
                    let object = json!({
                        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                        "metadata": {
                            "name": claim, "namespace": self.namespace, "labels": labels,
                            "ownerReferences": self.wanted_owners(&[], condemned),
                        },
                        "spec": template["spec"],
                    });
                    self.write("POST", &id, object).await;
                }
                continue;
            };
            if is_going(&live) {
                if make {
                    return false;
                }
                continue;
            }
            let owners = list(&live, "/metadata/ownerReferences");
            let wanted = self.wanted_owners(owners, condemned);
            if wanted != owners {
                let patch = json!({"metadata": {
                    "uid": uid(&live),
                    "resourceVersion": text(&live, "/metadata/resourceVersion"),
                    "ownerReferences": wanted,
                }});
                self.write("PATCH", &id, patch).await;
            }
        }
        true
    }

    /// Owners that retention says, beside those that are nobody's business here.
    fn wanted_owners(&self, owners: &[Value], condemned: Option<&Value>) -> Vec<Value> {
        let deletes = |field: &str| {
            let pointer = format!("/spec/persistentVolumeClaimRetentionPolicy/{field}");
            text(&self.set, &pointer) == "Delete"
        };
        let stale = |owner: &Value| matches!(text(owner, "/kind"), "StatefulSet" | "Pod");
        let mut wanted: Vec<Value> = owners.iter().filter(|one| !stale(one)).cloned().collect();
        if deletes("whenScaled")
            && let Some(pod) = condemned
        {
            wanted.push(json!({
                "apiVersion": "v1", "kind": "Pod", "name": name(pod), "uid": uid(pod),
            }));
        } else if deletes("whenDeleted") {
            wanted.push(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet",
                "name": name(&self.set), "uid": uid(&self.set),
            }));
        }
        wanted
    }

    async fn create_pod(&self, ordinal: i64, revision: &str) {
        let set = name(&self.set);
        let pod = format!("{set}-{ordinal}");
        let id = self.id("controllerrevisions", revision);
        let template = match self.server.get(&id) {
            Some(revision) => revision["data"]["template"].clone(),
            None => self.set["spec"]["template"].clone(),
        };
        let mut pod_labels = template["metadata"]["labels"].clone();
        pod_labels["controller-revision-hash"] = revision.into();
        let volumes: Vec<Value> = list(&self.set, "/spec/volumeClaimTemplates")
            .iter()
            .map(|one| {
                let claim = format!("{}-{set}-{ordinal}", name(one));
                json!({"name": name(one), "persistentVolumeClaim": {"claimName": claim}})
            })
            .collect();
        let mut spec = template["spec"].clone();
        spec["volumes"] = volumes.into();
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": pod, "namespace": self.namespace, "labels": pod_labels,
                "ownerReferences": [self.owner()],
            },
            "spec": spec,
        });
        self.write("POST", &self.id("pods", &pod), object).await;
    }

    fn status(&self, current: &str, update: &str) {
        let pods = self.owned("pods");
        let replicas = usize::try_from(self.number("/spec/replicas", 1)).unwrap_or_default();
        let of = |revision: &str| {
            let pods = pods.iter().filter(|pod| !is_going(pod));
            let revision_of =
                |pod: &Value| text(pod, "/metadata/labels/controller-revision-hash").to_owned();
            pods.filter(|pod| revision_of(pod) == revision).count()
        };
        let ready = pods.iter().filter(|pod| is_ready(pod) && !is_going(pod)).count();
        let rolling = text(&self.set, "/spec/updateStrategy/type") == "RollingUpdate";
        let done = rolling && of(update) == replicas && ready == replicas;
        let current = if done { update } else { current };
        let status = json!({
            "observedGeneration": self.set["metadata"]["generation"],
            "replicas": pods.len(), "readyReplicas": ready, "availableReplicas": ready,
            "currentRevision": current, "updateRevision": update,
            "currentReplicas": of(current), "updatedReplicas": of(update),
        });
        let id = self.id("statefulsets", name(&self.set));
        let path = format!("{}/status", id.path());
        let mut object = (*self.set).clone();
        for _ in 0..2 {
            if object["status"] == status {
                return;
            }
            object["status"] = status.clone();
            if self.server.send(WHO, "PUT", &path, object).code != 409 {
                return;
            }
            match self.server.get(&id) {
                Some(live) if uid(&live) == uid(&self.set) => object = (*live).clone(),
                _ => return,
            }
        }
    }
}
