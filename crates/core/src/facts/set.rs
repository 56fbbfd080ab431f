//! What rules read of a StatefulSet besides the object under review.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use super::quantities::{Quantities, quantity};
use crate::annotations::{PACK, VOTERS};
use crate::object::json::null_default;
use crate::object::selector::LabelSelector;
use crate::object::{Quantity, TextMap};
use crate::packs::{self, ContainerTraits, Traits};
use crate::record::Policy;

/// The longest selector that is kept, in bytes: memory is bounded by the number of sets.
const SELECTOR_LENGTH: usize = 2048;
/// The most text that is kept of what a system is recognised by, in bytes.
const SYSTEM_LENGTH: usize = 8192;
/// The most containers of which that is kept.
const CONTAINERS: usize = 64;

/// A StatefulSet, reduced to what rules read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetFact {
    /// `metadata.uid`
    pub uid: String,
    /// it has a `deletionTimestamp`
    pub terminating: bool,
    /// the owner with `controller: true`
    pub owner: Option<OwnerFact>,
    /// `spec.replicas`; 1 if absent
    pub replicas: i64,
    /// `spec.ordinals.start`; 0 if absent
    pub first_ordinal: i64,
    /// its pods are created and updated one after another: `podManagementPolicy: OrderedReady`
    pub ordered: bool,
    /// what happens to claims when the set is deleted
    pub when_deleted: Policy,
    /// what happens to the claims of pods that a scale-down removes
    pub when_scaled: Policy,
    /// the claim templates, in their order
    pub templates: Vec<TemplateFact>,
    /// its pods are voting members of a quorum, as its annotation says
    pub voters: bool,
    /// what its system is recognised by, see [`SetFact::traits`]
    pub system: SystemFact,
    /// `spec.selector` as JSON; empty if it is longer than any that people write
    pub selector: String,
}

/// What of a set and its pods tells which system it runs. The packs that know it may change with the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemFact {
    named: Option<String>,
    labels: Vec<(String, String)>,
    containers: Vec<Container>,
}

/// A claim template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateFact {
    /// its name
    pub name: String,
    /// `spec.resources.requests.storage`
    pub size: Option<Quantity>,
    /// its StorageClass, empty for none. `None` if it names none, so that claims get the default
    pub class: Option<String>,
}

/// An owner reference with `controller: true`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerFact {
    /// with its group
    pub api_version: String,
    /// `kind`
    pub kind: String,
    /// `name`
    pub name: String,
    /// `uid`
    pub uid: String,
}

/// The part of `spec` that a [`SetFact`] is made of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SetSpec {
    replicas: Option<i64>,
    #[serde(deserialize_with = "null_default")]
    ordinals: Ordinals,
    pod_management_policy: Option<String>,
    #[serde(deserialize_with = "null_default")]
    persistent_volume_claim_retention_policy: Retention,
    #[serde(deserialize_with = "null_default")]
    volume_claim_templates: Vec<Template>,
    selector: Value,
    #[serde(deserialize_with = "null_default")]
    template: PodTemplate,
}

