use super::pvc_keep_removed::protected_by;
use super::{Findings, Judged, NoParams, Rule, Unjudged};
use crate::change::Change;
use crate::facts::{Facts, Reclaim, TemplateClass};
use crate::object::Pointer;

declare_rule! {
    /// A new set is marked as protected, and the class of one of its claim templates deletes a volume with
    /// its claim.
    ///
    /// ## Why
    /// The mark holds off the deletion of the object. If a claim is deleted in spite of it, with its namespace or
    /// while the webhook is off, its volume and the data are deleted too. With `reclaimPolicy: Retain` they
    /// stay.
    ///
    /// `protected-delete` lists the marks. The rule is silent about sets without one. It knows classes among the
    /// inputs of `check`, from `--live` and `--facts`, and in a cluster.
    ///
    /// ## Way out
    /// Name a class with `reclaimPolicy: Retain`, or set `persistentVolumeReclaimPolicy: Retain` in the volumes
    /// once they exist. Somebody must then delete volumes that nobody needs.
    StsReclaimDelete {
        id: "sts-reclaim-delete",
        title: "the volumes of a protected StatefulSet would be deleted with their claims",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/storage/storage-classes#reclaim-policy",
    }
}

impl Rule for StsReclaimDelete {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let Some((key, ..)) = protected_by(&set.metadata) else { return Ok(()) };
        for (index, template) in set.claim_templates()?.iter().enumerate() {
            let known = facts.class_of(template).map_err(Unjudged::Needs)?;
            let TemplateClass::Known(name, class) = known else { continue };
            if class.reclaim != Reclaim::Delete {
                continue;
            }
            let field = Pointer::from("/spec/volumeClaimTemplates").index(index);
            findings
                .add(
                    field.key("spec").key("storageClassName"),
                    format!("StorageClass {name} deletes the volumes of a protected set"),
                )
                .values(None, Some(name))
                .why(format!(
                    "{key} holds off a deletion of the set, but a volume is deleted with its claim."
                ))
                .step("name a class with reclaimPolicy: Retain")
                .step("or set persistentVolumeReclaimPolicy: Retain in each volume once it exists; no pod restarts");
        }
        Ok(())
    }
}
