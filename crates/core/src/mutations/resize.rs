//! Turns an edit that grows a claim template into a request for a resize.
//!
//! Kubernetes refuses the edit. In `orchestrate` the patch restores the old size, which the API server
//! then accepts, and writes the requested size into [`RESIZE_REQUESTED`]. That happens only if a
//! controller can carry the request out; otherwise `GrowthCheck` says why not. A request ends when it
//! is carried out, when the annotation is removed, or when a client-side apply shows by its
//! last-applied annotation that the old size is asked for again. Server-side apply and
//! `helm rollback` show nothing of the kind, and cannot withdraw a request.
//!
//! While a record re-creates its set, what others write of it keeps what the record needs: sizes
//! on CREATE, and retention.

mod growth_check;
mod limit;
mod requested;

use std::collections::BTreeMap;

use serde_json::Value;

use self::growth_check::GrowthCheck;
pub(super) use self::growth_check::nanos;
pub use self::limit::limit;
pub(super) use self::limit::{namespace_limit, size_limit};
use self::requested::{parse, warn_of_useless};
use super::{Mutation, injected};
use crate::annotations::{RESIZE, RESIZE_REQUESTED};
use crate::change::Change;
use crate::facts::Facts;
use crate::growth::was_resized;
use crate::object::immutable::{DifferenceKind, SpecDifference};
use crate::object::{DecodeError, Pointer, Quantity, StatefulSet};
use crate::policy::{Policy, Resize};

/// The rule that refuses growth where it is not carried out.
pub const RULE: &str = "sts-vct-size-grow";
/// The rule that refuses shrinking where the live size is not kept.
pub const SHRINK_RULE: &str = "sts-vct-size-shrink";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Claim template → size as written.
type Requests = BTreeMap<String, String>;

/// A claim template that asks for more than before, with the new size.
type Growth<'c> = (&'c SpecDifference, Quantity);

/// What becomes of growth on this set: its annotation, where the policy allows overrides.
pub fn mode(change: &Change<'_>, policy: &Policy) -> Resize {
    let base = policy.resize(change);
    let asked = change
        .objects
        .new
        .as_ref()
        .and_then(|new| new.metadata.annotations.get(RESIZE))
        .and_then(Resize::from_annotation);
    match asked {
        Some(Resize::Ignore) if !policy.overrides => base,
        Some(mode) => mode,
        None => base,
    }
}

/// Records growth on UPDATE, and takes back what is withdrawn; keeps on CREATE and UPDATE what a
/// record needs.
///
/// # Errors
/// The field of the set that has the wrong type.
pub fn mutate(
    change: &Change<'_>,
    policy: &Policy,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    if let Some(new) = change.created_set() {
        warn_of_useless(change, None, new, mutation)?;
        drop_above_limit(change, new, facts, mutation);
        return raise(change, new, facts, mutation);
    }
    let Some((old, new)) = change.updated_set() else { return Ok(()) };
    keep_claims(change, old, new, facts, mutation);
    let requested = new.metadata.annotations.get(RESIZE_REQUESTED).map(parse);
    let templates_differ = !old.spec.claim_templates.same_bytes(&new.spec.claim_templates);
    if requested.is_none() && !templates_differ {
        return Ok(());
    }
    warn_of_useless(change, Some(old), new, mutation)?;
    let mut requests = requested.clone().unwrap_or_default();
    let orchestrated = mode(change, policy) == Resize::Orchestrate;
    keep_sizes(change, old, orchestrated, facts, mutation)?;
    if orchestrated {
        let growing = growing(change, old, new)?;
        if !growing.is_empty() && !change.has_more_differences()? {
            request(change, old, &growing, &mut requests, facts, mutation)?;
        }
    }
    drop_ended(change, old, new, &mut requests, mutation)?;
    let key = Pointer::annotation(RESIZE_REQUESTED);
    if requests.is_empty() {
        if requested.is_some() {
            mutation.remove(&key);
        }
    } else if requested.as_ref() != Some(&requests) {
        let text = serde_json::to_string(&requests).unwrap_or_default();
        mutation.annotate(change, RESIZE_REQUESTED, &text);
    }
    Ok(())
}

