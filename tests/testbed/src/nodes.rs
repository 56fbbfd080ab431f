//! Nodes and pods, played by kwok with Stages of ours.
//!
//! A pod that is scheduled runs and is ready at once; one that is deleted is gone at once, by
//! a task of ours. Two annotations on a pod (or in a template) make it misbehave:
//!
//! | Annotation | Effect |
//! | --- | --- |
//! | `testbed.stateward.dev/ready: "false"` | runs and never becomes ready; without it, ready again |
//! | `testbed.stateward.dev/stuck: "true"` | stays Terminating until the annotation is gone |

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::client::Session;

/// The file of Stages in the testbed's folder.
pub(crate) const STAGES: &str = "stages.json";

const STARTED: &str = r#"
{{ $now := Now }}
{{ $start := or .status.startTime $now }}
{{ $ready := READY }}
conditions:
- {type: PodReadyToStartContainers, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "{{ $ready }}", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "{{ $ready }}", lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: {{ $ready }}
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $start | Quote }}}}
{{ end }}
{{ if .spec.initContainers }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: true
  restartCount: 0
  {{ if eq .restartPolicy "Always" }}
  started: true
  state: {running: {startedAt: {{ $start | Quote }}}}
  {{ else }}
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $start | Quote }}, finishedAt: {{ $start | Quote }}}}
  {{ end }}
{{ end }}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName ( or .spec.hostNetwork false ) ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
phase: Running
startTime: {{ $start | Quote }}
"#;

const NODE_STATUS: &str = r#"
{{ $now := Now }}
{{ $since := or .metadata.creationTimestamp $now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $since | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- {type: InternalIP, address: {{ NodeIP | Quote }}}
- {type: Hostname, address: {{ .metadata.name | Quote }}}
allocatable: {cpu: "64", memory: 512Gi, pods: "500"}
capacity: {cpu: "64", memory: 512Gi, pods: "500"}
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: kwok
  kernelVersion: kwok
  kubeProxyVersion: ""
  kubeletVersion: v1.36.3
  machineID: ""
  operatingSystem: linux
  osImage: ""
  systemUUID: ""
phase: Running
"#;

/// Writes the Stages for kwok.
pub(crate) fn write_stages(folder: &Path) -> Result<()> {
    let stages: Vec<String> = stages().iter().map(Value::to_string).collect();
    let text = stages.join("\n---\n");
    std::fs::write(folder.join(STAGES), text).context("could not write the stages of kwok")
}

fn stages() -> Vec<Value> {
    let is = |key: &str, operator: &str, values: &[&str]| match values {
        [] => json!({"key": key, "operator": operator}),
        values => json!({"key": key, "operator": operator, "values": values}),
    };
    let ready = r#".status.conditions.[] | select( .type == "Ready" ) | .status"#;
    let unready_wanted = r#".metadata.annotations["testbed.stateward.dev/ready"]"#;
    let alive = is(".metadata.deletionTimestamp", "DoesNotExist", &[]);
    let placed = is(".spec.nodeName", "Exists", &[]);
    vec![
        stage(
            "node-ready",
            "Node",
            &[is(ready, "NotIn", &["True"])],
            &json!({"statusTemplate": NODE_STATUS}),
        ),
        stage(
            "pod-ready",
            "Pod",
            &[
                alive.clone(),
                placed.clone(),
                is(ready, "NotIn", &["True"]),
                is(unready_wanted, "NotIn", &["false"]),
                is(".status.phase", "NotIn", &["Succeeded", "Failed"]),
            ],
            &json!({"statusTemplate": STARTED.replace("READY", "`True`")}),
        ),
        stage(
            "pod-unready",
            "Pod",
            &[
                alive.clone(),
                placed,
                is(ready, "NotIn", &["False"]),
                is(unready_wanted, "In", &["false"]),
            ],
            &json!({"statusTemplate": STARTED.replace("READY", "`False`")}),
        ),
        stage(
            "pod-complete",
            "Pod",
            &[
                alive,
                is(".status.phase", "In", &["Running"]),
                is(".metadata.ownerReferences.[].kind", "In", &["Job"]),
            ],
            &json!({"statusTemplate": "phase: Succeeded\n"}),
        ),
    ]
}

fn stage(name: &str, kind: &str, when: &[Value], next: &Value) -> Value {
    json!({
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "next": next,
        },
    })
}

/// Gives kubelets and CSI controllers the rights they have in most clusters.
pub(crate) async fn grant(admin: &Session, csi: &str) -> Result<()> {
    let rule = |groups: &[&str], resources: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": ["*"]});
    let storage = [
        rule(
            &[""],
            &[
                "persistentvolumes",
                "persistentvolumeclaims",
                "persistentvolumeclaims/status",
                "pods",
            ],
        ),
        rule(&["", "events.k8s.io"], &["events"]),
        rule(
            &["storage.k8s.io"],
            &["storageclasses", "csinodes", "volumeattachments", "volumeattributesclasses"],
        ),
    ];
    let node = [
        rule(&[""], &["nodes", "nodes/status", "pods/status", "configmaps", "secrets", "services"]),
        rule(&["coordination.k8s.io"], &["leases"]),
    ];
    let group =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"});
    let user = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": csi});
    let node = [storage.as_slice(), node.as_slice()].concat();
    for (name, rules, subject) in
        [("testbed:node", node, group), ("testbed:csi", storage.to_vec(), user)]
    {
        admin
            .apply(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": name},
                "rules": rules,
            }))
            .await?;
        admin
            .apply(json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [subject],
            }))
            .await?;
    }
    Ok(())
}

/// Creates `node-0`, `node-1` … in zones a, b and c.
pub(crate) async fn create(admin: &Session, count: usize) -> Result<()> {
    for (index, zone) in (0..count).zip(["a", "b", "c"].into_iter().cycle()) {
        let name = format!("node-{index}");
        let node = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": "testbed",
                "topology.kubernetes.io/zone": zone,
            }},
        });
        admin.create("/api/v1/nodes", node).await?.ok()?;
    }
    Ok(())
}

/// Whether all nodes take pods and the controllers have begun to work.
pub(crate) async fn ready(admin: &Session, count: usize) -> Result<Option<()>> {
    let nodes = admin.get("/api/v1/nodes").await?.ok()?;
    let open = |node: &&Value| node["spec"]["taints"].as_array().is_none_or(Vec::is_empty);
    let items = nodes["items"].as_array().context("a list without items")?;
    if items.iter().filter(open).count() < count {
        return Ok(None);
    }
    // The account appears when the controller manager does its work.
    let account = admin.get("/api/v1/namespaces/default/serviceaccounts/default").await?;
    Ok(account.is_success().then_some(()))
}
