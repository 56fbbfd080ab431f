//! Objects of the API server, reduced to what is read.
//!
//! Their authors choose what they contain. Nothing is decoded that is not read, and an object that
//! cannot be read, or of which too much would be kept, is unknown by itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::quantities::{Quantities, quantity};
use super::{
    Alike, AttributesClassFact, AutoscalerFact, BudgetFact, ClaimFact, ClassFact, FixedVolume,
    NamespaceFact, NodeFact, OwnerFact, PodFact, QuotaFact, Reclaim, RecordFact, ServiceFact,
    SetFact, SetSpec, SnapshotClassFact, SnapshotContentFact, SnapshotFact, StorageLimit,
    VolumeFact,
};
use crate::annotations::RESIZE_MAX;
use crate::object::anti_affinity::{Spread, ZONE};
use crate::object::claim::BETA_CLASS;
use crate::object::json::null_default;
use crate::object::pod_default::ON_ROOT_MISMATCH;
use crate::object::statefulset::IntOrString;

/// The annotation that a provisioner leaves on its volumes.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The label that the controller gives to the pods of a set; it outlives an orphan delete.
pub(super) const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const STORAGE: &str = "requests.storage";
const CLASS_STORAGE: &str = ".storageclass.storage.k8s.io/requests.storage";

/// The most that is kept of one object, in bytes.
const MOST: usize = 8 << 10;
/// The longest name of an object, in characters.
const LONGEST_NAME: usize = 253;
/// What an entry of a list or map needs besides its text, in bytes.
const ENTRY: usize = 48;

/// What is kept of an object, with its place.
#[derive(Debug)]
pub struct Reduced<T> {
    /// `metadata.namespace`; empty for a kind that has none
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// nothing if no rule reads anything of the object, or the reason why it is unknown
    pub fact: Result<Option<T>, &'static str>,
}

impl<T: Alike> Alike for Reduced<T> {
    fn share(&mut self, other: &Self) {
        if let (Ok(Some(fact)), Ok(Some(other))) = (&mut self.fact, &other.fact) {
            fact.share(other);
        }
    }
}

/// Why an object is unknown that has a field of another type than it should.
pub const UNREADABLE: &str = "which cannot be read";
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

/// The namespace and the name of an object. Every stored object has a name.
pub fn place(object: &RawValue) -> Option<(String, String)> {
    let Placed { metadata } = serde_json::from_str(object.get()).ok()?;
    Some((metadata.namespace, metadata.name))
}

/// An object without a name is left out.
fn placed<T>(
    object: &RawValue,
    fact: impl FnOnce() -> Result<Option<T>, &'static str>,
) -> Option<Reduced<T>> {
    let (namespace, name) = place(object)?;
    Some(Reduced { namespace, name, fact: fact() })
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
    // In a manifest, it may be anything.
    creation_timestamp: Value,
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

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    access_modes: Option<Vec<String>>,
    storage_class_name: Option<String>,
    volume_name: Option<String>,
    resources: Option<Resources>,
    // The API server keeps dataSourceRef the same. Another namespace can only be named there.
    data_source: Option<DataSource>,
}

#[derive(Deserialize)]
struct DataSource {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    requests: Quantities,
}

/// Reads a claim.
pub fn claim(claim: &RawValue) -> Option<Reduced<ClaimFact>> {
    let size = |fact: &ClaimFact| {
        entries(&fact.labels)
            + texts(fact.access_modes.iter().chain(&fact.owners))
            + texts([&fact.volume, &fact.uid, &fact.restored_from])
            + fact.class.len()
    };
    reduced(claim, size, |claim: Object<ClaimSpec, Value>| {
        let Object { mut metadata, spec, status } = claim;
        let owners = metadata.owner_references.into_iter().filter(|owner| owner.kind != "Pod");
        let beta = metadata.annotations.remove(BETA_CLASS);
        let source = spec.data_source.filter(|source| source.kind == "VolumeSnapshot");
        Some(ClaimFact {
            uid: metadata.uid,
            access_modes: spec.access_modes.unwrap_or_default().into(),
            class: beta.or(spec.storage_class_name).unwrap_or_default().into(),
            volume: spec.volume_name.unwrap_or_default(),
            request: spec.resources.and_then(|of| quantity(&of.requests, "storage")),
            labels: metadata.labels.into(),
            owners: owners.map(|owner| owner.uid).collect(),
            terminating: metadata.deletion_timestamp.is_some(),
            created: metadata.creation_timestamp.as_str().and_then(|time| time.parse().ok()),
            restored_from: source.map(|source| source.name).unwrap_or_default(),
            unused_since: unused_since(&status),
        })
    })
}

