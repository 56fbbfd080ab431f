use std::ops::Range;

use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// `spec.ordinals.start` changes.
    ///
    /// ## Why
    /// The ordinal of a pod names its claims. With another start, the controller deletes the pods
    /// outside of the new range and starts others with other claims, so the data stays behind. Under
    /// `whenScaled: Delete` it deletes the claims of the removed pods. The rule warns if no pod is
    /// removed.
    ///
    /// ## Way out
    /// Keep the start. If pods need other numbers, create a second set with its own start and let the
    /// database copy its data. In a planned migration between two sets or clusters (KEP-3335), allow
    /// it with the annotation.
    StsOrdinalsStart {
        id: "sts-ordinals-start",
        title: "the pods of a StatefulSet get other ordinals",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "KEP-3335",
    }
}

impl Rule for StsOrdinalsStart {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let (before, after) = (old.spec.ordinals_start(), new.spec.ordinals_start());
        if before == after {
            return Ok(());
        }
        let words = |ranges: &[Range<i64>]| -> Option<String> {
            let words: Vec<String> =
                ranges.iter().map(|range| remedy::numbered(&change.name, range)).collect();
            (!words.is_empty()).then(|| words.join(" and "))
        };
        let leaving = words(&remedy::leaving(&old.ordinals(), &new.ordinals()));
        let coming = words(&remedy::leaving(&new.ordinals(), &old.ordinals()));
        let fate = match remedy::scaled_claims(change, facts)? {
            remedy::ScaledClaims::Deleted => "the claims left behind would be deleted too",
            _ => "the claims left behind stay unused",
        };
        // No pod is renumbered.
        let idle = leaving.is_none();
        let why = match (leaving, coming) {
            (Some(leaving), Some(coming)) => {
                format!(
                    "{leaving} would be deleted and {coming} started with other claims; {fate}."
                )
            }
            (Some(leaving), None) => format!("{leaving} would be deleted; {fate}."),
            (None, Some(coming)) if !old.ordinals().is_empty() => {
                let kept = remedy::numbered(&change.name, &old.ordinals());
                format!(
                    "{kept} would keep their claims; {coming} would be added, each with its own."
                )
            }
            _ => "Pods to come would not use the claims that exist: a pod's ordinal names its \
                  claims."
                .to_owned(),
        };
        let pointer = Pointer::from("/spec/ordinals/start");
        let keep = remedy::keep(change, &pointer, &before.to_string());
        let what = if idle && !old.ordinals().is_empty() {
            format!("pods would be added below the first, ordinals.start {before} → {after}")
        } else {
            format!("pods would get other ordinals, ordinals.start {before} → {after}")
        };
        let finding = findings.add(pointer, what);
        finding
            .values(Some(&before.to_string()), Some(&after.to_string()))
            .why(why)
            .remedy(vec![keep]);
        if idle {
            finding.unsure();
        } else {
            finding.step(format!(
                "for pods numbered from {after} on, create a second set and let the database copy \
                 its data"
            ));
        }
        Ok(())
    }
}
