use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::arrow;
use crate::object::validate::{self, Area, ValidationError};

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
        let mut errors = validate::claim(new, old.is_none(), old.is_none())?;
        if let Some(old) = old {
            let before = validate::claim(old, false, false)?;
            errors.retain(|error| !before.contains(error) && may_change(error));
        }
        for error in errors {
            let size = |claim: &crate::object::Claim<'_>| {
                claim.spec.storage().map(|size| size.text.to_string())
            };
            let is_size = error.field.as_str() == "/spec/resources/requests/storage";
            let before = old.filter(|_| is_size).and_then(size);
            let what = match &before {
                Some(_) => format!(
                    "its size would be nothing, {}",
                    arrow(before.as_deref(), error.value.as_deref())
                ),
                None => error.what.clone(),
            };
            let finding = findings.add(error.field.clone(), what);
            finding
                .values(before.as_deref(), error.value.as_deref())
                .why("Kubernetes refuses a claim with such a value.");
            if let Some(before) = before {
                finding.remedy(vec![remedy::keep(change, &error.field, &before)]);
            } else {
                let place = remedy::manifest_place(change.circumstances.tool);
                finding.step(format!("{place}, {}", error.instead));
            }
        }
        Ok(())
    }
}

/// Whether an UPDATE could change the field at all: pvc-immutable-edit speaks of the others.
fn may_change(error: &ValidationError) -> bool {
    error.area == Area::Metadata
        || matches!(
            error.field.as_str(),
            "/spec/resources/requests/storage"
                | "/spec/storageClassName"
                | "/spec/volumeAttributesClassName"
        )
}
