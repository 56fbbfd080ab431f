use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::annotations::RESIZE_UNFINISHED;
use crate::change::Change;
use crate::facts::Facts;
use crate::object::{Pointer, StatefulSet};

declare_rule! {
    /// The pod template changes while `rollingUpdate.partition` keeps pods on the old one.
    ///
    /// ## Why
    /// A partition that is left from an earlier rollout keeps the first pods on the old template, and
    /// nothing says so: the update looks finished. A pod below the partition that fails, or is evicted,
    /// comes back with the old template. If the partition is not below the replicas, the new template
    /// reaches no pod at all.
    ///
    /// The rule is silent if the same edit sets another partition that lets the template reach a pod,
    /// and while stateward itself keeps the partition during a resize.
    ///
    /// ## Way out
    /// If the partition is left over, set it to 0. For a staged rollout on purpose, lower it step by
    /// step once the pods above it are healthy.
    StsPartitionLeft {
        id: "sts-partition-left",
        title: "a new pod template does not reach all pods, as a partition holds it back",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#partitions",
    }
}

impl Rule for StsPartitionLeft {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let (before, after) = (partition(old), partition(new));
        let ordinals = new.ordinals();
        let pods = ordinals.end.saturating_sub(ordinals.start);
        if after <= 0 || pods <= 0 || before != after && after < pods {
            return Ok(());
        }
        let resized = new.metadata.annotations.get(RESIZE_UNFINISHED).is_some();
        if resized || !template::changes(old, new) {
            return Ok(());
        }
        // The controller counts the partition from the first ordinal.
        let held = ordinals.start..ordinals.start.saturating_add(after.min(pods));
        let what = if after < pods {
            let held = remedy::numbered(&change.name, &held);
            format!("its new template would not reach {held}, as partition is {after}")
        } else {
            format!("its new template would reach no pod, as partition is {after}")
        };
        let field = Pointer::from("/spec/updateStrategy/rollingUpdate/partition");
        let finding = findings.add(field, what);
        finding
            .values(Some(&before.to_string()), Some(&after.to_string()))
            .why("These pods come back with the old template, also after a failure, until the partition is lowered.");
        let tool = change.circumstances.tool;
        if tool.keeper().is_some() {
            finding.step(format!(
                "set rollingUpdate.partition: 0 {}, at once or step by step; pods restart one at a time",
                remedy::manifest_place(tool)
            ));
        } else {
            let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
            finding
                .command(
                    "let it reach the others, at once or step by step; pods restart one at a time",
                    format!(
                        "{kubectl} patch statefulset {name} --type merge -p \
                         '{{\"spec\":{{\"updateStrategy\":{{\"rollingUpdate\":{{\"partition\":0}}}}}}}}'"
                    ),
                )
                .step("set it in the manifest as well, or the next apply brings it back");
        }
        Ok(())
    }
}

fn partition(set: &StatefulSet<'_>) -> i64 {
    let strategy = &set.spec.update_strategy;
    let rolling = strategy.rolling_update.as_ref().filter(|_| strategy.kind() == "RollingUpdate");
    rolling.and_then(|rolling| rolling.partition).unwrap_or_default()
}
