//! What is known beyond the change itself. A fact is known or `Unknown` with the reason, never
//! silently absent.
//!
//! Facts come from manifests, or from a cluster that the shell watches. Cloning them copies a few
//! pointers, so a review looks at one state of the cluster for as long as it takes.

mod claims;
mod class;
mod disclosure;
/// Facts as one document.
pub mod export;
mod files;
mod import;
mod kind;
mod objects;
mod quantities;
/// Objects of the API server, reduced to facts.
pub mod read;
mod record;
mod set;
mod surroundings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use self::claims::{ClaimOf, SetClaim};
pub use self::class::{ClassFact, Reach, TemplateClass};
pub use self::files::Known;
pub use self::kind::{FACT_KINDS, FactKind, FactKindInfo};
pub use self::objects::{Alike, Objects, Seen};
pub use self::record::{Injected, RecordFact};
pub use self::set::{OwnerFact, SetFact, SetSpec};
pub use self::surroundings::{AutoscalerFact, BudgetFact, NodeFact, ServiceFact};
use crate::object::Quantity;
use crate::object::anti_affinity::Spread;
use crate::object::names::is_pod_of;
use crate::packs::Packs;

/// A fact, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// it is known
    Known(T),
    /// it is not known; the text completes "needs …"
    Unknown(String),
}

impl<T> Fact<T> {
    /// What is known, changed; why it is not known stays.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(fact) => Fact::Known(change(fact)),
            Self::Unknown(why) => Fact::Unknown(why),
        }
    }
}

/// What is read of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimFact {
    /// `metadata.uid`; empty if it comes from a manifest
    pub uid: String,
    /// `spec.accessModes`
    pub access_modes: Arc<[String]>,
    /// its class, empty for none; the annotation that named it before the field was there wins
    pub class: Arc<str>,
    /// `spec.volumeName`, empty while it is not bound
    pub volume: String,
    /// `spec.resources.requests.storage`
    pub request: Option<Quantity>,
    /// `metadata.labels`
    pub labels: Arc<BTreeMap<String, String>>,
    /// the UIDs of its owners, except pods: a pod and its set are deleted together
    pub owners: Vec<String>,
    /// it has a `deletionTimestamp`: it goes as soon as no pod uses it
    pub terminating: bool,
    /// `metadata.creationTimestamp`
    pub created: Option<jiff::Timestamp>,
    /// the `VolumeSnapshot` of its namespace from which it was restored, empty for none
    pub restored_from: String,
    /// since when no pod that has not ended names it, as the condition `Unused` of Kubernetes 1.37 says
    pub unused_since: Option<jiff::Timestamp>,
}

/// The claims of a set have the same labels, class and access modes.
impl Alike for ClaimFact {
    fn share(&mut self, other: &Self) {
        objects::share(&mut self.access_modes, &other.access_modes);
        objects::share(&mut self.class, &other.class);
        objects::share(&mut self.labels, &other.labels);
    }
}

/// Why a volume cannot be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixedVolume {
    /// its source belongs to no driver that expands volumes
    Driver,
    /// no provisioner created it
    Manual,
}

impl FixedVolume {
    /// Judges a volume by its source, and by whether a provisioner has signed it.
    pub const fn of(expandable_source: bool, provisioned: bool) -> Option<Self> {
        match (expandable_source, provisioned) {
            (false, _) => Some(Self::Driver),
            (true, false) => Some(Self::Manual),
            (true, true) => None,
        }
    }
}

/// The rest of a sentence that begins with the volume.
impl fmt::Display for FixedVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "has no driver that can expand volumes",
            Self::Manual => "was created manually, not by its StorageClass",
        })
    }
}

/// What becomes of a volume when its claim is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reclaim {
    /// it is deleted with its disk
    #[default]
    Delete,
    /// it stays with its data, and serves no other claim until somebody frees it
    Retain,
    /// its files are deleted (deprecated)
    Recycle,
}

impl Reclaim {
    /// The policy that the API server takes `name` for.
    pub fn from_name(name: Option<&str>) -> Self {
        match name {
            // The default of a volume that somebody makes by hand.
            None | Some("Retain") => Self::Retain,
            Some("Recycle") => Self::Recycle,
            Some(_) => Self::Delete,
        }
    }

