use super::pv_delete::namespace_goes;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::loss::Loss;
use crate::object::Pointer;
use crate::object::volume::ClaimRef;

declare_rule! {
    /// `claimRef` of a bound `PersistentVolume` comes to name another claim: another namespace, name or UID.
    ///
    /// ## Why
    /// Kubernetes takes the claim for gone. The claim becomes `Lost`, so its pods cannot start again, and the
    /// volume is released: under the policy `Delete` its disk is deleted within seconds.
    ///
    /// If the volume is retained, the data stays and the rule only warns. It is silent in a namespace that is being
    /// deleted, if `claimRef` is removed or loses its UID, which frees a volume that was released, and about volumes
    /// that are not bound.
    ///
    /// ## Way out
    /// Leave `claimRef`. To give the data to another claim, retain the volume, delete its claim, and then change
    /// `claimRef`.
    PvClaimChanged {
        id: "pv-claim-changed",
        title: "a bound PersistentVolume is taken from its claim",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Volume: [Update]],
        source: "kubernetes pkg/controller/volume/persistentvolume/pv_controller.go syncVolume",
    }
}

impl Rule for PvClaimChanged {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_volume() else { return Ok(()) };
        let (Some(before), Some(after)) = (old.claim(), new.claim()) else { return Ok(()) };
        if old.phase() != "Bound" || namespace_goes(change, facts) {
            return Ok(());
        }
        let Some((field, was, becomes)) = changed(before, after) else { return Ok(()) };
        let retained = [old, new].iter().all(|volume| volume.reclaim_policy() == Some("Retain"));
        let end = if retained { "the volume is released" } else { "the volume is deleted" };
        let claim = before.label();
        let finding = findings.add(
            Pointer::from("/spec/claimRef").key(field),
            format!("would be taken from claim {claim}"),
        );
        finding
            .values(Some(was), Some(becomes))
            .why(format!("Kubernetes takes claim {claim} for gone: it becomes Lost, and {end}."))
            .step("leave claimRef while the volume is bound")
            .command(
                "or see which claim is bound to the volume",
                format!("kubectl get pv {}", remedy::quoted(&change.name)),
            );
        finding.loss = Loss::of_volume(facts, &change.name, old);
        if retained {
            finding.unsure();
        }
        Ok(())
    }
}

/// The first part of `claimRef` that names another claim.
fn changed<'v>(
    before: &'v ClaimRef<'_>,
    after: &'v ClaimRef<'_>,
) -> Option<(&'static str, &'v str, &'v str)> {
    let parts = [
        ("namespace", &before.namespace, &after.namespace),
        ("name", &before.name, &after.name),
        ("uid", &before.uid, &after.uid),
    ];
    let texts = parts.map(|(field, was, becomes)| (field, was.as_str(), becomes.as_str()));
    texts
        .into_iter()
        .find(|(_, was, becomes)| !was.is_empty() && !becomes.is_empty() && was != becomes)
}