/// What a set is recognised by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodTemplate {
    #[serde(deserialize_with = "null_default")]
    metadata: Labelled,
    #[serde(deserialize_with = "null_default")]
    spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Labelled {
    #[serde(deserialize_with = "null_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    #[serde(deserialize_with = "null_default")]
    containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    #[serde(deserialize_with = "null_default")]
    image: String,
    #[serde(deserialize_with = "null_default")]
    command: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    args: Vec<String>,
    #[serde(deserialize_with = "null_default")]
    env: Vec<Variable>,
    #[serde(deserialize_with = "null_default")]
    volume_mounts: Vec<Named>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ordinals {
    start: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retention {
    when_deleted: Option<String>,
    when_scaled: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    metadata: TemplateMetadata,
    #[serde(deserialize_with = "null_default")]
    spec: TemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TemplateMetadata {
    name: String,
    #[serde(deserialize_with = "null_default")]
    annotations: ClassAnnotation,
}

/// The annotation that named the class before the field was there, and that wins over it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ClassAnnotation {
    #[serde(rename = "volume.beta.kubernetes.io/storage-class")]
    class: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TemplateSpec {
    storage_class_name: Option<String>,
    #[serde(deserialize_with = "null_default")]
    resources: Resources,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: Quantities,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

/// A variable. Of its value, what packs compare stays: a word or two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    #[serde(deserialize_with = "null_default")]
    value: String,
}

/// The longest value of a variable that is kept, in bytes.
const VARIABLE: usize = 64;
/// What the names of variables contain whose values are not kept.
const SECRET: [&str; 4] = ["PASS", "SECRET", "TOKEN", "KEY"];

impl SystemFact {
    /// Drops what comes after [`SYSTEM_LENGTH`] bytes, so that memory is bounded by the number of sets.
    fn limit(&mut self) {
        let mut left = SYSTEM_LENGTH;
        let mut fits = |text: &str| {
            let fits = text.len() <= left;
            left -= if fits { text.len() } else { 0 };
            fits
        };
        self.named.take_if(|named| !fits(named));
        for container in &mut self.containers {
            if !fits(&container.image) {
                container.image.clear();
            }
        }
        self.labels.retain(|(key, value)| fits(key) && fits(value));
        for container in &mut self.containers {
            // Empty texts tell nothing, and any number of them would fit.
            container.env.retain(|variable| !variable.name.is_empty() && fits(&variable.name));
            container.volume_mounts.retain(|mount| !mount.name.is_empty() && fits(&mount.name));
            container.command.retain(|word| !word.is_empty() && fits(word));
            container.args.retain(|word| !word.is_empty() && fits(word));
        }
        // Values come last: names and words tell more, and anybody may add variables.
        for variable in self.containers.iter_mut().flat_map(|container| &mut container.env) {
            let secret = SECRET.iter().any(|word| variable.name.contains(word));
            if secret || variable.value.len() > VARIABLE || !fits(&variable.value) {
                variable.value = String::new();
            }
        }
        self.containers.truncate(CONTAINERS);
        // A list that was read an element at a time has room for twice as many.
        self.containers.shrink_to_fit();
        for container in &mut self.containers {
            container.env.shrink_to_fit();
            container.volume_mounts.shrink_to_fit();
            container.command.shrink_to_fit();
            container.args.shrink_to_fit();
        }
    }
}

impl SetFact {
    /// The fact that an object's metadata and `spec` make.
    pub fn new(uid: String, terminating: bool, owner: Option<OwnerFact>, spec: &SetSpec) -> Self {
        let retention = &spec.persistent_volume_claim_retention_policy;
        let templates = spec.volume_claim_templates.iter();
        Self {
            uid,
            terminating,
            owner,
            replicas: spec.replicas.unwrap_or(1),
            first_ordinal: spec.ordinals.start.unwrap_or_default(),
            ordered: spec.pod_management_policy.as_deref() != Some("Parallel"),
            when_deleted: policy(retention.when_deleted.as_deref()),
            when_scaled: policy(retention.when_scaled.as_deref()),
            templates: templates
                .map(|template| TemplateFact {
                    name: template.metadata.name.clone(),
                    size: quantity(&template.spec.resources.requests, "storage"),
                    class: (template.metadata.annotations.class.as_ref())
                        .or(template.spec.storage_class_name.as_ref())
                        .cloned(),
                })
                .collect(),
            voters: false,
            system: SystemFact::default(),
            selector: Some(spec.selector.to_string())
                .filter(|text| text.len() <= SELECTOR_LENGTH)
                .unwrap_or_default(),
        }
    }

    /// The same, with what its annotations say and its system.
    #[must_use]
    pub fn with_metadata(
        mut self,
        annotations: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
        spec: &SetSpec,
    ) -> Self {
        self.voters = annotations.get(VOTERS).is_some_and(|voters| voters == "all");
        let labels = labels.iter().chain(&spec.template.metadata.labels);
        self.system = SystemFact {
            named: annotations.get(PACK).cloned(),
            labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
            containers: spec.template.spec.containers.clone(),
        };
        self.system.limit();
        self
    }

    /// What its system is recognised by.
    pub fn traits(&self) -> Traits<'_> {
        let system = &self.system;
        let templates: HashSet<&str> = self.template_names().collect();
        let containers = system.containers.iter().map(|container| ContainerTraits {
            image: &container.image,
            words: container.command.iter().chain(&container.args).map(String::as_str).collect(),
            variables: container
                .env
                .iter()
                .map(|variable| (&*variable.name, &*variable.value))
                .collect(),
            keeps_data: container
                .volume_mounts
                .iter()
                .any(|mount| templates.contains(mount.name.as_str())),
        });
        let labels = system.labels.iter().map(|(key, value)| (&**key, &**value));
        let mut labels: Vec<(&str, &str)> = labels.collect();
        labels.sort_unstable();
        Traits {
            named: system.named.as_deref(),
            owner: self.owner.as_ref().map(|owner| packs::kind(&owner.api_version, &owner.kind)),
            labels,
            containers: containers.collect(),
        }
    }

    /// The ordinals of its pods.
    pub fn ordinals(&self) -> Range<i64> {
        let end = self.first_ordinal.saturating_add(self.replicas.max(0));
        self.first_ordinal..end
    }

    /// The names of its claim templates, in their order.
    pub fn template_names(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(|template| template.name.as_str())
    }

    /// Whether its controller would adopt pods with these labels.
    pub fn selects(&self, labels: &TextMap<'_>) -> bool {
        serde_json::from_str(&self.selector).is_ok_and(|selector: LabelSelector<'_>| {
            !selector.is_empty() && selector.matches(labels)
        })
    }

    /// Reads a StatefulSet.
    ///
    /// # Errors
    /// The field that is of the wrong type.
    pub fn read(object: &Value) -> Result<Self, serde_json::Error> {
        let metadata = Metadata::deserialize(&object["metadata"])?;
        let owners = metadata.owner_references.into_iter();
        let owner = owners.filter(|owner| owner.controller == Some(true)).map(|o| o.fact).next();
        let spec = Option::<SetSpec>::deserialize(&object["spec"])?.unwrap_or_default();
        let terminating = metadata.deletion_timestamp.is_some();
        let set = Self::new(metadata.uid, terminating, owner, &spec);
        Ok(set.with_metadata(&metadata.annotations, &metadata.labels, &spec))
    }
}

/// The API server takes an absent policy for `Retain`.
fn policy(text: Option<&str>) -> Policy {
    if text == Some("Delete") { Policy::Delete } else { Policy::Retain }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    deletion_timestamp: Option<String>,
    #[serde(deserialize_with = "null_default")]
    annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    owner_references: Vec<Owner>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    controller: Option<bool>,
    #[serde(flatten)]
    fact: OwnerFact,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_fields_have_the_defaults_of_the_api_server() {
        let fact = SetFact::read(&json!({
            "metadata": {"uid": "a1", "ownerReferences": [{"kind": "App", "uid": "o1"}]},
            "spec": {"ordinals": null, "volumeClaimTemplates": null},
        }));
        let expected = SetFact {
            ordered: true,
            uid: "a1".to_owned(),
            terminating: false,
            owner: None,
            replicas: 1,
            first_ordinal: 0,
            when_deleted: Policy::Retain,
            when_scaled: Policy::Retain,
            templates: Vec::new(),
            voters: false,
            system: SystemFact::default(),
            selector: "null".to_owned(),
        };
        assert_eq!(fact.unwrap(), expected);
    }

    #[test]
    fn short_values_of_variables_tell_the_system() {
        let system = |value: &str| {
            let container = json!({
                "image": "apache/kafka:3.9.1",
                "env": [{"name": "KAFKA_PROCESS_ROLES", "value": value}, {"name": "A", "value": null}],
            });
            let spec = json!({"template": {"spec": {"containers": [container]}}});
            let fact = SetFact::read(&json!({"metadata": {}, "spec": spec})).unwrap();
            packs::recognise(packs::Packs::built_in(), &fact.traits()).unwrap().name
        };
        assert_eq!(system("controller"), "kafka-controller");
        assert_eq!(system("broker, controller"), "kafka-controller");
        for broker in ["broker", "controllers", "", &"controller,".repeat(VARIABLE)] {
            assert_eq!(system(broker), "kafka", "{broker}");
        }
    }

    #[test]
    fn every_field_is_read() {
        let owner = |kind: &str, controller: bool| json!({"apiVersion": "x.y/v1", "kind": kind, "name": "n", "uid": "o", "controller": controller});
        let fact = SetFact::read(&json!({
            "metadata": {
                "uid": "a1",
                "deletionTimestamp": "2030-01-01T00:00:00Z",
                "annotations": {VOTERS: "all"},
                "ownerReferences": [owner("Note", false), owner("App", true)],
            },
            "spec": {
                "replicas": 0,
                "ordinals": {"start": 5},
                "persistentVolumeClaimRetentionPolicy": {
                    "whenDeleted": "Retain", "whenScaled": "Delete",
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "10Gi"}}}}],
                "selector": {"matchLabels": {"app": "db"}},
                "template": {"spec": {"containers": [{"image": "quay.io/coreos/etcd:v3.6.1"}]}},
            },
        }))
        .unwrap();
        assert!(fact.terminating);
        let owner = fact.owner.as_ref().unwrap();
        assert_eq!((owner.api_version.as_str(), owner.kind.as_str()), ("x.y/v1", "App"));
        assert_eq!((fact.replicas, fact.first_ordinal), (0, 5));
        assert_eq!((fact.when_deleted, fact.when_scaled), (Policy::Retain, Policy::Delete));
        assert_eq!(fact.template_names().collect::<Vec<_>>(), ["data"]);
        assert_eq!(fact.templates[0].size, "10Gi".parse().ok());
        assert!(fact.voters);
        let known = packs::recognise(packs::Packs::built_in(), &fact.traits());
        assert_eq!(known.map(|known| known.name), Some("etcd"));
        let labels = |text: &'static str| serde_json::from_str::<TextMap<'_>>(text).unwrap();
        assert!(fact.selects(&labels("{\"app\": \"db\", \"tier\": \"x\"}")));
        assert!(!fact.selects(&labels("{\"tier\": \"x\"}")));
    }

    #[test]
    fn a_field_of_the_wrong_type_is_an_error() {
        assert!(SetFact::read(&json!({"metadata": {}, "spec": {"replicas": "3"}})).is_err());
    }
}
