//! Storage, played the way a CSI provisioner, the external-resizer and a kubelet do it.
//!
//! | Class | What its driver does |
//! | --- | --- |
//! | `standard` (default) | waits for the first pod, grows online once a pod runs |
//! | `immediate` | binds without a pod, grows without a node |
//! | `rigid` | `allowVolumeExpansion: false` |
//! | `slow` | grows online, the controller's step takes 5 seconds |
//! | `restart` | the file system waits for a pod started after the controller's step |
//! | `offline` | the controller's step is refused while a pod uses the claim |
//! | `rounding` | rounds every size up to whole GiB |
//! | `infeasible` | refuses every size above 15Gi as out of range |
//! | `stuck` | `allowVolumeExpansion: true`, and nobody answers |
//!
//! A class of the caller's own with provisioner [`PROVISIONER`] may set the `parameters` that make
//! the difference: `play` = `online`, `controller`, `restart`, `offline` or `stuck`; `delay` in
//! milliseconds; `round` and `limit`, quantities. Sizes bound by a quota need nothing here: a
//! `ResourceQuota` is the API server's own.

mod claim;
mod quantity;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
pub(crate) use claim::users_of;
use claim::{Claim, Class, Play, Step};
pub(crate) use quantity::bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::client::{JSON, Session};
use crate::say;

/// The provisioner of all classes, and the name of the driver in their volumes.
pub const PROVISIONER: &str = "testbed.stateward.dev";

const INTERVAL: Duration = Duration::from_millis(100);
const CLAIMS: &str = "/api/v1/persistentvolumeclaims?resourceVersion=0";
const VOLUMES: &str = "/api/v1/persistentvolumes?resourceVersion=0";
const PODS: &str = "/api/v1/pods?resourceVersion=0";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses?resourceVersion=0";

/// The running player; it ends with its testbed.
#[derive(Debug)]
pub struct Storage {
    paused: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Storage {
    /// Creates the classes and starts to play.
    pub(crate) async fn start(
        admin: &Session,
        csi: Session,
        node: Session,
        runtime: &Handle,
    ) -> Result<Self> {
        for object in classes() {
            admin.apply(object).await?;
        }
        let paused = Arc::new(AtomicBool::new(false));
        let player = Player { csi, node, seen: BTreeMap::new(), said: None };
        let task = runtime.spawn(player.play(Arc::clone(&paused)));
        Ok(Self { paused, task })
    }

    /// Leaves claims alone from now on, as if provisioner and resizer were down.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Relaxed);
    }

    /// Takes up the work again.
    pub fn resume(&self) {
        self.paused.store(false, Ordering::Relaxed);
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The driver and the classes.
fn classes() -> Vec<Value> {
    let class = |name: &str, binding: &str, expand: bool, parameters: Value| {
        let default = (name == "standard").to_string();
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": name,
                "annotations": {"storageclass.kubernetes.io/is-default-class": default},
            },
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": binding,
            "allowVolumeExpansion": expand,
            "parameters": parameters,
        })
    };
    let first_pod = "WaitForFirstConsumer";
    vec![
        json!({
            "apiVersion": "storage.k8s.io/v1",
            "kind": "CSIDriver",
            "metadata": {"name": PROVISIONER},
            // Otherwise the attach controller waits for a driver that never registers.
            "spec": {"attachRequired": false, "podInfoOnMount": false},
        }),
        class("standard", first_pod, true, json!({"play": "online"})),
        class("immediate", "Immediate", true, json!({"play": "controller"})),
        class("rigid", first_pod, false, json!({"play": "online"})),
        class("slow", first_pod, true, json!({"play": "online", "delay": "5000"})),
        class("restart", first_pod, true, json!({"play": "restart"})),
        class("offline", first_pod, true, json!({"play": "offline"})),
        class("rounding", first_pod, true, json!({"play": "online", "round": "1Gi"})),
        class("infeasible", first_pod, true, json!({"play": "online", "limit": "15Gi"})),
        class("stuck", first_pod, true, json!({"play": "stuck"})),
    ]
}

/// What is remembered of one expansion, under the claim's UID and the target.
struct Expansion {
    since: Instant,
    // The pods that used the claim when the controller's step was done.
    pods: Option<BTreeSet<String>>,
    told: bool,
}

struct Player {
    csi: Session,
    node: Session,
    seen: BTreeMap<(String, String), Expansion>,
    said: Option<String>,
}

