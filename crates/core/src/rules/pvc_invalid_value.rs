use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::fault::{self, Area, Fault};
use crate::object::immutable::arrow;

declare_rule! {
    /// A claim holds a value that the API server refuses: no access mode, no size or one that is
    /// not above zero, an unknown mode, a class that no class can be called, data sources that
    /// disagree.
    ///
    /// ## Why
    /// The server refuses the claim as a whole. On an UPDATE only a value that the edit brings is
    /// named.
    ///
    /// ## Way out
    /// Write a value that is accepted.
    PvcInvalidValue {
        id: "pvc-invalid-value",
        title: "a claim holds a value that Kubernetes refuses",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Create, Update]],
        source: "kubernetes pkg/apis/core/validation/validation.go ValidatePersistentVolumeClaim",
    }
}

impl Rule for PvcInvalidValue {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.written_claim() else { return Ok(()) };
        let mut faults = fault::claim(new, old.is_none(), old.is_none())?;
        if let Some(old) = old {
            let before = fault::claim(old, false, false)?;
            faults.retain(|fault| !before.contains(fault) && may_change(fault));
        }
        for fault in faults {
            let size = |claim: &crate::object::Claim<'_>| {
                claim.spec.storage().map(|size| size.text.to_string())
            };
            let is_size = fault.field.as_str() == "/spec/resources/requests/storage";
            let before = old.filter(|_| is_size).and_then(size);
            let what = match &before {
                Some(_) => format!(
                    "its size would be nothing, {}",
                    arrow(before.as_deref(), fault.value.as_deref())
                ),
                None => fault.what.clone(),
            };
            let finding = findings.add(fault.field.clone(), what);
            finding
                .values(before.as_deref(), fault.value.as_deref())
                .why("Kubernetes refuses a claim with such a value.");
            if let Some(before) = before {
                finding.remedy(vec![remedy::keep(change, &fault.field, &before)]);
            } else {
                let place = remedy::manifest_place(change.circumstances.tool);
                finding.step(format!("{place}, {}", fault.instead));
            }
        }
        Ok(())
    }
}

/// Whether an UPDATE could change the field at all: pvc-immutable-edit speaks of the others.
fn may_change(fault: &Fault) -> bool {
    fault.area == Area::Metadata
        || matches!(
            fault.field.as_str(),
            "/spec/resources/requests/storage"
                | "/spec/storageClassName"
                | "/spec/volumeAttributesClassName"
        )
}
