//! Provisioner, resizer, node, and the controller that protects claims in use.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use stateward_core::object::Quantity;

use super::{Pace, is_going, list, mounts, name, text, uid};
use crate::server::Server;
use crate::server::store::Id;

const WHO: &str = "storage";

/// Whoever works on volumes.
#[derive(Default)]
pub(crate) struct Storage {
    /// claims whose file system waits for another pod than this one
    pending: BTreeMap<String, String>,
}

fn size(claim: &Value, pointer: &str) -> Option<Quantity> {
    text(claim, pointer).parse().ok()
}

impl Storage {
    /// One step for one claim.
    pub(crate) fn step(&mut self, server: &Server, _: &Pace) -> bool {
        server.all("persistentvolumeclaims").iter().any(|claim| self.claim(server, claim))
    }

    fn claim(&mut self, server: &Server, claim: &Value) -> bool {
        let namespace = text(claim, "/metadata/namespace");
        let id = Id::new("persistentvolumeclaims", namespace, name(claim));
        // Claims at rest are many, and nobody need know who uses them.
        let user = || {
            server.look(|store| {
                let mut pods = store.list("pods", namespace).into_iter();
                let uses = |pod: &&Arc<Value>| mounts(pod).any(|used| used == name(claim));
                pods.find(uses).map(|pod| uid(pod).to_owned())
            })
        };
        if is_going(claim) {
            let protected = !list(claim, "/metadata/finalizers").is_empty();
            if protected && user().is_none() {
                let patch = json!({"metadata": {"uid": uid(claim), "finalizers": []}});
                return server.send(WHO, "PATCH", &id.path(), patch).is_ok();
            }
            return false;
        }
        let request = text(claim, "/spec/resources/requests/storage").to_owned();
        if text(claim, "/spec/volumeName").is_empty() {
            return bind(server, claim, &id, &request);
        }
        if text(claim, "/status/phase") != "Bound" {
            let status = json!({"phase": "Bound", "capacity": {"storage": request}});
            return put_status(server, claim, &id, status);
        }
        let (Some(wanted), Some(has)) = (
            size(claim, "/spec/resources/requests/storage"),
            size(claim, "/status/capacity/storage"),
        ) else {
            return false;
        };
        let state = text(claim, "/status/allocatedResourceStatuses/storage");
        let capacity = text(claim, "/status/capacity/storage").to_owned();
        if wanted <= has {
            let settled = json!({"phase": "Bound", "capacity": {"storage": capacity}});
            return !state.is_empty() && put_status(server, claim, &id, settled);
        }
        let class =
            server.get(&Id::new("storageclasses", "", text(claim, "/spec/storageClassName")));
        let Some(class) = class else { return false };
        let limit = size(&class, "/parameters/limit");
        let at = |state: &str| {
            json!({
                "phase": "Bound", "capacity": {"storage": capacity},
                "allocatedResources": {"storage": request},
                "allocatedResourceStatuses": {"storage": state},
            })
        };
        let grown = json!({"phase": "Bound", "capacity": {"storage": request}});
        let pod = user();
        match state {
            _ if limit.is_some_and(|limit| wanted > limit) => {
                state != "ControllerResizeInfeasible"
                    && put_status(server, claim, &id, at("ControllerResizeInfeasible"))
            }
            "ControllerResizeInProgress" => match pod {
                Some(pod) if class["parameters"]["play"] == "restart" => {
                    self.pending.insert(uid(claim).to_owned(), pod);
                    put_status(server, claim, &id, at("NodeResizePending"))
                }
                _ => put_status(server, claim, &id, grown),
            },
            "NodeResizePending" => {
                let waits_for = self.pending.get(uid(claim));
                pod.is_some() && pod.as_ref() != waits_for && put_status(server, claim, &id, grown)
            }
            _ => put_status(server, claim, &id, at("ControllerResizeInProgress")),
        }
    }
}

fn bind(server: &Server, claim: &Value, id: &Id, request: &str) -> bool {
    let volume = format!("pvc-{}", uid(claim));
    let object = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {
            "name": volume,
            "annotations": {"pv.kubernetes.io/provisioned-by": "simulated"},
        },
        "spec": {
            "capacity": {"storage": request},
            "csi": {"driver": "simulated", "volumeHandle": volume},
        },
    });
    server.send(WHO, "POST", "/api/v1/persistentvolumes", object);
    let patch = json!({
        "metadata": {"resourceVersion": text(claim, "/metadata/resourceVersion")},
        "spec": {"volumeName": volume},
    });
    server.send(WHO, "PATCH", &id.path(), patch).is_ok()
}

fn put_status(server: &Server, claim: &Value, id: &Id, status: Value) -> bool {
    let mut object = claim.clone();
    object["status"] = status;
    server.send(WHO, "PUT", &format!("{}/status", id.path()), object).is_ok()
}
