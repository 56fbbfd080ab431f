//! The cluster as one decision sees it, from quorum reads: the set first, then the rest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{MutexGuard, PoisonError};

use jiff::SignedDuration;
use serde::Deserialize as _;
use serde_json::Value;
use stateward_core::annotations::RESIZE_MAX;
use stateward_core::facts::{ClassFact, Fact, FixedVolume, NamespaceFact};
use stateward_core::object::names::claim_of;
use stateward_core::object::{TextMap, selector::LabelSelector};
use stateward_core::record::snapshot;
use stateward_core::record::{Phase, Record, Recreation, Status};
use stateward_resize::observed::{Claim, Dependents, Memory, Observed, Pod, Revision, Set};

use super::cluster::Cluster;
use super::json_fields::{annotation, list, name, number, text, time, uid};
use super::record::Stored;
use super::{Key, claims, pods, set};
use crate::cluster::{ReadError, path, with_query};

/// Once the garbage collector takes longer to orphan what a set owns, the pods are read as well.
const SLOW_ORPHANING: SignedDuration = SignedDuration::from_secs(5);

/// Kinds that people and operators make StatefulSets own, by their path in the namespace. Pods,
/// claims and revisions are adopted again; other kinds cannot be listed without more permissions.
const DEPENDENT_KINDS: [(&str, &str, &str); 5] = [
    ("ConfigMap", "/api/v1", "configmaps"),
    ("Secret", "/api/v1", "secrets"),
    ("Service", "/api/v1", "services"),
    ("ServiceAccount", "/api/v1", "serviceaccounts"),
    ("PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets"),
];

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

    /// All records, of `namespace` or everywhere.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn records(&self, namespace: Option<&str>) -> Result<Vec<Stored>, ReadError> {
        let path = super::records(namespace);
        let items = self.client.list(&path).await?;
        items.into_iter().map(|object| Stored::read(object, &path)).collect()
    }

    /// What a decision about `key` reads. Dry runs are not part of it: they are asked for by
    /// [`Cluster::dry_runs`]. What the phase of the record has no use for is not read.
    pub async fn observe(&self, key: &Key, record: Option<&Record>, memory: Memory) -> Observed {
        let live = self.client.read(&key.set()).await;
        let status = record.map(|record| &record.status);
        let before = before(status);
        if let (Ok(live), Some(status)) = (&live, status)
            && matches!(status.phase, Phase::Deleting | Phase::Creating)
            && live.as_ref().is_none_or(super::json_fields::terminating)
        {
            return Box::pin(self.observe_window(
                key,
                live.as_ref(),
                status,
                before.as_ref(),
                memory,
            ))
            .await;
        }
        // What is left of a set that is away is found by its snapshot.
        let shape = live.as_ref().ok().and_then(Option::as_ref).or(before.as_ref());
        let touches = status.is_some_and(|status| touches_the_set(&status.phase));
        let touched = shape.filter(|_| touches);
        let (namespace, siblings, pods, claims, classes, neighbours, dependents, admission_policy) =
            Box::pin(async {
                tokio::join!(
                    self.namespace(key),
                    self.list_of(key.sets()),
                    self.pods_of(key, shape),
                    self.list_of(key.core("persistentvolumeclaims")),
                    self.classes(),
                    self.neighbours(key, touched),
                    self.dependents(key, touched),
                    self.admission_policy_for(shape, status),
                )
            })
            .await;
        let revisions = match &siblings {
            Ok(siblings) if touches => self.revisions(key, shape, status, siblings).await,
            Ok(_) => Ok(Vec::new()),
            Err(why) => Err(why.clone()),
        };
        let neighbours = match (&siblings, &neighbours) {
            (Ok(siblings), Ok(found)) => {
                let others = siblings.iter().filter(|other| name(other) != key.name);
                let sets = others
                    .filter(|other| selects(other, shape))
                    .map(|other| format!("StatefulSet {}", name(other)));
                Fact::Known(found.iter().cloned().chain(sets).collect())
            }
            (Err(why), _) | (_, Err(why)) => Fact::Unknown(why.to_string()),
        };
        let claims = match (&claims, &siblings, &pods) {
            (Ok(claims), Ok(siblings), Ok(pods)) => {
                fact(self.claims_of(key, shape, record, claims, siblings, pods).await)
            }
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => Fact::Unknown(why.to_string()),
        };
        Observed {
            namespace: fact(namespace),
            set: fact(live.map(|live| live.map(|live| read_set(&live, status, before.as_ref())))),
            pods: fact(pods.map(|pods| pods.into_iter().map(|(pod, _)| pod).collect())),
            claims,
            classes: fact(classes),
            revisions: fact(revisions),
            neighbours,
            dependents: fact(dependents),
            admission_policy,
            ..unread(memory)
        }
    }

    /// A re-creation window is closed by as few reads as can be: who deleted the set is told by what it owned.
    async fn observe_window(
        &self,
        key: &Key,
        live: Option<&Value>,
        status: &Status,
        before: Option<&Value>,
        memory: Memory,
    ) -> Observed {
        let set = live.map(|live| read_set(live, Some(status), before));
        if let Some(live) = live.filter(|live| uid(live) != "") {
            // The pods tell how far the garbage collector is, if that takes long.
            let deleted = time(live, "/metadata/deletionTimestamp");
            let long = |since| self.now().duration_since(since) >= SLOW_ORPHANING;
            let pods = match deleted.is_some_and(long) {
                true => fact(self.pods_of(key, before).await),
                false => Fact::Unknown("it was not read".to_owned()),
            };
            let pods = pods.map(|pods| pods.into_iter().map(|(pod, _)| pod).collect());
            return Observed { set: Fact::Known(set), pods, ..unread(memory) };
        }
        let (siblings, pods) = tokio::join!(self.list_of(key.sets()), self.pods_of(key, before));
        let revisions = match siblings {
            Ok(siblings) => self.revisions(key, None, Some(status), &siblings).await,
            Err(why) => Err(why),
        };
        Observed {
            set: Fact::Known(None),
            pods: fact(pods.map(|pods| pods.into_iter().map(|(pod, _)| pod).collect())),
            revisions: fact(revisions),
            ..unread(memory)
        }
    }

    /// The admission policy counts for a request that is not in the record yet.
    async fn admission_policy_for(
        &self,
        shape: Option<&Value>,
        status: Option<&Status>,
    ) -> Fact<bool> {
        let requested = shape.map(set::requested).unwrap_or_default();
        if status.is_some_and(|status| status.annotation_targets == requested) {
            return Fact::Unknown("not asked for again".to_owned());
        }
        fact(self.admission_policy().await.map(|in_force| in_force.is_ok()))
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
        })
    }

    async fn list_of(&self, path: String) -> Result<Vec<Value>, ReadError> {
        self.client.list(&path).await
    }

    /// The set's pods, each with the claims that it mounts.
    async fn pods_of(
        &self,
        key: &Key,
        shape: Option<&Value>,
    ) -> Result<Vec<(Pod, Vec<String>)>, ReadError> {
        let Some(shape) = shape else { return Ok(Vec::new()) };
        let selector = selector(shape).map(|selector| selector.to_string()).unwrap_or_default();
        let path = with_query(&key.core("pods"), [("labelSelector", &selector)]);
        let found = self.client.list(&path).await?;
        let seconds = number(shape, "/spec/minReadySeconds").unwrap_or(0);
        let (min_ready, now) = (SignedDuration::from_secs(seconds), self.client.now());
        let read = |pod: &Value| {
            let mounts = pods::claims(pod).map(str::to_owned).collect();
            Some((pods::read(pod, &key.name, min_ready, now)?, mounts))
        };
        Ok(found.iter().filter_map(read).collect())
    }

    async fn claims_of(
        &self,
        key: &Key,
        shape: Option<&Value>,
        record: Option<&Record>,
        found: &[Value],
        siblings: &[Value],
        pods: &[(Pod, Vec<String>)],
    ) -> Result<Vec<Claim>, ReadError> {
        let asked = record.and_then(|record| record.status.request.as_ref());
        let asked =
            asked.into_iter().flat_map(|request| request.targets.keys().map(String::as_str));
        let mut templates: Vec<&str> = shape.map(template_names).unwrap_or_default();
        templates.extend(asked);
        let mut claims = Vec::new();
        for object in found {
            let claim = name(object);
            let Some((template, ordinal)) = claim_of(claim, &key.name, templates.iter().copied())
            else {
                continue;
            };
            let volume = text(object, "/spec/volumeName");
            let fixed_volume =
                if volume.is_empty() { None } else { self.fixed_volume(volume).await? };
            let Some(mut claim) = claims::read(object, template, ordinal, fixed_volume) else {
                continue;
            };
            claim.mounted = pods.iter().any(|(_, mounts)| mounts.contains(&claim.name));
            claim.foreign = !claim.mounted
                && (siblings.iter().filter(|other| name(other) != key.name).any(|other| {
                    claim_of(&claim.name, name(other), template_names(other)).is_some()
                }) || !runs_with(shape, ordinal) && !has_labels_of(shape, object));
            claims.push(claim);
        }
        if claims.iter().any(|claim| !claim.mounted && !claim.foreign) {
            let others = self.list_of(key.core("pods")).await?;
            let mounted: BTreeSet<&str> = others.iter().flat_map(pods::claims).collect();
            for claim in claims.iter_mut().filter(|claim| !claim.mounted) {
                claim.foreign |= mounted.contains(claim.name.as_str());
            }
        }
        Ok(claims)
    }

    /// Objects of other kinds that name the set as an owner. A kind that may not be listed is named.
    async fn dependents(&self, key: &Key, shape: Option<&Value>) -> Result<Dependents, ReadError> {
        let Some(shape) = shape else { return Ok(Dependents::default()) };
        let set = uid(shape);
        let owned = |object: &&Value| {
            list(object, "/metadata/ownerReferences").iter().any(|owner| text(owner, "/uid") == set)
        };
        let mut dependents = Dependents::default();
        for (kind, group, plural) in DEPENDENT_KINDS {
            let within = path(["namespaces", &key.namespace, plural]);
            match self.client.list(&format!("{group}{within}")).await {
                Ok(objects) => dependents.found.extend(
                    objects.iter().filter(owned).map(|one| format!("{kind} {}", name(one))),
                ),
                Err(ReadError::Refused { code: 403 | 404, .. }) => {
                    dependents.unlisted.push(plural.to_owned());
                }
                Err(why) => return Err(why),
            }
        }
        Ok(dependents)
    }

    async fn classes(&self) -> Result<BTreeMap<String, ClassFact>, ReadError> {
        let classes =
            self.client.list(&path(["apis", "storage.k8s.io", "v1", "storageclasses"])).await?;
        let read =
            |class: &Value| Some((name(class).to_owned(), ClassFact::deserialize(class).ok()?));
        Ok(classes.iter().filter_map(read).collect())
    }

    fn volumes(&self) -> MutexGuard<'_, HashMap<String, Option<FixedVolume>>> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a volume cannot be expanded. Neither its source nor its provisioner changes, so each
    /// volume is read once.
    async fn fixed_volume(&self, volume: &str) -> Result<Option<FixedVolume>, ReadError> {
        if let Some(known) = self.volumes().get(volume) {
            return Ok(*known);
        }
        let object = self.client.read(&path(["api", "v1", "persistentvolumes", volume])).await?;
        let reason = object.as_ref().and_then(claims::fixed_volume);
        if object.is_some() {
            self.volumes().insert(volume.to_owned(), reason);
        }
        Ok(reason)
    }

    /// The update revision, and the one that the record names.
    async fn revisions(
        &self,
        key: &Key,
        shape: Option<&Value>,
        status: Option<&Status>,
        siblings: &[Value],
    ) -> Result<Vec<Revision>, ReadError> {
        let live: Vec<&str> = siblings.iter().map(uid).collect();
        let update = shape.map(|set| text(set, "/status/updateRevision"));
        let recorded = status.and_then(|status| status.recreation.revision.as_ref());
        let mut names: Vec<&str> =
            update.into_iter().chain(recorded.map(|revision| revision.name.as_str())).collect();
        names.retain(|name| !name.is_empty());
        names.dedup();
        let mut found = Vec::new();
        for name in names {
            let namespace = &key.namespace;
            let path =
                path(["apis", "apps", "v1", "namespaces", namespace, "controllerrevisions", name]);
            if let Some(object) = self.client.read(&path).await? {
                found.push(pods::revision(&object, &live, self.client.now()));
            }
        }
        Ok(found)
    }

    /// Controllers other than sets that select the set's pods: they would adopt the orphans.
    async fn neighbours(&self, key: &Key, shape: Option<&Value>) -> Result<Vec<String>, ReadError> {
        let Some(shape) = shape else { return Ok(Vec::new()) };
        let namespace = &key.namespace;
        let mut found = Vec::new();
        for (kind, path) in [
            ("ReplicaSet", path(["apis", "apps", "v1", "namespaces", namespace, "replicasets"])),
            ("DaemonSet", path(["apis", "apps", "v1", "namespaces", namespace, "daemonsets"])),
            ("Job", path(["apis", "batch", "v1", "namespaces", namespace, "jobs"])),
            ("ReplicationController", key.core("replicationcontrollers")),
        ] {
            let others = self.client.list(&path).await?;
            found.extend(
                others
                    .iter()
                    .filter(|other| selects(other, Some(shape)))
                    .map(|other| format!("{kind} {}", name(other))),
            );
        }
        Ok(found)
    }
}

