//! Facts as one JSON document, for `check --facts` in a pipeline that reaches no cluster.
//!
//! Each fact becomes the Kubernetes object that it was read from, with the fields that rules read and
//! nothing else. So no Secret, environment variable or image can be in it, and one reader serves clusters
//! and files. Records of resizes and what was injected into pods stay out: only the webhook reads them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    AttributesClassFact, AutoscalerFact, BudgetFact, ClaimFact, ClassFact, FactKind, FactKindInfo,
    Facts, FixedVolume, NamespaceFact, NodeFact, Objects, PodFact, QuotaFact, ServiceFact, SetFact,
    SnapshotClassFact, SnapshotContentFact, SnapshotFact, VolumeFact,
};
use crate::annotations::{PACK, RESIZE_MAX, VOTERS};
use crate::object::anti_affinity::ZONE;
use crate::object::statefulset::IntOrString;
use crate::packs::{Packs, recognise};

/// The kind of the document.
pub const KIND: &str = "ClusterFacts";

/// The document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document<Items> {
    api_version: String,
    kind: String,
    /// the only namespace that was looked at; none if all were
    #[serde(default)]
    pub(super) namespace: Option<String>,
    /// the kinds of which all objects are listed
    pub(super) complete: Vec<String>,
    /// why other kinds are not known
    #[serde(default)]
    pub(super) unknown: Map<String, Value>,
    /// objects that exist and could not be read
    #[serde(default)]
    pub(super) unreadable: Vec<Unreadable>,
    items: Items,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unreadable {
    pub(super) kind: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) why: String,
}

/// A fact that can be written as the object that it was read from.
trait Exported {
    const KIND: FactKind;
    /// the fields beside `metadata.name`, `metadata.namespace` and the kind
    fn object(&self) -> Value;

    /// The same, with the name of what `packs` recognise in place of what they recognise it by.
    fn recognised(&self, _packs: &Packs) -> Value {
        self.object()
    }
}

impl Exported for AutoscalerFact {
    const KIND: FactKind = FactKind::Autoscaler;

    fn object(&self) -> Value {
        json!({"spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": self.set},
            "minReplicas": self.min,
            "maxReplicas": self.max,
        }})
    }
}

impl Exported for BudgetFact {
    const KIND: FactKind = FactKind::Budget;

    fn object(&self) -> Value {
        json!({"spec": {
            "selector": serde_json::from_str::<Value>(&self.selector).unwrap_or_default(),
            "minAvailable": self.min_available.as_ref().map(exported_number),
            "maxUnavailable": self.max_unavailable.as_ref().map(exported_number),
        }})
    }
}

fn exported_number(number: &IntOrString) -> Value {
    match number {
        IntOrString::Number(number) => json!(number),
        IntOrString::Text(text) => json!(text),
    }
}

impl Exported for NodeFact {
    const KIND: FactKind = FactKind::Node;

    fn object(&self) -> Value {
        let taints = if self.tainted { json!([{"effect": "NoSchedule"}]) } else { json!([]) };
        json!({"metadata": {"labels": {ZONE: self.zone}}, "spec": {"taints": taints}})
    }
}

impl Exported for ServiceFact {
    const KIND: FactKind = FactKind::Service;

    fn object(&self) -> Value {
        json!({"spec": {
            "selector": self.selector,
            "clusterIP": if self.headless { "None" } else { "" },
            "publishNotReadyAddresses": self.publishes_not_ready,
        }})
    }
}

impl Exported for ClaimFact {
    const KIND: FactKind = FactKind::Claim;

    fn object(&self) -> Value {
        let owners = self.owners.iter().map(|uid| json!({"uid": uid}));
        let mut metadata = json!({
            "uid": self.uid,
            "labels": *self.labels,
            "ownerReferences": owners.collect::<Value>(),
        });
        if self.terminating {
            metadata["deletionTimestamp"] = json!(true);
        }
        if let Some(created) = self.created {
            metadata["creationTimestamp"] = json!(created.to_string());
        }
        let mut spec = json!({
            "accessModes": *self.access_modes,
            "storageClassName": *self.class,
            "volumeName": self.volume,
            "resources": {"requests": {"storage": self.request}},
        });
        if !self.restored_from.is_empty() {
            spec["dataSource"] = json!({"kind": "VolumeSnapshot", "name": self.restored_from});
        }
        let mut object = json!({"metadata": metadata, "spec": spec});
        if let Some(since) = self.unused_since {
            object["status"] = json!({"conditions": [
                {"type": "Unused", "status": "True", "lastTransitionTime": since.to_string()},
            ]});
        }
        object
    }
}