/// Records all growth, or none of it, with what there is to say about that.
fn request<'a>(
    change: &Change<'a>,
    old: &StatefulSet<'a>,
    growing: &[Growth<'_>],
    requests: &mut Requests,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    // The rule tells of the limit, and of one that cannot be read.
    let limit = size_limit(old, &change.namespace, facts);
    if limit.is_some_and(|limit| growing.iter().any(|(_, size)| limit.forbids(size))) {
        return Ok(());
    }
    let mut wanted = requests.clone();
    for (difference, _) in growing {
        if let (Some(name), Some(size)) = (&difference.template, &difference.new) {
            wanted.insert(name.to_string(), size.clone());
        }
    }
    let check = GrowthCheck { change, old, growing, wanted: &wanted, facts };
    match check.evaluate()? {
        Ok(warnings) => {
            for (difference, _) in growing {
                record(difference, mutation);
            }
            mutation.warnings.extend(warnings);
            *requests = wanted;
        }
        Err(objection) => mutation.objections.push(objection),
    }
    Ok(())
}

/// The bytes that all annotations of a stored object may take together. The webhook sees objects before
/// the API server refuses more, and JSON takes far more memory decoded than as text.
const ANNOTATIONS: usize = 256 * 1024;

/// The claim templates that ask for more than before, with the new size.
fn growing<'c>(
    change: &'c Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
) -> Result<Vec<Growth<'c>>, DecodeError> {
    let (before, after) = (sizes(old)?, sizes(new)?);
    let mut growing = Vec::new();
    for (name, difference) in change.template_differences(DifferenceKind::TemplateStorage)? {
        if let (Some(before), Some(after)) = (before.get(name), after.get(name))
            && after > before
        {
            growing.push((difference, (*after).clone()));
        }
    }
    Ok(growing)
}

/// The sizes of the claim templates by name; of two with one name the first counts.
fn sizes<'s>(set: &'s StatefulSet<'_>) -> Result<BTreeMap<&'s str, &'s Quantity>, DecodeError> {
    let mut sizes = BTreeMap::new();
    for claim in set.claim_templates()?.iter().rev() {
        match claim.spec.storage() {
            Some(size) => sizes.insert(claim.metadata.name.as_str(), &size.quantity),
            None => sizes.remove(claim.metadata.name.as_str()),
        };
    }
    Ok(sizes)
}

fn record(difference: &SpecDifference, mutation: &mut Mutation) {
    let Some(old) = &difference.old else { return };
    mutation.replace(&difference.field, Value::from(old.as_str()));
    mutation.carries_out.push(RULE);
    mutation.done.push("request-resize");
}

/// An owner that has opted in writes its own sizes again and again, and a rollback writes the sizes from
/// before a resize: the live ones stay. A denial would also reject what else the edit brings, such as the
/// old image that a person needs back at once. The same goes for a manifest whose sizes were raised when the
/// set was created.
fn keep_sizes(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    orchestrated: bool,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let owned = orchestrated && old.metadata.controller().is_some();
    let raised = injected::was_injected(&old.metadata, injected::SIZE);
    if !orchestrated && !raised {
        return Ok(());
    }
    for difference in change.differences()? {
        let Some((template, before, after)) = difference.sizes() else { continue };
        if difference.kind != DifferenceKind::TemplateStorage || after >= before {
            continue;
        }
        let (namespace, name) = (&change.namespace, &change.name);
        let resized = orchestrated && was_resized(old, namespace, name, template, &before, facts);
        if !owned && !resized && !raised {
            continue;
        }
        let live = difference.old.as_deref().unwrap_or_default();
        let asked = difference.new.as_deref().unwrap_or_default();
        mutation.replace(&difference.field, Value::from(live));
        mutation.warnings.push(format!(
            "{}: claim template {template} stays {live}, not {asked}: claims cannot shrink",
            change.object_name()
        ));
        if resized {
            mutation.warnings.push(format!(
                "{}: its manifest has a size from before a resize; set {template} to {live} there",
                change.object_name()
            ));
        }
        if raised {
            mutation.injected.push(injected::SIZE);
        }
        mutation.carries_out.push(SHRINK_RULE);
        mutation.done.push("keep-size");
    }
    Ok(())
}

