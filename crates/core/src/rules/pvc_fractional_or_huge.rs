use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Findings, Judged, Rule, remedy};
use crate::annotations::{self, RESIZE_REQUESTED};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::claim::Size;
use crate::object::immutable::arrow;
use crate::object::{Claim, DecodeError, Pointer, StatefulSet, json};

/// Parameters of `pvc-fractional-or-huge`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Params {
    /// The largest factor by which a claim or a claim template may grow in one edit.
    max_growth_factor: NonZeroU32,
}

impl Default for Params {
    fn default() -> Self {
        const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        Self { max_growth_factor: TEN }
    }
}

declare_rule! {
    /// A claim or a claim template grows more than tenfold in one edit (`max-growth-factor`), or
    /// asks for a fraction of a byte.
    ///
    /// ## Why
    /// 100Gi that becomes 100Ti is a slip of the pen that nobody can take back: volumes cannot
    /// shrink, and the bill comes every month. A fraction of a byte (`0.1`, `100m`) is accepted
    /// with a warning and always means something else.
    ///
    /// ## Way out
    /// Write the size that was meant. Where such a jump is meant, grow in steps.
    PvcFractionalOrHuge {
        id: "pvc-fractional-or-huge",
        title: "a volume grows beyond measure, or asks for a fraction of a byte",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Claim: [Create, Update]],
        source: "kubernetes pkg/api/persistentvolumeclaim/util.go GetWarningsForPersistentVolumeClaimSpec; topolvm/pvc-autoresizer#296",
    }
}

impl Rule for PvcFractionalOrHuge {
    type Params = Params;
    const META: super::Meta = Self::DESCRIPTION;

    fn check(params: &Params, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        if let Some((old, new)) = change.written_claim() {
            let old = old.and_then(|claim: &Claim<'_>| claim.spec.storage());
            let field = Pointer::from("/spec/resources/requests/storage");
            sizes(params, change, &field, None, old, new.spec.storage(), findings);
        }
        if let Some((old, new)) = change.written_set() {
            let untouched = old
                .is_some_and(|old| old.spec.claim_templates.same_bytes(&new.spec.claim_templates));
            let templates = if untouched { &[] } else { new.claim_templates()? };
            for (index, template) in templates.iter().enumerate() {
                let name = template.metadata.name.as_str();
                let (old_index, old) = match old.map(|old| old.claim_template(name)).transpose()? {
                    Some(Some((index, old))) => (index, old.spec.storage()),
                    _ => (index, None),
                };
                let below = "spec/resources/requests/storage";
                let at =
                    |index| Pointer::from(format!("/spec/volumeClaimTemplates/{index}/{below}"));
                let size = template.spec.storage();
                if let Some(finding) =
                    sizes(params, change, &at(index), Some(name), old, size, findings)
                {
                    finding.old_field(at(old_index));
                }
            }
            if let Some(old) = old {
                requested(params, change, old, new, findings)?;
            }
        }
        Ok(())
    }
}

fn sizes<'f>(
    params: &Params,
    change: &Change<'_>,
    field: &Pointer,
    template: Option<&str>,
    old: Option<&Size<'_>>,
    new: Option<&Size<'_>>,
    findings: &'f mut Findings,
) -> Option<&'f mut super::Finding> {
    let new = new?;
    if old.is_some_and(|old| old.quantity == new.quantity) {
        return None;
    }
    let subject = template.map(|name| format!("claim template {name} ")).unwrap_or_default();
    let values = (old.map(|old| old.text.as_str()), Some(new.text.as_str()));
    if let Some(old) = old.filter(|old| beyond(params, &old.quantity, &new.quantity)) {
        let finding = huge(params, change, field, &subject, &old.text, &new.text, findings);
        return Some(finding.values(values.0, values.1));
    }
    if !new.quantity.rounded_to_milli().is_fractional() {
        return None;
    }
    let finding = findings.add(
        field.clone(),
        format!("{subject}would ask for {}, a fraction of a byte", short(&new.text)),
    );
    finding
        .values(values.0, values.1)
        .why(
            "Volumes have whole bytes; m means a thousandth, and M or Mi is what is usually meant.",
        )
        .step(format!(
            "set {} to a whole size such as 10Gi {}",
            field.dotted(),
            remedy::manifest_place(change.circumstances.tool)
        ))
        .unsure();
    Some(finding)
}

/// Growth that is only requested: the claim template itself still has its old size then.
fn requested(
    params: &Params,
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    findings: &mut Findings,
) -> Result<(), DecodeError> {
    let Some(text) = new.metadata.annotations.get(RESIZE_REQUESTED) else { return Ok(()) };
    if old.metadata.annotations.get(RESIZE_REQUESTED) == Some(text) {
        return Ok(());
    }
    let field = annotations::pointer(RESIZE_REQUESTED);
    let sizes: std::collections::BTreeMap<String, String> = json::decode(text, field.as_str())?;
    for (template, size) in sizes {
        let Some(before) =
            old.claim_template(&template)?.and_then(|(_, claim)| claim.spec.storage())
        else {
            continue;
        };
        let after: crate::object::Quantity = size
            .parse()
            .map_err(|error| DecodeError { field: field.clone(), message: format!("{error}") })?;
        if beyond(params, &before.quantity, &after) {
            let subject = format!("claim template {template} ");
            huge(params, change, &field, &subject, &before.text, &size, findings)
                .values(None, Some(text));
        }
    }
    Ok(())
}

fn beyond(params: &Params, old: &crate::object::Quantity, new: &crate::object::Quantity) -> bool {
    old.is_positive() && *new > old.times(params.max_growth_factor.get())
}

fn huge<'f>(
    params: &Params,
    change: &Change<'_>,
    field: &Pointer,
    subject: &str,
    old: &str,
    new: &str,
    findings: &'f mut Findings,
) -> &'f mut super::Finding {
    let factor = params.max_growth_factor;
    let finding = findings.add(
        field.clone(),
        format!("{subject}would grow over {factor}-fold, {}", arrow(Some(old), Some(new))),
    );
    finding
        .why("Volumes cannot shrink, so that a size too large by a slip of the pen stays for good.")
        .step(format!(
            "set the size that was meant, at most {factor} × {old}, {}",
            remedy::manifest_place(change.circumstances.tool)
        ))
        .step("where so much is meant, grow in several edits");
    finding
}

fn short(text: &str) -> String {
    text.chars().take(24).collect()
}
