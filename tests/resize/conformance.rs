//! The model of the control plane against a real one: after the same edits, sets, pods, claims and revisions
//! must come to rest alike.
//!
//! The explorer visits every interleaving, and a real cluster shows one of them. So what is compared is where
//! all of them end.

use std::time::Duration;

use fastrand::Rng;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use testbed::client::JSON;
use testbed::{Kubernetes, Testbed};

use crate::cluster::{garbage_collector, last, resizer, sync_begins, sync_ends};
use crate::world::{ORDINALS, SIZES, SetM, World};

/// Sequences of edits; `STATEWARD_SEQUENCE=N` plays one of them.
const SEQUENCES: u64 = 24;
/// Edits of a sequence.
const LENGTH: usize = 5;
const LONG: Duration = Duration::from_secs(90);

/// What a person does.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Scale(u8),
    Image,
    Retention,
    DeletePod(usize),
    GrowClaim(usize),
    DeleteOrphan,
    DeleteCascade,
    Create { replicas: u8, size: u8 },
}

/// Whom an object belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    Set,
    Other,
}

/// What can be seen of both worlds.
#[derive(Debug, PartialEq, Eq, Default)]
struct Seen {
    set: bool,
    /// image and owner
    pods: [Option<(u8, Owner)>; ORDINALS],
    /// request, capacity and owner; none also of a claim that goes
    claims: [Option<(u8, u8, Owner)>; ORDINALS],
    revisions: Vec<Owner>,
}

/// What a person can do next.
fn edits(world: &World) -> Vec<Edit> {
    let grow = world.claims.iter().enumerate().filter_map(|(ordinal, claim)| {
        let grows =
            claim.as_ref().is_some_and(|claim| usize::from(claim.request) + 1 < SIZES.len());
        grows.then_some(Edit::GrowClaim(ordinal))
    });
    let mut all: Vec<Edit> = grow.collect();
    let Some(set) = &world.set else {
        for (replicas, size) in [(1, 0), (2, 0), (2, 1)] {
            all.push(Edit::Create { replicas, size });
        }
        return all;
    };
    all.extend((0..3).filter(|n| *n != set.replicas).map(Edit::Scale));
    all.extend((set.revision == 0).then_some(Edit::Image));
    let pods = world.pods.iter().enumerate().filter(|(_, pod)| pod.is_some());
    all.extend(pods.map(|(ordinal, _)| Edit::DeletePod(ordinal)));
    all.extend([Edit::Retention, Edit::DeleteOrphan, Edit::DeleteCascade]);
    all
}

/// Makes the edit in the model, and lets it come to rest.
fn play(world: &mut World, edit: Edit) {
    match (edit, &mut world.set) {
        (Edit::Scale(replicas), Some(set)) => set.replicas = replicas,
        (Edit::Image, Some(set)) => set.revision = 1,
        (Edit::Retention, Some(set)) => set.delete = !set.delete,
        (Edit::DeleteOrphan, Some(set)) => {
            (set.terminating, set.orphan) = (true, true);
            world.last = Some(last(set));
        }
        (Edit::DeleteCascade, Some(set)) => {
            world.last = Some(last(set));
            world.set = None;
        }
        (Edit::DeletePod(ordinal), _) => world.pods[ordinal] = None,
        (Edit::GrowClaim(ordinal), _) => {
            world.claims[ordinal].iter_mut().for_each(|claim| claim.request += 1);
        }
        (Edit::Create { replicas, size }, None) => {
            let revision = world.last.as_ref().map_or(0, |last| last.revision);
            let steady = World::steady(replicas, 0).set.unwrap();
            world.set = Some(SetM {
                uid: world.fresh_uid(),
                size,
                revision,
                current: 9,
                update: 9,
                requested: None,
                ..steady
            });
        }
        (edit, set) => panic!("{edit:?} of {set:?}"),
    }
    world.bump_spec();
    rest(world);
}

/// Lets everybody act until nobody has anything to do.
fn rest(world: &mut World) {
    loop {
        let before = world.clone();
        let next = garbage_collector(world)
            .map(|(_, next)| next)
            .or_else(|| sync_ends(world))
            .or_else(|| sync_begins(world))
            .or_else(|| resizer(world));
        match next {
            Some(next) => *world = next,
            None => world.tick(),
        }
        if *world == before {
            return;
        }
    }
}

