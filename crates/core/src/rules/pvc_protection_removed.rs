use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::loss::Loss;
use crate::object::Pointer;
use crate::object::metadata::PROTECTION;

declare_rule! {
    /// The finalizer `kubernetes.io/pvc-protection` is removed from a claim that has a volume, or the
    /// annotation `pv.kubernetes.io/bind-completed` is. Somebody other than Kubernetes' own
    /// controllers does it. The rule warns of the annotation.
    ///
    /// ## Why
    /// The finalizer keeps a deleted claim until no pod uses it. Without it, the claim is deleted under
    /// a running pod, and under the reclaim policy `Delete` its disk as well. Until then the deletion
    /// does no harm, and the data can still be copied.
    ///
    /// The annotation tells that the claim was bound. Without it, a claim whose volume is missing waits
    /// for a volume, and is not shown as lost.
    ///
    /// ## Way out
    /// Stop the pods that use the claim. The controller then removes the finalizer by itself. If the
    /// data may be deleted, say so with the `allow` annotation on the claim.
    ///
    /// It only warns if neither `volumeName` nor the
    /// status tells whether the claim has a volume. It is silent in a namespace that is being
    /// deleted. It judges terminating claims and the subresource `status`, too.
    PvcProtectionRemoved {
        id: "pvc-protection-removed",
        title: "the finalizer that keeps a claim while pods use it is removed",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "kubernetes pkg/controller/volume/pvcprotection/pvc_protection_controller.go",
        judges_terminating: true,
        judges_subresources: true,
    }
}

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";

impl Rule for PvcProtectionRemoved {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((claim, _)) = change.updated_claim() else { return Ok(()) };
        let Some((old, new)) = change.objects.both() else { return Ok(()) };
        let (before, after) = (&old.metadata, &new.metadata);
        let goes = matches!(
            facts.namespaces.get("", &change.namespace),
            Fact::Known(Some(namespace)) if namespace.terminating
        );
        let named = !claim.spec.volume_name.is_empty();
        // A manifest without a status does not tell whether the claim has a volume.
        if goes || !named && claim.status.is_some() {
            return Ok(());
        }
        if before.has_finalizer(PROTECTION) && !after.has_finalizer(PROTECTION) {
            let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
            let why = if before.is_terminating() {
                "The claim is being deleted and only waits for its pods. Without the finalizer it is \
                 deleted at once, and its volume with the data unless that is retained."
            } else {
                "Without the finalizer, a claim that is deleted does not wait for its pods."
            };
            let finding = findings
                .add("/metadata/finalizers", format!("would lose its finalizer {PROTECTION}"));
            if !named {
                finding.unsure();
            }
            finding
                .values(Some(PROTECTION), None)
                .why(why)
                .loss(Loss::of(facts, &change.namespace, [change.name.as_str()]))
                .step("leave the finalizer: the controller removes it once no pod uses the claim")
                .command(
                    "see which pods use the claim (Used By), and stop them",
                    format!("{kubectl} describe pvc {name}"),
                );
        }
        let bound = before.annotations.get(BIND_COMPLETED);
        if bound.is_some() && after.annotations.get(BIND_COMPLETED).is_none() {
            findings
                .add(
                    Pointer::annotation(BIND_COMPLETED),
                    format!("would lose the annotation {BIND_COMPLETED}"),
                )
                .values(bound, None)
                .why("The claim would be bound anew, and not shown as lost if its volume is missing.")
                .step("leave the annotation: Kubernetes' volume controller writes it")
                .unsure();
        }
        Ok(())
    }
}
