use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::object::immutable::arrow;

declare_rule! {
    /// A claim asks for less than its volume already has.
    ///
    /// ## Why
    /// Volumes cannot shrink. Since 1.32 the API server lets a request be lowered, but only to
    /// above `status.capacity`: that takes back an expansion that did not come about. Older
    /// releases let no request be lowered. A manifest in Git does not show the status: a smaller
    /// request is a warning there.
    ///
    /// ## Way out
    /// Keep the size, or lower it to something above the volume's capacity. For a smaller volume
    /// create another claim and copy the data over.
    PvcShrink {
        id: "pvc-shrink",
        title: "a claim shrinks to or below the size of its volume",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "kubernetes pkg/apis/core/validation/validation.go ValidatePersistentVolumeClaimUpdate; KEP-1790",
    }
}

impl Rule for PvcShrink {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_claim() else { return Ok(()) };
        let (Some(before), Some(after)) = (old.spec.storage(), new.spec.storage()) else {
            return Ok(());
        };
        // A size of nothing is the business of pvc-invalid-value.
        if after.quantity >= before.quantity || !after.quantity.is_positive() {
            return Ok(());
        }
        let field = Pointer::from("/spec/resources/requests/storage");
        let Some(status) = &old.status else {
            unsure(change, &field, &before.text, &after.text, findings);
            return Ok(());
        };
        let capacity = status.capacity.storage.as_ref();
        let recovers = change.circumstances.kubernetes.minor >= 32 || status.has_expansion();
        if recovers && capacity.is_none_or(|capacity| after.quantity > capacity.quantity) {
            return Ok(());
        }
        let volume = capacity.filter(|capacity| capacity.quantity != before.quantity);
        let what = match volume {
            Some(capacity) => format!(
                "would shrink, {}; its volume has {capacity}",
                arrow(Some(&before.text), Some(&after.text))
            ),
            None => format!("would shrink, {}", arrow(Some(&before.text), Some(&after.text))),
        };
        let finding = findings.add(field.clone(), what);
        finding
            .values(Some(&before.text), Some(&after.text))
            .why("Volumes cannot shrink; a request may at most go back to above what its volume has.")
            .remedy(vec![remedy::keep(change, &field, &before.text)]);
        if let Some(capacity) = volume.filter(|_| recovers) {
            finding.step(format!(
                "or, to take an expansion back that has not come about, set a size above {capacity}"
            ));
        }
        finding.step(
            "there is no safe way to shrink a volume; for a smaller one create another claim and \
             copy the data over",
        );
        Ok(())
    }
}

/// A smaller request of a claim whose status nobody knows: as a manifest in Git shows it.
fn unsure(
    change: &Change<'_>,
    field: &Pointer,
    before: &str,
    after: &str,
    findings: &mut Findings,
) {
    let sizes = arrow(Some(before), Some(after));
    findings
        .add(field.clone(), format!("would shrink, {sizes}; refused once the claim is bound"))
        .values(Some(before), Some(after))
        .why("Volumes cannot shrink; whether there is one already, a manifest does not show.")
        .remedy(vec![
            remedy::keep(change, field, before),
            remedy::run(
                "or fetch the live claim, and name it to stateward check by --old live.yaml",
                format!(
                    "{} get pvc {} -o yaml > live.yaml",
                    remedy::kubectl(change),
                    remedy::quoted(&change.name)
                ),
            ),
        ])
        .unsure();
}
