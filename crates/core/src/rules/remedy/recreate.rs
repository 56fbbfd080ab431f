//! Replaces a set around its running pods: orphan delete, then create.

use std::sync::Arc;

use serde_json::{Value, json};

use super::differences::differences;
use super::{keep_deleted_claims, kubectl, manifest_place, quoted, run, say};
use crate::annotations::ANTI_AFFINITY;
use crate::change::{Change, Tool};
use crate::object::immutable::SpecDifference;
use crate::object::json::{Raw, decode};
use crate::object::{DecodeError, Pointer, StatefulSet};
use crate::rules::finding::{Recreation, Step};

/// The most bytes of a patch in a command. Linux takes 128 KiB in one argument, and decoded JSON takes
/// many times the memory of its text.
const LONGEST: usize = 16 * 1024;

/// Replaces the live set `old` by one that `operations` (a JSON patch) have changed, without
/// restarting a pod.
///
/// # Errors
/// The field of the live set that has the wrong type.
pub fn recreate(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    operations: Vec<Value>,
) -> Result<Vec<Step>, DecodeError> {
    Recreation { operations, ..Recreation::default() }.steps(change, old)
}

impl Recreation {
    /// The steps, for the tool through which the change comes. Each knows the re-creation, so that
    /// several can become one.
    ///
    /// # Errors
    /// The field of the live set that has the wrong type.
    pub fn steps(
        self,
        change: &Change<'_>,
        old: &StatefulSet<'_>,
    ) -> Result<Vec<Step>, DecodeError> {
        // A set that the server refuses to create again would be lost.
        if let Some(field) = change.creation_error()? {
            return Ok(vec![say(format!(
                "do not re-create the set as it is: Kubernetes would reject {}",
                field.dotted()
            ))]);
        }
        let mut steps = self.possible_steps(change, old)?;
        let recreation = Arc::new(self);
        for step in &mut steps {
            step.recreation = Some(Arc::clone(&recreation));
        }
        Ok(steps)
    }

    fn possible_steps(
        &self,
        change: &Change<'_>,
        old: &StatefulSet<'_>,
    ) -> Result<Vec<Step>, DecodeError> {
        let mut steps = Vec::from_iter(rollout_first(change, old)?);
        if change.circumstances.tool.keeper().is_some() {
            steps.extend(kept_elsewhere(change, old, self.pods)?);
            return Ok(steps);
        }
        let kubectl = kubectl(change);
        let name = quoted(&change.name);
        let file = quoted(&format!("{}-recreate.yaml", change.name));
        let annotate = if needs_no_injection(old)? {
            format!(" | kubectl annotate --local --overwrite -f - {ANTI_AFFINITY}=none -o yaml")
        } else {
            String::new()
        };
        steps.push(match self.patch() {
            Some(patch) => run(
                "write the changed set to a file",
                format!(
                    "{kubectl} get statefulset {name} -o yaml{annotate} \
                     | kubectl patch --local -f - --type json -p '{patch}' -o yaml > {file}"
                ),
            ),
            None => say(format!(
                "write the changed set to {file} without its resourceVersion: the change is too long \
                 for a command"
            )),
        });
        if deletes_claims(old)? {
            steps.push(keep_deleted_claims(change));
        }
        // One command, which reads the file before it deletes anything.
        let pods = self.pods.unwrap_or("its pods are adopted, none restarts");
        steps.push(run(
            format!("delete the set without its pods and create it again; {pods}"),
            format!("kubectl replace --force --cascade=orphan -f {file}"),
        ));
        let more = !self.complete && has_other_changes(change);
        if old.metadata.has_applier()? {
            steps.push(say(
                "apply the manifest with --server-side --force-conflicts once: the new set has \
                 another field manager",
            ));
        } else if more {
            steps.push(say("apply the manifest again for its other changes"));
        }
        Ok(steps)
    }
}

impl Recreation {
    /// The JSON patch in single quotes of a shell, if it is short enough for a command.
    fn patch(&self) -> Option<String> {
        // The server refuses to create an object that names a version.
        let mut patch = json!([{"op": "remove", "path": "/metadata/resourceVersion"}]).to_string();
        patch.pop();
        for operation in &self.operations {
            if operation.is_null() || patch.len() > LONGEST {
                return None;
            }
            patch += ",";
            patch += &operation.to_string();
        }
        Some((patch + "]").replace('\'', "'\\''"))
    }
}

/// A tool creates again what it finds missing, from what it keeps itself.
fn kept_elsewhere(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    pods: Option<&str>,
) -> Result<Vec<Step>, DecodeError> {
    let tool = change.circumstances.tool;
    let mut steps = Vec::new();
    if needs_no_injection(old)? {
        steps.push(say(format!(
            "add the annotation {ANTI_AFFINITY}: none to the set {}, which keeps its \
             pods from restarting",
            manifest_place(tool)
        )));
    }
    if deletes_claims(old)? {
        steps.push(keep_deleted_claims(change));
    }
    steps.push(run(
        "delete the set without its pods",
        format!("{} delete statefulset {} --cascade=orphan", kubectl(change), quoted(&change.name)),
    ));
    let again = match tool {
        Tool::Helm => "run the upgrade again, which creates the set",
        _ => "sync again, which creates the set from Git",
    };
    let template_differs = change
        .updated_set()
        .is_some_and(|(old, new)| !old.spec.template.same_bytes(&new.spec.template));
    let pods = pods.unwrap_or(if template_differs {
        "its pods are adopted, and restart one at a time since their template differs too"
    } else {
        "its pods are adopted, none restarts"
    });
    steps.push(say(format!("{again}; {pods}")));
    Ok(steps)
}