impl Player {
    async fn play(mut self, paused: Arc<AtomicBool>) {
        loop {
            if !paused.load(Ordering::Relaxed) {
                match self.round().await {
                    Ok(()) => self.said = None,
                    Err(error) => self.tell(&error),
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Says an error once, since the next round meets it again.
    fn tell(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        // A server that is being restarted is what tests do.
        let away = error.chain().any(|cause| cause.to_string().contains("onnect"));
        if !away && self.said.as_ref() != Some(&text) {
            say(&format!("testbed: storage: {text}"));
            self.said = Some(text);
        }
    }

    async fn round(&mut self) -> Result<()> {
        let classes = items(&self.csi, CLASSES).await?;
        let classes: BTreeMap<String, Class> =
            classes.iter().filter_map(Class::of).map(|class| (class.name.clone(), class)).collect();
        let claims = items(&self.csi, CLAIMS).await?;
        let volumes = items(&self.csi, VOLUMES).await?;
        let mut pods = None;
        for object in &claims {
            let Some(claim) = Claim::of(object) else { continue };
            let Some(class) = classes.get(&claim.class) else { continue };
            if claim.wants_volume(class) {
                self.provision(&claim, class).await?;
            } else if let Some(target) = claim.target() {
                let Some(volume) = volumes.iter().find(|volume| claim.is_bound_to(volume)) else {
                    continue;
                };
                // Pods are asked for only when a claim grows, which is rare.
                if pods.is_none() {
                    pods = Some(items(&self.csi, PODS).await?);
                }
                let users = claim.users(pods.as_deref().unwrap_or_default());
                self.expand(&claim, class, volume, &users, &target).await?;
            }
        }
        for volume in &volumes {
            let name = volume["metadata"]["name"].as_str().unwrap_or_default();
            let ours = volume["spec"]["csi"]["driver"].as_str().is_some_and(claim::is_ours);
            let released = volume["status"]["phase"] == "Released"
                && volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
                && volume["metadata"]["deletionTimestamp"].is_null();
            if ours && released {
                self.csi.delete(&format!("/api/v1/persistentvolumes/{name}"), Value::Null).await?;
            }
        }
        let alive: BTreeSet<&str> =
            claims.iter().filter_map(|claim| claim["metadata"]["uid"].as_str()).collect();
        self.seen.retain(|(uid, _), _| alive.contains(uid.as_str()));
        Ok(())
    }

    /// Creates the volume; the PV controller then binds the two.
    async fn provision(&self, claim: &Claim<'_>, class: &Class) -> Result<()> {
        let name = format!("pvc-{}", claim.uid);
        let volume = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": name,
                "annotations": {"pv.kubernetes.io/provisioned-by": class.provisioner},
            },
            "spec": {
                "capacity": {"storage": class.rounded(claim.request)},
                "accessModes": claim.object["spec"]["accessModes"],
                "volumeMode": claim.object["spec"]["volumeMode"],
                "storageClassName": class.name,
                "persistentVolumeReclaimPolicy": class.reclaim,
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": claim.namespace,
                    "name": claim.name,
                    "uid": claim.uid,
                    "resourceVersion": claim.object["metadata"]["resourceVersion"],
                },
                "csi": {"driver": class.provisioner, "volumeHandle": name, "fsType": "ext4"},
            },
        });
        let reply = self.csi.request("POST", "/api/v1/persistentvolumes", JSON, volume).await?;
        // Already there: the binding has not happened yet.
        if reply.status != 409 {
            reply.ok().with_context(|| format!("volume for {}", claim.name))?;
        }
        Ok(())
    }

