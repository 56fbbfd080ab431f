//! What becomes of claims when pods or their set are removed. Every remedy that scales, deletes or
//! re-creates a set asks here first.

use std::ops::Range;

use super::{kubectl, quoted, run};
use crate::change::{Change, Subject};
use crate::facts::{Fact, Facts};
use crate::object::DecodeError;
use crate::record::Policy;
use crate::rules::Step;

/// What a scale-down does to the claims of the pods that it removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScaledClaims {
    /// they stay, or there are none
    Kept,
    /// they are deleted
    Deleted,
    /// the retention policy is not known
    Unknown,
}

/// The policy that the API server takes `text` for.
pub fn policy(text: &str) -> Policy {
    if text == "Delete" { Policy::Delete } else { Policy::Retain }
}

/// What a scale-down of the set would do after this change, or before it if it deletes the set.
///
/// # Errors
/// The claim templates, if they have the wrong type.
pub fn scaled_claims(change: &Change<'_>, facts: &Facts) -> Result<ScaledClaims, DecodeError> {
    let (policy, has_templates) = match &change.subject {
        Subject::StatefulSet(pair) => match pair.any() {
            Some(set) => {
                (policy(set.spec.retention.when_scaled()), !set.claim_templates()?.is_empty())
            }
            None => return Ok(ScaledClaims::Unknown),
        },
        Subject::Scale(_) => match facts.set(&change.namespace, &change.name) {
            Fact::Known(Some(set)) => (set.when_scaled, !set.templates.is_empty()),
            _ => return Ok(ScaledClaims::Unknown),
        },
        _ => return Ok(ScaledClaims::Unknown),
    };
    Ok(match policy {
        Policy::Delete if has_templates => ScaledClaims::Deleted,
        _ => ScaledClaims::Kept,
    })
}

/// The command that sets one field of a set's retention policy to `Retain`; `kubectl` may name a
/// namespace.
pub fn retain_claims(kubectl: &str, set: &str, field: &str) -> String {
    format!(
        "{kubectl} patch statefulset {} --type merge -p \
         '{{\"spec\":{{\"persistentVolumeClaimRetentionPolicy\":{{\"{field}\":\"Retain\"}}}}}}'",
        quoted(set)
    )
}

/// Keeps the claims of pods that a later scale-down removes.
pub fn keep_scaled_claims(change: &Change<'_>) -> Step {
    run(
        "keep the claims of removed pods; no pod restarts",
        retain_claims(&kubectl(change), &change.name, "whenScaled"),
    )
}

/// Keeps the claims while the set is deleted and created again: a claim that is given to the set
/// between both would be deleted with the old one.
pub fn keep_deleted_claims(change: &Change<'_>) -> Step {
    let (kubectl, name) = (kubectl(change), quoted(&change.name));
    run(
        "keep the claims meanwhile, as whenDeleted is Delete; no pod restarts",
        format!(
            "{} \
             && {kubectl} wait statefulset {name} --for=jsonpath='{{.status.observedGeneration}}'=\
             $({kubectl} get statefulset {name} -o jsonpath='{{.metadata.generation}}')",
            retain_claims(&kubectl, &change.name, "whenDeleted"),
        ),
    )
}

/// The ordinals that are in `old` and not in `new`.
pub fn leaving(old: &Range<i64>, new: &Range<i64>) -> Vec<Range<i64>> {
    let below = old.start..old.end.min(new.start.max(old.start));
    let above = old.start.max(new.end.min(old.end)).max(below.end)..old.end;
    [below, above].into_iter().filter(|range| !range.is_empty()).collect()
}

/// What is numbered by `range`, in words: `db-3`, `db-0 to db-2`.
pub fn numbered(stem: &str, range: &Range<i64>) -> String {
    if range.end - range.start == 1 {
        format!("{stem}-{}", range.start)
    } else {
        format!("{stem}-{} to {stem}-{}", range.start, range.end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(old: Range<i64>, new: Range<i64>) -> String {
        let leaving = leaving(&old, &new);
        leaving.iter().map(|range| numbered("db", range)).collect::<Vec<_>>().join(" and ")
    }

    #[test]
    fn ordinals_that_leave_are_named() {
        assert_eq!(named(0..3, 5..8), "db-0 to db-2");
        assert_eq!(named(5..8, 0..3), "db-5 to db-7");
        assert_eq!(named(0..3, 1..4), "db-0");
        assert_eq!(named(1..4, 0..3), "db-3");
        assert_eq!(named(0..5, 1..3), "db-0 and db-3 to db-4");
        assert_eq!(named(1..3, 0..5), "");
        assert_eq!(named(0..3, 5..5), "db-0 to db-2");
        assert_eq!(named(0..0, 5..8), "");
    }
}
