use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::arrow;

declare_rule! {
    /// A bound claim grows, and its StorageClass does not allow that.
    ///
    /// ## Why
    /// The API server refuses to expand a claim that has no class, or whose class is gone or
    /// lacks `allowVolumeExpansion: true`. It does not say which of these it was.
    ///
    /// ## Way out
    /// Where the driver can expand volumes, allow it in the class: it is the one field of a class
    /// that may be edited, and it holds for existing claims at once. Where it cannot, copy the
    /// data to a bigger claim.
    PvcExpandClassDisallows {
        id: "pvc-expand-class-disallows",
        title: "a claim grows whose StorageClass allows no expansion",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "kubernetes plugin/pkg/admission/storage/persistentvolume/resize/admission.go",
    }
}

impl Rule for PvcExpandClassDisallows {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_claim() else { return Ok(()) };
        let (Some(before), Some(after)) = (old.spec.storage(), new.spec.storage()) else {
            return Ok(());
        };
        if after.quantity <= before.quantity {
            return Ok(());
        }
        let Some(status) = &old.status else {
            return Err(Unjudged::Needs(super::status()));
        };
        // Another class is the business of pvc-immutable-edit, an unbound claim of
        // pvc-expand-unbound.
        let (class, new_class) = (old.class(), new.class());
        let none = class.is_empty() || new_class.is_empty();
        if !status.is_bound() || class != new_class && !none {
            return Ok(());
        }
        let field = crate::object::Pointer::from("/spec/resources/requests/storage");
        let sizes = arrow(Some(&before.text), Some(&after.text));
        let copy =
            "or create a bigger claim of a class that allows expansion, and copy the data over";
        if none {
            findings
                .add(field.clone(), format!("would grow, {sizes}, but has no StorageClass"))
                .values(Some(&before.text), Some(&after.text))
                .why("Only volumes that a StorageClass has provisioned can be expanded.")
                .remedy(vec![remedy::keep(change, &field, &before.text), remedy::say(copy)]);
            return Ok(());
        }
        if facts.class(class).needed()?.allow_volume_expansion {
            return Ok(());
        }
        findings
            .add(field.clone(), format!("would grow, {sizes}, which class {class} forbids"))
            .values(Some(&before.text), Some(&after.text))
            .why(format!(
                "StorageClass {class} lacks allowVolumeExpansion: true, without which no claim of \
                 it is expanded."
            ))
            .remedy(vec![
                remedy::keep(change, &field, &before.text),
                remedy::run(
                    "or, if its driver can expand volumes, allow it, then grow the claim again; no \
                     pod restarts",
                    format!(
                        "kubectl patch storageclass {} --type merge -p \
                         '{{\"allowVolumeExpansion\":true}}'",
                        remedy::quoted(class)
                    ),
                ),
                remedy::say(copy),
            ]);
        Ok(())
    }
}
