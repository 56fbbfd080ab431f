use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::validate::Area;

declare_rule! {
    /// A container mounts, or uses as a device, something that is neither a volume of the pod nor a
    /// claim template.
    ///
    /// ## Why
    /// Kubernetes rejects such a set since 1.34. Older releases accept it, and then cannot create a
    /// pod from it, so a set loses every pod that restarts.
    ///
    /// ## Way out
    /// Use the name of an existing volume or claim template.
    StsMountUnknownVolume {
        id: "sts-mount-unknown-volume",
        title: "a mount names no volume and no claim template",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes pkg/apis/core/validation/validation.go ValidateVolumeMounts; kubernetes#131790",
    }
}

impl Rule for StsMountUnknownVolume {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let errors = change.validation_errors()?.iter().cloned();
        let refuses = change.circumstances.kubernetes.minor >= super::POD_TEMPLATE_SINCE;
        let place = remedy::manifest_place(change.circumstances.tool);
        for error in errors.filter(|error| error.area == Area::Mount) {
            let finding = findings.add(error.field, error.what);
            finding
                .values(None, error.value.as_deref())
                .why(if refuses {
                    "Kubernetes rejects the set, because no pod could be created from it."
                } else {
                    "This release of Kubernetes accepts the set, but no pod can be created from it."
                })
                .step(format!("{place}, {}", error.instead));
            if !refuses {
                finding.unsure();
            }
        }
        Ok(())
    }
}
