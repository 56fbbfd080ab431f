use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::arrow;

declare_rule! {
    /// `volumeAttributesClassName` of a claim is taken away while a class is in force.
    ///
    /// ## Why
    /// A volume always has the attributes of some class once one was applied. The API server lets
    /// the field move to another class, and not to none.
    ///
    /// ## Way out
    /// Keep the class, or name the one whose attributes the volume is to have.
    PvcVacUnset {
        id: "pvc-vac-unset",
        title: "a claim's attributes class is taken away",
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
                "The volume has the attributes of class {current}, and Kubernetes lets the field \
                 move to another class but not to none."
            ))
            .remedy(vec![
                remedy::keep(change, &field, kept),
                remedy::say("or name the class whose attributes the volume is to have"),
            ]);
        Ok(())
    }
}
