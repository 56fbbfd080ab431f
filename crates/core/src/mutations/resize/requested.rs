//! The annotation that requests a resize, as people write it.

use super::{ANNOTATIONS, Requests};
use crate::annotations::RESIZE_REQUESTED;
use crate::change::Change;
use crate::mutations::Mutation;
use crate::object::{DecodeError, Pointer, Quantity, StatefulSet};
use crate::rules::finding::one_line;

/// The requests in the annotation. A value that cannot be read requests nothing.
pub(super) fn parse(text: &str) -> Requests {
    read(text).unwrap_or_default()
}

fn read(text: &str) -> Option<Requests> {
    if text.len() > ANNOTATIONS {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// Warns of a new value that requests nothing. kubectl says "annotated", so the person would wait for a
/// resize that never begins.
pub(super) fn warn_of_useless<'a>(
    change: &Change<'_>,
    old: Option<&StatefulSet<'a>>,
    new: &StatefulSet<'a>,
    mutation: &mut Mutation,
) -> Result<(), DecodeError> {
    let Some(text) = new.metadata.annotations.get(RESIZE_REQUESTED) else { return Ok(()) };
    let before = old.and_then(|old| old.metadata.annotations.get(RESIZE_REQUESTED));
    if before == Some(text) {
        return Ok(());
    }
    let object = change.object_name();
    let Some(requests) = read(text) else {
        mutation.warnings.push(format!(
            "{object}: {RESIZE_REQUESTED} is dropped: it must look like {{\"data\":\"200Gi\"}}"
        ));
        if old.is_none() {
            mutation.remove(&Pointer::annotation(RESIZE_REQUESTED));
        }
        return Ok(());
    };
    let known = before.map(parse).unwrap_or_default();
    for (template, size) in requests.iter().filter(|(name, size)| known.get(*name) != Some(*size)) {
        let (name, size) = (one_line(template), one_line(size));
        let live = old.unwrap_or(new).claim_template(template)?;
        let has = live.map(|(_, claim)| claim.spec.storage());
        let fault = match (has, size.parse::<Quantity>()) {
            (None, _) => format!("it has no claim template {name}"),
            (_, Err(_)) => format!("{size} is no size such as 200Gi"),
            (Some(Some(has)), Ok(size)) if old.is_some() && size <= has.quantity => {
                format!("claim template {name} has {has} already")
            }
            (Some(_), Ok(_)) => continue,
        };
        mutation.warnings.push(format!("{object}: the request for {name} has no effect: {fault}"));
    }
    Ok(())
}
