//! Objects of the API server, reduced to what is read.
//!
//! Their authors choose what they contain. Nothing is decoded that is not read, and an object that
//! cannot be read, or of which too much would be kept, is unknown by itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use stateward_core::annotations::RESIZE_MAX;
use stateward_core::facts::{
    ClaimFact, ClassFact, FixedVolume, NamespaceFact, OwnerFact, PodFact, QuotaFact, RecordFact,
    SetFact, SetSpec, StorageLimit,
};
use stateward_core::mutations::anti_affinity;
use stateward_core::object::Quantity;
use stateward_core::object::claim::BETA_CLASS;
use stateward_core::object::json::null_default;

/// The annotation that a provisioner leaves on its volumes.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const STORAGE: &str = "requests.storage";
const CLASS_STORAGE: &str = ".storageclass.storage.k8s.io/requests.storage";

/// The most that is kept of one object, in bytes.
const MOST: usize = 8 << 10;
/// The longest name of an object, in characters.
const LONGEST_NAME: usize = 253;
/// What an entry of a list or map needs besides its text, in bytes.
const ENTRY: usize = 48;

/// An object's name, and what is kept of it: nothing if no rule reads anything of it, or the reason
/// why it is unknown.
#[derive(Debug)]
pub(super) struct Reduced<T> {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) fact: Result<Option<T>, &'static str>,
}

const UNREADABLE: &str = "which cannot be read";
const TOO_LARGE: &str = "which has more labels, owners or templates than are read";

#[derive(Deserialize)]
struct Placed {
    metadata: Place,
}

#[derive(Deserialize)]
struct Place {
    #[serde(default)]
    namespace: String,
    name: String,
}

/// Every stored object has a name, so one without is left out.
fn placed<T>(
    object: &RawValue,
    fact: impl FnOnce() -> Result<Option<T>, &'static str>,
) -> Option<Reduced<T>> {
    let Placed { metadata } = serde_json::from_str(object.get()).ok()?;
    Some(Reduced { namespace: metadata.namespace, name: metadata.name, fact: fact() })
}

/// What `keep` makes of an object, unless that is too much; `size` tells how much it is.
fn reduced<K: DeserializeOwned, T>(
    object: &RawValue,
    size: fn(&T) -> usize,
    keep: fn(K) -> Option<T>,
) -> Option<Reduced<T>> {
    placed(object, || {
        let object = serde_json::from_str(object.get()).map_err(|_| UNREADABLE)?;
        let fact = keep(object);
        if fact.as_ref().is_some_and(|fact| size(fact) > MOST) { Err(TOO_LARGE) } else { Ok(fact) }
    })
}

/// Cuts a text to one character more than names have, so that it still names nothing that exists.
fn name_like(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_NAME + 1) {
        text.truncate(end);
        text.shrink_to_fit();
    }
    text
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> usize {
    texts.into_iter().map(|text| text.len() + ENTRY).sum()
}

fn entries(map: &BTreeMap<String, String>) -> usize {
    texts(map.keys()) + texts(map.values())
}

/// The metadata that is read of some kind.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    #[serde(deserialize_with = "null_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_default")]
    owner_references: Vec<Owner>,
    deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Owner {
    api_version: String,
    kind: String,
    name: String,
    uid: String,
    controller: Option<bool>,
}

/// An object of which `S` is decoded as spec and `T` as status.
#[derive(Deserialize)]
#[serde(bound = "S: Deserialize<'de> + Default, T: Deserialize<'de> + Default")]
struct Object<S, T = IgnoredAny> {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default, deserialize_with = "null_default")]
    spec: S,
    #[serde(default, deserialize_with = "null_default")]
    status: T,
}

type Quantities = Option<BTreeMap<String, Value>>;

/// A quantity is a string, but people write numbers, too.
fn quantity(texts: &Quantities, key: &str) -> Option<Quantity> {
    match texts.as_ref()?.get(key)? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    access_modes: Option<Vec<String>>,
    storage_class_name: Option<String>,
    volume_name: Option<String>,
    resources: Option<Resources>,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    requests: Quantities,
}

