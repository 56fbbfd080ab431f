use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// The selector of another set matches the labels of a set's pods, when it is created or when its pods get
    /// other labels.
    ///
    /// ## Why
    /// The controllers tell the pods apart by their names, but nothing else does. A PodDisruptionBudget, a
    /// Service or an autoscaler that uses the selector of the other set counts the pods of both, and
    /// `kubectl delete pods -l` deletes them.
    ///
    /// The rule needs the sets of the namespace, which `--live` and `--facts` give. It does not see selectors
    /// of other kinds of workloads, and not the other direction: labels of existing pods that the new selector
    /// matches.
    ///
    /// ## Way out
    /// Add a label to selector and pods that only this set has. A selector cannot be changed later.
    StsSelectorOverlap {
        id: "sts-selector-overlap",
        title: "the selector of another StatefulSet matches the pods",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes#36859; kubernetes.io/docs/concepts/workloads/controllers/statefulset#pod-selector",
    }
}

impl Rule for StsSelectorOverlap {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        if old.is_some_and(|old| old.spec.template.same_bytes(&set.spec.template)) {
            return Ok(());
        }
        let labels = &set.template()?.metadata.labels;
        let before = match old {
            Some(old) => Some(&old.template()?.metadata.labels),
            None => None,
        };
        let others = facts.sets_seen(&change.namespace).needed()?.objects.into_iter();
        let matching = others.filter(|(name, other)| {
            *name != change.name
                && !other.terminating
                && other.selects(labels)
                && !before.is_some_and(|before| other.selects(before))
        });
        let names: Vec<&str> = matching.map(|(name, _)| name).collect();
        if names.is_empty() {
            return Ok(());
        }
        let names = remedy::listed(&names);
        findings
            .add("/spec/template/metadata/labels", format!("its pods match the selector of StatefulSet {names}"))
            .values(None, Some(&names))
            .why(format!(
                "Budgets, Services and commands that select the pods of {names} then reach these pods, too."
            ))
            .remedy(vec![remedy::amend(
                change,
                "add a label to spec.selector and the pod template that no other set has",
            )]);
        Ok(())
    }
}
