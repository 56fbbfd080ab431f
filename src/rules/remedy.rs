//! Ways out that several rules share.
//!
//! Commands are complete for the object at hand. A step that re-creates a set never restarts its
//! pods: unless the live template already has an answer to anti-affinity, the new set asks for
//! none, so that nothing is injected when it is created.

use serde_json::{Value, json};

use super::Step;
use crate::change::{Change, Tool};
use crate::object::{DecodeError, Pointer, StatefulSet};

/// `kubectl`, with the object's namespace where it is known.
pub fn kubectl(change: &Change<'_>) -> String {
    if change.namespace.is_empty() {
        "kubectl".to_owned()
    } else {
        format!("kubectl -n {}", change.namespace)
    }
}

/// Where a person changes the manifest: "in Git", "in the values of the chart", "in the manifest".
pub const fn manifest_place(tool: Tool) -> &'static str {
    match tool {
        Tool::Kubectl => "in the manifest",
        Tool::Helm => "in the chart's values",
        Tool::ArgoCd | Tool::Flux => "in Git",
    }
}

/// A step in words.
pub fn say(text: impl Into<String>) -> Step {
    Step { text: text.into(), command: None }
}

/// A step that is a command.
pub fn run(text: impl Into<String>, command: impl Into<String>) -> Step {
    Step { text: text.into(), command: Some(command.into()) }
}

/// Takes the edit back: `field: value`, in the place where the tool keeps it.
pub fn keep(change: &Change<'_>, field: &Pointer, value: &str) -> Step {
    let place = manifest_place(change.circumstances.tool);
    say(format!("keep {}: {value} {place}", field.dotted()))
}

/// Replaces the live set `old` by one that `operations` (a JSON patch) have changed, without
/// restarting a pod: orphan delete, then create.
///
/// # Errors
/// The field of the live set that has the wrong type.
pub fn recreate(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    operations: Vec<Value>,
) -> Result<Vec<Step>, DecodeError> {
    let name = &change.name;
    let kubectl = kubectl(change);
    let delete = format!("{kubectl} delete statefulset {name} --cascade=orphan");
    let keeps_out_injection = needs_no_injection(old)?;
    let tool = change.circumstances.tool;
    if tool.keeper().is_some() {
        let place = manifest_place(tool);
        let mut steps = Vec::new();
        if keeps_out_injection {
            steps.push(say(format!(
                "set the annotation stateward.dev/anti-affinity: none {place}, so that no pod restarts"
            )));
        }
        steps.push(run("remove the set and leave its pods running", delete));
        steps.push(say(match tool {
            Tool::Helm => "run the upgrade again: it re-creates the set, which adopts the pods",
            _ => "sync again: the set is re-created from Git and adopts the pods",
        }));
        return Ok(steps);
    }
    let mut patch = vec![json!({"op": "remove", "path": "/metadata/resourceVersion"})];
    patch.extend(operations);
    if keeps_out_injection {
        if old.metadata.annotations.is_empty() {
            patch.push(json!({
                "op": "add",
                "path": "/metadata/annotations",
                "value": {"stateward.dev/anti-affinity": "none"}
            }));
        } else {
            patch.push(json!({
                "op": "add",
                "path": "/metadata/annotations/stateward.dev~1anti-affinity",
                "value": "none"
            }));
        }
    }
    let patch = Value::Array(patch).to_string().replace('\'', "'\\''");
    Ok(vec![
        run(
            "write the changed set to a file",
            format!(
                "{kubectl} get statefulset {name} -o yaml | kubectl patch --local -f - --type json \
                 -p '{patch}' -o yaml > {name}.yaml"
            ),
        ),
        run("remove the set and leave its pods running", delete),
        run(
            "create it again; it adopts the pods, none restarts",
            format!("kubectl create -f {name}.yaml"),
        ),
    ])
}

/// Raises the claims of template `template` to `size`: one command, no pod touched.
pub fn grow_claims(change: &Change<'_>, old: &StatefulSet<'_>, template: &str, size: &str) -> Step {
    let name = &change.name;
    let ordinals = old.ordinals();
    let range = if ordinals.end - ordinals.start == 1 {
        ordinals.start.to_string()
    } else {
        format!("$(seq {} {})", ordinals.start, ordinals.end - 1)
    };
    run(
        format!("raise the {} existing claims; no pod restarts", ordinals.end - ordinals.start),
        format!(
            "for i in {range}; do {} patch pvc {template}-{name}-$i --type merge -p \
             '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{size}\"}}}}}}}}'; done",
            kubectl(change)
        ),
    )
}

/// Whether a set re-created from `old` would be given anti-affinity that its pods do not have.
fn needs_no_injection(old: &StatefulSet<'_>) -> Result<bool, DecodeError> {
    Ok(!old.template()?.spec.says_how_to_spread()
        && old.metadata.annotations.get("stateward.dev/anti-affinity") != Some("none"))
}
