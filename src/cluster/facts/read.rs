//! Objects of the API server, reduced to what is read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Namespace, PersistentVolume, PersistentVolumeClaim, ResourceQuota,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use kube::ResourceExt;
use kube::api::{DynamicObject, NotUsed, Object, PartialObjectMeta};
use serde::Deserialize;
use serde_json::Value;
use stateward_core::annotations::RESIZE_MAX;
use stateward_core::facts::{
    ClaimFact, ClassFact, FixedVolume, NamespaceFact, OwnerFact, PodFact, QuotaFact, RecordFact,
    SetFact, SetSpec, StorageLimit,
};
use stateward_core::mutations::anti_affinity;
use stateward_core::object::Quantity;
use stateward_core::object::claim::BETA_CLASS;

/// The annotation that a provisioner leaves on its volumes.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const STORAGE: &str = "requests.storage";
const CLASS_STORAGE: &str = ".storageclass.storage.k8s.io/requests.storage";

/// An object's place, and what is kept of it; nothing where nothing is to be said.
#[derive(Debug)]
pub(super) struct Reduced<T> {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) fact: Option<T>,
}

fn reduced<T>(object: &impl ResourceExt, fact: Option<T>) -> Reduced<T> {
    Reduced { namespace: object.namespace().unwrap_or_default(), name: object.name_any(), fact }
}

fn quantity(texts: Option<&BTreeMap<String, Text>>, key: &str) -> Option<Quantity> {
    texts?.get(key)?.0.parse().ok()
}

pub(super) fn claim(claim: &PersistentVolumeClaim) -> Reduced<ClaimFact> {
    let beta = claim.annotations().get(BETA_CLASS).cloned();
    let spec = claim.spec.as_ref();
    let requests = spec.and_then(|s| s.resources.as_ref()).and_then(|r| r.requests.as_ref());
    let owners = claim.owner_references().iter().filter(|owner| owner.kind != "Pod");
    let fact = ClaimFact {
        uid: claim.uid().unwrap_or_default(),
        access_modes: spec.and_then(|spec| spec.access_modes.clone()).unwrap_or_default(),
        class: beta
            .or_else(|| spec.and_then(|spec| spec.storage_class_name.clone()))
            .unwrap_or_default(),
        volume: spec.and_then(|spec| spec.volume_name.clone()).unwrap_or_default(),
        request: quantity(requests, "storage"),
        labels: claim.labels().clone(),
        owners: owners.map(|owner| owner.uid.clone()).collect(),
    };
    reduced(claim, Some(fact))
}

pub(super) fn class(class: &StorageClass) -> Reduced<ClassFact> {
    let allow_volume_expansion = class.allow_volume_expansion.unwrap_or_default();
    reduced(class, Some(ClassFact { allow_volume_expansion }))
}

pub(super) fn namespace(namespace: &PartialObjectMeta<Namespace>) -> Reduced<NamespaceFact> {
    let fact = NamespaceFact {
        terminating: namespace.metadata.deletion_timestamp.is_some(),
        resize_max: namespace.annotations().get(RESIZE_MAX).cloned(),
    };
    let is_default = fact == NamespaceFact::default();
    reduced(namespace, (!is_default).then_some(fact))
}

/// A pod of which little is decoded.
pub(super) type Pod = Object<PodSpec, NotUsed>;

/// What is decoded of a pod's spec.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PodSpec {
    #[serde(default)]
    affinity: Option<PodAffinity>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodAffinity {
    #[serde(default)]
    pod_anti_affinity: Option<Value>,
}

pub(super) fn pod(pod: &Pod) -> Reduced<PodFact> {
    let affinity = pod.spec.affinity.as_ref();
    let terms = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
    let injected_key = terms.and_then(anti_affinity::injected_key);
    reduced(pod, Some(PodFact { injected_key }))
}

/// Quotas with a scope count some claims only, and which cannot be told here.
pub(super) fn quota(quota: &ResourceQuota) -> Reduced<QuotaFact> {
    let spec = quota.spec.as_ref();
    let scoped = spec.is_some_and(|spec| spec.scopes.is_some() || spec.scope_selector.is_some());
    let status = quota.status.as_ref().filter(|_| !scoped);
    let hard = status.and_then(|status| status.hard.as_ref());
    let used = status.and_then(|status| status.used.as_ref());
    let limits: Vec<StorageLimit> = hard
        .into_iter()
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
    let fact = (!limits.is_empty()).then_some(QuotaFact { limits });
    reduced(quota, fact)
}

