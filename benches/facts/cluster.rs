//! A large cluster, behind an API server that is part of this process: lists in pages, and watches.
//!
//! It makes objects from texts when they are asked for, so that it takes little memory itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use stateward_core::facts::{FACT_KINDS, FactKind};
use tokio::sync::mpsc;

use crate::ratio;

/// Members of each set: each has a claim, a volume and a pod.
pub(crate) const MEMBERS: usize = 10;
/// The kinds of which there are many.
pub(crate) const MANY: [FactKind; 4] =
    [FactKind::Set, FactKind::Claim, FactKind::Volume, FactKind::Pod];

type Reply = Response<UnsyncBoxBody<Bytes, Infallible>>;
/// Where the events of a kind go that somebody watches.
type Watches = Arc<Mutex<BTreeMap<&'static str, mpsc::Sender<Value>>>>;

/// Objects that are made when they are asked for.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// how many sets there are
    pub(crate) sets: usize,
    /// and how many of them in each namespace
    pub(crate) together: usize,
    /// the kinds that have objects
    kinds: Vec<FactKind>,
    /// the objects of each of [`MANY`], with names in braces in place of what differs
    texts: Arc<[String; 4]>,
    watches: Watches,
}

impl Cluster {
    pub(crate) fn new(sets: usize, kinds: &[FactKind]) -> Self {
        let texts = [set(), claim(), volume(), pod()].map(|object| object.to_string());
        let (texts, watches) = (Arc::new(texts), Watches::default());
        Self { sets, together: 50, kinds: kinds.to_vec(), texts, watches }
    }

    /// A client of its API server.
    pub(crate) fn client(&self) -> kube::Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            std::future::ready(Ok::<_, Infallible>(cluster.answer(&request)))
        });
        kube::Client::new(service, "default")
    }

    /// Sends a change of an object to those who watch its kind.
    pub(crate) async fn change(&self, kind: FactKind, object: Value) {
        let watch = {
            let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
            watches.get(kind.info().plural).cloned()
        };
        if let Some(watch) = watch {
            let _ = watch.send(json!({"type": "MODIFIED", "object": object})).await;
        }
    }

    fn count(&self, kind: FactKind) -> usize {
        match kind {
            FactKind::Class => 1,
            kind if !self.kinds.contains(&kind) => 0,
            FactKind::Set => self.sets,
            _ => self.sets * MEMBERS,
        }
    }

    fn answer(&self, request: &Request<Body>) -> Reply {
        let plural = request.uri().path().rsplit('/').next().unwrap_or_default();
        let query = request.uri().query().unwrap_or_default();
        let info = FACT_KINDS.iter().find(|info| info.plural == plural);
        if query.contains("watch=true") {
            return self.watch(info.map_or("leases", |info| info.plural));
        }
        let value = |name: &str| -> usize {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(name));
            found.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        let (first, count) = (value("continue="), info.map_or(0, |info| self.count(info.kind)));
        let end = count.min(first + value("limit="));
        let token = if end < count { end.to_string() } else { String::new() };
        let metadata = json!({"resourceVersion": "1", "continue": token});
        let mut page = format!("{{\"metadata\":{metadata},\"items\":[");
        for index in first..end {
            let comma = if index == first { "" } else { "," };
            let text = info.map(|info| self.text(info.kind, index)).unwrap_or_default();
            let _ = write!(page, "{comma}{text}");
        }
        page.push_str("]}");
        Response::new(Full::new(Bytes::from(page)).boxed_unsync())
    }

    fn watch(&self, plural: &'static str) -> Reply {
        let (sender, receiver) = mpsc::channel::<Value>(16);
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).insert(plural, sender);
        let lines = stream::unfold(receiver, async |mut receiver| {
            let line = receiver.recv().await?.to_string() + "\n";
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), receiver))
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }

    /// An object as the API server has it.
    pub(crate) fn text(&self, kind: FactKind, index: usize) -> String {
        let Some(text) = MANY.iter().position(|one| *one == kind) else {
            return json!({
                "metadata": {"name": "fast"}, "provisioner": "csi.example.com",
                "allowVolumeExpansion": true,
            })
            .to_string();
        };
        let (set, member) = match kind {
            FactKind::Set => (index, 0),
            _ => (index / MEMBERS, index % MEMBERS),
        };
        self.texts[text]
            .replace("{namespace}", &format!("team-{}", set / self.together))
            .replace("{set}", &format!("db-{set}"))
            .replace("{member}", &member.to_string())
            .replace("{number}", &format!("{index:012x}"))
    }

    /// The same as JSON.
    pub(crate) fn object(&self, kind: FactKind, index: usize) -> Value {
        serde_json::from_str(&self.text(kind, index)).unwrap_or_default()
    }
}

