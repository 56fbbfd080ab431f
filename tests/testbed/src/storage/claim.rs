//! What a claim asks for, and the status it gets at each step.
//!
//! The order and the fields are those of the external-resizer and of the kubelet since Kubernetes
//! 1.34, where a failed expansion may be taken back.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{PROVISIONER, quantity};

/// How a class plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Play {
    Online,
    Controller,
    Restart,
    Offline,
    Stuck,
    /// A real resizer does the controller's step.
    Real,
}

/// A class of ours.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: String,
    pub(super) provisioner: String,
    pub(super) play: Play,
    pub(super) delay: Duration,
    pub(super) reclaim: String,
    waits: bool,
    round: Option<u128>,
    limit: Option<u128>,
}

impl Class {
    /// The class, unless it is somebody else's.
    pub(super) fn of(object: &Value) -> Option<Self> {
        let provisioner = object["provisioner"].as_str()?;
        if !is_ours(provisioner) {
            return None;
        }
        let parameter = |name: &str| object["parameters"][name].as_str();
        Some(Self {
            name: object["metadata"]["name"].as_str()?.to_owned(),
            provisioner: provisioner.to_owned(),
            play: match parameter("play") {
                _ if provisioner != PROVISIONER => Play::Real,
                Some("controller") => Play::Controller,
                Some("restart") => Play::Restart,
                Some("offline") => Play::Offline,
                Some("stuck") => Play::Stuck,
                _ => Play::Online,
            },
            delay: Duration::from_millis(
                parameter("delay").and_then(|delay| delay.parse().ok()).unwrap_or(0),
            ),
            reclaim: object["reclaimPolicy"].as_str().unwrap_or("Delete").to_owned(),
            waits: object["volumeBindingMode"] == "WaitForFirstConsumer",
            round: parameter("round").and_then(quantity::bytes),
            limit: parameter("limit").and_then(quantity::bytes),
        })
    }

    /// The size that the driver makes of a request.
    pub(super) fn rounded(&self, size: &str) -> String {
        match (self.round, quantity::bytes(size)) {
            (Some(step), Some(bytes)) if step > 0 && bytes % step != 0 => {
                quantity::text(bytes.next_multiple_of(step))
            }
            _ => size.to_owned(),
        }
    }

    /// Whether the driver calls a size infeasible.
    pub(super) fn refuses(&self, size: &str) -> bool {
        matches!((self.limit, quantity::bytes(size)), (Some(limit), Some(bytes)) if bytes > limit)
    }
}

/// What comes next for a claim that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Begin,
    Controller,
    NodeBegin,
    Node,
    None,
}

/// A claim, read.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) object: &'a Value,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) class: String,
    pub(super) request: &'a str,
}

impl<'a> Claim<'a> {
    pub(super) fn of(object: &'a Value) -> Option<Self> {
        Some(Self {
            object,
            namespace: object["metadata"]["namespace"].as_str()?,
            name: object["metadata"]["name"].as_str()?,
            uid: object["metadata"]["uid"].as_str()?,
            class: object["spec"]["storageClassName"].as_str()?.to_owned(),
            request: object["spec"]["resources"]["requests"]["storage"].as_str()?,
        })
    }

