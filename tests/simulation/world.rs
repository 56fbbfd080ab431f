//! What a run begins with: a namespace, classes, and sets that have run for a while.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::actors::garbage::Collector;
use crate::actors::storage::Storage;
use crate::actors::{Moods, Pace, act, housekeeping, sets};
use crate::server::Server;
use crate::server::store::Id;

/// The namespace of every set.
pub(crate) const NAMESPACE: &str = "prod";
/// The namespace of the controllers' Leases.
pub(crate) const SYSTEM: &str = "stateward";

/// What a set is like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub name: String,
    pub replicas: i64,
    pub start: i64,
    pub parallel: bool,
    pub on_delete: bool,
    pub retention: (&'static str, &'static str),
    pub class: &'static str,
    pub templates: Vec<&'static str>,
    pub evict: bool,
    pub leftovers: i64,
}

impl Shape {
    pub(crate) fn plain(name: &str, replicas: i64) -> Self {
        Self {
            name: name.to_owned(),
            replicas,
            start: 0,
            parallel: false,
            on_delete: false,
            retention: ("Retain", "Retain"),
            class: "fast",
            templates: vec!["data"],
            evict: false,
            leftovers: 0,
        }
    }

    pub(crate) fn drawn(name: &str, rng: &mut Rng) -> Self {
        let policy = |rng: &mut Rng| if rng.u8(0..3) == 0 { "Delete" } else { "Retain" };
        let class = ["fast", "fast", "fast", "restart", "tight"][rng.usize(0..5)];
        Self {
            name: name.to_owned(),
            replicas: rng.i64(1..4),
            start: if rng.u8(0..6) == 0 { 2 } else { 0 },
            parallel: rng.u8(0..3) == 0,
            on_delete: rng.u8(0..6) == 0,
            retention: (policy(rng), policy(rng)),
            class,
            templates: if rng.u8(0..4) == 0 { vec!["data", "log"] } else { vec!["data"] },
            evict: class == "restart" && rng.bool(),
            leftovers: i64::from(rng.u8(0..4) == 0),
        }
    }

    /// The manifest, as Git has it.
    pub(crate) fn manifest(&self, size: &str) -> Value {
        let template = |name: &&str| {
            json!({
                "metadata": {"name": name},
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": self.class,
                    "resources": {"requests": {"storage": size}},
                },
            })
        };
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": {"team": "db"}},
            "spec": {
                "replicas": self.replicas, "serviceName": self.name,
                "selector": {"matchLabels": {"app": self.name}},
                "podManagementPolicy": if self.parallel { "Parallel" } else { "OrderedReady" },
                "updateStrategy": {
                    "type": if self.on_delete { "OnDelete" } else { "RollingUpdate" },
                },
                "persistentVolumeClaimRetentionPolicy": {
                    "whenDeleted": self.retention.0, "whenScaled": self.retention.1,
                },
                "template": {
                    "metadata": {"labels": {"app": self.name}},
                    "spec": {"containers": [{"name": "db", "image": "db:1"}]},
                },
                "volumeClaimTemplates": self.templates.iter().map(template).collect::<Vec<_>>(),
            },
        });
        if self.start > 0 {
            set["spec"]["ordinals"] = json!({"start": self.start});
        }
        if self.evict {
            set["metadata"]["annotations"] = json!({"stateward.dev/resize-restart": "evict"});
        }
        set
    }

    pub(crate) fn id(&self) -> Id {
        Id::new("statefulsets", NAMESPACE, &self.name)
    }

    pub(crate) fn record(&self) -> Id {
        Id::new("statefulsetresizes", NAMESPACE, &self.name)
    }
}

/// Lets every controller but ours work on `server`, for the sets of these shapes.
pub(crate) fn populate(server: &Server, shapes: &[Shape], rng: &mut Rng, moods: &Arc<Moods>) {
    let mut pace = || Pace::new(rng.fork(), Arc::clone(moods));
    let mut collector = Collector::default();
    tokio::spawn(act(server.clone(), pace(), move |server, pace| collector.step(server, pace)));
    let mut storage = Storage::default();
    tokio::spawn(act(server.clone(), pace(), move |server, pace| storage.step(server, pace)));
    tokio::spawn(act(server.clone(), pace(), housekeeping::kubelet));
    tokio::spawn(act(server.clone(), pace(), housekeeping::quotas));
    tokio::spawn(act(server.clone(), pace(), housekeeping::namespaces));
    for shape in shapes {
        let name = shape.name.clone();
        tokio::spawn(sets::run(server.clone(), pace(), NAMESPACE.to_owned(), name));
    }
}

/// Creates the namespaces, classes and sets, and waits until all is well and old enough.
pub(crate) async fn furnish(server: &Server, shapes: &[Shape]) {
    for name in [NAMESPACE, SYSTEM] {
        server.create("person", json!({"kind": "Namespace", "metadata": {"name": name}}));
    }
    for (name, play, limit) in
        [("fast", "online", None), ("restart", "restart", None), ("tight", "online", Some("25Gi"))]
    {
        server.create(
            "person",
            json!({
                "kind": "StorageClass", "metadata": {"name": name}, "provisioner": "simulated",
                "allowVolumeExpansion": true, "parameters": {"play": play, "limit": limit},
            }),
        );
    }
    server.create("person", stateward_resize::admission_policy::policy());
    server.create("person", stateward_resize::admission_policy::binding());
    for shape in shapes {
        let mut manifest = shape.manifest("10Gi");
        manifest["spec"]["replicas"] = (shape.replicas + shape.leftovers).into();
        server.create("helm", manifest);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for shape in shapes.iter().filter(|shape| shape.leftovers > 0) {
        let patch = json!({"spec": {"replicas": shape.replicas}});
        server.send("helm", "PATCH", &shape.id().path(), patch);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    for shape in shapes {
        let set = server.get(&shape.id()).unwrap();
        assert_eq!(set["status"]["readyReplicas"], shape.replicas, "{set}");
    }
}
