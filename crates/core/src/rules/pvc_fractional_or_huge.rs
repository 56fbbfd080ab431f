use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::one_line;
use super::{Findings, Judged, Rule, remedy, template};
use crate::annotations::RESIZE_REQUESTED;
use crate::change::Change;
use crate::facts::Facts;
use crate::growth::{Extent, GrowthLimit, smallest_claims};
use crate::object::claim::Size;
use crate::object::immutable::arrow;
use crate::object::quantity::ParseQuantityError;
use crate::object::{Claim, DecodeError, Pointer, Quantity, StatefulSet, json};

/// Parameters of `pvc-fractional-or-huge`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct Params {
    /// The largest factor by which a claim or a claim template may grow in one edit without a
    /// finding.
    max_growth_factor: NonZeroU32,
    /// The size up to which any growth is usual, whatever its factor.
    warn_above: SizeParam,
    /// The size above which such growth is denied; up to this size it is only warned about.
    deny_above: SizeParam,
}

impl Default for Params {
    fn default() -> Self {
        let GrowthLimit { factor, warn_above, deny_above } = GrowthLimit::default();
        Self {
            max_growth_factor: NonZeroU32::new(factor).unwrap_or(NonZeroU32::MIN),
            warn_above: SizeParam {
                text: GrowthLimit::WARN_ABOVE.to_owned(),
                quantity: warn_above,
            },
            deny_above: SizeParam {
                text: GrowthLimit::DENY_ABOVE.to_owned(),
                quantity: deny_above,
            },
        }
    }
}

impl Params {
    fn growth(&self, old: &Quantity, new: &Quantity) -> Extent {
        let limit = GrowthLimit {
            factor: self.max_growth_factor.get(),
            warn_above: self.warn_above.quantity.clone(),
            deny_above: self.deny_above.quantity.clone(),
        };
        limit.extent(old, new)
    }
}

/// A size in the policy, kept as it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct SizeParam {
    text: String,
    quantity: Quantity,
}

impl TryFrom<String> for SizeParam {
    type Error = ParseQuantityError;

    fn try_from(text: String) -> Result<Self, ParseQuantityError> {
        Ok(Self { quantity: text.parse()?, text })
    }
}

impl From<SizeParam> for String {
    fn from(size: SizeParam) -> Self {
        size.text
    }
}

impl JsonSchema for SizeParam {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

declare_rule! {
    /// A claim or a claim template grows more than tenfold in one edit (`max-growth-factor`), or
    /// asks for a fraction of a byte. Growth is denied only if the new size is also above 1Ti
    /// (`deny-above`); everything else is a warning. Growth to 50Gi or less (`warn-above`) is usual.
    ///
    /// ## Why
    /// Volumes cannot shrink. If 100Gi becomes 100Ti by a typo, nobody can take it back, and the
    /// bill comes every month. A fraction of a byte (`0.1`, `100m`) is accepted by the API server
    /// with a warning and always means something else. `1.5Gi` is a whole number of bytes. `0.1Gi` is
    /// none, but its unit is plain, and drivers round it up: sizes from 1Mi on are not judged.
    ///
    /// ## Way out
    /// Write the size that you mean. If you mean a jump of this size, grow in several edits.
    ///
    /// The rule compares two sizes of the same claim or template. It does not judge the size of a
    /// new claim. A request to grow the claims of a template, by an edit or by the annotation
    /// `stateward.dev/resize-requested`, also of a new set, is compared with the smallest claim that
    /// exists. That takes facts, which the webhook has if it watches a cluster; without them, it is
    /// compared with the template.
    PvcFractionalOrHuge {
        id: "pvc-fractional-or-huge",
        title: "a volume grows more than tenfold, or asks for a fraction of a byte",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Claim: [Create, Update]],
        source: "kubernetes pkg/api/persistentvolumeclaim/util.go GetWarningsForPersistentVolumeClaimSpec; topolvm/pvc-autoresizer#296",
        judged_at: super::JudgedAt::Mutation,
    }
}

/// A size this large was meant with its unit, and no volume is smaller.
const SMALLEST_MEANT: u64 = 1 << 20;

impl Rule for PvcFractionalOrHuge {
    type Params = Params;

