//! Turns an edit that grows a claim template into a request for a resize.
//!
//! Kubernetes refuses the edit. In `orchestrate` the patch puts the old size back, which the API
//! server then accepts, and writes what was asked for into [`REQUESTED`]. A request ends when it
//! is carried out, when the annotation is removed, or when a client-side apply shows by its
//! last-applied annotation that the old size is asked for again. Server-side apply and
//! `helm rollback` show nothing of the kind, and cannot withdraw a request.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Mutation;
use crate::change::Change;
use crate::object::immutable::{DifferenceKind, SpecDifference};
use crate::object::{DecodeError, Pointer, Quantity, StatefulSet};
use crate::policy::{Policy, Resize};

/// The annotation that holds requests: claim template → size, as a JSON object.
pub const REQUESTED: &str = "stateward.dev/resize-requested";
/// The annotation that overrides the policy for one set.
pub const MODE: &str = "stateward.dev/resize";
/// The annotation with the largest size that an edit may request, read from the old set.
pub const MAX: &str = "stateward.dev/resize-max";
/// The rule that refuses growth where it is not carried out.
pub const RULE: &str = "sts-vct-size-grow";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Claim template → size as written.
type Requests = BTreeMap<String, String>;

/// What becomes of growth on this set: its annotation, where the policy allows overrides.
pub fn mode(change: &Change<'_>, policy: &Policy) -> Resize {
    let base = policy.resize(change);
    let asked = change
        .objects
        .new
        .as_ref()
        .and_then(|new| new.metadata.annotations.get(MODE))
        .and_then(Resize::from_annotation);
    match asked {
        Some(Resize::Ignore) if !policy.overrides => base,
        Some(mode) => mode,
        None => base,
    }
}

/// Records growth on UPDATE, and takes back what is withdrawn.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn mutate(
    change: &Change<'_>,
    policy: &Policy,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let Some((old, new)) = change.updated_set() else { return Ok(()) };
    let requested = new.metadata.annotations.get(REQUESTED).map(parse);
    let templates_differ = !old.spec.claim_templates.same_bytes(&new.spec.claim_templates);
    if requested.is_none() && !templates_differ {
        return Ok(());
    }
    let mut requests = requested.clone().unwrap_or_default();
    if mode(change, policy) == Resize::Orchestrate {
        let growing = growing(change, old, new)?;
        if growing.iter().all(|(_, size)| within_max(old, size)) {
            for (difference, _) in growing {
                record(change, difference, &mut requests, mutation);
            }
        }
    }
    drop_ended(change, old, new, &mut requests, mutation)?;
    let key = Pointer::from("/metadata/annotations").key(REQUESTED);
    if requests.is_empty() {
        if requested.is_some() {
            mutation.remove(&key);
        }
    } else if requested.as_ref() != Some(&requests) {
        let text = serde_json::to_string(&requests).unwrap_or_default();
        mutation.annotate(change, REQUESTED, &text);
    }
    Ok(())
}

/// Whether a size is no larger than the old set's [`MAX`] allows.
fn within_max(old: &StatefulSet<'_>, size: &Quantity) -> bool {
    match old.metadata.annotations.get(MAX).map(str::parse::<Quantity>) {
        Some(Ok(max)) => *size <= max,
        // A limit that cannot be read limits to nothing: it was put there to keep growth in.
        Some(Err(_)) => false,
        None => true,
    }
}

/// The claim templates that ask for more than before, with the new size.
fn growing<'c>(
    change: &'c Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
) -> Result<Vec<(&'c SpecDifference, Quantity)>, DecodeError> {
    let mut growing = Vec::new();
    for difference in change.differences()? {
        let (DifferenceKind::TemplateStorage, Some(name)) =
            (difference.kind, difference.template.as_deref())
        else {
            continue;
        };
        if let (Some(before), Some(after)) = (size(old, name)?, size(new, name)?)
            && after > before
        {
            growing.push((difference, after));
        }
    }
    Ok(growing)
}

fn size(set: &StatefulSet<'_>, name: &str) -> Result<Option<Quantity>, DecodeError> {
    let template = set.claim_template(name)?;
    Ok(template.and_then(|(_, claim)| claim.spec.storage()).map(|size| size.quantity.clone()))
}

fn record(
    change: &Change<'_>,
    difference: &SpecDifference,
    requests: &mut Requests,
    mutation: &mut Mutation,
) {
    let (Some(name), Some(old), Some(new)) =
        (&difference.template, &difference.old, &difference.new)
    else {
        return;
    };
    mutation.replace(&difference.field, Value::from(old.as_str()));
    requests.insert(name.clone(), new.clone());
    let object = change.object_name();
    mutation.warnings.push(format!(
        "{object}: claim template {name} stays {old}; growth to {new} is recorded as a request"
    ));
    mutation.warnings.push(format!(
        "{object}: a rollback does not withdraw it; removing the annotation {REQUESTED} does"
    ));
    mutation.carries_out.push(RULE);
    mutation.done.push("request-resize");
}

/// Drops requests that are carried out, or withdrawn by a client-side apply of the old size.
fn drop_ended(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    requests: &mut Requests,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let applied = newly_applied(old, new);
    let mut ended = Vec::new();
    for (name, wanted) in requests.iter() {
        let Ok(wanted) = wanted.parse::<Quantity>() else { continue };
        let Some(live) = size(old, name)? else { continue };
        let withdrawn = applied
            .as_ref()
            .and_then(|templates| templates.get(name))
            .and_then(|text| text.parse::<Quantity>().ok())
            .is_some_and(|applied| applied <= live && applied < wanted);
        if withdrawn {
            mutation.warnings.push(format!(
                "{}: the request to grow claim template {name} is withdrawn",
                change.object_name()
            ));
        }
        if withdrawn || live >= wanted {
            ended.push(name.clone());
        }
    }
    for name in ended {
        requests.remove(&name);
        mutation.done.push("end-resize-request");
    }
    Ok(())
}

/// The sizes that this very request shows a client-side apply to ask for: only a last-applied
/// annotation that this request changes speaks of it.
fn newly_applied(old: &StatefulSet<'_>, new: &StatefulSet<'_>) -> Option<Requests> {
    let now = new.metadata.annotations.get(LAST_APPLIED)?;
    if old.metadata.annotations.get(LAST_APPLIED) == Some(now) {
        return None;
    }
    let applied: Value = serde_json::from_str(now).ok()?;
    let templates = applied.pointer("/spec/volumeClaimTemplates")?.as_array()?;
    Some(
        templates
            .iter()
            .filter_map(|template| {
                let name = template.pointer("/metadata/name")?.as_str()?.to_owned();
                let size = template.pointer("/spec/resources/requests/storage")?;
                Some((name, size.as_str().map_or_else(|| size.to_string(), str::to_owned)))
            })
            .collect(),
    )
}

/// Requests as the annotation holds them; what cannot be read asks for nothing.
fn parse(text: &str) -> Requests {
    serde_json::from_str(text).unwrap_or_default()
}
