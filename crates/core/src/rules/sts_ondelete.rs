use super::{Findings, Judged, NoParams, Rule, remedy, system};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::packs::Needed;

declare_rule! {
    /// `spec.updateStrategy.type` changes to `OnDelete`.
    ///
    /// ## Why
    /// New pod templates then reach no pod by themselves. Fixes and new certificates wait until
    /// somebody deletes each pod. A pod that fails restarts with the newer template while the others
    /// still run the older one.
    ///
    /// The rule is silent if the pack of the system asks for `OnDelete`, or says that a rolling update does
    /// harm to it.
    ///
    /// ## Way out
    /// Keep `RollingUpdate`, and hold pods back with its `partition` if you need to. Operators that
    /// restart members themselves use `OnDelete` on purpose: allow it for their sets.
    StsOndelete {
        id: "sts-ondelete",
        title: "the update strategy changes to OnDelete",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#update-strategies",
    }
}

impl Rule for StsOndelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let (before, after) = (old.spec.update_strategy.kind(), new.spec.update_strategy.kind());
        if before == "OnDelete" || after != "OnDelete" {
            return Ok(());
        }
        let pods = system::pack(change, facts)?.map(|(_, pack)| &pack.pods);
        let asks = |strategy: &Needed| strategy.value == "OnDelete";
        if pods.is_some_and(|p| p.rolling_update.is_some() || p.strategy.as_ref().is_some_and(asks))
        {
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
                "A new template would reach a pod only when somebody deletes that pod, so pods would differ.",
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