    /// As `persistentVolumeReclaimPolicy` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "Delete",
            Self::Retain => "Retain",
            Self::Recycle => "Recycle",
        }
    }
}

/// What is read of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeFact {
    /// `metadata.uid`; empty if it comes from a manifest
    pub uid: String,
    /// `spec.persistentVolumeReclaimPolicy`
    pub reclaim: Reclaim,
    /// why it cannot be expanded, if it cannot
    pub fixed: Option<FixedVolume>,
    /// `spec.storageClassName`; empty for none
    pub class: Arc<str>,
    /// the zones whose nodes can use it; empty if it is bound to none
    pub zones: Arc<[String]>,
    /// the claim that it belongs to, or belonged to, as `namespace/name`; empty for none
    pub claim: String,
}

impl Alike for VolumeFact {
    fn share(&mut self, other: &Self) {
        objects::share(&mut self.class, &other.class);
        objects::share(&mut self.zones, &other.zones);
    }
}

/// What is read of a `VolumeSnapshot` that is ready to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFact {
    /// `metadata.uid`; empty if it comes from a manifest
    pub uid: String,
    /// the claim of which it was taken
    pub claim: String,
    /// `status.creationTime`
    pub taken: jiff::Timestamp,
}

/// What is read of a `VolumeSnapshotContent`: the copy that a snapshot has on the storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotContentFact {
    /// `spec.deletionPolicy` is `Retain`: the copy stays if the snapshot is deleted
    pub retained: bool,
}

/// What is read of a `VolumeSnapshotClass`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotClassFact {
    /// `driver`
    pub driver: String,
    /// snapshots that name no class get this one, if their driver is the same
    pub default: bool,
}

/// What is read of a `VolumeAttributesClass`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributesClassFact {
    /// `driverName`
    pub driver: String,
}

/// What is read of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFact {
    /// a set has created it; so says its label, which outlives an orphan delete
    pub of_a_set: bool,
    /// the claims that it mounts; none if it has ended
    pub claims: Box<[String]>,
    /// how strongly it is kept apart, if its anti-affinity has the form that stateward injects
    pub spread: Option<Spread>,
    /// `spec.terminationGracePeriodSeconds`
    pub grace_period: Option<i64>,
    /// its `fsGroupChangePolicy` is `OnRootMismatch`
    pub checks_root_only: bool,
    /// `spec.nodeName`, empty while it is not scheduled
    pub node: String,
    /// why a container of it does not start, if that does not pass by itself, as the kubelet says it
    pub broken: Option<&'static str>,
}

/// What is read of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFact {
    /// `metadata.uid`; empty if it comes from a manifest
    pub uid: String,
    /// it has a `deletionTimestamp`
    pub terminating: bool,
    /// the annotation `stateward.dev/resize-max` as written; it wins over the set's
    pub resize_max: Option<String>,
}

/// What is read of a `ResourceQuota`: how much storage claims may ask for together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaFact {
    /// one for each resource that counts the storage of claims
    pub limits: Vec<StorageLimit>,
}

/// One resource of a `ResourceQuota`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageLimit {
    /// the class whose claims count; none counts all
    pub class: Option<String>,
    /// `status.hard`
    pub hard: Quantity,
    /// `status.used`
    pub used: Quantity,
}

/// Whether somebody would carry out a request to grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ControllerState {
    /// the Lease was seen to be renewed in time
    Runs,
    /// nobody is known to; the text is a sentence that says why
    Absent(Arc<str>),
    /// nobody looks: the CLI, and `serve --dev` without a cluster
    #[default]
    NotLooked,
}

