//! Clusters that are odd in one way each, an edit in each of them, and what is to be said about it. The
//! engine and the command line are held to the same table.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stateward_core::facts::FACT_KINDS;

/// A cluster, an edit, and the answer.
pub(crate) struct Case {
    /// what is odd, and what is edited
    pub(crate) name: &'static str,
    cluster: Cluster,
    /// the object before
    pub(crate) old: Option<Value>,
    /// the object after
    pub(crate) new: Option<Value>,
    /// exactly the rules that find fault with the edit
    pub(crate) finds: Vec<&'static str>,
    /// exactly the rules that say that they lack a fact
    pub(crate) not_judged: Vec<&'static str>,
    /// what the findings say, among other things
    pub(crate) says: Vec<&'static str>,
    /// exactly what an audit of the cluster finds, as `check name`
    pub(crate) audit: Vec<&'static str>,
}

impl Case {
    fn new(name: &'static str, cluster: Cluster, old: Option<Value>, new: Option<Value>) -> Self {
        let nothing = Vec::new;
        Self {
            name,
            cluster,
            old,
            new,
            finds: nothing(),
            not_judged: nothing(),
            says: nothing(),
            audit: nothing(),
        }
    }

    fn create(name: &'static str, cluster: Cluster, new: Value) -> Self {
        Self::new(name, cluster, None, Some(new))
    }

    fn delete(name: &'static str, cluster: Cluster, kind: &str, object: &str) -> Self {
        let old = cluster.get(kind, object);
        Self::new(name, cluster, Some(old), None)
    }

    fn finds(mut self, rules: &[&'static str]) -> Self {
        self.finds = rules.to_vec();
        self
    }

    fn lacks(mut self, rules: &[&'static str]) -> Self {
        self.not_judged = rules.to_vec();
        self
    }

    fn says(mut self, texts: &[&'static str]) -> Self {
        self.says = texts.to_vec();
        self
    }

    fn audit(mut self, findings: &[&'static str]) -> Self {
        self.audit = findings.to_vec();
        self
    }

    /// The cluster as `stateward facts export` writes it.
    pub(crate) fn facts(&self) -> String {
        let refused = &self.cluster.refused;
        let complete = FACT_KINDS.iter().map(|info| info.name);
        let complete: Vec<&str> = complete.filter(|name| !refused.contains(name)).collect();
        let unknown = |name: &&'static str| (*name, format!("the {name}s: no right"));
        json!({
            "apiVersion": "stateward.dev/v1alpha1", "kind": "ClusterFacts", "complete": complete,
            "unknown": refused.iter().map(unknown).collect::<BTreeMap<_, _>>(),
            "items": self.cluster.objects.values().collect::<Vec<_>>(),
        })
        .to_string()
    }
}

/// Objects by kind and name.
#[derive(Clone)]
struct Cluster {
    objects: BTreeMap<(String, String), Value>,
    /// the kinds that may not be listed
    refused: Vec<&'static str>,
}

impl Cluster {
    /// One set of three pods, in which nothing is to be found.
    fn healthy() -> Self {
        let mut cluster = Self { objects: BTreeMap::new(), refused: Vec::new() };
        cluster.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        cluster.put(class("fast", "2024-01-01T00:00:00Z", "WaitForFirstConsumer"));
        cluster.put(set("db", 3));
        for name in ["db", "web"] {
            cluster.put(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                "spec": {"clusterIP": "None", "selector": {"app": name}, "publishNotReadyAddresses": true},
            }));
            cluster.put(budget(name, &json!({"matchLabels": {"app": name}}), &json!(1)));
        }
        for ordinal in 0..3 {
            cluster.put(json!({
                "apiVersion": "v1", "kind": "Node", "metadata": {
                    "name": format!("node-{ordinal}"),
                    "labels": {"topology.kubernetes.io/zone": format!("zone-{ordinal}")},
                },
            }));
            cluster.member("data", "db", ordinal);
        }
        cluster
    }

    fn put(&mut self, object: Value) {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let place = (text("/kind").to_owned(), text("/metadata/name").to_owned());
        self.objects.insert(place, object);
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        self.objects[&(kind.to_owned(), name.to_owned())].clone()
    }

    /// The claim of a pod, its volume, the pod and a snapshot.
    fn member(&mut self, template: &str, set: &str, ordinal: usize) {
        let (pod, claim) = (format!("{set}-{ordinal}"), format!("{template}-{set}-{ordinal}"));
        let volume = format!("pv-{ordinal}");
        let named = |name: &str| json!({"name": name, "namespace": "shop"});
        self.put(json!({
            "apiVersion": "v1", "kind": CLAIM, "metadata": {
                "name": claim, "namespace": "shop", "uid": claim, "labels": {"app": set},
            },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeName": volume,
                "resources": {"requests": {"storage": "10Gi"}},
            },
            "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}},
        }));
        self.put(json!({
            "apiVersion": "v1", "kind": VOLUME, "metadata": {
                "name": volume, "annotations": {"pv.kubernetes.io/provisioned-by": "csi.example.com"},
            },
            "spec": {
                "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast", "csi": {},
                "claimRef": named(&claim), "capacity": {"storage": "10Gi"},
            },
            "status": {"phase": "Bound"},
        }));
        self.put(json!({
            "apiVersion": "v1", "kind": POD, "metadata": {
                "name": pod, "namespace": "shop", "labels": {"statefulset.kubernetes.io/pod-name": pod},
            },
            "spec": {
                "nodeName": format!("node-{ordinal}"),
                "volumes": [{"name": template, "persistentVolumeClaim": {"claimName": claim}}],
            },
        }));
        self.put(json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": SNAPSHOT, "metadata": named(&format!("copy-{claim}")),
            "spec": {"source": {"persistentVolumeClaimName": claim}},
            "status": {"readyToUse": true, "creationTime": "2026-11-19T00:00:00Z"},
        }));
    }

    fn without(mut self, kind: &str, names: &[&str]) -> Self {
        for name in names {
            let gone = self.objects.remove(&(kind.to_owned(), (*name).to_owned()));
            assert!(gone.is_some(), "there is no {kind} {name}");
        }
        self
    }

    fn with(mut self, object: Value) -> Self {
        self.put(object);
        self
    }

    /// The same with another value at `pointer` of some objects.
    fn edit(mut self, kind: &str, names: &[&str], pointer: &str, value: &Value) -> Self {
        for name in names {
            let object = edited(&self.get(kind, name), pointer, value.clone());
            self.put(object);
        }
        self
    }

    /// The same with some objects that are being deleted.
    fn deleting(self, kind: &str, names: &[&str]) -> Self {
        self.edit(kind, names, "/metadata/deletionTimestamp", &json!("2026-11-20T00:00:00Z"))
    }

    /// The same without the right to list some kinds.
    fn refusing(mut self, kinds: &[&'static str]) -> Self {
        self.objects.retain(|(kind, _), _| !kinds.contains(&kind.as_str()));
        self.refused = kinds.to_vec();
        self
    }
}

