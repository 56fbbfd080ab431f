//! Ways out that several rules share.
//!
//! Commands are complete for the object at hand and run as pasted. A step that re-creates a set
//! never restarts its pods unless it says so: where the live template has no answer to
//! anti-affinity, the new set asks for none, so that nothing is injected when it is created.

mod combine;
mod deletion;
mod differences;
mod force;
mod recreate;
mod retention;

pub use self::combine::{combine, settle_size};
pub use self::deletion::{confirm_deletion, keep_data, retain, retain_all, snapshot};
pub use self::force::{
    FLUX_FORCE, SYNC_OPTIONS, flux_forces, has_option, has_sync_option, warn_of_force,
};
pub use self::recreate::{recreate, take_over, take_over_parts, test_template, transplant};
pub use self::retention::{
    ScaledClaims, keep_deleted_claims, keep_scaled_claims, leaving, numbered, policy,
    retain_claims, scaled_claims,
};
pub use super::finding::Recreation;
use super::finding::Step;
use crate::change::{Change, Operation, Tool};
use crate::object::immutable::SpecDifference;
use crate::object::{Pointer, StatefulSet};
pub use crate::shell::shell_quote as quoted;
pub use crate::text::listed;

/// `kubectl`, with the object's namespace where it is known.
pub fn kubectl(change: &Change<'_>) -> String {
    if change.namespace.is_empty() || !change.kind.is_namespaced() {
        "kubectl".to_owned()
    } else {
        format!("kubectl -n {}", quoted(&change.namespace))
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
    Step { text: text.into(), ..Step::default() }
}

/// A step that is a command.
pub fn run(text: impl Into<String>, command: impl Into<String>) -> Step {
    Step { text: text.into(), command: Some(command.into()), ..Step::default() }
}

/// Takes the edit back: `field: value`, in the place where the tool keeps it.
pub fn keep(change: &Change<'_>, field: &Pointer, value: &str) -> Step {
    let value = if value.is_empty() { "\"\"" } else { value };
    let field = field.dotted();
    say(match change.circumstances.tool {
        // A chart's values have other names than the fields they end up in.
        Tool::Helm => format!("set the chart's values so that {field} stays {value}"),
        tool => format!("keep {field}: {value} {}", manifest_place(tool)),
    })
}

/// Keeps the replicas of a manifest that leaves them out, as people do for an autoscaler: without them the
/// set has one pod until the autoscaler sets their number again. Nothing if the manifest names them.
pub fn keep_replicas(change: &Change<'_>) -> Vec<Step> {
    let Some((old, new)) = change.updated_set() else { return Vec::new() };
    let Some(replicas) = old.spec.replicas.filter(|_| new.spec.replicas.is_none()) else {
        return Vec::new();
    };
    let tool = change.circumstances.tool;
    let place = manifest_place(tool);
    let text = format!("keep replicas: {replicas} {place}: without it, the set has one pod");
    let mut steps = vec![say(text)];
    if tool == Tool::Kubectl {
        steps.push(run(
            "or, if an autoscaler sets replicas, first remove them from what was applied last, then leave them out",
            format!(
                "{} apply edit-last-applied statefulset/{}",
                kubectl(change),
                quoted(&change.name)
            ),
        ));
    }
    steps
}

/// Takes a value back to Kubernetes' default: `field: value`, or no such field.
pub fn default(change: &Change<'_>, field: &Pointer, value: &str) -> Step {
    let place = manifest_place(change.circumstances.tool);
    say(format!("set {}: {value} {place}, or leave it out: it is the default", field.dotted()))
}

/// Amends the manifest before it is applied: `in Git, what`.
pub fn amend(change: &Change<'_>, what: &str) -> Step {
    say(format!("{}, {what}", manifest_place(change.circumstances.tool)))
}

/// Amends the pod template, which restarts the pods of a set that is already there.
pub fn amend_template(change: &Change<'_>, what: &str) -> Step {
    let mut step = amend(change, what);
    if change.operation == Operation::Update {
        step.text.push_str("; a changed template restarts the pods");
    }
    step
}

/// The steps as an alternative: `lead` begins the first one.
pub fn otherwise(lead: &str, mut steps: Vec<Step>) -> Vec<Step> {
    // A warning is no alternative.
    if let Some(first) = steps.first_mut().filter(|first| !first.text.starts_with("do not ")) {
        first.text = format!("{lead}{}", first.text);
    }
    steps
}

/// Takes a difference back, whether the old object had the field or not.
pub fn keep_old(change: &Change<'_>, difference: &SpecDifference) -> Step {
    let is_list = difference.old_field.as_str().ends_with("/accessModes");
    match &difference.old {
        Some(value) if is_list => keep(change, &difference.old_field, &format!("[{value}]")),
        Some(value) => keep(change, &difference.old_field, value),
        None => say(match change.circumstances.tool {
            Tool::Helm => {
                format!("set the chart's values so that {} stays out", difference.field.dotted())
            }
            tool => format!("leave {} out {}", difference.field.dotted(), manifest_place(tool)),
        }),
    }
}

/// Raises the claims of template `template` to `size`, without touching a pod; nothing where the
/// set has no pods.
pub fn grow_claims(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    template: &str,
    size: &str,
) -> Vec<Step> {
    let patch = format!("{{\"resources\":{{\"requests\":{{\"storage\":\"{size}\"}}}}}}");
    let text = "raise {claims}; the class has to allow expansion, no pod restarts";
    patch_claims(change, old, template, text, &patch)
}

/// Merges `spec` into the spec of each claim of template `template`; nothing if the set has no pods.
/// `text` says so, with `{claims}` for the claims.
pub fn patch_claims(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    template: &str,
    text: &str,
    spec: &str,
) -> Vec<Step> {
    let Some(ordinals) = ordinals(old) else { return Vec::new() };
    let claims = match old.ordinals().count() {
        1 => "the existing claim".to_owned(),
        count => format!("the {count} claims"),
    };
    let patch = format!(
        "{} patch pvc {}-$i --type merge -p {}",
        kubectl(change),
        quoted(&format!("{template}-{}", change.name)),
        quoted(&format!("{{\"spec\":{spec}}}")),
    );
    vec![run(text.replace("{claims}", &claims), format!("for i in {ordinals}; do {patch}; done"))]
}

/// The ordinals of the pods as a shell's `for` takes them.
fn ordinals(set: &StatefulSet<'_>) -> Option<String> {
    let ordinals = set.ordinals();
    match ordinals.end.saturating_sub(ordinals.start) {
        ..=0 => None,
        // Spelt out where it is short: not every seq is the same.
        1..=9 => Some(ordinals.map(|i| i.to_string()).collect::<Vec<_>>().join(" ")),
        _ => Some(format!("$(seq {} {})", ordinals.start, ordinals.end - 1)),
    }
}

/// Replaces each pod by a new one, from the first ordinal on: the only order in which the
/// controller goes on while it cannot update the pods that are left.
pub fn replace_pods(change: &Change<'_>, set: &StatefulSet<'_>) -> Vec<Step> {
    let Some(ordinals) = ordinals(set) else { return Vec::new() };
    let kubectl = kubectl(change);
    let pod = format!("{}-$i", quoted(&change.name));
    vec![run(
        "delete its pods one at a time, each once the one before is ready; they restart",
        format!(
            "for i in {ordinals}; do {kubectl} delete pod {pod} && \
             {kubectl} wait --for=create pod/{pod} --timeout=5m && \
             {kubectl} wait --for=condition=Ready pod/{pod} --timeout=15m || break; done"
        ),
    )]
}
