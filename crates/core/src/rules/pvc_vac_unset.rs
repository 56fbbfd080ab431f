use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::arrow;

declare_rule! {
    /// `volumeAttributesClassName` of a claim is removed while a class is applied.
    ///
    /// ## Why
    /// Once a class was applied, the volume always has the attributes of some class. The API server
    /// accepts another class, but not an empty field.
    ///
    /// ## Way out
    /// Keep the class, or set the class whose attributes you want.
    PvcVacUnset {
        id: "pvc-vac-unset",
        title: "the attributes class of a claim is removed",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "kubernetes pkg/apis/core/validation/validation.go ValidatePersistentVolumeClaimUpdate; KEP-3751",
    }
}

impl Rule for PvcVacUnset {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_claim() else { return Ok(()) };
        let before = old.spec.volume_attributes_class_name.as_deref();
        let after = new.spec.volume_attributes_class_name.as_deref();
        if before == after || after.is_some_and(|class| !class.is_empty()) {
            return Ok(());
        }
        let Some(status) = &old.status else {
            return Err(Unjudged::Needs(super::status()));
        };
        let Some(current) = status.current_volume_attributes_class_name.as_deref() else {
            return Ok(());
        };
        let field = crate::object::Pointer::from("/spec/volumeAttributesClassName");
        let kept = before.filter(|class| !class.is_empty()).unwrap_or(current);
        findings
            .add(
                field.clone(),
                format!("volumeAttributesClassName would be unset, {}", arrow(before, after)),
            )
            .values(before, after)
            .why(format!(
                "The volume has the attributes of class {current}, and Kubernetes accepts another class but not an empty field."
            ))
            .remedy(vec![
                remedy::keep(change, &field, kept),
                remedy::say("or set the class whose attributes you want"),
            ]);
        Ok(())
    }
}