const BUDGET: &str = "PodDisruptionBudget";
const CLAIM: &str = "PersistentVolumeClaim";
const CLASS: &str = "StorageClass";
const POD: &str = "Pod";
const SET: &str = "StatefulSet";
const SNAPSHOT: &str = "VolumeSnapshot";
const VOLUME: &str = "PersistentVolume";
const RETENTION: &str = "/spec/persistentVolumeClaimRetentionPolicy";
const TEMPLATE: &str = "/spec/volumeClaimTemplates/0";

/// `object` with a value at `pointer`, whose parent is there.
fn edited(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent) {
        Some(Value::Array(list)) => list[key.parse::<usize>().unwrap()] = value,
        Some(parent) => parent[key] = value,
        None => panic!("no {parent}"),
    }
    object
}

/// A set with which no rule finds fault.
fn set(name: &str, replicas: i64) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": SET,
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}")},
        "spec": {
            "replicas": replicas, "serviceName": name, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels},
                    }],
                    "containers": [{
                        "name": "store", "image": "registry.example.com/store:1.2",
                        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                        "readinessProbe": {"exec": {"command": ["ready"]}},
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            }],
        },
    })
}

/// The set with another claim template and other ordinals.
fn set_of(name: &str, template: &str, first: i64, replicas: i64) -> Value {
    let set = edited(&set(name, replicas), &format!("{TEMPLATE}/metadata/name"), json!(template));
    let set = edited(&set, "/spec/template/spec/containers/0/volumeMounts/0/name", json!(template));
    edited(&set, "/spec/ordinals", json!({"start": first}))
}

/// The set whose claims get the default class.
fn set_without_class(name: &str) -> Value {
    edited(&set(name, 3), &format!("{TEMPLATE}/spec/storageClassName"), Value::Null)
}