fn seen_in_model(world: &World) -> Seen {
    let owner = |owner: Option<u8>| match (owner, &world.set) {
        (None, _) => Owner::Nobody,
        (Some(uid), Some(set)) if set.uid == uid => Owner::Set,
        _ => Owner::Other,
    };
    let pod = |n: usize| world.pods[n].as_ref().map(|pod| (pod.revision, owner(pod.owner)));
    let claim = |n: usize| {
        let claim = world.claims[n].as_ref().filter(|claim| !claim.terminating)?;
        Some((claim.request, claim.capacity, owner(claim.owner)))
    };
    Seen {
        set: world.set.is_some(),
        pods: std::array::from_fn(pod),
        claims: std::array::from_fn(claim),
        revisions: world.revisions.iter().flatten().map(|one| owner(one.owner)).collect(),
    }
}

/// One namespace of the real cluster.
struct Real<'t> {
    testbed: &'t Testbed,
    namespace: String,
}

impl Real<'_> {
    fn sets(&self) -> String {
        format!("/apis/apps/v1/namespaces/{}/statefulsets", self.namespace)
    }

    fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.testbed.get(path).await.unwrap().ok().unwrap();
        list["items"].as_array().unwrap().clone()
    }

    async fn create(&self, world: &World, set: &SetM) {
        let policy = if world.kind.ordered { "OrderedReady" } else { "Parallel" };
        let strategy = if world.kind.on_delete { "OnDelete" } else { "RollingUpdate" };
        let retention = if set.delete { "Delete" } else { "Retain" };
        let body = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
            "spec": {
                "serviceName": "db",
                "replicas": set.replicas,
                "podManagementPolicy": policy,
                "updateStrategy": {"type": strategy},
                "persistentVolumeClaimRetentionPolicy":
                    {"whenDeleted": retention, "whenScaled": "Retain"},
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{
                            "name": "db",
                            "image": image(set.revision),
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        }],
                    },
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "storageClassName": "immediate",
                        "resources": {"requests": {"storage": SIZES[usize::from(set.size)]}},
                    },
                }],
            },
        });
        self.testbed.create(&self.sets(), body).await.unwrap().ok().unwrap();
    }

    /// Makes the edit whose outcome in the model is `after`.
    async fn edit(&self, edit: Edit, after: &World) {
        let set = format!("{}/db", self.sets());
        let merge = async |path: &str, patch: Value| {
            self.testbed.merge(path, patch).await.unwrap().ok().unwrap();
        };
        let delete = async |path: &str, policy: &str| {
            let options = json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy,
            });
            let reply = self.testbed.request("DELETE", path, JSON, options).await;
            reply.unwrap().ok().unwrap();
        };
        match edit {
            Edit::Scale(replicas) => merge(&set, json!({"spec": {"replicas": replicas}})).await,
            Edit::Image => {
                let field = "/spec/template/spec/containers/0/image";
                let replace = json!([{"op": "replace", "path": field, "value": image(1)}]);
                let json_patch = testbed::client::JSON_PATCH;
                let reply = self.testbed.request("PATCH", &set, json_patch, replace).await;
                reply.unwrap().ok().unwrap();
            }
            Edit::Retention => {
                let delete = after.set.as_ref().unwrap().delete;
                let policy = if delete { "Delete" } else { "Retain" };
                let policy = json!({"whenDeleted": policy});
                merge(&set, json!({"spec": {"persistentVolumeClaimRetentionPolicy": policy}}))
                    .await;
            }
            Edit::DeletePod(ordinal) => {
                delete(&format!("{}/db-{ordinal}", self.core("pods")), "Background").await;
            }
            Edit::GrowClaim(ordinal) => {
                let claim = after.claims[ordinal].as_ref().unwrap();
                let size = SIZES[usize::from(claim.request)];
                let path = format!("{}/data-db-{ordinal}", self.core("persistentvolumeclaims"));
                merge(&path, json!({"spec": {"resources": {"requests": {"storage": size}}}})).await;
            }
            Edit::DeleteOrphan => delete(&set, "Orphan").await,
            Edit::DeleteCascade => delete(&set, "Background").await,
            Edit::Create { .. } => self.create(after, after.set.as_ref().unwrap()).await,
        }
    }

    /// What there is; none while something is on its way.
    async fn seen(&self) -> Option<Seen> {
        let sets = self.list(&self.sets()).await;
        let uid = sets.first().map(|set| set["metadata"]["uid"].clone());
        if sets.iter().any(|set| {
            let (metadata, status) = (&set["metadata"], &set["status"]);
            metadata["deletionTimestamp"].is_string()
                || metadata["generation"] != status["observedGeneration"]
        }) {
            return None;
        }
        let owner = |object: &Value| match object["metadata"]["ownerReferences"].as_array() {
            None => Owner::Nobody,
            Some(owners) if owners.iter().any(|one| Some(&one["uid"]) == uid.as_ref()) => {
                Owner::Set
            }
            Some(_) => Owner::Other,
        };
        let mut seen = Seen { set: uid.is_some(), ..Seen::default() };
        for pod in self.list(&self.core("pods")).await {
            let ready = pod["status"]["conditions"].as_array().is_some_and(|conditions| {
                conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
            });
            if pod["metadata"]["deletionTimestamp"].is_string() || !ready {
                return None;
            }
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap().to_owned();
            let revision = (0..2).find(|revision| self::image(*revision) == image).unwrap();
            seen.pods[ordinal(&pod)] = Some((revision, owner(&pod)));
        }
        for claim in self.list(&self.core("persistentvolumeclaims")).await {
            if claim["metadata"]["deletionTimestamp"].is_string() {
                continue;
            }
            let size = |at: &str| {
                let size = claim.pointer(at).and_then(Value::as_str)?;
                SIZES.iter().position(|known| *known == size).map(|index| index as u8)
            };
            let request = size("/spec/resources/requests/storage")?;
            let capacity = size("/status/capacity/storage")?;
            seen.claims[ordinal(&claim)] = Some((request, capacity, owner(&claim)));
        }
        let revisions = format!("/apis/apps/v1/namespaces/{}/controllerrevisions", self.namespace);
        seen.revisions = self.list(&revisions).await.iter().map(owner).collect();
        Some(seen)
    }

    /// Waits until the garbage collector has dealt with everything that came before.
    async fn garbage_is_collected(&self) {
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "garbage", "ownerReferences": [{
                "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "gone",
            }]},
        });
        self.testbed.create(&self.core("configmaps"), body).await.unwrap().ok().unwrap();
        let path = self.core("configmaps/garbage");
        let gone = async || Ok((self.testbed.get(&path).await?.status == 404).then_some(()));
        testbed::wait::wait_for("garbage to be collected", LONG, gone).await.unwrap();
    }

    /// Waits until the cluster looks like this, and still does once everybody had a turn.
    async fn comes_to(&self, expected: &Seen, story: &str) {
        for _ in 0..2 {
            let mut found = None;
            let alike = testbed::wait::wait_for("both worlds to be alike", LONG, async || {
                found = self.seen().await;
                Ok((found.as_ref() == Some(expected)).then_some(()))
            })
            .await;
            assert!(alike.is_ok(), "{story}:\nmodel {expected:?}\nreal  {found:?}");
            self.garbage_is_collected().await;
        }
    }
}