pub(super) fn claim(claim: &RawValue) -> Option<Reduced<ClaimFact>> {
    let size = |fact: &ClaimFact| {
        entries(&fact.labels)
            + texts(fact.access_modes.iter().chain(&fact.owners))
            + texts([&fact.class, &fact.volume, &fact.uid])
    };
    reduced(claim, size, |claim: Object<ClaimSpec>| {
        let Object { mut metadata, spec, .. } = claim;
        let owners = metadata.owner_references.into_iter().filter(|owner| owner.kind != "Pod");
        let beta = metadata.annotations.remove(BETA_CLASS);
        Some(ClaimFact {
            uid: metadata.uid,
            access_modes: spec.access_modes.unwrap_or_default(),
            class: beta.or(spec.storage_class_name).unwrap_or_default(),
            volume: spec.volume_name.unwrap_or_default(),
            request: spec.resources.and_then(|of| quantity(&of.requests, "storage")),
            labels: metadata.labels,
            owners: owners.map(|owner| owner.uid).collect(),
        })
    })
}

pub(super) fn class(class: &RawValue) -> Option<Reduced<ClassFact>> {
    reduced(class, |_| 0, Some::<ClassFact>)
}

pub(super) fn namespace(namespace: &RawValue) -> Option<Reduced<NamespaceFact>> {
    let size = |fact: &NamespaceFact| texts(&fact.resize_max);
    reduced(namespace, size, |namespace: Object<IgnoredAny>| {
        let mut metadata = namespace.metadata;
        let fact = NamespaceFact {
            terminating: metadata.deletion_timestamp.is_some(),
            resize_max: metadata.annotations.remove(RESIZE_MAX),
        };
        (fact != NamespaceFact::default()).then_some(fact)
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    affinity: Option<PodAffinity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodAffinity {
    #[serde(default)]
    pod_anti_affinity: Option<Value>,
}

pub(super) fn pod(pod: &RawValue) -> Option<Reduced<PodFact>> {
    reduced(
        pod,
        |_| 0,
        |pod: Object<PodSpec>| {
            let terms = pod.spec.affinity.and_then(|affinity| affinity.pod_anti_affinity);
            let injected_key = terms.as_ref().and_then(anti_affinity::injected_key);
            Some(PodFact { injected_key })
        },
    )
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QuotaSpec {
    scopes: Option<IgnoredAny>,
    scope_selector: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QuotaStatus {
    hard: Quantities,
    used: Quantities,
}

/// Quotas with a scope count some claims only, and which cannot be told here.
pub(super) fn quota(quota: &RawValue) -> Option<Reduced<QuotaFact>> {
    let size = |fact: &QuotaFact| {
        let classes = fact.limits.iter().filter_map(|limit| limit.class.as_ref());
        texts(classes) + fact.limits.len() * 2 * ENTRY
    };
    reduced(quota, size, |quota: Object<QuotaSpec, QuotaStatus>| {
        if quota.spec.scopes.is_some() || quota.spec.scope_selector.is_some() {
            return None;
        }
        let QuotaStatus { hard, used } = &quota.status;
        let limits: Vec<StorageLimit> = hard
            .iter()
            .flat_map(BTreeMap::keys)
            .filter_map(|resource| {
                let class = match resource.as_str() {
                    STORAGE => None,
                    resource => Some(resource.strip_suffix(CLASS_STORAGE)?.to_owned()),
                };
                let (hard, used) = (quantity(hard, resource)?, quantity(used, resource)?);
                Some(StorageLimit { class, hard, used })
            })
            .collect();
        (!limits.is_empty()).then_some(QuotaFact { limits })
    })
}

/// What is decoded of a volume.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct PersistentVolume(Object<VolumeSpec>);

#[derive(Default, Deserialize)]
#[serde(transparent)]
struct VolumeSpec(Option<Map<String, Value>>);

/// The sources that can be expanded: CSI drivers, and drivers that were part of Kubernetes and were
/// migrated to CSI (KEP-625).
const EXPANDABLE: [&str; 10] = [
    "csi",
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cinder",
    "flexVolume",
    "gcePersistentDisk",
    "portworxVolume",
    "rbd",
    "vsphereVolume",
];

pub(super) fn volume(volume: &RawValue) -> Option<Reduced<FixedVolume>> {
    reduced(volume, |_| 0, |volume| fixed_volume(&volume))
}

/// Why a volume cannot be expanded, as far as the volume itself tells.
pub(crate) fn fixed_volume(PersistentVolume(volume): &PersistentVolume) -> Option<FixedVolume> {
    let spec = volume.spec.0.as_ref();
    let expandable =
        spec.is_none_or(|spec| EXPANDABLE.iter().any(|source| spec.contains_key(*source)));
    FixedVolume::of(expandable, volume.metadata.annotations.contains_key(PROVISIONED_BY))
}

/// The pod template is not decoded.
pub(super) fn set(set: &RawValue) -> Option<Reduced<SetFact>> {
    let size = |fact: &SetFact| {
        let owner = fact.owner.iter().flat_map(|o| [&o.api_version, &o.kind, &o.name, &o.uid]);
        texts(&fact.template_names) + texts(owner) + texts([&fact.uid, &fact.selector])
    };
    reduced(set, size, |set: Object<SetSpec>| {
        let Object { metadata, spec, .. } = set;
        let terminating = metadata.deletion_timestamp.is_some();
        let mut owners = metadata.owner_references.into_iter();
        let owner = owners.find(|owner| owner.controller == Some(true)).map(|owner| OwnerFact {
            api_version: name_like(owner.api_version),
            kind: name_like(owner.kind),
            name: name_like(owner.name),
            uid: name_like(owner.uid),
        });
        Some(SetFact::new(metadata.uid, terminating, owner, &spec))
    })
}

/// A record that cannot be read, or of which too much would be kept, counts as one in a phase of
/// another version.
pub(super) fn record(record: &RawValue) -> Option<Reduced<RecordFact>> {
    placed(record, || {
        let read = serde_json::from_str(record.get());
        let read = read.and_then(|record: Value| RecordFact::read(&record));
        Ok(Some(read.ok().and_then(bounded).unwrap_or_else(RecordFact::unreadable)))
    })
}

fn bounded(mut record: RecordFact) -> Option<RecordFact> {
    let injected = record.injected.as_ref().map_or(0, |injected| {
        let affinity = injected.pod_anti_affinity.as_ref().map(ToString::to_string);
        texts(&injected.names) + texts(&affinity)
    });
    // It then counts as a record whose snapshot cannot be read.
    if injected > MOST {
        record.injected = None;
    }
    let names =
        record.phase.as_str().len() + record.reason.as_ref().map_or(0, |r| r.as_str().len());
    let uids = record.old_uid.iter().chain(&record.new_uid);
    let size = entries(&record.targets) + entries(&record.taken) + texts(uids) + names;
    (size <= MOST).then_some(record)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use serde_json::value::to_raw_value;

    use super::*;

    type Read<T> = fn(&RawValue) -> Option<Reduced<T>>;

    fn of(object: &Value) -> Box<RawValue> {
        to_raw_value(object).unwrap()
    }

    fn fact<T>(read: Read<T>, object: &Value) -> Option<T> {
        read(&of(object)).unwrap().fact.unwrap()
    }

    #[test]
    fn a_volume_that_cannot_grow_is_kept_with_the_reason() {
        let fixed = |annotations: Value, source: Value| {
            let mut spec = source;
            spec["capacity"] = json!({"storage": "1Gi"});
            let metadata = json!({"name": "v", "annotations": annotations});
            fact(volume, &json!({"metadata": metadata, "spec": spec}))
        };
        let csi = json!({"csi": {"driver": "d", "volumeHandle": "h"}});
        let made = json!({PROVISIONED_BY: "d"});
        assert_eq!(fixed(made.clone(), csi.clone()), None);
        assert_eq!(fixed(json!({}), csi), Some(FixedVolume::Manual));
        let disk = json!({"awsElasticBlockStore": {"volumeID": "x"}});
        assert_eq!(fixed(made.clone(), disk), None);
        let local = json!({"local": {"path": "/mnt"}});
        assert_eq!(fixed(made, local), Some(FixedVolume::Driver));
    }

    #[test]
    fn only_quotas_on_the_storage_of_all_claims_are_kept() {
        let limits = |spec: Value| {
            let list = |storage| json!({"requests.storage": storage, "pods": "3", "gold.storageclass.storage.k8s.io/requests.storage": "5Gi"});
            let status = json!({"hard": list("100Gi"), "used": list("60Gi")});
            let metadata = json!({"name": "q", "namespace": "shop"});
            let object = json!({"metadata": metadata, "spec": spec, "status": status});
            fact(quota, &object).map(|fact| fact.limits)
        };
        let found = limits(json!({})).unwrap();
        let classes: Vec<_> = found.iter().map(|limit| limit.class.as_deref()).collect();
        assert_eq!(classes, [Some("gold"), None]);
        assert_eq!(found[1].hard.to_string(), "100Gi");
        assert_eq!(found[1].used.to_string(), "60Gi");
        assert_eq!(limits(json!({"scopes": ["NotBestEffort"]})), None);
    }

    #[test]
    fn a_set_is_reduced_to_what_the_engine_reads_of_it() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {
                "name": "db", "namespace": "shop", "uid": "a1",
                "ownerReferences": [{
                    "apiVersion": "x.y/v1", "kind": "App", "name": "app", "uid": "o1", "controller": true,
                }],
            },
            "spec": {
                "replicas": 3,
                "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
                "template": {"spec": {"containers": "not decoded"}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            },
            "status": {"replicas": 3},
        });
        let reduced = set(&of(&object)).unwrap();
        assert_eq!((reduced.namespace.as_str(), reduced.name.as_str()), ("shop", "db"));
        assert_eq!(reduced.fact, Ok(Some(SetFact::read(&object).unwrap())));
    }

    #[test]
    fn a_record_of_another_form_is_no_reason_to_fail() {
        let object = |status: Value| {
            let metadata = json!({"name": "db", "namespace": "shop"});
            fact(record, &json!({"metadata": metadata, "status": status})).unwrap()
        };
        assert_eq!(object(json!({"phase": "RetentionPinned"})).phase.as_str(), "RetentionPinned");
        let odd = object(json!({"phase": ["RetentionPinned"]}));
        assert!(odd.phase.is_live() && !odd.is_recreating());
    }

    #[test]
    fn the_class_of_old_claims_stands_in_an_annotation() {
        let metadata =
            json!({"name": "c", "namespace": "shop", "annotations": {BETA_CLASS: "old"}});
        let spec = json!({
            "storageClassName": "new", "volumeName": "v",
            "resources": {"requests": {"storage": "10Gi"}},
        });
        let fact = fact(claim, &json!({"metadata": metadata, "spec": spec})).unwrap();
        assert_eq!((fact.class.as_str(), fact.volume.as_str()), ("old", "v"));
        assert_eq!(fact.request.unwrap().to_string(), "10Gi");
    }

    /// Metadata that the API server stores and that kube's types cannot decode.
    fn hostile() -> Value {
        json!({
            "name": "odd", "namespace": "shop", "uid": "u", "generation": 1,
            "creationTimestamp": "9999-12-31T23:59:59Z",
            "deletionTimestamp": "9999-12-31T23:59:59Z",
            "deletionGracePeriodSeconds": "much",
            "managedFields": [{
                "manager": "m", "operation": "Update", "time": "9999-12-31T23:59:59Z",
                "fieldsV1": [1, "not decoded"],
            }],
        })
    }

    fn is_read<T: std::fmt::Debug>(read: Read<T>, rest: &Value) {
        let mut object = rest.clone();
        object["metadata"] = hostile();
        let reduced = read(&of(&object)).unwrap();
        assert_eq!((&*reduced.namespace, &*reduced.name), ("shop", "odd"));
        assert!(matches!(reduced.fact, Ok(Some(_))), "{reduced:?}");
    }

    #[test]
    fn metadata_that_is_not_read_is_not_decoded() {
        let condition = json!([{"lastTransitionTime": "9999-12-31T23:59:59Z", "type": 1}]);
        let status = json!({"conditions": condition, "startTime": "9999-12-31T23:59:59Z"});
        let plain = json!({"spec": {}, "status": status});
        is_read(claim, &plain);
        is_read(class, &json!({"allowVolumeExpansion": true, "mountOptions": 1}));
        is_read(namespace, &plain);
        is_read(pod, &json!({"spec": {"activeDeadlineSeconds": "x"}, "status": status}));
        is_read(set, &plain);
        is_read(record, &plain);
        is_read(volume, &json!({"spec": {"local": {}, "claimRef": 1}, "status": status}));
        let limits = json!({"requests.storage": "1Gi"});
        is_read(quota, &json!({"spec": {}, "status": {"hard": limits, "used": limits}}));
    }

    fn told<T>(reduced: Option<Reduced<T>>) -> Option<(String, String, Result<(), &'static str>)> {
        reduced.map(|r| (r.namespace, r.name, r.fact.map(|_| ())))
    }

    #[test]
    fn an_object_that_cannot_be_read_is_unknown_by_itself() {
        let metadata = json!({"name": "odd", "namespace": "shop"});
        let place = "shop odd";
        let unknown = |reduced: Option<(String, String, Result<(), &'static str>)>| {
            let (namespace, name, fact) = reduced.unwrap();
            assert_eq!((format!("{namespace} {name}").as_str(), fact), (place, Err(UNREADABLE)));
        };
        let odd =
            of(&json!({"metadata": metadata, "spec": 7, "status": 7, "allowVolumeExpansion": 7}));
        unknown(told(claim(&odd)));
        unknown(told(class(&odd)));
        unknown(told(pod(&odd)));
        unknown(told(set(&odd)));
        unknown(told(quota(&odd)));
        unknown(told(volume(&odd)));
        let annotations = of(&json!({
            "metadata": {"name": "odd", "namespace": "shop", "annotations": 7},
        }));
        unknown(told(namespace(&annotations)));
        assert_eq!(record(&odd).unwrap().fact, Ok(Some(RecordFact::unreadable())));
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let deep = format!(
            r#"{{"metadata":{{"name":"odd","namespace":"shop"}},"status":{{"x":{deep}}}}}"#
        );
        let deep = RawValue::from_string(deep).unwrap();
        assert_eq!(record(&deep).unwrap().fact, Ok(Some(RecordFact::unreadable())));
    }

    #[test]
    fn what_is_kept_of_large_objects_is_bounded() {
        let metadata = json!({"name": "large", "namespace": "shop", "uid": "u"});
        let many = |count: usize| -> Value {
            (0..count).map(|n| (format!("label-{n}"), json!("x"))).collect::<Map<_, _>>().into()
        };
        let labelled = |count: usize| {
            let mut metadata = metadata.clone();
            metadata["labels"] = many(count);
            claim(&of(&json!({"metadata": metadata, "spec": {}}))).unwrap().fact
        };
        assert_eq!(labelled(8500).unwrap_err(), TOO_LARGE);
        assert_eq!(labelled(50).unwrap().unwrap().labels.len(), 50);
        let templated = |count: usize| {
            let templates: Vec<Value> =
                (0..count).map(|n| json!({"metadata": {"name": format!("t{n}")}})).collect();
            set(&of(&json!({"metadata": metadata, "spec": {"volumeClaimTemplates": templates}})))
        };
        assert_eq!(templated(20_000).unwrap().fact.unwrap_err(), TOO_LARGE);
        assert_eq!(templated(50).unwrap().fact.unwrap().unwrap().template_names.len(), 50);
        let mut owned = metadata.clone();
        owned["labels"] = many(8500);
        owned["annotations"] = json!({"x": "y".repeat(1 << 20)});
        let object = json!({"metadata": owned, "spec": {"template": {"x": "y".repeat(1 << 20)}}});
        assert!(set(&of(&object)).unwrap().fact.is_ok(), "what is not kept has no bound");
        owned["ownerReferences"] = json!([{"name": "y".repeat(1 << 20), "controller": true}]);
        let cut = fact(set, &json!({"metadata": owned, "spec": {}})).unwrap();
        assert_eq!(cut.owner.unwrap().name.len(), LONGEST_NAME + 1);
        let targets: Value = many(8500);
        let status = json!({"phase": "Complete", "annotationTargets": targets});
        let kept = fact(record, &json!({"metadata": metadata, "status": status}));
        assert_eq!(kept, Some(RecordFact::unreadable()));
    }
}
