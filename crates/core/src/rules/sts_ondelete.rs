use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;

declare_rule! {
    /// `spec.updateStrategy.type` turns to `OnDelete`.
    ///
    /// ## Why
    /// A new pod template then reaches no pod by itself: fixes and new certificates lie in the set
    /// until each pod is deleted by hand, and a pod that fails comes back with the newer template
    /// while its peers run the older one.
    ///
    /// ## Way out
    /// Keep `RollingUpdate`; its `partition` holds pods back where that is wanted. Operators that
    /// restart members themselves use `OnDelete` on purpose: allow it for their sets.
    StsOndelete {
        id: "sts-ondelete",
        title: "the update strategy turns to OnDelete",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#update-strategies",
    }
}

impl Rule for StsOndelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let (before, after) = (old.spec.update_strategy.kind(), new.spec.update_strategy.kind());
        if before == "OnDelete" || after != "OnDelete" {
            return Ok(());
        }
        let pointer = Pointer::from("/spec/updateStrategy/type");
        let keep = remedy::keep(change, &pointer, before);
        findings
            .add(
                pointer,
                format!("new pod templates would no longer roll out, {before} → OnDelete"),
            )
            .values(Some(before), Some(after))
            .why(
                "An edit of the template would reach a pod only once that pod is deleted by hand, \
                 so pods drift apart.",
            )
            .remedy(vec![
                keep,
                remedy::say(
                    "to hold a rollout back, set spec.updateStrategy.rollingUpdate.partition to \
                     the first ordinal it may reach",
                ),
            ]);
        Ok(())
    }
}
