//! The kinds of objects from which facts are read, in one table.

/// A kind from which facts are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactKind {
    /// `storage.k8s.io/v1` `VolumeAttributesClass`
    AttributesClass,
    /// `autoscaling/v2` `HorizontalPodAutoscaler`
    Autoscaler,
    /// `policy/v1` `PodDisruptionBudget`
    Budget,
    /// `v1` PersistentVolumeClaim
    Claim,
    /// `storage.k8s.io/v1` StorageClass
    Class,
    /// `v1` Namespace
    Namespace,
    /// `v1` Node
    Node,
    /// `v1` Pod
    Pod,
    /// `v1` `ResourceQuota`
    Quota,
    /// `stateward.dev` `StatefulSetResize`
    Record,
    /// `v1` Service
    Service,
    /// `apps/v1` StatefulSet
    Set,
    /// `snapshot.storage.k8s.io/v1` `VolumeSnapshot`
    Snapshot,
    /// `snapshot.storage.k8s.io/v1` `VolumeSnapshotContent`
    SnapshotContent,
    /// `snapshot.storage.k8s.io/v1` `VolumeSnapshotClass`
    SnapshotClass,
    /// `v1` `PersistentVolume`
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
    /// several objects, in a sentence
    pub many: &'static str,
    /// its objects belong to namespaces
    pub namespaced: bool,
    /// a cluster may lack the kind, and then has no objects of it
    pub optional: bool,
}

/// Every kind from which facts are read.
pub const FACT_KINDS: [FactKindInfo; 16] = [
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::AttributesClass,
            "VolumeAttributesClass",
            ("storage.k8s.io", "v1"),
            "volumeattributesclasses",
            "VolumeAttributesClasses",
        )
    },
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::Autoscaler,
            "HorizontalPodAutoscaler",
            ("autoscaling", "v2"),
            "horizontalpodautoscalers",
            "HorizontalPodAutoscalers",
        )
    },
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::Budget,
            "PodDisruptionBudget",
            ("policy", "v1"),
            "poddisruptionbudgets",
            "PodDisruptionBudgets",
        )
    },
    of(
        FactKind::Claim,
        "PersistentVolumeClaim",
        ("", "v1"),
        "persistentvolumeclaims",
        "PersistentVolumeClaims",
    ),
    of(
        FactKind::Class,
        "StorageClass",
        ("storage.k8s.io", "v1"),
        "storageclasses",
        "StorageClasses",
    ),
    of(FactKind::Namespace, "Namespace", ("", "v1"), "namespaces", "Namespaces"),
    of(FactKind::Node, "Node", ("", "v1"), "nodes", "Nodes"),
    of(FactKind::Pod, "Pod", ("", "v1"), "pods", "Pods"),
    of(FactKind::Quota, "ResourceQuota", ("", "v1"), "resourcequotas", "ResourceQuotas"),
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::Record,
            "StatefulSetResize",
            ("stateward.dev", "v1alpha1"),
            "statefulsetresizes",
            "StatefulSetResizes",
        )
    },
    of(FactKind::Service, "Service", ("", "v1"), "services", "Services"),
    of(FactKind::Set, "StatefulSet", ("apps", "v1"), "statefulsets", "StatefulSets"),
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::Snapshot,
            "VolumeSnapshot",
            ("snapshot.storage.k8s.io", "v1"),
            "volumesnapshots",
            "VolumeSnapshots",
        )
    },
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::SnapshotContent,
            "VolumeSnapshotContent",
            ("snapshot.storage.k8s.io", "v1"),
            "volumesnapshotcontents",
            "VolumeSnapshotContents",
        )
    },
    FactKindInfo {
        optional: true,
        ..of(
            FactKind::SnapshotClass,
            "VolumeSnapshotClass",
            ("snapshot.storage.k8s.io", "v1"),
            "volumesnapshotclasses",
            "VolumeSnapshotClasses",
        )
    },
    of(FactKind::Volume, "PersistentVolume", ("", "v1"), "persistentvolumes", "PersistentVolumes"),
];

const fn of(
    kind: FactKind,
    name: &'static str,
    (group, version): (&'static str, &'static str),
    plural: &'static str,
    many: &'static str,
) -> FactKindInfo {
    let namespaced = !matches!(
        kind,
        FactKind::AttributesClass
            | FactKind::Class
            | FactKind::Namespace
            | FactKind::Node
            | FactKind::SnapshotContent
            | FactKind::SnapshotClass
            | FactKind::Volume
    );
    FactKindInfo { kind, name, group, version, plural, many, namespaced, optional: false }
}

impl FactKind {
    /// The kind that a manifest's `apiVersion` and `kind` name, whatever the version.
    pub fn of_manifest(api_version: &str, kind: &str) -> Option<Self> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let named = |info: &&FactKindInfo| info.group == group && info.name == kind;
        FACT_KINDS.iter().find(named).map(|info| info.kind)
    }

    /// The row of the table.
    pub const fn info(self) -> &'static FactKindInfo {
        &FACT_KINDS[self as usize]
    }
}

impl FactKindInfo {
    /// `apiVersion` in a manifest.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stands_at_its_place_in_the_table() {
        for info in &FACT_KINDS {
            assert_eq!(info.kind.info().name, info.name);
            assert_eq!(FactKind::of_manifest(&info.api_version(), info.name), Some(info.kind));
        }
        assert_eq!(FactKind::of_manifest("v1", "Secret"), None);
    }
}