    pub(super) fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/persistentvolumeclaims/{}", self.namespace, self.name)
    }

    /// Whether the PV controller has handed the claim to the provisioner.
    pub(super) fn wants_volume(&self, class: &Class) -> bool {
        let annotations = &self.object["metadata"]["annotations"];
        self.object["spec"]["volumeName"].is_null()
            && self.object["metadata"]["deletionTimestamp"].is_null()
            && annotations["volume.kubernetes.io/storage-provisioner"] == class.provisioner.as_str()
            && (!class.waits || !annotations["volume.kubernetes.io/selected-node"].is_null())
    }

    pub(super) fn is_bound_to(&self, volume: &Value) -> bool {
        self.object["spec"]["volumeName"] == volume["metadata"]["name"]
            && volume["spec"]["claimRef"]["uid"] == self.uid
    }

    /// The size that is being worked towards, if the claim is to grow.
    pub(super) fn target(&self) -> Option<String> {
        let status = &self.object["status"];
        if status["phase"] != "Bound" {
            return None;
        }
        let capacity = quantity::bytes(status["capacity"]["storage"].as_str()?)?;
        let request = quantity::bytes(self.request)?;
        // An expansion under way is finished before a new size is taken up.
        let allocated = status["allocatedResources"]["storage"].as_str();
        let target = match (self.state(), allocated) {
            (
                "ControllerResizeInProgress" | "NodeResizePending" | "NodeResizeInProgress",
                Some(size),
            ) => size,
            _ if request > capacity => self.request,
            _ => return None,
        };
        Some(target.to_owned())
    }

    pub(super) fn step(&self) -> Step {
        let allocated = self.object["status"]["allocatedResources"]["storage"].as_str();
        let same = allocated.and_then(quantity::bytes) == quantity::bytes(self.request);
        match self.state() {
            "ControllerResizeInProgress" => Step::Controller,
            "NodeResizePending" => Step::NodeBegin,
            "NodeResizeInProgress" => Step::Node,
            // Tried again by the real one after minutes, with the same end.
            "ControllerResizeInfeasible" if same => Step::None,
            _ => Step::Begin,
        }
    }

    fn state(&self) -> &str {
        self.object["status"]["allocatedResourceStatuses"]["storage"].as_str().unwrap_or_default()
    }

    /// The UIDs of the pods that run with this claim.
    pub(super) fn users(&self, pods: &[Value]) -> BTreeSet<String> {
        users_of(self.namespace, self.name, pods)
    }

    pub(super) fn begun(&self, target: &str) -> Value {
        change(
            &Value::Null,
            &json!({
                "conditions": self.conditions(&[], Some(condition("Resizing", ""))),
                "allocatedResources": {"storage": target},
                "allocatedResourceStatuses": {"storage": "ControllerResizeInProgress"},
            }),
        )
    }

    /// Refused for good at this size; to be tried with another.
    pub(super) fn infeasible(&self, error: &str) -> Value {
        let mut change = self.failed(error);
        change["status"]["allocatedResourceStatuses"]["storage"] =
            "ControllerResizeInfeasible".into();
        change
    }

    /// Refused for now.
    pub(super) fn failed(&self, error: &str) -> Value {
        let text = format!("failed to expand pvc with {error}");
        let error = condition("ControllerResizeError", &text);
        json!({"status": {"conditions": self.conditions(&["Resizing"], Some(error))}})
    }

    pub(super) fn waits_for_node(&self) -> Value {
        let text =
            "Waiting for user to (re-)start a pod to finish file system resize of volume on node.";
        let keep = ["Resizing", "ControllerResizeError"];
        let pending = condition("FileSystemResizePending", text);
        change(
            &Value::Null,
            &json!({
                "conditions": self.conditions(&keep, Some(pending)),
                "allocatedResourceStatuses": {"storage": "NodeResizePending"},
            }),
        )
    }

    /// The kubelet says so before it grows the file system.
    pub(super) fn begun_on_node() -> Value {
        json!({"status": {"allocatedResourceStatuses": {"storage": "NodeResizeInProgress"}}})
    }

    pub(super) fn finished_on_node(&self, capacity: &str) -> Value {
        json!({"status": self.finished(capacity)})
    }

    /// Finished without a node, which the kubelet is told.
    pub(super) fn finished_by_controller(&self, capacity: &str) -> Value {
        change(&"true".into(), &self.finished(capacity))
    }

    fn finished(&self, capacity: &str) -> Value {
        json!({
            "capacity": {"storage": capacity},
            "conditions": self.conditions(&[], None),
            // Null removes the key in a merge patch; allocatedResources stays, as it does there.
            "allocatedResourceStatuses": null,
        })
    }

    /// The conditions: those that are not about resizing or named in `keep`, then `add`.
    fn conditions(&self, keep: &[&str], add: Option<Value>) -> Value {
        const RESIZE: [&str; 4] =
            ["Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError"];
        let stays = |condition: &&Value| {
            let kind = condition["type"].as_str().unwrap_or_default();
            !RESIZE.contains(&kind) || keep.contains(&kind)
        };
        let old = self.object["status"]["conditions"].as_array();
        let mut list: Vec<Value> = old.into_iter().flatten().filter(stays).cloned().collect();
        list.extend(add);
        if list.is_empty() { Value::Null } else { Value::Array(list) }
    }
}

