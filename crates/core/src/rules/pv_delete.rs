use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts, Reclaim};
use crate::loss::Loss;
use crate::object::metadata::VOLUME_PROTECTION;

declare_rule! {
    /// A `PersistentVolume` is deleted while a claim is bound to it. The rule only warns if its reclaim
    /// policy is `Retain`, also if its claim is deleted already.
    ///
    /// ## Why
    /// The finalizer `kubernetes.io/pv-protection` keeps the volume until its claim is deleted, so at
    /// first nothing seems to happen. But the deletion cannot be taken back. Under the policy
    /// `Delete`, the disk is deleted with the claim, and the volume can no longer be moved to another
    /// claim. Without the finalizer, the volume is deleted under the claim, whose pods then fail.
    ///
    /// A disk that is retained stays. But nothing in the cluster leads to it any more.
    ///
    /// ## Way out
    /// Leave the volume: it is deleted with its claim. If it may be deleted first, confirm it with the
    /// annotation `stateward.dev/confirm-delete`.
    ///
    /// Volumes that no claim has used, and those that a provisioner deletes after their claim, are not
    /// judged. Neither are those of a namespace that is being deleted.
    PvDelete {
        id: "pv-delete",
        title: "a PersistentVolume is deleted that holds the data of a claim",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Volume: [Delete]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#storage-object-in-use-protection; KEP-2644",
    }
}

impl Rule for PvDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(volume) = change.deleted_volume() else { return Ok(()) };
        let Some(of) = volume.claim() else { return Ok(()) };
        let retained = Reclaim::from_name(volume.reclaim_policy()) == Reclaim::Retain;
        let bound = volume.phase() == "Bound";
        if namespace_goes(change, facts) || !bound && !retained {
            return Ok(());
        }
        let claim = of.label();
        let protected = change.metadata().is_some_and(|m| m.has_finalizer(VOLUME_PROTECTION));
        let loss = Loss::of_volume(facts, &change.name, volume);
        let snapshots = loss.as_ref().map(Loss::snapshots).unwrap_or_default();
        let what = match (bound, protected) {
            (false, _) => "would be deleted, the last that leads to its data",
            (true, true) => "would be deleted while a claim is bound to it",
            (true, false) => "would be deleted at once, under its claim",
        };
        let finding = findings.add("", what);
        finding.loss = loss;
        let name = remedy::quoted(&change.name);
        if retained {
            let when = match (bound, protected) {
                (false, _) => format!("Claim {claim} is deleted already."),
                (true, true) => {
                    format!("The volume waits for claim {claim}, and this cannot be taken back.")
                }
                (true, false) => format!("Claim {claim} loses its volume, and its pods fail."),
            };
            finding
                .why(format!(
                    "{when} The disk stays, but nothing in the cluster leads to it any more."
                ))
                .command(
                    "to find the disk again, keep the manifest of the volume",
                    format!("kubectl get pv {name} -o yaml"),
                )
                .unsure();
            return Ok(());
        }
        let why = if protected {
            format!(
                "The volume waits for claim {claim}, and this cannot be taken back. The data is \
                 deleted with the claim. {snapshots}"
            )
        } else {
            format!(
                "It has no finalizer {VOLUME_PROTECTION}, so it does not wait for claim {claim}. The \
                 claim loses its volume, and the data may be deleted. {snapshots}"
            )
        };
        let leave = remedy::say("leave the volume: it is deleted with its claim");
        let class = &volume.spec.storage_class_name;
        let keep = remedy::keep_data(facts, &change.name, &of.namespace, &of.name, class);
        let steps = std::iter::once(leave).chain(keep);
        finding.why(why.trim_end()).remedy(steps.collect());
        Ok(())
    }
}

/// Whether the namespace of the claim is being deleted, which nothing must hold up.
pub(super) fn namespace_goes(change: &Change<'_>, facts: &Facts) -> bool {
    let namespace = facts.namespaces.get("", &change.namespace);
    matches!(namespace, Fact::Known(Some(namespace)) if namespace.terminating)
}
