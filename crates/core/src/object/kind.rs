//! The kinds that are judged, in one table.

use crate::webhook_kind::WebhookKind;

/// The kinds that rules know; every other kind is [`Kind::Other`] and is never judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `apps/v1` StatefulSet
    StatefulSet,
    /// `v1` PersistentVolumeClaim
    Claim,
    /// `autoscaling/v1` Scale of a StatefulSet
    Scale,
    /// `v1` Namespace
    Namespace,
    /// `v1` `PersistentVolume`
    Volume,
    /// `storage.k8s.io/v1` StorageClass
    Class,
    /// `snapshot.storage.k8s.io/v1` `VolumeSnapshot`
    Snapshot,
    /// anything else
    Other,
}

/// What is known of a kind besides how its objects are decoded.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo {
    /// the kind in Rust
    pub kind: Kind,
    /// `kind` in a manifest
    pub name: &'static str,
    /// its API group; empty for the core group
    pub group: &'static str,
    /// its version
    pub version: &'static str,
    /// the resource in URLs; for a subresource, that of its parent
    pub plural: &'static str,
    /// the subresource through which objects of this kind are written; empty for none
    pub subresource: &'static str,
    /// the kind that messages name
    pub reported_as: &'static str,
    /// its objects belong to namespaces
    pub namespaced: bool,
    /// `check` judges manifests of this kind
    pub in_manifests: bool,
    /// the subresources through which metadata is written as well, which the validating webhook sees
    pub metadata_through: &'static [&'static str],
    /// the operations that the API server sends to the mutating webhook
    pub mutating: &'static [&'static str],
    /// the operations that the API server sends to the validating webhook
    pub validating: &'static [&'static str],
}

/// Every kind but [`Kind::Other`].
pub const KINDS: [KindInfo; 7] = [
    KindInfo {
        kind: Kind::StatefulSet,
        name: "StatefulSet",
        group: "apps",
        version: "v1",
        plural: "statefulsets",
        subresource: "",
        reported_as: "StatefulSet",
        namespaced: true,
        in_manifests: true,
        metadata_through: &["status"],
        mutating: &["CREATE", "UPDATE"],
        validating: &["CREATE", "UPDATE", "DELETE"],
    },
    KindInfo {
        kind: Kind::Claim,
        name: "PersistentVolumeClaim",
        group: "",
        version: "v1",
        plural: "persistentvolumeclaims",
        subresource: "",
        reported_as: "PersistentVolumeClaim",
        namespaced: true,
        in_manifests: true,
        metadata_through: &["status"],
        mutating: &["CREATE", "UPDATE"],
        validating: &["CREATE", "UPDATE", "DELETE"],
    },
    // A rule on statefulsets does not cover kubectl scale and the autoscaler.
    KindInfo {
        kind: Kind::Scale,
        name: "Scale",
        group: "autoscaling",
        version: "v1",
        plural: "statefulsets",
        subresource: "scale",
        reported_as: "StatefulSet",
        namespaced: true,
        in_manifests: false,
        metadata_through: &[],
        mutating: &[],
        validating: &["UPDATE"],
    },
    KindInfo {
        kind: Kind::Namespace,
        name: "Namespace",
        group: "",
        version: "v1",
        plural: "namespaces",
        subresource: "",
        reported_as: "Namespace",
        namespaced: false,
        in_manifests: false,
        metadata_through: &["status", "finalize"],
        mutating: &[],
        validating: &["CREATE", "UPDATE", "DELETE"],
    },
    // Of this kind and the next ones, match conditions send only the few requests that rules judge.
    KindInfo {
        kind: Kind::Volume,
        name: "PersistentVolume",
        group: "",
        version: "v1",
        plural: "persistentvolumes",
        subresource: "",
        reported_as: "PersistentVolume",
        namespaced: false,
        in_manifests: false,
        metadata_through: &["status"],
        mutating: &[],
        validating: &["CREATE", "UPDATE", "DELETE"],
    },
    KindInfo {
        kind: Kind::Class,
        name: "StorageClass",
        group: "storage.k8s.io",
        version: "v1",
        plural: "storageclasses",
        subresource: "",
        reported_as: "StorageClass",
        namespaced: false,
        in_manifests: false,
        metadata_through: &[],
        mutating: &[],
        validating: &["CREATE", "UPDATE", "DELETE"],
    },
    // A cluster may lack the kind: a rule about a resource that nobody serves matches no request.
    KindInfo {
        kind: Kind::Snapshot,
        name: "VolumeSnapshot",
        group: "snapshot.storage.k8s.io",
        version: "v1",
        plural: "volumesnapshots",
        subresource: "",
        reported_as: "VolumeSnapshot",
        namespaced: true,
        in_manifests: false,
        metadata_through: &[],
        mutating: &[],
        validating: &["CREATE", "UPDATE", "DELETE"],
    },
];

impl Kind {
    /// The kind that a group, a version and a kind name.
    pub fn of(group: &str, version: &str, kind: &str) -> Self {
        let named =
            |info: &&KindInfo| info.group == group && info.version == version && info.name == kind;
        KINDS.iter().find(named).map_or(Self::Other, |info| info.kind)
    }

    /// The kind that a manifest's `apiVersion` and `kind` name.
    pub fn of_manifest(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self::of(group, version, kind)
    }

    /// The row of the table; none for [`Kind::Other`].
    pub fn info(self) -> Option<&'static KindInfo> {
        KINDS.iter().find(|info| info.kind == self)
    }

    /// The name as it stands in a manifest's `kind`, empty for [`Kind::Other`].
    pub fn name(self) -> &'static str {
        self.info().map_or("", |info| info.name)
    }

    /// The kind that messages name, empty for [`Kind::Other`].
    pub fn reported_as(self) -> &'static str {
        self.info().map_or("", |info| info.reported_as)
    }

    /// Whether objects of the kind belong to namespaces. What is not known does.
    pub fn is_namespaced(self) -> bool {
        self.info().is_none_or(|info| info.namespaced)
    }

    /// The kind in logs and metrics.
    pub fn label(self) -> &'static str {
        self.info().map_or("other", |info| info.name)
    }
}

impl KindInfo {
    /// `apiVersion` in a manifest.
    pub fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// The operations that the API server sends to `webhook`.
    pub const fn operations(&self, webhook: WebhookKind) -> &'static [&'static str] {
        match webhook {
            WebhookKind::Mutating => self.mutating,
            WebhookKind::Validating => self.validating,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_one_row_and_is_found_by_its_manifest() {
        for info in &KINDS {
            assert_eq!(KINDS.iter().filter(|other| other.kind == info.kind).count(), 1);
            assert_eq!(Kind::of_manifest(&info.api_version(), info.name), info.kind);
            let reported = KINDS.iter().find(|other| other.name == info.reported_as).unwrap();
            assert!(reported.subresource.is_empty() && reported.plural == info.plural);
        }
        assert_eq!(Kind::of_manifest("apps/v1beta1", "StatefulSet"), Kind::Other);
        assert_eq!((Kind::Other.name(), Kind::Other.label()), ("", "other"));
    }
}
