//! What else is in the set's namespace.

use serde_json::Value;
use stateward_core::object::{TextMap, selector::LabelSelector};
use stateward_core::record::Status;
use stateward_resize::observed::{Dependents, Revision};

use crate::cluster::{Extent, ReadError, path};
use crate::controller::cluster::Cluster;
use crate::controller::json_fields::{list, name, text, uid};
use crate::controller::{Key, pods};

/// Kinds that people and operators make StatefulSets own, by their path in the namespace. Pods,
/// claims and revisions are adopted again; other kinds cannot be listed without more permissions.
const DEPENDENT_KINDS: [(&str, &str, &str); 5] = [
    ("ConfigMap", "/api/v1", "configmaps"),
    ("Secret", "/api/v1", SECRETS),
    ("Service", "/api/v1", "services"),
    ("ServiceAccount", "/api/v1", "serviceaccounts"),
    ("PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets"),
];

const SECRETS: &str = "secrets";

/// What is kept of a set of the namespace.
pub(super) struct Sibling {
    pub(super) name: String,
    pub(super) uid: String,
    /// it selects the pods of the set that is resized
    pub(super) selects: bool,
    /// the names of its claim templates
    pub(super) templates: Vec<String>,
}

impl Cluster {
    /// The sets of the namespace.
    pub(super) async fn siblings(
        &self,
        key: &Key,
        shape: Option<&Value>,
    ) -> Result<Vec<Sibling>, ReadError> {
        let read = |set: &Value| {
            Some(Sibling {
                name: name(set).to_owned(),
                uid: uid(set).to_owned(),
                selects: selects(set, shape),
                templates: template_names(set).into_iter().map(str::to_owned).collect(),
            })
        };
        self.client.list(&key.sets(), Extent::Whole, read).await
    }

    /// The UIDs of the sets of the namespace.
    pub(super) async fn live_sets(&self, key: &Key) -> Result<Vec<String>, ReadError> {
        let read = |set: &Value| Some(uid(set).to_owned());
        self.client.list(&key.sets(), Extent::Metadata, read).await
    }

    /// Objects of other kinds that name the set as an owner. A kind that may not be listed is named.
    pub(super) async fn dependents(
        &self,
        key: &Key,
        shape: Option<&Value>,
    ) -> Result<Dependents, ReadError> {
        let Some(shape) = shape else { return Ok(Dependents::default()) };
        let set = uid(shape);
        let mut dependents = Dependents::default();
        for (kind, group, plural) in DEPENDENT_KINDS {
            if plural == SECRETS && !self.asks_for_secrets {
                dependents.unlisted.push(plural.to_owned());
                continue;
            }
            let within = path(["namespaces", &key.namespace, plural]);
            let owned = |object: &Value| {
                let mut owners = list(object, "/metadata/ownerReferences").iter();
                let owned = owners.any(|owner| text(owner, "/uid") == set);
                owned.then(|| format!("{kind} {}", name(object)))
            };
            match self.client.list(&format!("{group}{within}"), Extent::Metadata, owned).await {
                Ok(found) => dependents.found.extend(found),
                Err(ReadError::Refused { code: 403 | 404, .. }) => {
                    dependents.unlisted.push(plural.to_owned());
                }
                Err(why) => return Err(why),
            }
        }
        Ok(dependents)
    }

    /// The update revision, and the one that the record names; `live` are the UIDs of the
    /// namespace's sets.
    pub(super) async fn revisions(
        &self,
        key: &Key,
        shape: Option<&Value>,
        status: Option<&Status>,
        live: &[&str],
    ) -> Result<Vec<Revision>, ReadError> {
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
                found.push(pods::revision(&object, live, self.client.now()));
            }
        }
        Ok(found)
    }

    /// Controllers other than sets that select the set's pods: they would adopt the orphans.
    pub(super) async fn neighbours(
        &self,
        key: &Key,
        shape: Option<&Value>,
    ) -> Result<Vec<String>, ReadError> {
        let Some(shape) = shape else { return Ok(Vec::new()) };
        let namespace = &key.namespace;
        let mut found = Vec::new();
        for (kind, path) in [
            ("ReplicaSet", path(["apis", "apps", "v1", "namespaces", namespace, "replicasets"])),
            ("DaemonSet", path(["apis", "apps", "v1", "namespaces", namespace, "daemonsets"])),
            ("Job", path(["apis", "batch", "v1", "namespaces", namespace, "jobs"])),
            ("ReplicationController", key.core("replicationcontrollers")),
        ] {
            let named = |other: &Value| {
                selects(other, Some(shape)).then(|| format!("{kind} {}", name(other)))
            };
            found.extend(self.client.list(&path, Extent::Whole, named).await?);
        }
        Ok(found)
    }
}

pub(super) fn template_names(set: &Value) -> Vec<&str> {
    let templates = list(set, "/spec/volumeClaimTemplates");
    templates.iter().map(|template| text(template, "/metadata/name")).collect()
}

/// The selector of a set.
pub(super) fn selector(object: &Value) -> Option<LabelSelector<'_>> {
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
