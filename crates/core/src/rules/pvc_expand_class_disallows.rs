use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::object::immutable::arrow;

declare_rule! {
    /// A bound claim grows, and its StorageClass does not allow that.
    ///
    /// ## Why
    /// The API server rejects the expansion of a claim if it has no class, if its class does not
    /// exist, or if the class lacks `allowVolumeExpansion: true`. Its message does not say which.
    ///
    /// ## Way out
    /// If the driver can expand volumes, allow it in the class. This is the one field of a class that
    /// can be edited, and it applies to existing claims at once. Otherwise copy the data to a larger
    /// claim. `stateward drivers` lists what is known of drivers; of another one the rule does not know
    /// whether it can expand volumes.
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
        // Another class is the business of pvc-immutable-edit, an unbound claim of
        // pvc-expand-unbound.
        let (class, new_class) = (old.class(), new.class());
        let none = class.is_empty() || new_class.is_empty();
        let rigid = || {
            let fact = facts.class(class);
            matches!(fact, Fact::Known(fact) if !fact.allow_volume_expansion)
        };
        match &old.status {
            Some(status) if !status.is_bound() => return Ok(()),
            _ if class != new_class && !none => return Ok(()),
            // Bound or not, no claim of this class can grow.
            None if !none && rigid() => {}
            None => return Err(Unjudged::Needs(super::status())),
            Some(_) => {}
        }
        let field = crate::object::Pointer::from("/spec/resources/requests/storage");
        let sizes = arrow(Some(&before.text), Some(&after.text));
        let copy = "or create a larger claim of a class that allows expansion, and copy the data";
        if none {
            findings
                .add(field.clone(), format!("would grow, {sizes}, but has no StorageClass"))
                .values(Some(&before.text), Some(&after.text))
                .why("Only a volume that a StorageClass provisioned can grow.")
                .remedy(vec![remedy::keep(change, &field, &before.text), remedy::say(copy)]);
            return Ok(());
        }
        let Some(known) = facts.classes.get("", class).needed()? else {
            findings
                .add(field.clone(), format!("would grow, {sizes}, but class {class} is missing"))
                .values(Some(&before.text), Some(&after.text))
                .why(format!(
                    "Kubernetes looks at the class when a claim grows, and StorageClass {class} was deleted."
                ))
                .remedy(vec![
                    remedy::keep(change, &field, &before.text),
                    remedy::say(format!(
                        "or create StorageClass {class} again, with the provisioner of the volume and \
                         allowVolumeExpansion: true; no pod restarts"
                    )),
                    remedy::run(
                        "see the provisioner of the volume",
                        format!(
                            "kubectl get pv {} -o jsonpath=\
                             '{{.metadata.annotations.pv\\.kubernetes\\.io/provisioned-by}}'",
                            remedy::quoted(&old.spec.volume_name)
                        ),
                    ),
                ]);
            return Ok(());
        };
        if known.allow_volume_expansion {
            return Ok(());
        }
        let mut steps = vec![remedy::keep(change, &field, &before.text)];
        let mut why = format!(
            "StorageClass {class} lacks allowVolumeExpansion: true, so none of its claims can grow."
        );
        match known.no_expansion() {
            // To allow it would only make the claim hang.
            Some(never) => why = format!("StorageClass {class} {never}."),
            None => steps.push(remedy::run(
                "or, if its driver can expand volumes, allow it, then grow the claim again; no \
                 pod restarts",
                format!(
                    "kubectl patch storageclass {} --type merge -p \
                     '{{\"allowVolumeExpansion\":true}}'",
                    remedy::quoted(class)
                ),
            )),
        }
        steps.push(remedy::say(copy));
        findings
            .add(field.clone(), format!("would grow, {sizes}, which class {class} forbids"))
            .values(Some(&before.text), Some(&after.text))
            .why(why)
            .remedy(steps);
        Ok(())
    }
}
