use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts, TemplateClass};
use crate::object::{Claim, Pointer};

declare_rule! {
    /// A claim, or a claim template of a new set, names a VolumeAttributesClass that does not exist, or one of
    /// another driver than that of its StorageClass.
    ///
    /// ## Why
    /// Nothing is refused at once. While the class is missing, a bound claim keeps its attributes and shows
    /// `Pending` in `status.modifyVolumeStatus`, and a new claim gets no volume. The provisioner also creates no
    /// volume for a claim whose class is of another driver.
    ///
    /// Of a bound claim only the missing class is judged: the resizer compares no drivers, and the StorageClass
    /// may have changed since. The rule is silent if the driver of a new claim is not known, and about drivers
    /// that were part of Kubernetes, whose volumes a CSI driver serves. Before 1.34 the API is not served by
    /// default. The rule needs the VolumeAttributesClasses, which the webhook has if it watches a cluster, and
    /// `check` from `--live` or `--facts`. Beside manifests alone it judges only by the classes among them.
    ///
    /// ## Way out
    /// Name a class that exists and is of the same driver, or create it first.
    PvcAttributesClass {
        id: "pvc-attributes-class",
        title: "a claim names a VolumeAttributesClass that is missing or of another driver",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create], Claim: [Create, Update]],
        source: "KEP-3751; kubernetes-csi/external-resizer pkg/modifycontroller; kubernetes-csi/external-provisioner pkg/controller",
    }
}

/// The first release that serves `storage.k8s.io/v1` VolumeAttributesClasses.
const SERVED_SINCE: u16 = 34;

impl Rule for PvcAttributesClass {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        if let Some((old, new)) = change.written_claim() {
            let before = old.and_then(|old| old.spec.volume_attributes_class_name.as_deref());
            if before == new.spec.volume_attributes_class_name.as_deref() {
                return Ok(());
            }
            let field = Pointer::from("/spec/volumeAttributesClassName");
            return judge(change, new, field, facts, findings);
        }
        let Some(set) = change.created_set() else { return Ok(()) };
        for (index, template) in set.claim_templates()?.iter().enumerate() {
            let field = Pointer::from("/spec/volumeClaimTemplates").index(index);
            let field = field.key("spec").key("volumeAttributesClassName");
            judge(change, template, field, facts, findings)?;
        }
        Ok(())
    }
}

fn judge(
    change: &Change<'_>,
    claim: &Claim<'_>,
    field: Pointer,
    facts: &Facts,
    findings: &mut Findings,
) -> Judged {
    let named = claim.spec.volume_attributes_class_name.as_deref();
    let Some(class) = named.filter(|class| !class.is_empty()) else { return Ok(()) };
    let found = match facts.attributes_classes.get("", class) {
        Fact::Known(found) => found,
        Fact::Unknown(_) if facts.attributes_classes.why_unknown().is_none() => return Ok(()),
        Fact::Unknown(needs) => return Err(Unjudged::Needs(needs)),
    };
    let (what, why) = match found {
        None if change.circumstances.kubernetes.minor < SERVED_SINCE => {
            return Err(Unjudged::Needs(format!(
                "to know whether VolumeAttributesClass {class} exists"
            )));
        }
        None => (
            format!("VolumeAttributesClass {class} does not exist"),
            "Until somebody creates it, a bound claim keeps its attributes, and a new one gets no volume."
                .to_owned(),
        ),
        Some(_) if !claim.spec.volume_name.is_empty() => return Ok(()),
        Some(found) => {
            let Some(driver) = driver_of(claim, facts)? else { return Ok(()) };
            if driver == found.driver {
                return Ok(());
            }
            (
                format!("VolumeAttributesClass {class} is not for {driver}"),
                format!("It is for {}, so no volume is created for the claim.", found.driver),
            )
        }
    };
    let dotted = field.dotted();
    let place = remedy::manifest_place(change.circumstances.tool);
    findings
        .add(field, what)
        .values(None, Some(class))
        .why(why)
        .command("see which classes exist", "kubectl get volumeattributesclasses")
        .step(format!("set {dotted} {place} to a class of the same driver, or create it"));
    Ok(())
}

/// The CSI driver that provisions the claim, if that is known.
fn driver_of<'f>(claim: &'f Claim<'_>, facts: &'f Facts) -> Result<Option<&'f str>, Unjudged> {
    Ok(match facts.class_of(claim).map_err(Unjudged::Needs)? {
        TemplateClass::Known(_, class) => Some(class.provisioner.as_str())
            .filter(|driver| !driver.is_empty() && !driver.starts_with("kubernetes.io/")),
        _ => None,
    })
}