/// A default class of disks that belong to one zone.
fn class(name: &str, created: &str, binding: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": CLASS, "metadata": {
            "name": name, "creationTimestamp": created,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/gce-pd", "allowVolumeExpansion": true, "volumeBindingMode": binding,
    })
}

fn budget(name: &str, selector: &Value, most: &Value) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": BUDGET, "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": selector, "maxUnavailable": most},
    })
}

fn scaled(case: &'static str, cluster: Cluster, set: &str, before: i64, after: i64) -> Case {
    let scale = |replicas: i64| {
        json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": set, "namespace": "shop"}, "spec": {"replicas": replicas},
        })
    };
    Case::new(case, cluster, Some(scale(before)), Some(scale(after)))
}

/// The claim grows from 10Gi to 20Gi.
fn grown(case: &'static str, cluster: Cluster, claim: &str) -> Case {
    let old = cluster.get(CLAIM, claim);
    let new = edited(&old, "/spec/resources/requests/storage", json!("20Gi"));
    Case::new(case, cluster, Some(old), Some(new))
}

/// All cases.
pub(crate) fn cases() -> Vec<Case> {
    [volumes(), classes(), selectors(), deletions(), names(), kinds()]
        .into_iter()
        .flatten()
        .collect()
}

fn volumes() -> Vec<Case> {
    let gone = |volumes: &[&str]| Cluster::healthy().without(VOLUME, volumes);
    let lost = gone(&["pv-0", "pv-1", "pv-2"]);
    let all = ["data-db-0", "data-db-1", "data-db-2"];
    let lost = lost.edit(CLAIM, &all, "/status/phase", &json!("Lost"));
    let audit_of_all = ["volume-gone data-db-0", "volume-gone data-db-1", "volume-gone data-db-2"];
    let deletes = json!({"whenDeleted": "Delete"});
    let owned = gone(&["pv-1"]).edit(SET, &["db"], RETENTION, &deletes);
    let by_set = json!([{"apiVersion": "apps/v1", "kind": SET, "name": "db", "uid": "uid-of-db"}]);
    let owned = owned.edit(CLAIM, &all, "/metadata/ownerReferences", &by_set);
    vec![
        Case::delete(
            "a claim whose volume is gone is deleted",
            gone(&["pv-1"]),
            CLAIM,
            "data-db-1",
        )
        .finds(&["pvc-delete"])
        .says(&["its volume is gone already", "data-db-1: 10Gi, volume pv-1 is gone"])
        .audit(&["volume-gone data-db-1"]),
        Case::delete(
            "the last claim with a volume is deleted",
            gone(&["pv-1", "pv-2"]),
            CLAIM,
            "data-db-0",
        )
        .finds(&["pvc-delete-last"])
        .says(&["the last claim of template data"])
        .audit(&["volume-gone data-db-1", "volume-gone data-db-2"]),
        Case::delete(
            "a claim is deleted that has lost its volume, as all others",
            lost.clone(),
            CLAIM,
            "data-db-0",
        )
        .finds(&["pvc-delete"])
        .says(&["its volume is gone already"])
        .audit(&audit_of_all),
        Case::delete(
            "a set is deleted with claims, and one has no volume any more",
            owned,
            SET,
            "db",
        )
        .finds(&["sts-delete-cascade", "sts-delete-pvc-retention-delete"])
        .says(&[
            "3 claims would be deleted with it",
            "volume pv-1 is gone",
            "volume pv-2 is deleted",
        ])
        .audit(&["volume-gone data-db-1", "retention-delete db"]),
        Case::delete("a namespace is deleted whose volumes are gone", lost, "Namespace", "shop")
            .finds(&["namespace-delete"])
            .says(&[
                "3 claims would be deleted with it; their volumes are gone",
                "volume pv-1 is gone",
            ])
            .audit(&audit_of_all),
    ]
}