/// Keeps `Retain` from the retention pin until the resize has restored the set, so that its claims
/// outlive it.
fn keep_claims(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    facts: &Facts,
    mutation: &mut Mutation,
) {
    let (before, after) = (&old.spec.retention, &new.spec.retention);
    let edits = [
        ("whenDeleted", before.when_deleted(), after.when_deleted()),
        ("whenScaled", before.when_scaled(), after.when_scaled()),
    ];
    let mut edits = edits.into_iter().filter(|(_, old, new)| *old == "Retain" && *new == "Delete");
    let Some(first) = edits.next() else { return };
    let record = facts.known_record(&change.namespace, &change.name);
    if !record.is_some_and(|record| record.keeps_claims(&old.metadata.uid)) {
        return;
    }
    for (field, ..) in std::iter::once(first).chain(edits) {
        let at = Pointer::from("/spec/persistentVolumeClaimRetentionPolicy").key(field);
        mutation.replace(&at, Value::from("Retain"));
        mutation.warnings.push(format!(
            "{}: {field} stays Retain until its resize is done; write Delete again then",
            change.object_name()
        ));
    }
    mutation.done.push("keep-retention");
}

/// A set that is created with a request above its limit would only be blocked later. Requests within
/// the limit stay.
fn drop_above_limit(
    change: &Change<'_>,
    new: &StatefulSet<'_>,
    facts: &Facts,
    mutation: &mut Mutation,
) {
    let Some(requested) = new.metadata.annotations.get(RESIZE_REQUESTED).map(parse) else {
        return;
    };
    let Some(limit) = size_limit(new, &change.namespace, facts) else { return };
    let forbidden = |size: &String| size.parse().is_ok_and(|size| limit.forbids(&size));
    let (above, within): (Requests, Requests) =
        requested.into_iter().partition(|(_, size)| forbidden(size));
    if above.is_empty() {
        return;
    }
    if within.is_empty() {
        mutation.remove(&Pointer::annotation(RESIZE_REQUESTED));
    } else {
        let text = serde_json::to_string(&within).unwrap_or_default();
        mutation.annotate(change, RESIZE_REQUESTED, &text);
    }
    let unreadable = if limit.fault().is_some() { ", which is no size" } else { "" };
    for (template, size) in above {
        mutation.warnings.push(format!(
            "{}: the request to grow {template} to {size} is dropped: resize-max is \
             {limit}{unreadable}",
            change.object_name()
        ));
    }
    mutation.done.push("end-resize-request");
}

/// A set that comes back gets the sizes that its claims already have, whoever creates it.
fn raise(
    change: &Change<'_>,
    new: &StatefulSet<'_>,
    facts: &Facts,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let Some(record) = facts.known_record(&change.namespace, &change.name) else { return Ok(()) };
    // After an abort in the re-creation window the set comes back with its old template.
    if record.stopped || !(record.is_recreating() || record.remembers_owner()) {
        return Ok(());
    }
    for (template, target) in &record.targets {
        let (Some((index, claim)), Ok(size)) =
            (new.claim_template(template)?, target.parse::<Quantity>())
        else {
            continue;
        };
        let Some(asked) = claim.spec.storage().filter(|asked| asked.quantity < size) else {
            continue;
        };
        mutation.replace(&storage_field(index), Value::from(target.as_str()));
        mutation.warnings.push(format!(
            "{}: claim template {template} becomes {target} instead of {asked}: its claims grew",
            change.object_name()
        ));
        mutation.done.push("raise-size");
    }
    Ok(())
}

/// Where the size of a claim template stands.
pub(super) fn storage_field(template: usize) -> Pointer {
    let at = Pointer::from("/spec/volumeClaimTemplates").index(template);
    at.key("spec").key("resources").key("requests").key("storage")
}

/// Drops requests that are carried out, or withdrawn by a client-side apply of the old size.
fn drop_ended(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    requests: &mut Requests,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let (applied, live) = (newly_applied(old, new), sizes(old)?);
    let mut ended = Vec::new();
    for (name, wanted) in requests.iter() {
        let Ok(wanted) = wanted.parse::<Quantity>() else { continue };
        let Some(live) = live.get(name.as_str()).copied() else { continue };
        let withdrawn = applied
            .as_ref()
            .and_then(|templates| templates.get(name))
            .and_then(|text| text.parse::<Quantity>().ok())
            .is_some_and(|applied| applied <= *live && applied < wanted);
        if withdrawn {
            mutation.warnings.push(format!(
                "{}: the request to grow claim template {name} is withdrawn",
                change.object_name()
            ));
        }
        if withdrawn || *live >= wanted {
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
    if now.len() > ANNOTATIONS || old.metadata.annotations.get(LAST_APPLIED) == Some(now) {
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