/// The time of the condition `Unused` of a claim, if it is true.
fn unused_since(status: &Value) -> Option<jiff::Timestamp> {
    let unused = status["conditions"].as_array()?.iter().find(|one| one["type"] == "Unused")?;
    (unused["status"] == "True").then(|| unused["lastTransitionTime"].as_str()?.parse().ok())?
}

/// Reads a StorageClass.
pub fn class(class: &RawValue) -> Option<Reduced<ClassFact>> {
    reduced(class, |_| 0, Some::<ClassFact>)
}

/// Reads a namespace.
pub fn namespace(namespace: &RawValue) -> Option<Reduced<NamespaceFact>> {
    let size = |fact: &NamespaceFact| texts(&fact.resize_max) + fact.uid.len();
    reduced(namespace, size, |namespace: Object<IgnoredAny>| {
        let mut metadata = namespace.metadata;
        Some(NamespaceFact {
            uid: metadata.uid,
            terminating: metadata.deletion_timestamp.is_some(),
            resize_max: metadata.annotations.remove(RESIZE_MAX),
        })
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    affinity: Option<PodAffinity>,
    termination_grace_period_seconds: Option<i64>,
    node_name: Option<String>,
    #[serde(deserialize_with = "null_default")]
    security_context: PodSecurityContext,
    #[serde(deserialize_with = "null_default")]
    volumes: Vec<PodVolume>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSecurityContext {
    fs_group_change_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodAffinity {
    #[serde(default)]
    pod_anti_affinity: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodVolume {
    #[serde(default)]
    persistent_volume_claim: Option<MountedClaim>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MountedClaim {
    #[serde(default)]
    claim_name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<Value>,
    #[serde(deserialize_with = "null_default")]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "null_default")]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    #[serde(deserialize_with = "null_default")]
    state: ContainerState,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Waiting>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: Option<String>,
}

/// Why a container waits, where that does not pass by itself.
const BROKEN: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Reads a pod. One that neither a set has created nor mounts a claim is left out, and so is one
/// that has ended: it holds no volume.
pub fn pod(pod: &RawValue) -> Option<Reduced<PodFact>> {
    let size = |fact: &PodFact| texts(&fact.claims) + fact.node.len();
    reduced(pod, size, |pod: Object<PodSpec, PodStatus>| {
        let Object { metadata, spec, status } = pod;
        let terms = spec.affinity.and_then(|affinity| affinity.pod_anti_affinity);
        let phase = status.phase.as_ref().and_then(Value::as_str);
        let ended = matches!(phase, Some("Succeeded" | "Failed"));
        let claims = spec.volumes.into_iter().filter_map(|volume| volume.persistent_volume_claim);
        let claims = claims.filter(|_| !ended).map(|claim| claim.claim_name);
        let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
        let mut reasons =
            containers.filter_map(|one| one.state.waiting.as_ref()?.reason.as_deref());
        let broken = reasons.find_map(|reason| BROKEN.into_iter().find(|known| *known == reason));
        let fact = PodFact {
            node: name_like(spec.node_name.unwrap_or_default()),
            broken,
            of_a_set: metadata.labels.contains_key(POD_NAME),
            spread: terms.as_ref().and_then(Spread::of),
            grace_period: spec.termination_grace_period_seconds,
            checks_root_only: spec.security_context.fs_group_change_policy.as_deref()
                == Some(ON_ROOT_MISMATCH),
            claims: claims.collect(),
        };
        (fact.of_a_set || !fact.claims.is_empty()).then_some(fact)
    })
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

/// The resource of a quota that counts the storage of all claims, or of those of one class.
pub(super) fn storage_resource(class: Option<&str>) -> String {
    class.map_or_else(|| STORAGE.to_owned(), |class| format!("{class}{CLASS_STORAGE}"))
}

/// Reads a `ResourceQuota`. Quotas with a scope count some claims only, and which cannot be told here.
pub fn quota(quota: &RawValue) -> Option<Reduced<QuotaFact>> {
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
pub struct PersistentVolume(Object<VolumeSpec>);

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

/// Reads a volume.
pub fn volume(volume: &RawValue) -> Option<Reduced<VolumeFact>> {
    let size = |fact: &VolumeFact| {
        texts(fact.zones.iter().chain([&fact.uid, &fact.claim])) + fact.class.len()
    };
    reduced(volume, size, |volume: PersistentVolume| {
        let spec = volume.0.spec.0.as_ref();
        let field = |name: &str| spec.and_then(|spec| spec.get(name));
        let text = |name| field(name).and_then(Value::as_str);
        Some(VolumeFact {
            reclaim: Reclaim::from_name(text("persistentVolumeReclaimPolicy")),
            fixed: fixed_volume(&volume),
            class: text("storageClassName").unwrap_or_default().into(),
            zones: field("nodeAffinity").map(zones).unwrap_or_default().into(),
            claim: field("claimRef").and_then(claim_of).unwrap_or_default(),
            uid: volume.0.metadata.uid.clone(),
        })
    })
}

/// The claim that `claimRef` names, as `namespace/name`.
fn claim_of(reference: &Value) -> Option<String> {
    let text = |field: &str| reference[field].as_str();
    Some(format!("{}/{}", text("namespace")?, text("name")?))
}

/// The zones that a volume is bound to. None if one of the alternatives names no zone, which then may be
/// anywhere.
fn zones(affinity: &Value) -> Vec<String> {
    let terms = affinity.pointer("/required/nodeSelectorTerms").and_then(Value::as_array);
    let mut zones = Vec::new();
    for term in terms.into_iter().flatten() {
        let all = term["matchExpressions"].as_array();
        let zone = all.into_iter().flatten().find(|one| {
            let key = one["key"].as_str().unwrap_or_default();
            one["operator"] == "In" && is_zone(key)
        });
        let Some(values) = zone.and_then(|zone| zone["values"].as_array()) else {
            return Vec::new();
        };
        zones.extend(values.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    zones
}

/// Drivers have labels of their own that say the same as Kubernetes' label.
fn is_zone(key: &str) -> bool {
    const OLD: &str = "failure-domain.beta.kubernetes.io/zone";
    let drivers = [
        "topology.ebs.csi.aws.com/zone",
        "topology.gke.io/zone",
        "topology.disk.csi.azure.com/zone",
    ];
    key == ZONE || key == OLD || drivers.contains(&key)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AutoscalerSpec {
    scale_target_ref: Target,
    min_replicas: Option<i64>,
    max_replicas: i64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    api_version: String,
    kind: String,
    name: String,
}

/// Reads a `HorizontalPodAutoscaler`. One that scales no StatefulSet, or that is being deleted, is left out.
pub fn autoscaler(autoscaler: &RawValue) -> Option<Reduced<AutoscalerFact>> {
    let size = |fact: &AutoscalerFact| fact.set.len();
    reduced(autoscaler, size, |autoscaler: Object<AutoscalerSpec>| {
        let Object { metadata, spec, .. } = autoscaler;
        let Target { api_version, kind, name } = spec.scale_target_ref;
        let of_a_set = kind == "StatefulSet" && api_version.starts_with("apps/");
        (of_a_set && metadata.deletion_timestamp.is_none()).then(|| AutoscalerFact {
            set: name,
            min: spec.min_replicas.unwrap_or(1),
            max: spec.max_replicas,
        })
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetSpec {
    selector: Value,
    min_available: Option<IntOrString>,
    max_unavailable: Option<IntOrString>,
}

/// Reads a `PodDisruptionBudget`. One that is being deleted is left out.
pub fn budget(budget: &RawValue) -> Option<Reduced<BudgetFact>> {
    let size = |fact: &BudgetFact| {
        let text = |number: &Option<IntOrString>| match number {
            Some(IntOrString::Text(text)) => text.len(),
            _ => 0,
        };
        fact.selector.len() + text(&fact.min_available) + text(&fact.max_unavailable)
    };
    reduced(budget, size, |budget: Object<BudgetSpec>| {
        let Object { metadata, spec, .. } = budget;
        metadata.deletion_timestamp.is_none().then(|| BudgetFact {
            selector: spec.selector.to_string(),
            min_available: spec.min_available,
            max_unavailable: spec.max_unavailable,
        })
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(deserialize_with = "null_default")]
    publish_not_ready_addresses: bool,
    #[serde(deserialize_with = "null_default")]
    selector: BTreeMap<String, String>,
}

/// Reads a Service. One that is being deleted is left out.
pub fn service(service: &RawValue) -> Option<Reduced<ServiceFact>> {
    let size = |fact: &ServiceFact| entries(&fact.selector);
    reduced(service, size, |service: Object<ServiceSpec>| {
        let Object { metadata, spec, .. } = service;
        metadata.deletion_timestamp.is_none().then(|| ServiceFact {
            headless: spec.cluster_ip.as_deref() == Some("None"),
            publishes_not_ready: spec.publish_not_ready_addresses,
            selector: spec.selector,
        })
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: Option<bool>,
    #[serde(deserialize_with = "null_default")]
    taints: Vec<Taint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Taint {
    effect: Option<String>,
}

/// Reads a node. One that takes no new pods is left out.
pub fn node(node: &RawValue) -> Option<Reduced<NodeFact>> {
    let size = |fact: &NodeFact| fact.zone.len();
    reduced(node, size, |node: Object<NodeSpec>| {
        let Object { mut metadata, spec, .. } = node;
        let takes_pods = spec.unschedulable != Some(true) && metadata.deletion_timestamp.is_none();
        let zone = metadata.labels.remove(ZONE).unwrap_or_default();
        let closed =
            |taint: &Taint| matches!(taint.effect.as_deref(), Some("NoSchedule" | "NoExecute"));
        let tainted = spec.taints.iter().any(closed);
        takes_pods.then_some(NodeFact { zone, tainted })
    })
}

/// Why a volume cannot be expanded, as far as the volume itself tells.
pub fn fixed_volume(PersistentVolume(volume): &PersistentVolume) -> Option<FixedVolume> {
    let spec = volume.spec.0.as_ref();
    let expandable =
        spec.is_none_or(|spec| EXPANDABLE.iter().any(|source| spec.contains_key(*source)));
    FixedVolume::of(expandable, volume.metadata.annotations.contains_key(PROVISIONED_BY))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SnapshotSpec {
    source: SnapshotSource,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SnapshotSource {
    persistent_volume_claim_name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SnapshotStatus {
    ready_to_use: Option<bool>,
    creation_time: Option<String>,
}

/// Reads a `VolumeSnapshot`. One that is not ready, or that was not taken of a claim, is left out: it
/// holds nothing, or nobody can tell whose data.
pub fn snapshot(snapshot: &RawValue) -> Option<Reduced<SnapshotFact>> {
    let size = |fact: &SnapshotFact| texts([&fact.uid, &fact.claim]);
    reduced(snapshot, size, |snapshot: Object<SnapshotSpec, SnapshotStatus>| {
        let Object { metadata, spec, status } = snapshot;
        let claim = spec.source.persistent_volume_claim_name?;
        let holds = status.ready_to_use == Some(true) && metadata.deletion_timestamp.is_none();
        let taken = status.creation_time?.parse().ok()?;
        holds.then_some(SnapshotFact { uid: metadata.uid, claim, taken })
    })
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SnapshotContentSpec {
    deletion_policy: Option<String>,
}

/// Reads a `VolumeSnapshotContent`.
pub fn snapshot_content(content: &RawValue) -> Option<Reduced<SnapshotContentFact>> {
    reduced(
        content,
        |_| 0,
        |content: Object<SnapshotContentSpec>| {
            let retained = content.spec.deletion_policy.as_deref() == Some("Retain");
            Some(SnapshotContentFact { retained })
        },
    )
}

/// The annotation that makes a `VolumeSnapshotClass` the default of its driver.
pub(super) const DEFAULT_SNAPSHOT_CLASS: &str = "snapshot.storage.kubernetes.io/is-default-class";

#[derive(Deserialize)]
struct SnapshotClass {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    driver: String,
}

/// Reads a `VolumeSnapshotClass`.
pub fn snapshot_class(class: &RawValue) -> Option<Reduced<SnapshotClassFact>> {
    let size = |fact: &SnapshotClassFact| fact.driver.len();
    reduced(class, size, |class: SnapshotClass| {
        let default = class.metadata.annotations.get(DEFAULT_SNAPSHOT_CLASS);
        let default = default.is_some_and(|default| default == "true");
        Some(SnapshotClassFact { driver: class.driver, default })
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttributesClass {
    #[serde(default)]
    driver_name: String,
}

/// Reads a `VolumeAttributesClass`.
pub fn attributes_class(class: &RawValue) -> Option<Reduced<AttributesClassFact>> {
    let size = |fact: &AttributesClassFact| fact.driver.len();
    reduced(class, size, |class: AttributesClass| {
        Some(AttributesClassFact { driver: class.driver_name })
    })
}

/// Reads a set; of its pod template, what its system is recognised by stays.
pub fn set(set: &RawValue) -> Option<Reduced<SetFact>> {
    let size = |fact: &SetFact| {
        let owner = fact.owner.iter().flat_map(|o| [&o.api_version, &o.kind, &o.name, &o.uid]);
        texts(fact.templates.iter().map(|template| &template.name))
            + texts(owner)
            + texts([&fact.uid, &fact.selector])
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
        let set = SetFact::new(metadata.uid, terminating, owner, &spec);
        Some(set.with_metadata(&metadata.annotations, &metadata.labels, &spec))
    })
}

/// Reads a record. One that cannot be read, or of which too much would be kept, counts as one in a phase of
/// another version.
pub fn record(record: &RawValue) -> Option<Reduced<RecordFact>> {
    placed(record, || {
        let read = serde_json::from_str(record.get());
        let read = read.and_then(|record: Value| RecordFact::read(&record));
        Ok(Some(read.ok().and_then(bounded).unwrap_or_else(RecordFact::unreadable)))
    })
}

fn bounded(mut record: RecordFact) -> Option<RecordFact> {
    let injected = record.injected.as_ref().map_or(0, |injected| {
        let values = injected.values.iter().map(|(_, value)| value.to_string());
        texts(&injected.names) + values.map(|value| value.len()).sum::<usize>()
    });
    // It then counts as a record whose snapshot cannot be read.
    if injected > MOST {
        record.injected = None;
    }
    let names =
        record.phase.as_str().len() + record.reason.as_ref().map_or(0, |r| r.as_str().len());
    let uids = record.old_uid.iter().chain(&record.new_uid);
    let size = entries(&record.targets)
        + entries(&record.taken)
        + texts(uids)
        + names
        + record.state.as_ref().map_or(0, |state| state.as_str().len());
    (size <= MOST).then_some(record)
}

#[cfg(test)]
mod tests;