impl Exported for ClassFact {
    const KIND: FactKind = FactKind::Class;

    fn object(&self) -> Value {
        self.manifest()
    }
}

impl Exported for NamespaceFact {
    const KIND: FactKind = FactKind::Namespace;

    fn object(&self) -> Value {
        let mut metadata = json!({"uid": self.uid});
        if let Some(size) = &self.resize_max {
            metadata["annotations"] = json!({RESIZE_MAX: size});
        }
        if self.terminating {
            metadata["deletionTimestamp"] = json!(true);
        }
        json!({"metadata": metadata})
    }
}

impl Exported for PodFact {
    const KIND: FactKind = FactKind::Pod;

    fn object(&self) -> Value {
        let volumes = self.claims.iter();
        let volumes = volumes.map(|claim| json!({"persistentVolumeClaim": {"claimName": claim}}));
        let labels = if self.of_a_set { json!({super::read::POD_NAME: ""}) } else { json!({}) };
        let mut pod = json!({
            "metadata": {"labels": labels},
            "spec": {"volumes": volumes.collect::<Value>(), "nodeName": self.node},
        });
        if let Some(broken) = self.broken {
            let waiting = json!({"waiting": {"reason": broken}});
            pod["status"] = json!({"containerStatuses": [{"state": waiting}]});
        }
        pod
    }
}

impl Exported for QuotaFact {
    const KIND: FactKind = FactKind::Quota;

    fn object(&self) -> Value {
        let (mut hard, mut used) = (Map::new(), Map::new());
        for limit in &self.limits {
            let resource = super::read::storage_resource(limit.class.as_deref());
            hard.insert(resource.clone(), json!(limit.hard));
            used.insert(resource, json!(limit.used));
        }
        json!({"status": {"hard": hard, "used": used}})
    }
}

impl Exported for SetFact {
    const KIND: FactKind = FactKind::Set;

    fn object(&self) -> Value {
        let templates = self.templates.iter().map(|template| {
            json!({
                "metadata": {"name": template.name},
                "spec": {
                    "storageClassName": template.class,
                    "resources": {"requests": {"storage": template.size}},
                },
            })
        });
        let mut metadata = json!({"uid": self.uid});
        let mut annotations = Map::new();
        if self.voters {
            annotations.insert(VOTERS.to_owned(), json!("all"));
        }
        if !annotations.is_empty() {
            metadata["annotations"] = Value::Object(annotations);
        }
        if self.terminating {
            metadata["deletionTimestamp"] = json!("unknown");
        }
        if let Some(owner) = &self.owner {
            metadata["ownerReferences"] = json!([{
                "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name,
                "uid": owner.uid, "controller": true,
            }]);
        }
        json!({
            "metadata": metadata,
            "spec": {
                "replicas": self.replicas,
                "podManagementPolicy": if self.ordered { "OrderedReady" } else { "Parallel" },
                "ordinals": {"start": self.first_ordinal},
                "persistentVolumeClaimRetentionPolicy": {
                    "whenDeleted": self.when_deleted,
                    "whenScaled": self.when_scaled,
                },
                "volumeClaimTemplates": templates.collect::<Value>(),
                "selector": serde_json::from_str::<Value>(&self.selector).unwrap_or_default(),
            },
        })
    }

    fn recognised(&self, packs: &Packs) -> Value {
        let mut object = self.object();
        if let Some(known) = recognise(packs, &self.traits()) {
            object["metadata"]["annotations"][PACK] = json!(known.name);
        }
        object
    }
}

impl Exported for SnapshotFact {
    const KIND: FactKind = FactKind::Snapshot;

    fn object(&self) -> Value {
        json!({
            "metadata": {"uid": self.uid},
            "spec": {"source": {"persistentVolumeClaimName": self.claim}},
            "status": {"readyToUse": true, "creationTime": self.taken.to_string()},
        })
    }
}

impl Exported for SnapshotContentFact {
    const KIND: FactKind = FactKind::SnapshotContent;

    fn object(&self) -> Value {
        json!({"spec": {"deletionPolicy": if self.retained { "Retain" } else { "Delete" }}})
    }
}

impl Exported for SnapshotClassFact {
    const KIND: FactKind = FactKind::SnapshotClass;