fn classes() -> Vec<Case> {
    let deleted = || Cluster::healthy().without(CLASS, &["fast"]);
    let without_class =
        edited(&set("web", 3), "/spec/volumeClaimTemplates/0/spec/storageClassName", json!("gone"));
    let newest = || class("instant", "2026-01-01T00:00:00Z", "Immediate");
    let two = || Cluster::healthy().with(newest());
    let used = || two().with(set_without_class("web"));
    vec![
        grown("a claim grows whose class is deleted", deleted(), "data-db-0")
            .finds(&["pvc-expand-class-disallows", "pvc-sts-size-drift"])
            .says(&["class fast is missing"])
            .audit(&["cannot-grow db"]),
        Case::create("a set names a class that does not exist", Cluster::healthy(), without_class)
            .finds(&["sts-missing-class"])
            .says(&["StorageClass gone of template data does not exist"]),
        Case::create("of two default classes the newest counts", two(), set_without_class("web"))
            .finds(&["sts-immediate-binding"])
            .says(&["StorageClass instant chooses a zone"]),
        Case::delete("the default class that counts is deleted", used(), CLASS, "instant")
            .finds(&["class-delete"])
            .says(&["1 StatefulSet uses it"]),
        Case::delete("the default class that does not count is deleted", used(), CLASS, "fast")
            .finds(&["class-delete"])
            .says(&["3 claims and 1 StatefulSet use it"]),
    ]
}

fn selectors() -> Vec<Case> {
    let percent = |most: &str| {
        let selector = json!({"matchLabels": {"app": "web"}});
        Cluster::healthy().with(budget("web", &selector, &json!(most)))
    };
    let of_db = budget("db", &json!({"matchLabels": {"app": "db"}}), &json!("0%"));
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "early", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": SET, "name": "web"},
            "minReplicas": 1, "maxReplicas": 5,
        },
    });
    let with_one = || Cluster::healthy().with(autoscaler.clone());
    let every = json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]});
    let greedy = Cluster::healthy().edit(SET, &["db"], "/spec/selector", &every);
    let everybody = |most: Value| Cluster::healthy().with(budget("all", &json!({}), &most));
    vec![
        Case::create("a budget of no percent", percent("0%"), set("web", 3))
            .finds(&["sts-pdb-blocks-all"])
            .says(&["would keep all 3 pods from eviction"]),
        Case::create("a budget of a percentage that is rounded up", percent("1%"), set("web", 3)),
        Case::create(
            "a budget of a percentage that nobody can read",
            percent("few%"),
            set("web", 3),
        ),
        scaled(
            "a budget of no percent, of a set that is scaled",
            Cluster::healthy().with(of_db),
            "db",
            3,
            4,
        )
        .audit(&["blocks-drain db"]),
        Case::create("an autoscaler waits for the set", with_one(), set("web", 3))
            .finds(&["sts-replicas-with-hpa"])
            .says(&["HorizontalPodAutoscaler early sets"]),
        scaled("an autoscaler of a set that does not exist", with_one(), "db", 3, 0)
            .finds(&["sts-scale-to-zero"]),
        Case::create("a second budget selects every pod", everybody(json!(1)), set("web", 3))
            .finds(&["sts-multiple-pdbs"])
            .says(&["all and web select the same pods"]),
        Case::create(
            "a budget that selects every pod lets none go",
            everybody(json!(0)),
            set("web", 3),
        )
        .finds(&["sts-pdb-blocks-all", "sts-multiple-pdbs"])
        .audit(&["blocks-drain db"]),
        Case::create("the selector of another set matches every pod", greedy, set("web", 3))
            .finds(&["sts-selector-overlap"])
            .says(&["match the selector of StatefulSet db"]),
    ]
}

fn deletions() -> Vec<Case> {
    let others = Cluster::healthy().deleting(CLAIM, &["data-db-1", "data-db-2"]);
    let leaving = Cluster::healthy().deleting(SET, &["db"]);
    let pod = Cluster::healthy().deleting(POD, &["db-0"]);
    let copies = Cluster::healthy().deleting(SNAPSHOT, &["copy-data-db-0"]);
    let colliding = Cluster::healthy().with(set_of("a-b", "data", 0, 3)).deleting(SET, &["a-b"]);
    let services = Cluster::healthy().deleting("Service", &["web"]);
    vec![
        Case::delete("the other claims are being deleted", others, CLAIM, "data-db-0")
            .finds(&["pvc-delete-last"])
            .audit(&["deleted-in-use data-db-1", "deleted-in-use data-db-2"]),
        Case::delete("the set of the claim is being deleted", leaving, CLAIM, "data-db-0")
            .finds(&["pvc-delete"])
            .says(&["volume pv-0 is deleted, mounted by db-0"]),
        Case::delete("a pod that is being deleted mounts the claim", pod, CLAIM, "data-db-0")
            .finds(&["pvc-delete"])
            .says(&["mounted by db-0"]),
        Case::delete("the snapshot of the claim is being deleted", copies, CLAIM, "data-db-0")
            .finds(&["pvc-delete"])
            .says(&["no snapshot of the data exists"]),
        Case::create(
            "a set whose claims would collide is being deleted",
            colliding,
            set_of("b", "data-a", 0, 3),
        )
        .finds(&["sts-no-pdb", "sts-service-missing"]),
        Case::create("the Service of the set is being deleted", services, set("web", 3))
            .finds(&["sts-service-missing"]),
    ]
}