/// Objects that are known besides the one that changes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Facts {
    /// classes of volume attributes by name
    pub attributes_classes: Objects<AttributesClassFact>,
    /// autoscalers of sets by namespace and name
    pub autoscalers: Objects<AutoscalerFact>,
    /// disruption budgets by namespace and name
    pub budgets: Objects<BudgetFact>,
    /// claims by namespace and name
    pub claims: Objects<ClaimFact>,
    /// sets that mount a claim by its name, two at most, by namespace and name of the claim
    pub claim_users: Objects<Vec<String>>,
    /// classes by name
    pub classes: Objects<ClassFact>,
    /// namespaces by name
    pub namespaces: Objects<NamespaceFact>,
    /// nodes by name that take new pods
    pub nodes: Objects<NodeFact>,
    /// quotas on storage, by namespace and name
    pub quotas: Objects<QuotaFact>,
    /// records by namespace and name, which is their set's
    pub records: Objects<RecordFact>,
    /// volumes by name
    pub volumes: Objects<VolumeFact>,
    /// snapshots that are ready to use, by namespace and name
    pub snapshots: Objects<SnapshotFact>,
    /// the `VolumeSnapshotContents` by name, which are the copies on the storage
    pub snapshot_contents: Objects<SnapshotContentFact>,
    /// classes of snapshots by name
    pub snapshot_classes: Objects<SnapshotClassFact>,
    /// Services by namespace and name
    pub services: Objects<ServiceFact>,
    /// sets by namespace and name
    pub sets: Objects<SetFact>,
    /// what is known about systems
    pub packs: Arc<Packs>,
    /// pods that sets have created or that mount claims, by namespace and name
    pub pods: Objects<PodFact>,
    /// whether somebody would carry out a request to grow
    pub controller: ControllerState,
    /// the user that a controller of this very process has, beside its own service account
    pub own_user: Option<Arc<str>>,
}

/// Why objects are not known beside manifests alone.
const NO_CLUSTER: &str = "a cluster to look at";

impl Default for Facts {
    fn default() -> Self {
        Self::none()
    }
}

impl Facts {
    /// Nothing but the change is known.
    pub fn none() -> Self {
        let no_cluster = NO_CLUSTER;
        Self {
            attributes_classes: Objects::inputs("VolumeAttributesClass"),
            autoscalers: Objects::inputs("HorizontalPodAutoscaler"),
            budgets: Objects::inputs("PodDisruptionBudget"),
            claims: Objects::inputs("PersistentVolumeClaim"),
            claim_users: Objects::unknown(no_cluster),
            classes: Objects::inputs("StorageClass"),
            namespaces: Objects::unknown(no_cluster),
            nodes: Objects::inputs("Node"),
            quotas: Objects::unknown(no_cluster),
            records: Objects::unknown(no_cluster),
            volumes: Objects::inputs("PersistentVolume"),
            snapshots: Objects::unknown(no_cluster),
            snapshot_contents: Objects::unknown(no_cluster),
            snapshot_classes: Objects::unknown(no_cluster),
            services: Objects::inputs("Service"),
            sets: Objects::unknown(no_cluster),
            packs: Arc::clone(Packs::built_in()),
            pods: Objects::unknown(no_cluster),
            controller: ControllerState::NotLooked,
            own_user: None,
        }
    }

