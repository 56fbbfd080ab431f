use std::collections::BTreeMap;
use std::ops::Range;

use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::{DecodeError, Pointer, StatefulSet};

declare_rule! {
    /// A claim of a set has the same name as a claim of another set: template `data` of set `a-b`, and
    /// template `data-a` of set `b`. The rule judges a new set, and an edit that moves its ordinals.
    ///
    /// ## Why
    /// The name of a claim is template, set and ordinal, joined by dashes. Each set takes the claim that it finds
    /// by this name. Two databases then write to one volume, or the pods of one never start.
    ///
    /// Sets whose ordinals have none in common are no fault. The rule needs the sets of the namespace, which
    /// the webhook has if it watches a cluster, and `check` from `--live` or `--facts`. It does not compare the
    /// manifests among its inputs with each other.
    ///
    /// ## Way out
    /// Give the set or its claim template another name before the set is created.
    PvcNameCollision {
        id: "pvc-name-collision",
        title: "claims of two StatefulSets have the same name",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes#41153; kubernetes pkg/controller/statefulset/stateful_set_utils.go getPersistentVolumeClaimName",
    }
}

impl Rule for PvcNameCollision {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        let before = old.map(StatefulSet::ordinals);
        let ordinals = set.ordinals();
        if ordinals.is_empty() || before.as_ref() == Some(&ordinals) {
            return Ok(());
        }
        let stems = stems(&change.name, set)?;
        if stems.is_empty() {
            return Ok(());
        }
        let way_out = if old.is_some() {
            "keep the ordinals apart from those of the other set"
        } else {
            "give the set or its claim template another name before the set is created"
        };
        for (name, other) in facts.sets_seen(&change.namespace).needed()?.objects {
            let theirs = other.ordinals();
            let known = before.as_ref().is_some_and(|before| common(before, &theirs).is_some());
            let Some(first) = common(&ordinals, &theirs).filter(|_| !known) else { continue };
            if name == change.name || other.terminating {
                continue;
            }
            for template in other.template_names() {
                let stem = format!("{template}-{name}");
                let Some((index, own)) = stems.get(&stem) else { continue };
                findings
                    .add(
                        Pointer::from("/spec/volumeClaimTemplates").index(*index).key("metadata").key("name"),
                        format!("claim {stem}-{first} would be shared with StatefulSet {name}"),
                    )
                    .values(None, Some(own))
                    .why(format!(
                        "Template {template} of {name} makes the same name. Both sets write to one volume, or one never starts."
                    ))
                    .remedy(vec![remedy::amend(
                        change,
                        way_out,
                    )]);
            }
        }
        Ok(())
    }
}

/// The names of claims without their ordinals, each with the place and the name of its template.
fn stems<'s>(
    name: &str,
    set: &'s StatefulSet<'_>,
) -> Result<BTreeMap<String, (usize, &'s str)>, DecodeError> {
    let names = set.template_names()?.enumerate();
    Ok(names.map(|(index, own)| (format!("{own}-{name}"), (index, own))).collect())
}

/// The first ordinal that both have.
fn common(one: &Range<i64>, other: &Range<i64>) -> Option<i64> {
    let (start, end) = (one.start.max(other.start), one.end.min(other.end));
    (start < end).then_some(start)
}