fn names() -> Vec<Case> {
    let mut late = Cluster::healthy().without(SET, &["db"]).without(POD, &["db-0", "db-1"]);
    late.member("data", "db", 5);
    late.member("data", "db", 6);
    let late = late.with(set_of("db", "data", 5, 2)).without(POD, &["db-2"]);
    let late = late.edit(SET, &["db"], RETENTION, &json!({"whenScaled": "Delete"}));
    // Both make claims called data-a-b, of other ordinals.
    let mut both =
        Cluster::healthy().with(set_of("b", "data-a", 0, 2)).with(set_of("a-b", "data", 5, 1));
    for ordinal in [0, 1] {
        both.member("data-a", "b", ordinal);
    }
    both.member("data", "a-b", 5);
    vec![
        scaled("the ordinals of a set begin with five", late.clone(), "db", 2, 1)
            .finds(&["sts-scale-down-deletes-claims"])
            .says(&["data-db-6: 10Gi, volume pv-6 is deleted, mounted by db-6"])
            .audit(&["retention-scaled db", "leftover db"]),
        Case::create(
            "two sets make the same names of claims",
            Cluster::healthy().with(set_of("a-b", "data", 0, 3)),
            set_of("b", "data-a", 0, 3),
        )
        .finds(&["pvc-name-collision", "sts-no-pdb", "sts-service-missing"])
        .says(&["claim data-a-b-0 would be shared with StatefulSet a-b"]),
        Case::delete(
            "the last claim of a set whose names another makes, too",
            both.clone(),
            CLAIM,
            "data-a-b-5",
        )
        .finds(&["pvc-delete-last"])
        .says(&["StatefulSet a-b has no other claim"]),
        Case::delete("one of two claims of the other set", both, CLAIM, "data-a-b-0")
            .finds(&["pvc-delete"]),
    ]
}

/// Kinds that the cluster does not serve, or that may not be listed.
fn kinds() -> Vec<Case> {
    let api = ["copy-data-db-0", "copy-data-db-1", "copy-data-db-2"];
    let no_snapshots = Cluster::healthy().without(SNAPSHOT, &api);
    let blind = |kinds: &[&'static str]| Cluster::healthy().refusing(kinds);
    let of = |kinds: &[&'static str]| {
        let healthy = Cluster::healthy();
        let old = healthy.get(CLAIM, "data-db-0");
        Case::new("", blind(kinds), Some(old), None)
    };
    let case = |name: &'static str, kinds: &[&'static str]| Case { name, ..of(kinds) };
    vec![
        Case::delete("a cluster without the snapshot API", no_snapshots, CLAIM, "data-db-0")
            .finds(&["pvc-delete"])
            .says(&["no snapshot of the data exists"]),
        case("no right to list volumes", &[VOLUME])
            .finds(&["pvc-delete"])
            .says(&["and its volume unless that is retained"]),
        case("no right to list snapshots", &[SNAPSHOT])
            .finds(&["pvc-delete"])
            .says(&["it is not known whether snapshots exist"]),
        case("no right to list pods", &[POD])
            .finds(&["pvc-delete"])
            .says(&["volume pv-0 is deleted"]),
        case("no right to list sets", &[SET]).finds(&["pvc-delete"]).lacks(&["pvc-delete-last"]),
        case("no right to list claims", &[CLAIM])
            .finds(&["pvc-delete"])
            .lacks(&["pvc-delete-last"]),
        Case::delete(
            "a namespace whose claims may not be listed",
            blind(&[CLAIM]),
            "Namespace",
            "shop",
        )
        .lacks(&["namespace-delete"]),
        scaled("a scale of a set that may not be looked at", blind(&[SET]), "db", 3, 2).lacks(&[
            "sts-even-voters",
            "sts-pool-resized",
            "sts-scale-below-minimum",
            "sts-scale-down-deletes-claims",
            "sts-scale-down-steps",
        ]),
    ]
}