/// The set as the record holds it.
fn before(status: Option<&Status>) -> Option<Value> {
    snapshot::decode(status?.snapshot.as_deref()?).ok()
}

fn read_set(live: &Value, status: Option<&Status>, before: Option<&Value>) -> Set {
    let none = Recreation::default();
    set::read(live, status.map_or(&none, |status| &status.recreation), before)
}

/// Nothing but what this process remembers.
fn unread(memory: Memory) -> Observed {
    fn not_read<T>() -> Fact<T> {
        Fact::Unknown("it was not read".to_owned())
    }
    Observed {
        fresh: true,
        namespace: not_read(),
        set: not_read(),
        pods: not_read(),
        claims: not_read(),
        classes: not_read(),
        revisions: not_read(),
        neighbours: not_read(),
        dependents: not_read(),
        admission_policy: not_read(),
        dry_runs: not_read(),
        last_seen_edit: not_read(),
        memory,
    }
}

/// Phases in which the set is about to be touched, or may be.
fn touches_the_set(phase: &Phase) -> bool {
    matches!(phase, Phase::ClaimsGrown | Phase::RetentionPinned | Phase::Deleting | Phase::Creating)
}

/// Whether the set runs a pod of this ordinal, which mounts the claim whatever its labels are.
fn runs_with(set: Option<&Value>, ordinal: u32) -> bool {
    let whole = |pointer| set.and_then(|set| number(set, pointer));
    let first = whole("/spec/ordinals/start").unwrap_or(0);
    let count = whole("/spec/replicas").unwrap_or(1);
    (first..first.saturating_add(count)).contains(&i64::from(ordinal))
}

