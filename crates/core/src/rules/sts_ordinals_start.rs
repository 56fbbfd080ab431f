use std::ops::Range;

use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// `spec.ordinals.start` changes.
    ///
    /// ## Why
    /// A pod's ordinal names its claims. With another start the controller deletes the pods whose
    /// ordinals fall out of the range and starts others, which use other claims: the data stays
    /// behind. Under `whenScaled: Delete` the claims left behind are deleted.
    ///
    /// ## Way out
    /// Keep the start. To number pods otherwise, create a second set with its own start and let
    /// the database copy its data over. In a planned migration between two sets or clusters
    /// (KEP-3335) allow it with the annotation.
    StsOrdinalsStart {
        id: "sts-ordinals-start",
        title: "the pods of a StatefulSet are numbered from another ordinal on",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "KEP-3335",
    }
}

impl Rule for StsOrdinalsStart {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let (before, after) = (old.spec.ordinals_start(), new.spec.ordinals_start());
        if before == after {
            return Ok(());
        }
        let leaving = pods(&change.name, &old.ordinals(), &new.ordinals());
        let coming = pods(&change.name, &new.ordinals(), &old.ordinals());
        let fate = if new.spec.retention.when_scaled() == "Delete" {
            "the claims left behind would be deleted too"
        } else {
            "the claims left behind stay unused"
        };
        let why = match (leaving, coming) {
            (Some(leaving), Some(coming)) => {
                format!(
                    "{leaving} would be deleted and {coming} started with other claims; {fate}."
                )
            }
            (Some(leaving), None) => format!("{leaving} would be deleted; {fate}."),
            _ => "Pods to come would not use the claims that exist: a pod's ordinal names its \
                  claims."
                .to_owned(),
        };
        let pointer = Pointer::from("/spec/ordinals/start");
        let keep = remedy::keep(change, &pointer, &before.to_string());
        findings
            .add(pointer, format!("pods would be numbered anew, ordinals.start {before} → {after}"))
            .values(Some(&before.to_string()), Some(&after.to_string()))
            .why(why)
            .remedy(vec![
                keep,
                remedy::say(format!(
                    "for pods numbered from {after} on, create a second set and let the database \
                     copy its data"
                )),
            ]);
        Ok(())
    }
}

/// The pods of `name` with ordinals in `range` but not in `other`, in words.
fn pods(name: &str, range: &Range<i64>, other: &Range<i64>) -> Option<String> {
    let below = range.start..range.end.min(other.start.max(range.start));
    let above = range.start.max(other.end.min(range.end)).max(below.end)..range.end;
    let words: Vec<String> = [below, above]
        .iter()
        .filter(|piece| !piece.is_empty())
        .map(|piece| match piece.end - piece.start {
            1 => format!("{name}-{}", piece.start),
            _ => format!("{name}-{} to {name}-{}", piece.start, piece.end - 1),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::pods;

    #[test]
    fn ordinals_that_leave_are_named() {
        assert_eq!(pods("db", &(0..3), &(5..8)).as_deref(), Some("db-0 to db-2"));
        assert_eq!(pods("db", &(5..8), &(0..3)).as_deref(), Some("db-5 to db-7"));
        assert_eq!(pods("db", &(0..3), &(1..4)).as_deref(), Some("db-0"));
        assert_eq!(pods("db", &(1..4), &(0..3)).as_deref(), Some("db-3"));
        assert_eq!(pods("db", &(0..5), &(1..3)).as_deref(), Some("db-0 and db-3 to db-4"));
        assert_eq!(pods("db", &(1..3), &(0..5)), None);
        assert_eq!(pods("db", &(0..3), &(5..5)).as_deref(), Some("db-0 to db-2"));
        assert_eq!(pods("db", &(0..0), &(5..8)), None);
    }
}