    fn object(&self) -> Value {
        let default = json!({super::read::DEFAULT_SNAPSHOT_CLASS: self.default.to_string()});
        json!({"metadata": {"annotations": default}, "driver": self.driver})
    }
}

impl Exported for AttributesClassFact {
    const KIND: FactKind = FactKind::AttributesClass;

    fn object(&self) -> Value {
        json!({"driverName": self.driver})
    }
}

impl Exported for VolumeFact {
    const KIND: FactKind = FactKind::Volume;

    fn object(&self) -> Value {
        let provisioned = json!({super::read::PROVISIONED_BY: ""});
        let (annotations, source) = match self.fixed {
            None => (provisioned, "csi"),
            Some(FixedVolume::Driver) => (provisioned, "local"),
            Some(FixedVolume::Manual) => (json!({}), "csi"),
        };
        let mut spec = json!({
            "persistentVolumeReclaimPolicy": self.reclaim.name(),
            "storageClassName": *self.class,
            source: {},
        });
        if !self.zones.is_empty() {
            let zone = json!({"key": ZONE, "operator": "In", "values": *self.zones});
            spec["nodeAffinity"] =
                json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [zone]}]}});
        }
        if let Some((namespace, name)) = self.claim.split_once('/') {
            spec["claimRef"] = json!({"namespace": namespace, "name": name});
        }
        json!({"metadata": {"uid": self.uid, "annotations": annotations}, "spec": spec})
    }
}

impl Document<Vec<Value>> {
    fn add<T: Exported>(&mut self, objects: &Objects<T>, packs: &Packs) {
        let info = T::KIND.info();
        if let Some(why) = objects.why_unknown() {
            self.unknown.insert(info.name.to_owned(), json!(why));
            return;
        }
        if objects.are_all() {
            self.complete.push(info.name.to_owned());
        }
        for (namespace, name, fact) in objects.iter() {
            self.items.push(placed(info, namespace, name, fact.recognised(packs)));
        }
        for (namespace, name, why) in objects.unreadable() {
            let (kind, namespace, name) =
                (info.name.to_owned(), namespace.to_owned(), name.to_owned());
            self.unreadable.push(Unreadable { kind, namespace, name, why: why.to_owned() });
        }
    }
}

fn placed(info: &FactKindInfo, namespace: &str, name: &str, mut object: Value) -> Value {
    let mut metadata = json!({"name": name});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    if let Some(rest) = object["metadata"].as_object() {
        metadata.as_object_mut().into_iter().for_each(|all| all.extend(rest.clone()));
    }
    object["metadata"] = metadata;
    object["apiVersion"] = json!(info.api_version());
    object["kind"] = json!(info.name);
    object
}