/// Whether a claim carries the labels that the StatefulSet controller gives to the set's claims.
fn has_labels_of(set: Option<&Value>, claim: &Value) -> bool {
    let wanted = set.and_then(|set| set.pointer("/spec/selector/matchLabels"));
    let wanted = wanted.and_then(Value::as_object).into_iter().flatten();
    let labels = &claim["metadata"]["labels"];
    wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn template_names(set: &Value) -> Vec<&str> {
    let templates = list(set, "/spec/volumeClaimTemplates");
    templates.iter().map(|template| text(template, "/metadata/name")).collect()
}

/// The selector of a set.
fn selector(object: &Value) -> Option<LabelSelector<'_>> {
    serde::Deserialize::deserialize(object.pointer("/spec/selector")?).ok()
}

/// Whether `other` selects pods of the shape of `set`.
fn selects(other: &Value, set: Option<&Value>) -> bool {
    let Some(labels) = set.and_then(|set| set.pointer("/spec/template/metadata/labels")) else {
        return false;
    };
    // A ReplicationController's selector is a map of labels and nothing else.
    if other.pointer("/spec/selector/matchLabels").is_none()
        && other.pointer("/spec/selector/matchExpressions").is_none()
    {
        let Some(wanted) = other.pointer("/spec/selector").and_then(Value::as_object) else {
            return false;
        };
        return !wanted.is_empty()
            && wanted.iter().all(|(key, value)| labels.get(key) == Some(value));
    }
    let Ok(labels) = <TextMap<'_> as serde::Deserialize>::deserialize(labels) else { return false };
    selector(other).is_some_and(|selector| !selector.is_empty() && selector.matches(&labels))
}
