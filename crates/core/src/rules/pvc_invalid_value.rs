use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::arrow;
use crate::object::validate::{self, Area, ValidationError};

declare_rule! {
    /// A claim has a value that the API server rejects: no access mode, no size, a size of zero or
    /// less, an unknown mode, a class name that is invalid, data sources that contradict each other.
    ///
    /// ## Why
    /// The API server rejects the whole claim. On UPDATE the rule names only values that the edit
    /// brings in.
    ///
    /// ## Way out
    /// Use a value that the API server accepts.
    PvcInvalidValue {
        id: "pvc-invalid-value",
        title: "a claim has a value that Kubernetes rejects",
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
        let errors = match old {
            Some(old) => {
                let mut errors = validate::introduced_in_claim(old, new)?;
                errors.retain(may_change);
                errors
            }
            None => validate::claim(new)?,
        };
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
                .why("Kubernetes rejects a claim with this value.");
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