impl Facts {
    /// What is known, as one document whose order depends on nothing but the facts. `namespace` is the
    /// only one that was looked at.
    ///
    /// # Errors
    /// The serialiser failed; no facts are known that make it fail.
    pub fn export(&self, namespace: Option<&str>) -> Result<String, serde_json::Error> {
        let mut document = Document {
            api_version: "stateward.dev/v1alpha1".to_owned(),
            kind: KIND.to_owned(),
            namespace: namespace.map(str::to_owned),
            complete: Vec::new(),
            unknown: Map::new(),
            unreadable: Vec::new(),
            items: Vec::new(),
        };
        document.add(&self.attributes_classes, &self.packs);
        document.add(&self.autoscalers, &self.packs);
        document.add(&self.budgets, &self.packs);
        document.add(&self.claims, &self.packs);
        document.add(&self.classes, &self.packs);
        document.add(&self.namespaces, &self.packs);
        document.add(&self.nodes, &self.packs);
        document.add(&self.pods, &self.packs);
        document.add(&self.quotas, &self.packs);
        document.add(&self.services, &self.packs);
        document.add(&self.sets, &self.packs);
        document.add(&self.snapshots, &self.packs);
        document.add(&self.snapshot_contents, &self.packs);
        document.add(&self.snapshot_classes, &self.packs);
        document.add(&self.volumes, &self.packs);
        let items: Result<Vec<String>, _> =
            std::mem::take(&mut document.items).iter().map(serde_json::to_string).collect();
        let head = serde_json::to_string_pretty(&document)?;
        // An object to a line: a diff of two exports shows what has changed.
        let items = items?.join(",\n    ");
        let items = if items.is_empty() { "[]".to_owned() } else { format!("[\n    {items}\n  ]") };
        Ok(head.replace("\"items\": []", &format!("\"items\": {items}")) + "\n")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::facts::{FACT_KINDS, Fact, Known, OwnerFact, Reclaim};

    fn known() -> Facts {
        let mut facts = Facts::none();
        for info in FACT_KINDS {
            facts.forget(info.kind, Known::All);
        }
        facts.claims.insert(
            "shop",
            "data-db-0",
            ClaimFact {
                uid: "u".to_owned(),
                access_modes: [String::from("ReadWriteOnce")].into(),
                class: "fast".into(),
                volume: "pv-0".to_owned(),
                request: "10Gi".parse().ok(),
                labels: Arc::new([("app".to_owned(), "db".to_owned())].into()),
                owners: vec!["o".to_owned()],
                terminating: true,
                created: Some("2026-11-19T02:00:00Z".parse().unwrap()),
                restored_from: "old".to_owned(),
                unused_since: Some("2026-11-20T02:00:00Z".parse().unwrap()),
            },
        );
        let (min, max) = (2, 9);
        facts.autoscalers.insert("shop", "db", AutoscalerFact { set: "db".to_owned(), min, max });
        let budget = BudgetFact {
            selector: r#"{"matchLabels":{"app":"db"}}"#.to_owned(),
            min_available: Some(IntOrString::Text("50%".to_owned())),
            max_unavailable: None,
        };
        facts.budgets.insert("shop", "db", budget);
        facts.budgets.insert(
            "shop",
            "none",
            BudgetFact { selector: "null".to_owned(), ..BudgetFact::default() },
        );
        let selector = [("app".to_owned(), "db".to_owned())].into();
        facts.services.insert(
            "shop",
            "db",
            ServiceFact { headless: true, publishes_not_ready: true, selector },
        );
        facts.nodes.insert("", "n1", NodeFact { zone: "a".to_owned(), tainted: true });
        let zonal = VolumeFact {
            class: "fast".into(),
            zones: [String::from("a")].into(),
            claim: "shop/data-db-0".to_owned(),
            ..VolumeFact::default()
        };
        facts.volumes.insert("", "zonal", zonal);
        let local = ClassFact {
            uid: "c".to_owned(),
            default_since: Some(jiff::Timestamp::UNIX_EPOCH),
            immediate: true,
            reclaim: Reclaim::Retain,
            provisioner: "kubernetes.io/no-provisioner".to_owned(),
            reach: crate::facts::Reach::Node,
            ..ClassFact::default()
        };
        facts.classes.insert("", "local", local);
        facts.classes.insert(
            "",
            "fast",
            ClassFact {
                allow_volume_expansion: true,
                provisioner: "ebs.csi.aws.com".to_owned(),
                parameters: [("type".to_owned(), "gp2".to_owned())].into(),
                reach: crate::facts::Reach::Zone,
                ..ClassFact::default()
            },
        );
        let resize_max = Some("1Ti".to_owned());
        facts.namespaces.insert(
            "",
            "shop",
            NamespaceFact { uid: "n".to_owned(), terminating: true, resize_max },
        );
        let claims = ["data-db-0".to_owned()].into();
        facts.pods.insert("shop", "db-0", PodFact { of_a_set: true, claims, ..PodFact::default() });
        add_volumes(&mut facts);
        add_snapshots(&mut facts);
        let owner =
            OwnerFact { kind: "App".to_owned(), uid: "o".to_owned(), ..OwnerFact::default() };
        let set = json!({
            "metadata": {"uid": "s", "deletionTimestamp": "x"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "db"}},
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"storageClassName": "fast"}}]},
        });
        let set = SetFact { owner: Some(owner), ..SetFact::read(&set).unwrap() };
        facts.sets.insert("shop", "db", set);
        facts
    }

    fn add_volumes(facts: &mut Facts) {
        for (name, fixed) in
            [("a", None), ("b", Some(FixedVolume::Driver)), ("c", Some(FixedVolume::Manual))]
        {
            facts.volumes.insert(
                "",
                name,
                VolumeFact {
                    uid: "v".to_owned(),
                    reclaim: Reclaim::Recycle,
                    fixed,
                    ..VolumeFact::default()
                },
            );
        }
    }

    fn add_snapshots(facts: &mut Facts) {
        let taken = "2026-11-19T03:00:00Z".parse().unwrap();
        let (uid, claim) = ("s".to_owned(), "data-db-0".to_owned());
        facts.snapshots.insert("shop", "s", SnapshotFact { uid, claim, taken });
        facts.snapshot_contents.insert("", "snapcontent-s", SnapshotContentFact { retained: true });
        facts.snapshot_contents.insert("", "snapcontent-t", SnapshotContentFact::default());
        let daily = SnapshotClassFact { driver: "ebs.csi.aws.com".to_owned(), default: true };
        facts.snapshot_classes.insert("", "daily", daily);
    }

    #[test]
    fn what_is_exported_is_read_again() {
        let facts = known();
        let text = facts.export(None).unwrap();
        let mut read = Facts::none();
        read.import(&text).unwrap();
        assert_eq!(read.export(None).unwrap(), text);
        assert_eq!(read.claim("shop", "data-db-0"), facts.claim("shop", "data-db-0"));
        assert_eq!(read.set("shop", "db"), facts.set("shop", "db"));
        assert_eq!(read.pods.get("shop", "db-0"), facts.pods.get("shop", "db-0"));
        assert_eq!(read.class("local"), facts.class("local"));
        assert_eq!(read.autoscalers.get("shop", "db"), facts.autoscalers.get("shop", "db"));
        assert_eq!(read.services.get("shop", "db"), facts.services.get("shop", "db"));
        assert_eq!(read.nodes.get("", "n1"), facts.nodes.get("", "n1"));
        for budget in ["db", "none"] {
            assert_eq!(read.budgets.get("shop", budget), facts.budgets.get("shop", budget));
        }
        for volume in ["a", "b", "c", "d", "zonal"] {
            assert_eq!(read.volumes.get("", volume), facts.volumes.get("", volume));
        }
        assert_eq!(read.snapshots.get("shop", "s"), facts.snapshots.get("shop", "s"));
        let read_class = read.snapshot_classes.get("", "daily");
        assert_eq!(read_class, facts.snapshot_classes.get("", "daily"));
        for content in ["snapcontent-s", "snapcontent-t"] {
            let read = read.snapshot_contents.get("", content);
            assert_eq!(read, facts.snapshot_contents.get("", content));
        }
        assert_eq!(read.namespaces.get("", "shop"), facts.namespaces.get("", "shop"));
        assert_eq!(read.class("fast"), facts.class("fast"));
    }

    #[test]
    fn what_is_not_known_stays_so() {
        let mut facts = known();
        facts.snapshots = Objects::unknown("the VolumeSnapshots: no rights");
        facts.claims.insert_unknown("shop", "odd", "shop/odd, which cannot be read");
        let mut read = Facts::none();
        read.import(&facts.export(None).unwrap()).unwrap();
        let why = "the VolumeSnapshots: no rights".to_owned();
        assert_eq!(read.snapshots.get("shop", "s"), Fact::Unknown(why));
        assert!(matches!(read.claims.get("shop", "odd"), Fact::Unknown(_)));
        assert_eq!(read.claims.get("shop", "none"), Fact::Known(None));
    }

    #[test]
    fn what_stands_behind_the_objects_counts_as_well() {
        let mut facts = known();
        facts.claims.insert_unknown("shop", "odd", "shop/odd, which cannot be read");
        let export: Value = serde_json::from_str(&facts.export(None).unwrap()).unwrap();
        let sorted = export.to_string();
        assert!(sorted.find("\"items\"") < sorted.find("\"unreadable\""), "{sorted}");
        let mut read = Facts::none();
        read.import(&sorted).unwrap();
        assert!(matches!(read.claims.get("shop", "odd"), Fact::Unknown(_)));
        assert_eq!(read.claims.get("shop", "none"), Fact::Known(None));
        let claim = read.claims.get("shop", "data-db-0");
        assert_eq!(claim, facts.claims.get("shop", "data-db-0"));
    }

    #[test]
    fn a_document_of_another_form_is_an_error() {
        let mut facts = Facts::none();
        for (text, why) in [
            ("{}", "missing field"),
            ("{\"apiVersion\":\"x\",\"kind\":\"y\",\"complete\":[\"Lamp\"],\"items\":[]}", "Lamp"),
            (
                "{\"apiVersion\":\"x\",\"kind\":\"y\",\"complete\":[],\"items\":[{\"kind\":\"Secret\"}]}",
                "Secret",
            ),
        ] {
            let error = facts.import(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