pub(super) fn volume(volume: &PersistentVolume) -> Reduced<FixedVolume> {
    reduced(volume, fixed_volume(volume))
}

/// Why a volume cannot be expanded, as far as the volume itself tells. Expandable are volumes of CSI
/// drivers, and of drivers that were part of Kubernetes and were migrated to CSI (KEP-625).
pub(crate) fn fixed_volume(volume: &PersistentVolume) -> Option<FixedVolume> {
    let expandable = volume.spec.as_ref().is_none_or(|spec| {
        spec.csi.is_some()
            || spec.aws_elastic_block_store.is_some()
            || spec.azure_disk.is_some()
            || spec.azure_file.is_some()
            || spec.cinder.is_some()
            || spec.flex_volume.is_some()
            || spec.gce_persistent_disk.is_some()
            || spec.portworx_volume.is_some()
            || spec.rbd.is_some()
            || spec.vsphere_volume.is_some()
    });
    FixedVolume::of(expandable, volume.annotations().contains_key(PROVISIONED_BY))
}

/// A StatefulSet whose pod template is not decoded.
pub(super) type Set = Object<SetSpec, NotUsed>;

pub(super) fn set(set: &Set) -> Reduced<SetFact> {
    let terminating = set.metadata.deletion_timestamp.is_some();
    let controller = set.owner_references().iter().find(|owner| owner.controller == Some(true));
    let owner = controller.map(|owner| OwnerFact {
        api_version: owner.api_version.clone(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
    });
    reduced(set, Some(SetFact::new(set.uid().unwrap_or_default(), terminating, owner, &set.spec)))
}

/// A record that cannot be read counts as one in a phase of another version.
pub(super) fn record(record: &DynamicObject) -> Reduced<RecordFact> {
    let deleting = record.metadata.deletion_timestamp.is_some();
    let fact = RecordFact::read_parts(&record.data, deleting).unwrap_or_else(|error| {
        let (namespace, name) = (record.namespace(), record.name_any());
        tracing::warn!(namespace, name, %error, "cannot read a StatefulSetResize");
        RecordFact::unreadable()
    });
    reduced(record, Some(fact))
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn of<K: DeserializeOwned>(object: Value) -> K {
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_volume_that_cannot_grow_is_kept_with_the_reason() {
        let fixed = |annotations: Value, source: Value| {
            let mut spec = source;
            spec["capacity"] = json!({"storage": "1Gi"});
            let metadata = json!({"name": "v", "annotations": annotations});
            volume(&of(json!({"metadata": metadata, "spec": spec}))).fact
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
            let quota = of(json!({"metadata": metadata, "spec": spec, "status": status}));
            super::quota(&quota).fact.map(|fact| fact.limits)
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
        let reduced = set(&of(object.clone()));
        assert_eq!((reduced.namespace.as_str(), reduced.name.as_str()), ("shop", "db"));
        assert_eq!(reduced.fact, Some(SetFact::read(&object).unwrap()));
    }

    #[test]
    fn a_record_of_another_form_is_no_reason_to_fail() {
        let object = |status: Value| {
            let metadata = json!({"name": "db", "namespace": "shop"});
            record(&of(json!({"metadata": metadata, "status": status}))).fact.unwrap()
        };
        assert_eq!(object(json!({"phase": "RetentionPinned"})).phase.as_str(), "RetentionPinned");
        let odd = object(json!({"phase": ["RetentionPinned"]}));
        assert!(odd.phase.is_live() && !odd.is_recreating());
    }

    #[test]
    fn the_class_of_old_claims_stands_in_an_annotation() {
        let metadata = json!({"name": "c", "annotations": {BETA_CLASS: "old"}});
        let spec = json!({
            "storageClassName": "new", "volumeName": "v",
            "resources": {"requests": {"storage": "10Gi"}},
        });
        let fact = claim(&of(json!({"metadata": metadata, "spec": spec}))).fact.unwrap();
        assert_eq!((fact.class.as_str(), fact.volume.as_str()), ("old", "v"));
        assert_eq!(fact.request.unwrap().to_string(), "10Gi");
    }
}
