use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A set is scaled to zero, by an edit or through its scale.
    ///
    /// ## Why
    /// Every pod stops, and clients lose the database until it is scaled up again. The claims stay
    /// unless `persistentVolumeClaimRetentionPolicy.whenScaled` is `Delete`: then
    /// `sts-scale-down-deletes-claims` denies it.
    ///
    /// ## Way out
    /// Scale to the number that you want. If you want the outage, say so with the `allow` annotation.
    StsScaleToZero {
        id: "sts-scale-to-zero",
        title: "a StatefulSet is scaled to zero",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "kubernetes pkg/controller/statefulset; kubernetes#84530 (the scale bypass)",
    }
}

impl Rule for StsScaleToZero {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.scaled() else { return Ok(()) };
        if new != 0 || old <= 0 {
            return Ok(());
        }
        let finding = findings.add("/spec/replicas", format!("would be scaled to zero, {old} → 0"));
        finding
            .values(Some(&old.to_string()), Some("0"))
            .why("Every pod stops, so clients lose the service until it is scaled up again.");
        let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
        let undo = format!("{kubectl} scale statefulset {name} --replicas={old}");
        match remedy::scaled_claims(change, facts)? {
            // What a manifest says is what the next apply brings back.
            remedy::ScaledClaims::Kept if change.updated_set().is_some() => {
                let replicas = "/spec/replicas".into();
                finding.remedy(vec![remedy::keep(change, &replicas, &old.to_string())]);
            }
            remedy::ScaledClaims::Kept => {
                finding.command("to undo it", undo);
            }
            // Scaled up again, the pods would start with empty volumes.
            remedy::ScaledClaims::Deleted => {
                finding.step(
                    "set whenScaled: Retain first: while it is Delete, the claims are deleted and \
                     this cannot be undone",
                );
            }
            remedy::ScaledClaims::Unknown => {
                finding
                    .command(
                        "see what becomes of the claims: Delete means that they are deleted",
                        format!(
                            "{kubectl} get statefulset {name} -o jsonpath=\
                             '{{.spec.persistentVolumeClaimRetentionPolicy.whenScaled}}'"
                        ),
                    )
                    .command("if it is Retain or nothing, undo it by", undo);
            }
        }
        Ok(())
    }
}
