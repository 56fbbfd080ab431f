//! A large cluster whose objects are made when they are asked for.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value, json};

/// Claims, volumes and pods of a set.
const REPLICAS: usize = 10;
const NODES: usize = 1000;
const NAMESPACES: usize = 200;

#[derive(Clone, Copy)]
pub(crate) struct Cluster {
    pub(crate) sets: usize,
}

impl Cluster {
    /// How many objects of a kind there are; nothing for a kind that the cluster does not serve.
    pub(crate) fn count(self, plural: &str) -> Option<usize> {
        match plural {
            "statefulsets" => Some(self.sets),
            "persistentvolumeclaims" | "persistentvolumes" | "pods" => Some(self.sets * REPLICAS),
            "nodes" => Some(NODES),
            "storageclasses" => Some(1),
            "namespaces" => Some(NAMESPACES),
            "services" | "resourcequotas" | "poddisruptionbudgets" | "horizontalpodautoscalers" => {
                Some(0)
            }
            _ => None,
        }
    }

    /// One object, with what an API server adds that no check reads.
    pub(crate) fn object(plural: &str, number: usize) -> Value {
        let mut object = reduced(plural, number);
        let fields =
            json!({"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:a": {}}});
        let manager = json!({"manager": "kube-controller-manager", "operation": "Update",
            "time": "2026-11-20T10:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": fields});
        object["metadata"]["managedFields"] = json!([manager, manager, manager]);
        object["metadata"]["resourceVersion"] = json!("123456789");
        object["status"] =
            json!({"phase": "Bound", "conditions": [{"type": "Ready", "status": "True"}]});
        object
    }

    /// Writes what `stateward facts export` prints of it.
    pub(crate) fn export(self, path: &Path) -> io::Result<()> {
        let kinds = [
            ("StatefulSet", "statefulsets"),
            ("PersistentVolumeClaim", "persistentvolumeclaims"),
            ("PersistentVolume", "persistentvolumes"),
            ("Pod", "pods"),
            ("Node", "nodes"),
            ("StorageClass", "storageclasses"),
            ("PodDisruptionBudget", "poddisruptionbudgets"),
        ];
        let mut out = BufWriter::new(File::create(path)?);
        let complete = json!(kinds.map(|(kind, _)| kind));
        write!(
            out,
            "{{\n  \"apiVersion\": \"stateward.dev/v1alpha1\",\n  \"kind\": \"ClusterFacts\",\n  \
             \"complete\": {complete},\n  \"items\": ["
        )?;
        let mut comma = "";
        for (_, plural) in kinds {
            for number in 0..self.count(plural).unwrap_or_default() {
                write!(out, "{comma}\n    {}", reduced(plural, number))?;
                comma = ",";
            }
        }
        out.write_all(b"\n  ]\n}\n")?;
        out.flush()
    }
}

fn uid(number: usize) -> String {
    format!("{number:08x}-1111-4222-8333-{number:012x}")
}

/// The fields of an object that are read.
fn reduced(plural: &str, number: usize) -> Value {
    let (set, ordinal) = match plural {
        "statefulsets" => (number, 0),
        _ => (number / REPLICAS, number % REPLICAS),
    };
    let namespace = format!("team-{:03}", set % NAMESPACES);
    let name = format!("database-{set:05}");
    let claim = format!("data-{name}-{ordinal}");
    let volume = format!("pvc-{}", uid(number));
    let zone = format!("eu-west-1{}", ["a", "b", "c"][number % 3]);
    let zone_key = "topology.kubernetes.io/zone";
    match plural {
        "statefulsets" => json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": name, "namespace": namespace, "uid": uid(number)},
            "spec": {
                "replicas": REPLICAS,
                // Every tenth loses its claims with the set.
                "persistentVolumeClaimRetentionPolicy":
                    {"whenDeleted": if set.is_multiple_of(10) { "Delete" } else { "Retain" }},
                "selector": {"matchLabels": {"app": name}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                    "storageClassName": "fast", "resources": {"requests": {"storage": "100Gi"}}}}],
            },
        }),
        "persistentvolumeclaims" => json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace, "uid": uid(number),
                "labels": {"app": name, "app.kubernetes.io/managed-by": "Helm"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": volume,
                "resources": {"requests":
                    {"storage": if number.is_multiple_of(97) { "200Gi" } else { "100Gi" }}}},
        }),
        "persistentvolumes" => json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": volume, "uid": uid(number),
                "annotations": {"pv.kubernetes.io/provisioned-by": "ebs.csi.aws.com"}},
            "spec": {
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast",
                "csi": {"driver": "ebs.csi.aws.com"},
                "claimRef": {"namespace": namespace, "name": claim},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions":
                    [{"key": zone_key, "operator": "In", "values": [zone]}]}]}},
            },
        }),
        "pods" => json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("{name}-{ordinal}"), "namespace": namespace,
                "labels": {"statefulset.kubernetes.io/pod-name": format!("{name}-{ordinal}")}},
            "spec": {"nodeName": format!("node-{}", number % NODES),
                "volumes": [{"persistentVolumeClaim": {"claimName": claim}}]},
        }),
        "nodes" => json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": format!("node-{number}"), "labels": {zone_key: zone}}, "spec": {},
        }),
        "storageclasses" => json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "fast"},
            "provisioner": "ebs.csi.aws.com", "allowVolumeExpansion": true,
        }),
        _ => {
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": format!("team-{number:03}")}})
        }
    }
}