    fn check(
        params: &Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        if let Some((old, new)) = change.written_claim() {
            let old = old.and_then(|claim: &Claim<'_>| claim.spec.storage());
            let field = Pointer::from("/spec/resources/requests/storage");
            sizes(params, change, &field, None, old, new.spec.storage(), findings);
        }
        if let Some((old, new)) = change.written_set() {
            let before = old.unwrap_or(new);
            let claims = smallest_claims(before, &change.namespace, &change.name, facts)?;
            let untouched = old
                .is_some_and(|old| old.spec.claim_templates.same_bytes(&new.spec.claim_templates));
            let templates = if untouched { &[] } else { new.claim_templates()? };
            let before = match old.filter(|_| !untouched) {
                Some(old) => template::by_name(old.claim_templates()?),
                None => BTreeMap::new(),
            };
            for (index, template) in templates.iter().enumerate() {
                let name = template.metadata.name.as_str();
                let (old_index, old) = match before.get(name) {
                    Some((index, old)) => (*index, old.spec.storage()),
                    None => (index, None),
                };
                let below = "spec/resources/requests/storage";
                let at =
                    |index| Pointer::from(format!("/spec/volumeClaimTemplates/{index}/{below}"));
                let size = template.spec.storage();
                let grows = old.zip(size).is_some_and(|(old, new)| new.quantity > old.quantity);
                let claim = claims.get(name).filter(|_| grows).map(|claim| of_claim(claim));
                let old = claim.as_ref().or(old);
                if let Some(finding) =
                    sizes(params, change, &at(index), Some(name), old, size, findings)
                {
                    finding.old_field(at(old_index));
                }
            }
            requested(params, change, (old, new), &claims, findings)?;
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
    if let Some(old) = old {
        let growth = params.growth(&old.quantity, &new.quantity);
        if growth != Extent::Usual {
            let finding = huge(params, change, field, &subject, old, new, findings);
            return Some(finding.values(values.0, values.1));
        }
    }
    let whole_enough = Quantity::from_units(SMALLEST_MEANT);
    if !new.quantity.rounded_to_milli().is_fractional() || new.quantity >= whole_enough {
        return None;
    }
    let finding = findings.add(
        field.clone(),
        format!("{subject}would ask for {}, a fraction of a byte", short(&new.text)),
    );
    finding
        .values(values.0, values.1)
        .why("A volume has whole bytes. The suffix m means a thousandth; M or Mi is usually meant.")
        .step(format!(
            "set {} to a whole size such as 10Gi {}",
            field.dotted(),
            remedy::manifest_place(change.circumstances.tool)
        ))
        .unsure();
    Some(finding)
}

/// Growth that is only requested: the claim template itself still has its old size then.
fn requested<'a>(
    params: &Params,
    change: &Change<'_>,
    (old, new): (Option<&StatefulSet<'a>>, &StatefulSet<'a>),
    claims: &BTreeMap<&str, &Quantity>,
    findings: &mut Findings,
) -> Result<(), DecodeError> {
    let Some(text) = new.metadata.annotations.get(RESIZE_REQUESTED) else { return Ok(()) };
    if old.is_some_and(|old| old.metadata.annotations.get(RESIZE_REQUESTED) == Some(text)) {
        return Ok(());
    }
    let field = Pointer::annotation(RESIZE_REQUESTED);
    // The field alone takes half of a warning, so the messages are short.
    let fault = |message: String| DecodeError { field: field.clone(), message };
    let sizes: BTreeMap<String, String> = json::decode(text, field.as_str())
        .map_err(|_| fault("is no JSON object of sizes".to_owned()))?;
    let templates = template::by_name(old.unwrap_or(new).claim_templates()?);
    let mut unreadable = Ok(());
    for (template, size) in sizes {
        let before = templates.get(template.as_str());
        let Some(before) = before.and_then(|(_, claim)| claim.spec.storage()) else { continue };
        // A size that cannot be read hides no other.
        let Ok(quantity) = size.parse::<Quantity>() else {
            unreadable = Err(fault(format!("\"{}\" is no size", one_line(&size))));
            continue;
        };
        let after = Size { text: size.as_str().into(), quantity };
        let claim = claims.get(template.as_str()).map(|claim| of_claim(claim));
        let before = claim.as_ref().unwrap_or(before);
        if params.growth(&before.quantity, &after.quantity) != Extent::Usual {
            let subject = format!("claim template {template} ");
            huge(params, change, &field, &subject, before, &after, findings)
                .values(None, Some(text));
        }
    }
    unreadable
}

/// The size of an existing claim. A template may ask for more than its claims have.
fn of_claim(request: &Quantity) -> Size<'static> {
    Size { text: request.to_string().into(), quantity: request.clone() }
}

fn huge<'f>(
    params: &Params,
    change: &Change<'_>,
    field: &Pointer,
    subject: &str,
    old: &Size<'_>,
    new: &Size<'_>,
    findings: &'f mut Findings,
) -> &'f mut super::Finding {
    let factor = params.max_growth_factor;
    let finding = findings.add(
        field.clone(),
        format!(
            "{subject}would grow over {factor}-fold, {}",
            arrow(Some(&old.text), Some(&new.text))
        ),
    );
    finding.why("Volumes cannot shrink: a size that is too large by a typo stays for good.").step(
        format!("set the size that you mean {}", remedy::manifest_place(change.circumstances.tool)),
    );
    if params.growth(&old.quantity, &new.quantity) == Extent::Mistake {
        finding.step(format!(
            "if you mean {}, grow in several edits, each at most {factor}-fold",
            short(&new.text)
        ));
    } else {
        finding.unsure();
    }
    finding
}

fn short(text: &str) -> String {
    text.chars().take(24).collect()
}