/// Whether a provisioner or driver is the played one, or one in front of a real resizer.
pub(super) fn is_ours(name: &str) -> bool {
    name.strip_suffix(PROVISIONER).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// The UIDs of the pods that run with a claim.
pub(crate) fn users_of(namespace: &str, claim: &str, pods: &[Value]) -> BTreeSet<String> {
    let uses = |pod: &&Value| {
        let volumes = pod["spec"]["volumes"].as_array();
        let named = |volume: &Value| volume["persistentVolumeClaim"]["claimName"] == claim;
        pod["metadata"]["namespace"] == namespace
            && pod["status"]["phase"] == "Running"
            && volumes.is_some_and(|volumes| volumes.iter().any(named))
    };
    let uid = |pod: &Value| pod["metadata"]["uid"].as_str().map(str::to_owned);
    pods.iter().filter(uses).filter_map(uid).collect()
}

/// A change of status, with the note of the resizer that the node has nothing to do.
fn change(node_has_nothing_to_do: &Value, status: &Value) -> Value {
    let key = "volume.kubernetes.io/node-expansion-not-required";
    json!({"metadata": {"annotations": {key: node_has_nothing_to_do}}, "status": status})
}

fn condition(kind: &str, message: &str) -> Value {
    let mut condition = json!({
        "type": kind,
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": now(),
    });
    if !message.is_empty() {
        condition["message"] = message.into();
    }
    condition
}

fn now() -> String {
    k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(request: &str, status: &Value) -> Value {
        json!({
            "metadata": {"namespace": "n", "name": "c", "uid": "u"},
            "spec": {"storageClassName": "standard", "resources": {"requests": {"storage": request}}},
            "status": status,
        })
    }

    #[test]
    fn an_expansion_under_way_is_finished_first() {
        let object = claim(
            "30Gi",
            &json!({
                "phase": "Bound", "capacity": {"storage": "10Gi"},
                "allocatedResources": {"storage": "20Gi"},
                "allocatedResourceStatuses": {"storage": "NodeResizePending"},
            }),
        );
        let claim = Claim::of(&object).unwrap();
        assert_eq!((claim.target().unwrap().as_str(), claim.step()), ("20Gi", Step::NodeBegin));
    }

    #[test]
    fn a_lowered_infeasible_size_is_tried_again() {
        let status = json!({
            "phase": "Bound", "capacity": {"storage": "10Gi"},
            "allocatedResources": {"storage": "50Gi"},
            "allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"},
        });
        let object = claim("50Gi", &status);
        assert_eq!(Claim::of(&object).unwrap().step(), Step::None);
        let object = claim("12Gi", &status);
        assert_eq!(Claim::of(&object).unwrap().step(), Step::Begin);
    }

    #[test]
    fn a_claim_that_has_its_size_is_left_alone() {
        let object = claim("10Gi", &json!({"phase": "Bound", "capacity": {"storage": "10240Mi"}}));
        assert_eq!(Claim::of(&object).unwrap().target(), None);
    }

    #[test]
    fn sizes_are_rounded_up() {
        let class = Class::of(&json!({
            "metadata": {"name": "rounding"}, "provisioner": PROVISIONER,
            "parameters": {"round": "1Gi", "limit": "15Gi"},
        }))
        .unwrap();
        assert_eq!(class.rounded("10.5Gi"), "11Gi");
        assert_eq!(class.rounded("10240Mi"), "10240Mi");
        assert!(class.refuses("16Gi") && !class.refuses("15Gi"));
    }
}
