use super::pvc_delete_last::{deleted_with_data, last_of_its_set};
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::loss::{Fate, Loss};

declare_rule! {
    /// A claim is deleted. The rule is silent if the claim has no volume yet, or if it is only missing
    /// from the manifests and they say that the tool keeps the claim: `helm.sh/resource-policy: keep`, `Prune=false` in
    /// `argocd.argoproj.io/sync-options`, or `kustomize.toolkit.fluxcd.io/prune: disabled`. Argo CD's
    /// `Delete=false` does not count, because it only holds when the Application is deleted. The last
    /// claim of a set is left to `pvc-delete-last`.
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
    /// The webhook knows the volume, the pods that mount the claim and its snapshots if it watches a
    /// cluster. The rule cannot tell a claim that is renamed from one that is no longer needed.
    PvcDelete {
        id: "pvc-delete",
        title: "a claim is deleted, and perhaps its volume with it",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [Claim: [Delete]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming; kubernetes#55824",
    }
}

impl Rule for PvcDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(claim) = deleted_with_data(change) else { return Ok(()) };
        if let Fact::Known(Some(_)) = last_of_its_set(change, facts) {
            return Ok(());
        }
        let loss = Loss::of(facts, &change.namespace, [change.name.as_str()]);
        let fate = loss.as_ref().map_or(Fate::Unknown, |loss| loss.claims[0].fate);
        let volume = claim.spec.volume_name.as_str();
        let gone = fate == Fate::NoVolume && !volume.is_empty();
        let (what, why) = match fate {
            _ if gone => (
                "would be deleted; its volume is gone already",
                "Nothing in the cluster leads to its data any more.",
            ),
            Fate::Retained => (
                "would be deleted; its volume stays",
                "The volume keeps the data, but serves no other claim until somebody frees it.",
            ),
            Fate::Destroyed => (
                "would be deleted with its volume",
                "The data is deleted with the volume as soon as no pod uses the claim.",
            ),
            Fate::Unknown | Fate::NoVolume => (
                "would be deleted, and its volume unless that is retained",
                "If the reclaim policy of the volume is Delete, as it is by default, the data is \
                 deleted with the claim.",
            ),
        };
        let finding = findings.add("", what);
        finding.why(why).loss(loss);
        let place = remedy::manifest_place(change.circumstances.tool);
        if fate == Fate::Retained {
            finding.command(
                "to find the data again, note the volume",
                format!("kubectl get pv {}", remedy::quoted(volume)),
            );
        } else if gone {
            finding.step("restore the data from a copy, if it is needed: a new claim starts empty");
        } else if volume.is_empty() {
            finding.step(format!("keep the claim {place} if its data is still needed"));
        } else {
            let class = claim.class();
            let steps = remedy::keep_data(facts, volume, &change.namespace, &change.name, class);
            finding.remedy(steps);
        }
        Ok(())
    }
}
