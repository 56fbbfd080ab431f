use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts, Reach, Seen, TemplateClass};
use crate::object::Pointer;

declare_rule! {
    /// The volumes of a new set are created before its pods are scheduled, and only one zone or one node can
    /// use them: the class of a claim template has `volumeBindingMode: Immediate` and a provisioner of zonal
    /// or local disks.
    ///
    /// ## Why
    /// The provisioner chooses the zone without knowing the pod. If the pod does not fit there, by its
    /// affinity, its resources or a full node, it stays `Pending` with a volume node affinity conflict.
    ///
    /// The rule knows the provisioners of the large clouds, of OpenStack and of local disks, and parameters by
    /// which they copy a volume to several zones. It is silent in a cluster that is known to have one zone, or
    /// for local disks one node. It knows classes among the inputs of `check`, from `--live` and `--facts`,
    /// and in a cluster.
    ///
    /// ## Way out
    /// Use a class with `volumeBindingMode: WaitForFirstConsumer`. The mode of a class cannot be changed.
    StsImmediateBinding {
        id: "sts-immediate-binding",
        title: "zonal or local volumes are created before pods are scheduled",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/storage/storage-classes#volume-binding-mode; kubernetes#91299",
    }
}

impl Rule for StsImmediateBinding {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        for (index, template) in set.claim_templates()?.iter().enumerate() {
            let known = facts.class_of(template).map_err(Unjudged::Needs)?;
            let TemplateClass::Known(name, class) = known else { continue };
            let place = match class.reach {
                Reach::Unlimited => continue,
                Reach::Zone => "zone",
                Reach::Node => "node",
            };
            if !class.immediate || has_one_place(facts, class.reach) {
                continue;
            }
            let field = Pointer::from("/spec/volumeClaimTemplates").index(index);
            findings
                .add(
                    field.key("spec").key("storageClassName"),
                    format!("StorageClass {name} chooses a {place} before the pod is scheduled"),
                )
                .values(None, Some(name))
                .why(format!(
                    "If the pod does not fit into the {place} of its volume, it stays Pending."
                ))
                .command(
                    "see which classes wait for the pod",
                    "kubectl get storageclasses -o custom-columns=NAME:.metadata.name,BINDING:.volumeBindingMode",
                )
                .step(format!(
                    "name a class with WaitForFirstConsumer {}",
                    remedy::manifest_place(change.circumstances.tool)
                ));
        }
        Ok(())
    }
}

/// Whether every pod is known to run where the volumes are.
fn has_one_place(facts: &Facts, reach: Reach) -> bool {
    let Fact::Known(Seen { objects, all: true }) = facts.nodes.seen("") else { return false };
    match reach {
        Reach::Node => objects.len() <= 1,
        Reach::Zone | Reach::Unlimited => {
            let mut zones = objects.iter().map(|(_, node)| &node.zone);
            zones.next().is_none_or(|first| zones.all(|zone| zone == first))
        }
    }
}
