use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::object::Pointer;

declare_rule! {
    /// A claim of a set grows beyond the size in the claim template of the set.
    ///
    /// The rule is silent while a resize of the set asks for at least that size, and of claims that were
    /// larger than their template before.
    ///
    /// ## Why
    /// The template keeps the old size. A pod that is added later gets a claim of that size, so its member has a
    /// smaller volume than the others. Whoever re-creates the set from its manifest meets the same.
    ///
    /// ## Way out
    /// Grow the set as a whole: `stateward resize apply`, or the edit of the template if a controller
    /// runs. Then every claim and the template have the new size.
    ///
    /// The rule needs facts, which the webhook has if it watches a cluster.
    PvcStsSizeDrift {
        id: "pvc-sts-size-drift",
        title: "a claim grows beyond the claim template of its StatefulSet",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "KEP-4650; kubernetes#68737",
    }
}

impl Rule for PvcStsSizeDrift {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_claim() else { return Ok(()) };
        let (Some(old), Some(new)) = (old.spec.storage(), new.spec.storage()) else {
            return Ok(());
        };
        if new.quantity <= old.quantity {
            return Ok(());
        }
        let of = match facts.set_of_claim(&change.namespace, &change.name) {
            Fact::Known(Some(of)) => of,
            Fact::Known(None) => return Ok(()),
            // Without a look at sets, a claim of a set and any other look alike.
            Fact::Unknown(_) if !facts.looks_at_sets() => return Ok(()),
            Fact::Unknown(needs) => return Err(Unjudged::Needs(needs)),
        };
        let template = of.fact.templates.iter().find(|template| template.name == of.template);
        let Some(size) = template.and_then(|template| template.size.as_ref()) else {
            return Ok(());
        };
        let record = facts.known_record(&change.namespace, of.set);
        let requested = record.and_then(|record| record.target(of.template));
        let is_requested = requested.is_some_and(|requested| new.quantity <= requested);
        if new.quantity <= *size || old.quantity > *size || is_requested {
            return Ok(());
        }
        findings
            .add(
                Pointer::from("/spec/resources/requests/storage"),
                format!("would be larger than its template, {size} → {}", new.text),
            )
            .values(Some(&old.text), Some(&new.text))
            .why(format!(
                "Claim template {} of StatefulSet {} stays at {size}: pods that are added get \
                 smaller volumes.",
                of.template, of.set
            ))
            .command(
                "to grow all claims and the template",
                format!(
                    "stateward resize apply {} -n {} --size {}",
                    remedy::quoted(&format!("sts/{}", of.set)),
                    remedy::quoted(&change.namespace),
                    remedy::quoted(&format!("{}={}", of.template, &*new.text)),
                ),
            );
        Ok(())
    }
}
