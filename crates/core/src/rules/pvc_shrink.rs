use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::object::immutable::arrow;

declare_rule! {
    /// A claim requests less storage than its volume has.
    ///
    /// ## Why
    /// Volumes cannot shrink. Since 1.32 the API server accepts a smaller request, but only above
    /// `status.capacity`: this takes back an expansion that failed. Older releases reject every
    /// smaller request. A manifest in Git has no status, so the rule only warns there.
    ///
    /// ## Way out
    /// Keep the size, or set one above the capacity of the volume. If you need a smaller volume,
    /// create another claim and copy the data.
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
            .why("Volumes cannot shrink. A smaller request has to stay above the capacity of the volume.")
            .remedy(vec![remedy::keep(change, &field, &before.text)]);
        if let Some(capacity) = volume.filter(|_| recovers) {
            finding.step(format!(
                "or, to take back an expansion that failed, set a size above {capacity}"
            ));
        }
        finding.step(
            "no volume can shrink safely: for a smaller one, create another claim and copy the data",
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
        .why("Volumes cannot shrink, and a manifest does not show whether the claim has one.")
        .remedy(vec![
            remedy::keep(change, field, before),
            remedy::run(
                "or fetch the live claim, and pass it to stateward check with --old live.yaml",
                format!(
                    "{} get pvc {} -o yaml > live.yaml",
                    remedy::kubectl(change),
                    remedy::quoted(&change.name)
                ),
            ),
        ])
        .unsure();
}