    /// One step of an expansion, if it is time for one.
    async fn expand(
        &mut self,
        claim: &Claim<'_>,
        class: &Class,
        volume: &Value,
        users: &BTreeSet<String>,
        target: &str,
    ) -> Result<()> {
        let step = claim.step();
        if class.play == Play::Stuck
            || (class.play == Play::Real && !matches!(step, Step::NodeBegin | Step::Node))
        {
            return Ok(());
        }
        let fresh = || Expansion { since: Instant::now(), pods: None, told: false };
        let key = (claim.uid.to_owned(), target.to_owned());
        let expansion = self.seen.entry(key).or_insert_with(fresh);
        match step {
            Step::Begin => {
                *expansion = fresh();
                self.status(&self.csi, claim, &claim.begun(target)).await
            }
            Step::Controller if expansion.since.elapsed() < class.delay => Ok(()),
            Step::Controller if class.refuses(target) => {
                let text =
                    format!("rpc error: code = OutOfRange desc = {target} is more than the limit");
                self.status(&self.csi, claim, &claim.infeasible(&text)).await?;
                self.event(claim, "VolumeResizeFailed", &text).await
            }
            Step::Controller if class.play == Play::Offline && !users.is_empty() => {
                if std::mem::replace(&mut expansion.told, true) {
                    return Ok(());
                }
                let text = "rpc error: code = FailedPrecondition desc = the volume is published";
                self.status(&self.csi, claim, &claim.failed(text)).await?;
                // The driver is asked once; from then on the resizer looks at pods itself.
                let text = format!(
                    "Unable to expand {} because CSI driver {PROVISIONER} only supports offline expansion and volume is currently in-use",
                    claim.name
                );
                self.event(claim, "VolumeResizeFailed", &text).await
            }
            Step::Controller => {
                expansion.pods = Some(users.clone());
                let capacity = class.rounded(target);
                let name = volume["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("/api/v1/persistentvolumes/{name}");
                let larger = json!({"spec": {"capacity": {"storage": capacity}}});
                self.csi.merge(&path, larger).await?.ok()?;
                let controller_only =
                    class.play == Play::Controller || claim.object["spec"]["volumeMode"] == "Block";
                let status = if controller_only {
                    claim.finished_by_controller(&capacity)
                } else {
                    claim.waits_for_node()
                };
                self.status(&self.csi, claim, &status).await
            }
            Step::NodeBegin | Step::Node => {
                // After a restart of the player every pod counts as one from before.
                let before = expansion.pods.get_or_insert_with(|| users.clone());
                let restarted = users.iter().any(|pod| !before.contains(pod));
                let mounted = match class.play {
                    Play::Restart => restarted,
                    _ => !users.is_empty(),
                };
                if !mounted {
                    return Ok(());
                }
                let capacity = volume["spec"]["capacity"]["storage"].as_str().unwrap_or(target);
                let change = match step {
                    Step::Node => claim.finished_on_node(capacity),
                    _ => Claim::begun_on_node(),
                };
                self.status(&self.node, claim, &change).await
            }
            Step::None => Ok(()),
        }
    }

    /// Changes a claim through its status; `change` may hold annotations, too.
    async fn status(&self, session: &Session, claim: &Claim<'_>, change: &Value) -> Result<()> {
        let mut patch = change.clone();
        patch["metadata"]["resourceVersion"] = claim.object["metadata"]["resourceVersion"].clone();
        let reply = session.merge(&format!("{}/status", claim.path()), patch).await?;
        // Somebody was faster, or it is gone: the next round sees what is there.
        if !matches!(reply.status, 404 | 409) {
            reply.ok().with_context(|| format!("status of claim {}", claim.name))?;
        }
        Ok(())
    }

    async fn event(&self, claim: &Claim<'_>, reason: &str, message: &str) -> Result<()> {
        let event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": format!("{}.", claim.name), "namespace": claim.namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace,
                "name": claim.name,
                "uid": claim.uid,
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "source": {"component": format!("external-resizer {PROVISIONER}")},
            "count": 1,
        });
        // An event is a courtesy, also to a namespace that is going away.
        let _ = self
            .csi
            .create(&format!("/api/v1/namespaces/{}/events", claim.namespace), event)
            .await?;
        Ok(())
    }
}

async fn items(session: &Session, path: &str) -> Result<Vec<Value>> {
    let mut list = session.get(path).await?.ok()?;
    match list["items"].take() {
        Value::Array(items) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// The kinds of snapshots, as a cluster with a snapshot controller serves them. Their schemas are left open,
/// and nobody takes snapshots: a test writes their status.
pub fn snapshot_kinds() -> Vec<Value> {
    let kinds = [
        ("VolumeSnapshot", "volumesnapshot", "volumesnapshots", "Namespaced"),
        ("VolumeSnapshotContent", "volumesnapshotcontent", "volumesnapshotcontents", "Cluster"),
        ("VolumeSnapshotClass", "volumesnapshotclass", "volumesnapshotclasses", "Cluster"),
    ];
    let kind = |(kind, singular, plural, scope): (&str, &str, &str, &str)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.snapshot.storage.k8s.io"),
                "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
            },
            "spec": {
                "group": "snapshot.storage.k8s.io", "scope": scope,
                "names": {
                    "kind": kind, "listKind": format!("{kind}List"),
                    "plural": plural, "singular": singular,
                },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    }},
                }],
            },
        })
    };
    kinds.into_iter().map(kind).collect()
}
