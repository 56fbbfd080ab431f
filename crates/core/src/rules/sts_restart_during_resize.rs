use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::{ControllerState, Facts};
use crate::record::{Phase, Reason};

declare_rule! {
    /// The pod template changes while stateward grows the claims of the set.
    ///
    /// ## Why
    /// The new template restarts every pod, so volumes are detached and attached while their driver
    /// expands them. The resize waits for the end of the rollout before it re-creates the set.
    ///
    /// The rule knows of resizes that stateward carries out. It is silent if these wait for a restart
    /// anyway, and about claims that somebody else grows.
    ///
    /// ## Way out
    /// Make the edit once the claims have grown.
    StsRestartDuringResize {
        id: "sts-restart-during-resize",
        title: "pods are restarted while their claims grow",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "docs/resize.md",
    }
}

impl Rule for StsRestartDuringResize {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        // Where nobody looks at a cluster, no resize runs.
        if facts.controller == ControllerState::NotLooked || !template::changes(old, new) {
            return Ok(());
        }
        let record = facts.record(&change.namespace, &change.name).needed()?;
        let Some(record) = record.filter(|record| record.phase == Phase::Growing) else {
            return Ok(());
        };
        let waits = [Reason::FileSystemPending, Reason::OfflineOnly];
        let on_delete = new.spec.update_strategy.kind() == "OnDelete";
        if on_delete || record.reason.as_ref().is_some_and(|reason| waits.contains(reason)) {
            return Ok(());
        }
        let sizes: Vec<String> =
            record.targets.iter().map(|(template, size)| format!("{template} to {size}")).collect();
        let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
        findings
            .add("/spec/template", "its pods would restart while their claims grow")
            .why(format!(
                "Volumes would be detached and attached while they are expanded ({}).",
                remedy::listed(&sizes)
            ))
            .command(
                "see how far the resize is, and make the edit once the claims have grown",
                format!(
                    "stateward resize status {} -n {}",
                    remedy::quoted(&format!("sts/{}", change.name)),
                    remedy::quoted(&change.namespace)
                ),
            );
        Ok(())
    }
}
