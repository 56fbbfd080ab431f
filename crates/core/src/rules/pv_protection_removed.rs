use super::pv_delete::namespace_goes;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::loss::Loss;
use crate::object::metadata::VOLUME_PROTECTION;

declare_rule! {
    /// The finalizer `kubernetes.io/pv-protection` of a bound `PersistentVolume` is removed by somebody
    /// other than Kubernetes' own controllers. The rule warns if the volume is not being deleted: the
    /// controller then adds the finalizer again.
    ///
    /// ## Why
    /// The finalizer keeps a deleted volume while a claim is bound to it. Without it, the volume is
    /// deleted under the claim, whose phase becomes `Lost`. Pods that mount the claim cannot start
    /// again, and under the policy `Delete` the disk may be deleted, too.
    ///
    /// ## Way out
    /// Leave the finalizer. The controller removes it once the claim is deleted. If the volume may be
    /// deleted under its claim, say so with the annotations `stateward.dev/allow` and
    /// `stateward.dev/allow-reason` on the volume.
    ///
    /// The rule is silent in a namespace that is being deleted. It judges terminating volumes and the
    /// subresource `status`, too.
    PvProtectionRemoved {
        id: "pv-protection-removed",
        title: "the finalizer that keeps a bound PersistentVolume is removed",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Volume: [Update]],
        source: "kubernetes pkg/controller/volume/pvprotection/pv_protection_controller.go",
        judges_terminating: true,
        judges_subresources: true,
    }
}

impl Rule for PvProtectionRemoved {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((volume, _)) = change.updated_volume() else { return Ok(()) };
        let Some((old, new)) = change.objects.both() else { return Ok(()) };
        let kept =
            |metadata: &crate::object::Metadata<'_>| metadata.has_finalizer(VOLUME_PROTECTION);
        let removed = kept(&old.metadata) && !kept(&new.metadata);
        let Some(claim) = volume.claim().filter(|_| removed && volume.phase() == "Bound") else {
            return Ok(());
        };
        if namespace_goes(change, facts) {
            return Ok(());
        }
        let claim = claim.label();
        let terminating = old.metadata.is_terminating();
        let why = if terminating {
            format!(
                "The volume is being deleted and only waits for claim {claim}. Without the finalizer \
                 it is deleted under the claim."
            )
        } else {
            format!(
                "Without the finalizer, a volume that is deleted does not wait for claim {claim}."
            )
        };
        let finding = findings
            .add("/metadata/finalizers", format!("would lose its finalizer {VOLUME_PROTECTION}"));
        finding
            .values(Some(VOLUME_PROTECTION), None)
            .why(why)
            .step("leave the finalizer: the controller removes it once the claim is deleted")
            .command(
                "see which claim is bound to the volume",
                format!("kubectl get pv {}", remedy::quoted(&change.name)),
            );
        finding.loss = Loss::of_volume(facts, &change.name, volume);
        if !terminating {
            finding.unsure();
        }
        Ok(())
    }
}