/// Whether the claims are deleted with the set. If the controller binds one to it in the moment of
/// an orphan delete, that claim is deleted as well.
fn deletes_claims(old: &StatefulSet<'_>) -> Result<bool, DecodeError> {
    Ok(old.spec.retention.when_deleted() == "Delete" && !old.claim_templates()?.is_empty())
}

/// A set that is re-created forgets which pods were to stay on the old template.
fn rollout_first(change: &Change<'_>, old: &StatefulSet<'_>) -> Result<Option<Step>, DecodeError> {
    let strategy = &old.spec.update_strategy;
    if !old.status.get()?.is_rolling() || strategy.kind() != "RollingUpdate" {
        return Ok(None);
    }
    let partition = strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition);
    Ok(Some(match partition.filter(|partition| *partition > 0) {
        Some(partition) => say(format!(
            "finish the rollout first (partition {partition} holds pods back): a re-created set forgets it"
        )),
        None => run(
            "wait until the running rollout is done",
            format!("{} rollout status statefulset {}", kubectl(change), quoted(&change.name)),
        ),
    }))
}

/// Whether the edit also touches what may change.
fn has_other_changes(change: &Change<'_>) -> bool {
    change.updated_set().is_some_and(|(old, new)| {
        !old.spec.template.same_bytes(&new.spec.template)
            || old.spec.replicas() != new.spec.replicas()
    })
}

/// Whether a set re-created from `old` would be given anti-affinity that its pods do not have.
fn needs_no_injection(old: &StatefulSet<'_>) -> Result<bool, DecodeError> {
    Ok(!old.template()?.spec.says_how_to_spread()
        && old.metadata.annotations.get(ANTI_AFFINITY) != Some("none"))
}

/// A patch operation that fails unless the live set has template `name` at place `index`.
pub fn test_template(index: usize, name: &str) -> Value {
    json!({
        "op": "test",
        "path": format!("/spec/volumeClaimTemplates/{index}/metadata/name"),
        "value": name
    })
}

/// The patch operations that take `difference` over into the live set; they fail where its claim
/// template is not in its place.
///
/// # Errors
/// The place where a document is no JSON.
pub fn take_over(
    change: &Change<'_>,
    difference: &SpecDifference,
) -> Result<Vec<Value>, DecodeError> {
    let mut operations = Vec::new();
    if let (Some(index), Some(name)) = (difference.template_index(), &difference.template) {
        operations.push(test_template(index, name));
    }
    operations.extend(transplant(change, &difference.old_field, &difference.field)?);
    Ok(operations)
}

/// The patch operation that gives the live set what the new one has at `field`, which is at
/// `old_field` there. Where the live set lacks the parent, the parent is taken over. It is null if it
/// is too long for a command.
///
/// # Errors
/// The place where a document is no JSON.
pub fn transplant(
    change: &Change<'_>,
    old_field: &Pointer,
    field: &Pointer,
) -> Result<Option<Value>, DecodeError> {
    let Some((old, new)) = change.objects.both() else { return Ok(None) };
    let (mut to, mut from) = (old_field.clone(), field.clone());
    loop {
        let (Some(to_parent), Some(from_parent)) = (to.parent(), from.parent()) else {
            return Ok(None);
        };
        if to_parent.as_str() == "/spec" || old.value_at(&to_parent)?.is_some() {
            break;
        }
        (to, from) = (to_parent, from_parent);
    }
    Ok(Some(match new.value_at(&from)? {
        Some(value) if value.get().len() > LONGEST => Value::Null,
        Some(value) => {
            let value: Value = decode(value.get(), from.as_str())?;
            json!({"op": "add", "path": to, "value": value})
        }
        None => json!({"op": "remove", "path": to}),
    }))
}

/// The patch operations that give the live set what the new one has within `field`, part by part: a
/// command with a whole pod template would fill the terminal.
///
/// # Errors
/// The place where a document is no JSON.
pub fn take_over_parts(change: &Change<'_>, field: &Pointer) -> Result<Vec<Value>, DecodeError> {
    let Some((old, new)) = change.objects.both() else { return Ok(Vec::new()) };
    let (before, after) = (old.value_at(field)?, new.value_at(field)?);
    let short = |raw: &Raw<'_>| raw.get().len() <= LONGEST;
    let (Some(before), Some(after)) = (before.filter(short), after.filter(short)) else {
        return Ok(Vec::from_iter(transplant(change, field, field)?));
    };
    let mut operations = Vec::new();
    let (before, after) =
        (decode(before.get(), field.as_str())?, decode(after.get(), field.as_str())?);
    differences(field, &before, &after, &mut operations);
    Ok(operations)
}