/// The recorded set, with the claim template `data` and settings in its environment.
fn set() -> Value {
    let mut set = ratio::recorded(ratio::SET)["request"]["oldObject"].take();
    set["metadata"]["name"] = json!("{set}");
    set["metadata"]["namespace"] = json!("{namespace}");
    set["metadata"]["uid"] = json!("5e700000-0000-4000-8000-{number}");
    let spec = &mut set["spec"];
    spec["replicas"] = json!(MEMBERS);
    spec["selector"]["matchLabels"] = labels();
    spec["template"]["metadata"]["labels"] = labels();
    let container = &mut spec["template"]["spec"]["containers"][0];
    container["env"] = settings();
    container["volumeMounts"][0]["name"] = json!("data");
    spec["volumeClaimTemplates"][0]["metadata"]["name"] = json!("data");
    spec["volumeClaimTemplates"][0]["spec"]["storageClassName"] = json!("fast");
    set
}

/// The recorded claim, as the claim of a member.
fn claim() -> Value {
    let mut claim = ratio::recorded(ratio::CLAIM)["request"]["oldObject"].take();
    claim["metadata"]["name"] = json!("data-{set}-{member}");
    claim["metadata"]["namespace"] = json!("{namespace}");
    claim["metadata"]["uid"] = json!(CLAIM_UID);
    claim["metadata"]["labels"] = labels();
    claim["spec"]["volumeName"] = json!(format!("pvc-{CLAIM_UID}"));
    claim
}

const CLAIM_UID: &str = "c1a10000-0000-4000-8000-{number}";

fn labels() -> Value {
    json!({
        "app.kubernetes.io/name": "postgresql",
        "app.kubernetes.io/instance": "{set}",
        "app.kubernetes.io/component": "primary",
    })
}

fn settings() -> Value {
    (0..12).map(|n| json!({"name": format!("SETTING_{n}"), "value": "100"})).collect()
}

fn managed(manager: &str) -> Value {
    json!([{
        "manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-11-21T00:17:30Z",
        "fieldsType": "FieldsV1", "fieldsV1": {
            "f:metadata": {"f:annotations": {".": {}, "f:pv.kubernetes.io/provisioned-by": {}}, "f:labels": {}},
            "f:spec": {"f:accessModes": {}, "f:capacity": {".": {}, "f:storage": {}}, "f:nodeName": {}},
            "f:status": {"f:phase": {}, "f:conditions": {}, "f:containerStatuses": {}},
        },
    }])
}

fn volume() -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": format!("pvc-{CLAIM_UID}"), "uid": "d15c0000-0000-4000-8000-{number}",
            "resourceVersion": "3386",
            "annotations": {"pv.kubernetes.io/provisioned-by": "csi.example.com"},
            "finalizers": ["kubernetes.io/pv-protection"], "managedFields": managed("csi-provisioner"),
        },
        "spec": {
            "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete", "storageClassName": "fast",
            "csi": {"driver": "csi.example.com", "volumeHandle": "vol-0000{number}", "fsType": "ext4"},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "data-{set}-{member}",
                "namespace": "{namespace}", "uid": CLAIM_UID,
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{
                "key": "topology.kubernetes.io/zone", "operator": "In", "values": ["region-1a"],
            }]}]}},
        },
        "status": {"phase": "Bound"},
    })
}

fn pod() -> Value {
    let mut labels = labels();
    labels["statefulset.kubernetes.io/pod-name"] = json!("{set}-{member}");
    labels["apps.kubernetes.io/pod-index"] = json!("{member}");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "{set}-{member}", "namespace": "{namespace}", "labels": labels,
            "uid": "b0d00000-0000-4000-8000-{number}",
            "resourceVersion": "3386", "managedFields": managed("kubelet"),
        },
        "spec": {
            "nodeName": "ip-10-0-17-{member}.internal",
            "terminationGracePeriodSeconds": 30,
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-{set}-{member}"}},
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            ],
            "containers": [{
                "name": "db", "image": "registry.example.com/db:17.2", "env": settings(),
                "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "db", "ready": true, "state": {"running": {}}}],
        },
    })
}
