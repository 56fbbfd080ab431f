use super::pv_delete::namespace_goes;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts, Reclaim};
use crate::loss::{Fate, Loss};

declare_rule! {
    /// The reclaim policy of a `PersistentVolume` changes from `Retain` to `Delete` or `Recycle` although
    /// the volume holds the data of a claim. If the claim is deleted already, or is being deleted, the
    /// rule denies. If a claim is bound to the volume and stays, it warns: nothing happens yet, and the
    /// deletion of the claim is judged by itself.
    ///
    /// ## Why
    /// A volume that was retained outlives its claim so that somebody can still get at the data. With
    /// the policy `Delete`, the provisioner deletes such a volume and its disk at once.
    ///
    /// ## Way out
    /// Keep `Retain` until the data is copied, or is no longer needed. If it may be deleted, say so with
    /// the annotations `stateward.dev/allow` and `stateward.dev/allow-reason` on the volume.
    ///
    /// The rule is silent about a volume that no claim has used, and in a namespace that is being
    /// deleted. Without facts, it does not know whether a bound claim is being deleted.
    PvReclaimToDelete {
        id: "pv-reclaim-to-delete",
        title: "the volume of a claim is no longer retained",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Volume: [Update]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming; kubernetes pkg/controller/volume/persistentvolume/pv_controller.go",
    }
}

const FIELD: &str = "/spec/persistentVolumeReclaimPolicy";

impl Rule for PvReclaimToDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_volume() else { return Ok(()) };
        let Some(claim) = old.claim() else { return Ok(()) };
        let (before, after) =
            [old, new].map(|volume| Reclaim::from_name(volume.reclaim_policy())).into();
        if before != Reclaim::Retain || after == Reclaim::Retain || namespace_goes(change, facts) {
            return Ok(());
        }
        let known = facts.claims.get(&claim.namespace, &claim.name);
        let goes = matches!(
            known,
            Fact::Known(Some(claim)) if claim.terminating && claim.volume == change.name
        );
        let released = matches!(old.phase(), "Released" | "Failed");
        let name = claim.label();
        let mut loss = Loss::of_volume(facts, &change.name, old);
        for claim in loss.iter_mut().flat_map(|loss| &mut loss.claims) {
            claim.fate = Fate::Destroyed;
        }
        let snapshots = loss.as_ref().map(Loss::snapshots).unwrap_or_default();
        let (what, why) = if released {
            (
                "would be deleted at once, no longer retained",
                format!(
                    "Claim {name} is deleted already, so only the policy Retain keeps the data."
                ),
            )
        } else if goes {
            (
                "would be deleted with its claim, no longer retained",
                format!("Claim {name} is being deleted and only waits for its pods."),
            )
        } else {
            (
                "would no longer be retained",
                format!("If claim {name} is deleted, the volume is deleted with the data."),
            )
        };
        let keep = remedy::keep(change, &FIELD.into(), Reclaim::Retain.name());
        let finding = findings.add(FIELD, what);
        finding
            .values(Some(before.name()), Some(after.name()))
            .why(format!("{why} {snapshots}").trim_end())
            .remedy(vec![keep]);
        finding.loss = loss;
        if !released && !goes {
            finding.unsure();
        }
        Ok(())
    }
}
