//! The kinds of objects from which facts are read, in one table.

/// A kind from which facts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactKind {
    /// `v1` PersistentVolumeClaim
    Claim,
    /// `storage.k8s.io/v1` StorageClass
    Class,
    /// `v1` Namespace
    Namespace,
    /// `v1` Pod
    Pod,
    /// `v1` ResourceQuota
    Quota,
    /// `stateward.dev` StatefulSetResize
    Record,
    /// `apps/v1` StatefulSet
    Set,
    /// `snapshot.storage.k8s.io/v1` VolumeSnapshot
    Snapshot,
    /// `v1` PersistentVolume
    Volume,
}

/// How the API server names a kind.
#[derive(Clone, Copy, Debug)]
pub struct FactKindInfo {
    /// the kind in Rust
    pub kind: FactKind,
    /// `kind` in a manifest
    pub name: &'static str,
    /// its API group; empty for the core group
    pub group: &'static str,
    /// its version
    pub version: &'static str,
    /// the resource in URLs
    pub plural: &'static str,
    /// a cluster may lack the kind, and then has no objects of it
    pub optional: bool,
}

/// Every kind from which facts are read.
pub const FACT_KINDS: [FactKindInfo; 9] = [
    of(FactKind::Claim, "PersistentVolumeClaim", ("", "v1"), "persistentvolumeclaims"),
    of(FactKind::Class, "StorageClass", ("storage.k8s.io", "v1"), "storageclasses"),
    of(FactKind::Namespace, "Namespace", ("", "v1"), "namespaces"),
    of(FactKind::Pod, "Pod", ("", "v1"), "pods"),
    of(FactKind::Quota, "ResourceQuota", ("", "v1"), "resourcequotas"),
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::Record,
            "StatefulSetResize",
            ("stateward.dev", "v1alpha1"),
            "statefulsetresizes",
        )
    },
    of(FactKind::Set, "StatefulSet", ("apps", "v1"), "statefulsets"),
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::Snapshot,
            "VolumeSnapshot",
            ("snapshot.storage.k8s.io", "v1"),
            "volumesnapshots",
        )
    },
    of(FactKind::Volume, "PersistentVolume", ("", "v1"), "persistentvolumes"),
];

const fn of(
    kind: FactKind,
    name: &'static str,
    (group, version): (&'static str, &'static str),
    plural: &'static str,
) -> FactKindInfo {
    FactKindInfo { kind, name, group, version, plural, optional: false }
}

impl FactKind {
    /// The kind that a manifest's `apiVersion` and `kind` name, whatever the version.
    pub fn of_manifest(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let named = |info: &&FactKindInfo| info.group == group && info.name == kind;
        FACT_KINDS.iter().find(named).map(|info| info.kind)
    }
}

impl FactKindInfo {
    /// The path under which the API server lists all objects of the kind.
    pub fn path(&self) -> String {
        match self.group {
            "" => format!("/api/{}/{}", self.version, self.plural),
            group => format!("/apis/{group}/{}/{}", self.version, self.plural),
        }
    }
}
