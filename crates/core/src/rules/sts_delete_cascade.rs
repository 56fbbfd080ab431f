use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set that has pods is deleted, and not as an orphan delete.
    ///
    /// ## Why
    /// The garbage collector deletes all pods at the same time. A scale-down would stop them one
    /// after the other, highest ordinal first, so that members can hand over. Tools that replace
    /// what they cannot edit (`kubectl replace --force`, Flux with `force`) delete in this way.
    ///
    /// ## Way out
    /// To replace the set, delete it with `--cascade=orphan` and create it again: it adopts its
    /// pods. To take it down, scale it to zero first.
    StsDeleteCascade {
        id: "sts-delete-cascade",
        title: "a StatefulSet is deleted together with its pods",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Delete]],
        source: "kubernetes.io/docs/tasks/run-application/delete-stateful-set; fluxcd/pkg#603",
    }
}

impl Rule for StsDeleteCascade {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.deleted_set() else { return Ok(()) };
        let replicas = set.spec.replicas();
        if change.orphans() || replicas <= 0 {
            return Ok(());
        }
        let (pods, all) = match replicas {
            1 => ("its pod".to_owned(), "The pod stops"),
            _ => (format!("its {replicas} pods"), "All pods stop at once instead of in turn"),
        };
        let claims = match set.spec.retention.when_deleted() {
            "Delete" => "",
            _ => "; the claims stay",
        };
        findings
            .add("/spec/replicas", format!("{pods} would be deleted with it"))
            .values(Some(&replicas.to_string()), None)
            .why(format!(
                "{all}, and clients lose the service until the set is created again{claims}."
            ))
            .command(
                "to replace the set, delete it alone and create it again; its pods keep running",
                format!(
                    "{} delete statefulset {} --cascade=orphan",
                    remedy::kubectl(change),
                    change.name
                ),
            )
            .step(format!(
                "to take it down, set replicas: 0 {} first: pods then stop one after the other",
                remedy::manifest_place(change.circumstances.tool)
            ));
        Ok(())
    }
}
