use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::arrow;

declare_rule! {
    /// The size of a claim changes while the claim is not bound to a volume.
    ///
    /// ## Why
    /// The size of a claim can change only while the claim is `Bound`. Before that, the API server
    /// rejects larger and smaller sizes alike.
    ///
    /// ## Way out
    /// Wait until the claim is bound, or delete it and create it with the new size. It holds no data
    /// while it has no volume.
    PvcExpandUnbound {
        id: "pvc-expand-unbound",
        title: "an unbound claim changes its size",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "kubernetes pkg/apis/core/validation/validation.go ValidatePersistentVolumeClaimUpdate",
    }
}

impl Rule for PvcExpandUnbound {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_claim() else { return Ok(()) };
        let (Some(before), Some(after)) = (old.spec.storage(), new.spec.storage()) else {
            return Ok(());
        };
        let rounded = |size: &crate::object::claim::Size<'_>| size.quantity.rounded_to_milli();
        if rounded(before) == rounded(after) || !after.quantity.is_positive() {
            return Ok(());
        }
        let Some(status) = &old.status else {
            return Err(Unjudged::Needs(super::status()));
        };
        if status.is_bound() {
            return Ok(());
        }
        let phase = match status.phase.as_str() {
            "" => "Pending",
            phase => phase,
        };
        let kubectl = remedy::kubectl(change);
        let name = remedy::quoted(&change.name);
        let field = crate::object::Pointer::from("/spec/resources/requests/storage");
        let verb = if after.quantity > before.quantity { "grow" } else { "shrink" };
        let mut steps = vec![remedy::run(
            "see why it is not bound (it may be waiting for its first pod)",
            format!("{kubectl} describe pvc {name}"),
        )];
        if phase == "Lost" {
            steps.push(remedy::keep(change, &field, &before.text));
        } else {
            steps.push(remedy::run(
                "once it is bound, grow it; no pod restarts",
                format!(
                    "{kubectl} wait --for=jsonpath='{{.status.phase}}'=Bound pvc/{name} \
                     --timeout=5m && {kubectl} patch pvc {name} --type merge -p \
                     '{{\"spec\":{{\"resources\":{{\"requests\":{{\"storage\":\"{after}\"}}}}}}}}'"
                ),
            ));
            if verb == "shrink" {
                // A bound claim could not be lowered either.
                steps.pop();
            }
            steps.push(remedy::say(format!(
                "or delete it and create it again with {after}: it has no volume, so it holds no data"
            )));
        }
        findings
            .add(
                field,
                format!(
                    "would {verb}, {}, while it is {phase}",
                    arrow(Some(&before.text), Some(&after.text))
                ),
            )
            .values(Some(&before.text), Some(&after.text))
            .why("Kubernetes rejects a new size until the claim is bound to a volume.")
            .remedy(steps);
        Ok(())
    }
}
