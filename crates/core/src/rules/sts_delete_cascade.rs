use super::pvc_keep_removed::only_leaves_the_manifests;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set that has pods is deleted, and not with `--cascade=orphan`. In manifests, the rule is silent
    /// if the set says that its tool keeps it, as in `pvc-keep-removed`.
    ///
    /// ## Why
    /// The garbage collector deletes all pods at the same time. A scale-down stops them one after the
    /// other, highest ordinal first, so that members can hand over. Tools that replace what they
    /// cannot edit (`kubectl replace --force`, Flux with `force`) delete a set this way.
    ///
    /// ## Way out
    /// To replace the set, delete it with `--cascade=orphan` and create it again: it adopts its
    /// pods. To take it down, scale it to zero first, but look at
    /// `persistentVolumeClaimRetentionPolicy.whenScaled` before: under `Delete` the scale-down deletes
    /// the claims, so set `Retain` together with it.
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

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.deleted_set() else { return Ok(()) };
        let replicas = set.spec.replicas();
        if change.orphans() || replicas <= 0 || only_leaves_the_manifests(change) {
            return Ok(());
        }
        let (pods, all) = match replicas {
            1 => ("its pod".to_owned(), "The pod stops"),
            _ => (format!("its {replicas} pods"), "All pods stop at once"),
        };
        let deletes = set.spec.retention.when_deleted() == "Delete";
        let has_templates = !set.claim_templates()?.is_empty();
        let claims = if deletes || !has_templates { "" } else { "; the claims stay" };
        let finding = findings.add("/spec/replicas", format!("{pods} would be deleted with it"));
        finding.values(Some(&replicas.to_string()), None).why(format!(
            "{all}, and clients lose the service until the set is created again{claims}."
        ));
        let mut steps = Vec::new();
        if deletes && has_templates {
            steps.push(remedy::keep_deleted_claims(change));
        }
        steps.push(remedy::run(
            "to create it again under this name, delete it alone first; its pods keep running",
            format!(
                "{} delete statefulset {} --cascade=orphan",
                remedy::kubectl(change),
                remedy::quoted(&change.name)
            ),
        ));
        let place = remedy::manifest_place(change.circumstances.tool);
        steps.push(remedy::say(match remedy::scaled_claims(change, facts)? {
            remedy::ScaledClaims::Deleted => format!(
                "to take it down and keep the data, set whenScaled: Retain together with replicas: \
                 0 {place}; under Delete a scale-down deletes the claims"
            ),
            _ => format!(
                "to take it down, set replicas: 0 {place} first: pods then stop one after the other"
            ),
        }));
        finding.remedy(steps);
        Ok(())
    }
}