fn ordinal(object: &Value) -> usize {
    let name = object["metadata"]["name"].as_str().unwrap();
    name.rsplit('-').next().unwrap().parse().unwrap()
}

fn image(revision: u8) -> String {
    format!("registry.example.com/team/store:{revision}.0")
}

/// Plays one sequence in both worlds.
async fn sequence(seed: u64, testbed: &Testbed) {
    let mut random = Rng::with_seed(seed);
    let (ordered, on_delete) = (random.bool(), random.u8(..4) == 0);
    let mut world = World::steady(random.u8(1..3), 0).with(|kind| {
        (kind.ordered, kind.on_delete) = (ordered, on_delete);
    });
    if random.bool() {
        world = world.retention_delete();
    }
    world.set.iter_mut().for_each(|set| set.requested = None);
    rest(&mut world);
    let namespace = testbed.namespace("model").await.unwrap();
    let real = Real { testbed, namespace };
    real.create(&world, world.set.as_ref().unwrap()).await;
    let mut story = format!("sequence {seed}: {:?} {:?}", world.kind, world.set);
    real.comes_to(&seen_in_model(&world), &story).await;
    for _ in 0..LENGTH {
        let edit = random.choice(edits(&world)).unwrap();
        story = format!("{story}\n{edit:?}");
        play(&mut world, edit);
        real.edit(edit, &world).await;
        real.comes_to(&seen_in_model(&world), &story).await;
        // In the model, a claim that goes holds its name for ever.
        if world.claims.iter().flatten().any(|claim| claim.terminating) {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn real_controllers_leave_what_the_model_leaves() {
    let testbed = Testbed::builder().kubernetes(Kubernetes::V1_36).start().await.unwrap();
    testbed.play_storage().await.unwrap();
    let one = std::env::var("STATEWARD_SEQUENCE").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = one.map_or(0..SEQUENCES, |one| one..one + 1);
    let sequences = futures_util::stream::iter(seeds).map(|seed| sequence(seed, &testbed));
    sequences.buffer_unordered(8).collect::<Vec<()>>().await;
}
