use super::pvc_keep_removed::only_leaves_the_manifests;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::{Change, Operation, Subject};
use crate::facts::Facts;

declare_rule! {
    /// A claim is deleted. The rule is silent if the claim has no volume yet, or if it is only missing
    /// from the manifests and they say that the tool keeps the claim: `helm.sh/resource-policy: keep`, `Prune=false` in
    /// `argocd.argoproj.io/sync-options`, or `kustomize.toolkit.fluxcd.io/prune: disabled`. Argo CD's
    /// `Delete=false` does not count, because it only holds when the Application is deleted.
    ///
    /// ## Why
    /// If the reclaim policy of the volume is `Delete`, the disk is deleted with the claim. While a
    /// pod uses the claim, it only waits: the claim and its data are deleted at the next restart of
    /// the pod. Renamed charts and claims that are dropped from a manifest do this without a word.
    ///
    /// ## Way out
    /// Set the reclaim policy of the volume to `Retain` before the claim is deleted, or keep the
    /// claim. To move data to another claim, copy it first.
    ///
    /// The rule knows neither the reclaim policy nor which pods use the claim. It cannot tell a
    /// claim that is renamed from one that is no longer needed.
    PvcDelete {
        id: "pvc-delete",
        title: "a claim is deleted, and perhaps its volume with it",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [Claim: [Delete]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming",
    }
}

impl Rule for PvcDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Subject::Claim(pair) = &change.subject else { return Ok(()) };
        let Some(claim) = pair.old.as_ref().filter(|_| change.operation == Operation::Delete)
        else {
            return Ok(());
        };
        let volume = claim.spec.volume_name.as_str();
        let unbound = volume.is_empty() && claim.status.is_some();
        if unbound || only_leaves_the_manifests(change) {
            return Ok(());
        }
        let finding = findings.add("", "would be deleted, and its volume unless that is retained");
        finding.why(
            "If the reclaim policy of the volume is Delete, as it is by default, the data is deleted \
             with the claim.",
        );
        if volume.is_empty() {
            finding.step(format!(
                "keep the claim {} if its data is still needed",
                remedy::manifest_place(change.circumstances.tool)
            ));
        } else {
            finding.command(
                "to keep the data, retain the volume first",
                format!(
                    "kubectl patch pv {} -p '{{\"spec\":{{\"persistentVolumeReclaimPolicy\":\"Retain\"}}}}'",
                    remedy::quoted(volume)
                ),
            );
        }
        Ok(())
    }
}