    /// The same facts with the packs of a policy. Code that gathers facts does not need the policy.
    pub fn with_packs(&self, packs: &Arc<Packs>) -> Cow<'_, Self> {
        if Arc::ptr_eq(&self.packs, packs) {
            Cow::Borrowed(self)
        } else {
            Cow::Owned(Self { packs: Arc::clone(packs), ..self.clone() })
        }
    }

    /// The claim `name` of `namespace`.
    pub fn claim(&self, namespace: &str, name: &str) -> Fact<&ClaimFact> {
        present(self.claims.get(namespace, name), || {
            format!("PersistentVolumeClaim {namespace}/{name}")
        })
    }

    /// The StorageClass `name`.
    pub fn class(&self, name: &str) -> Fact<&ClassFact> {
        present(self.classes.get("", name), || format!("StorageClass {name}"))
    }

    /// The class that a snapshot of a claim of this StorageClass has to name: none if the default
    /// serves, or if that is not known. `None` if no class serves.
    pub fn snapshot_class(&self, class: &str) -> Option<Option<&str>> {
        let Fact::Known(classes) = self.snapshot_classes.of("") else { return Some(None) };
        // A class of a driver that was part of Kubernetes has another name than its CSI driver.
        let driver = match self.classes.get("", class) {
            Fact::Known(Some(class)) => Some(class.provisioner.as_str())
                .filter(|driver| !driver.is_empty() && !driver.starts_with("kubernetes.io/")),
            _ => None,
        };
        let serving = classes.filter(|(_, class)| driver.is_none_or(|of| class.driver == of));
        let serving: Vec<_> = serving.collect();
        let (first, _) = serving.first()?;
        let default = serving.iter().any(|(_, class)| class.default);
        Some(Some(*first).filter(|_| driver.is_some() && !default))
    }

    /// The set `name` of `namespace`, if there is one.
    pub fn set(&self, namespace: &str, name: &str) -> Fact<Option<&SetFact>> {
        self.sets.get(namespace, name)
    }

    /// The sets of a namespace that are known, and whether there may be others. Where nobody looks at a
    /// cluster, none is known.
    pub fn sets_seen(&self, namespace: &str) -> Fact<Seen<'_, SetFact>> {
        if !self.looks_at_sets() {
            return Fact::Known(Seen { objects: Vec::new(), all: false });
        }
        self.sets.seen(namespace)
    }

    /// Whether somebody looks for sets, whatever comes of it.
    pub fn looks_at_sets(&self) -> bool {
        self.sets.why_unknown() != Some(NO_CLUSTER)
    }

    /// Whether nothing of a set that is created was there before: no claim of one of its templates
    /// and no pod. Where nobody looks at a cluster, every set is new.
    pub fn is_new_set(&self, namespace: &str, name: &str, templates: &[&str]) -> Fact<bool> {
        let nobody_looks = self.controller == ControllerState::NotLooked && !self.pods.are_all();
        if nobody_looks {
            return Fact::Known(true);
        }
        match self.claims_named(namespace, name, templates.iter().copied()) {
            _ if templates.is_empty() => {}
            Fact::Known(claims) if claims.is_empty() => {}
            Fact::Known(_) => return Fact::Known(false),
            Fact::Unknown(why) => return Fact::Unknown(why),
        }
        self.pods_of(namespace, name).map(|mut pods| pods.next().is_none())
    }

    /// The pods of the set `name` of `namespace`, also of a set that was deleted without them.
    pub fn pods_of(&self, namespace: &str, name: &str) -> Fact<impl Iterator<Item = &PodFact>> {
        let pods = self.pods.of(namespace);
        pods.map(|pods| {
            let made = pods.filter(move |(pod, fact)| fact.of_a_set && is_pod_of(pod, name));
            made.map(|(_, fact)| fact)
        })
    }

    /// The record of the set `name` of `namespace`, if there is one.
    pub fn record(&self, namespace: &str, name: &str) -> Fact<Option<&RecordFact>> {
        self.records.get(namespace, name)
    }

    /// The record of a set, where one is known; what is not known counts as none.
    pub fn known_record(&self, namespace: &str, name: &str) -> Option<&RecordFact> {
        match self.record(namespace, name) {
            Fact::Known(record) => record,
            Fact::Unknown(_) => None,
        }
    }
}

/// An object that has to be there.
fn present<T>(fact: Fact<Option<&T>>, needs: impl Fn() -> String) -> Fact<&T> {
    match fact {
        Fact::Known(Some(object)) => Fact::Known(object),
        Fact::Known(None) => Fact::Unknown(needs()),
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_names_a_class_only_if_no_default_serves() {
        let mut facts = Facts::none();
        assert_eq!(facts.snapshot_class("fast"), Some(None), "nothing is known");
        facts.snapshot_classes = Objects::all();
        assert_eq!(facts.snapshot_class("fast"), None);
        let class =
            |driver: &str, default| SnapshotClassFact { driver: driver.to_owned(), default };
        facts.snapshot_classes.insert("", "b", class("csi.example.com", false));
        facts.snapshot_classes.insert("", "other", class("other.example.com", true));
        assert_eq!(facts.snapshot_class("fast"), Some(None), "the class is not known");
        for (name, provisioner) in [
            ("fast", "csi.example.com"),
            ("local", "local.example.com"),
            ("old", "kubernetes.io/aws-ebs"),
        ] {
            let provisioner = provisioner.to_owned();
            facts.classes.insert("", name, ClassFact { provisioner, ..ClassFact::default() });
        }
        assert_eq!(facts.snapshot_class("fast"), Some(Some("b")));
        assert_eq!(facts.snapshot_class("local"), None);
        assert_eq!(facts.snapshot_class("old"), Some(None));
        facts.snapshot_classes.insert("", "a", class("csi.example.com", true));
        assert_eq!(facts.snapshot_class("fast"), Some(None));
    }
}
