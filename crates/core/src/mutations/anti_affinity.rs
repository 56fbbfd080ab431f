//! Anti-affinity for sets that say nothing about where their pods go.
//!
//! Injected on CREATE only, since it changes the pod template: on an UPDATE it would restart
//! every pod. An UPDATE whose manifest merely omits what was injected keeps it, for the same
//! reason.
//!
//! A set that is created over its own claims or pods is no new set: somebody re-creates it, and a
//! changed template would restart its pods. An operator that re-creates a set whenever it differs
//! from what was written would do so for ever. People and their deployment tools compare only what
//! they wrote; if the pods have what was injected into the set before, they keep it.

use serde_json::{Value, json};

use super::Mutation;
use crate::annotations::{ANTI_AFFINITY, INJECTED};
use crate::change::{Change, Operation};
use crate::facts::{Fact, Facts, Injected};
use crate::object::anti_affinity::{HOST, ZONE, key_for, preferred};
use crate::object::{DecodeError, Pointer, StatefulSet};
use crate::policy::{AntiAffinity, Policy};

/// The name of this mutation in [`INJECTED`].
pub const NAME: &str = "anti-affinity";

/// Injects on CREATE, keeps on UPDATE.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn mutate(
    change: &Change<'_>,
    policy: &Policy,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let Some((old, new)) = change.written_set() else { return Ok(()) };
    match (change.operation, old) {
        (Operation::Create, _) => {
            let record = facts.known_record(&change.namespace, &change.name);
            match record.filter(|record| record.is_recreating()).and_then(|r| r.injected.as_ref()) {
                Some(injected) => inject_again(change, new, injected, mutation),
                None => inject(change, new, policy, facts, mutation),
            }
        }
        (Operation::Update, Some(old)) => keep(change, old, new, policy, mutation),
        _ => Ok(()),
    }
}

/// The kind that is in force for a set: its annotation, where the policy allows overrides.
fn kind(change: &Change<'_>, set: &StatefulSet<'_>, policy: &Policy) -> AntiAffinity {
    let asked = set.metadata.annotations.get(ANTI_AFFINITY).and_then(AntiAffinity::from_annotation);
    match asked {
        Some(AntiAffinity::None) if !policy.overrides => policy.anti_affinity(change),
        Some(kind) => kind,
        None => policy.anti_affinity(change),
    }
}

/// Whether a set is new, by its claims and pods. What is not known counts as not new: no default is
/// worth a restart.
fn is_new(change: &Change<'_>, new: &StatefulSet<'_>, facts: &Facts) -> Result<bool, DecodeError> {
    let templates: Vec<&str> = new.template_names()?.collect();
    let fact = facts.is_new_set(&change.namespace, &change.name, &templates);
    Ok(fact == Fact::Known(true))
}

/// Whether the writer would take an injected field for a difference: it is neither a person nor a
/// tool that is known to compare only the fields that it wrote.
fn compares_whole_objects(change: &Change<'_>) -> bool {
    let circumstances = &change.circumstances;
    circumstances.user.name.starts_with("system:serviceaccount:")
        && circumstances.tool.keeper().is_none()
        && !circumstances.field_manager.starts_with("kubectl")
}

/// The kind that was injected into the set before, by its pods.
fn injected_before(change: &Change<'_>, facts: &Facts) -> Option<AntiAffinity> {
    let Fact::Known(mut pods) = facts.pods_of(&change.namespace, &change.name) else {
        return None;
    };
    let key = pods.find_map(|pod| pod.injected_key)?;
    [AntiAffinity::Preferred, AntiAffinity::Zone]
        .into_iter()
        .find(|kind| topology_keys(*kind)[0] == key)
}

fn inject(
    change: &Change<'_>,
    new: &StatefulSet<'_>,
    policy: &Policy,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let kind = kind(change, new, policy);
    if kind == AntiAffinity::None || new.template()?.spec.says_how_to_spread() {
        return Ok(());
    }
    let kind = if is_new(change, new, facts)? {
        Some(kind)
    } else if compares_whole_objects(change) {
        None
    } else {
        injected_before(change, facts)
    };
    let (Some(kind), Some(selector)) = (kind, selector(new)) else { return Ok(()) };
    write(new, preferred(topology_keys(kind), &selector), mutation)?;
    // The list names one mutation today; a set created from a copy keeps a longer one.
    let mut injected: Vec<String> = new
        .metadata
        .annotations
        .get(INJECTED)
        .and_then(|list| serde_json::from_str(list).ok())
        .unwrap_or_default();
    if !injected.iter().any(|name| name == NAME) {
        injected.push(NAME.to_owned());
    }
    mutation.annotate(change, INJECTED, &Value::from(injected).to_string());
    mutation.warnings.push(format!(
        "{}: its pods were given anti-affinity; {ANTI_AFFINITY}: none prevents it",
        change.object_name()
    ));
    mutation.done.push("inject-anti-affinity");
    Ok(())
}

/// A set that comes back in the middle of a resize has pods: it is given exactly what its
/// predecessor was given, whatever the policy says by now, and nothing else.
fn inject_again(
    change: &Change<'_>,
    new: &StatefulSet<'_>,
    injected: &Injected,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let listed = injected.names.iter().any(|name| name == NAME);
    let Some(before) = injected.pod_anti_affinity.as_ref().filter(|_| listed) else {
        return Ok(());
    };
    if new.template()?.spec.says_how_to_spread() {
        return Ok(());
    }
    write(new, before.clone(), mutation)?;
    mutation.annotate(change, INJECTED, &Value::from(injected.names.clone()).to_string());
    mutation.done.push("inject-anti-affinity");
    Ok(())
}

fn keep(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    policy: &Policy,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let injected = old
        .metadata
        .annotations
        .get(INJECTED)
        .and_then(|list| serde_json::from_str::<Vec<String>>(list).ok())
        .is_some_and(|list| list.iter().any(|name| name == NAME));
    if !injected || old.spec.template.same_bytes(&new.spec.template) {
        return Ok(());
    }
    // Asking for none on purpose is how a person gets rid of it.
    if kind(change, new, policy) == AntiAffinity::None || new.template()?.spec.says_how_to_spread()
    {
        return Ok(());
    }
    let (Some(live), Some(selector)) = (old.template()?.spec.pod_anti_affinity(), selector(old))
    else {
        return Ok(());
    };
    let Ok(live) = serde_json::from_str::<Value>(live.get()) else { return Ok(()) };
    if key_for(&live, &selector).is_some() {
        write(new, live, mutation)?;
        if new.metadata.annotations.get(INJECTED).is_none() {
            mutation.annotate(change, INJECTED, &format!("[\"{NAME}\"]"));
        }
        mutation.done.push("keep-anti-affinity");
    }
    Ok(())
}

fn selector(set: &StatefulSet<'_>) -> Option<Value> {
    serde_json::from_str(set.spec.selector.raw()?.get()).ok().filter(Value::is_object)
}

fn write(
    set: &StatefulSet<'_>,
    pod_anti_affinity: Value,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let affinity = Pointer::from("/spec/template/spec/affinity");
    if set.template()?.spec.affinity.is_some() {
        mutation.add(&affinity.key("podAntiAffinity"), pod_anti_affinity);
    } else {
        mutation.add(&affinity, json!({ "podAntiAffinity": pod_anti_affinity }));
    }
    Ok(())
}

const fn topology_keys(kind: AntiAffinity) -> [&'static str; 2] {
    match kind {
        AntiAffinity::Zone => [ZONE, HOST],
        AntiAffinity::None | AntiAffinity::Preferred => [HOST, ZONE],
    }
}
