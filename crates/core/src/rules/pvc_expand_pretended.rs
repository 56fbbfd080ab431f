use super::finding::Finding;
use super::{Findings, Judged, NoParams, Rule, Step, Unjudged, remedy};
use crate::change::Change;
use crate::drivers::{Expansion, Found};
use crate::facts::{Fact, Facts};
use crate::object::Pointer;
use crate::object::claim::Size;
use crate::object::immutable::arrow;

declare_rule! {
    /// A claim grows whose driver reports success and changes nothing.
    ///
    /// ## Why
    /// The CSI drivers for NFS and SMB answer an expansion with OK and do nothing. The claim shows the new
    /// size, and there is no more space than before: the share is as large as it is, for all its claims
    /// together.
    ///
    /// ## Way out
    /// Grow the share on its server. The size of the claim may follow, as a note for people.
    PvcExpandPretended {
        id: "pvc-expand-pretended",
        title: "a claim grows whose driver only pretends to expand volumes",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [Claim: [Update]],
        source: "docs/storage-patterns.md; csi-driver-nfs pkg/nfs/controllerserver.go",
    }
}

impl Rule for PvcExpandPretended {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(growth) = Growth::of(change, facts)? else { return Ok(()) };
        if growth.driver.driver.expands() != Some(Expansion::Pretended) {
            return Ok(());
        }
        let title = &growth.driver.driver.title;
        growth
            .finding(findings, "and its driver only pretends to")
            .why(format!(
                "{title} answers OK and changes nothing: there is no more space than before."
            ))
            .remedy(vec![remedy::say("grow the share on its server"), growth.explain()]);
        Ok(())
    }
}

/// The growth of a bound claim whose class allows it and has a known driver.
pub(super) struct Growth<'c> {
    pub(super) class: &'c str,
    pub(super) driver: Found<'static>,
    before: &'c Size<'c>,
    after: &'c Size<'c>,
}

impl<'c> Growth<'c> {
    /// The growth that `change` asks for. A class that forbids growth is the business of
    /// `pvc-expand-class-disallows`, an unbound claim that of `pvc-expand-unbound`.
    ///
    /// # Errors
    /// [`Unjudged::Needs`] if classes cannot be read.
    pub(super) fn of(change: &'c Change<'_>, facts: &Facts) -> Result<Option<Self>, Unjudged> {
        let Some((old, new)) = change.updated_claim() else { return Ok(None) };
        let Some((before, after)) = old.spec.storage().zip(new.spec.storage()) else {
            return Ok(None);
        };
        let class = old.class();
        let unbound = old.status.as_ref().is_some_and(|status| !status.is_bound());
        let grows = after.quantity > before.quantity;
        if !grows || unbound || class.is_empty() || class != new.class() {
            return Ok(None);
        }
        let fact = match facts.class(class) {
            Fact::Known(fact) => fact,
            Fact::Unknown(why) if facts.classes.why_unknown().is_some() => {
                return Err(Unjudged::Needs(why));
            }
            // Whether the class exists is asked by the rule that mirrors the API server.
            Fact::Unknown(_) => return Ok(None),
        };
        let driver = fact.driver().filter(|_| fact.allow_volume_expansion);
        Ok(driver.map(|driver| Self { class, driver, before, after }))
    }

    fn field() -> Pointer {
        Pointer::from("/spec/resources/requests/storage")
    }

    pub(super) fn finding<'f>(&self, findings: &'f mut Findings, what: &str) -> &'f mut Finding {
        let sizes = arrow(Some(&self.before.text), Some(&self.after.text));
        findings
            .add(Self::field(), format!("would grow, {sizes}, {what}"))
            .values(Some(&self.before.text), Some(&self.after.text))
    }

    pub(super) fn keep(&self, change: &Change<'_>) -> Step {
        remedy::keep(change, &Self::field(), &self.before.text)
    }

    pub(super) fn explain(&self) -> Step {
        let provisioner = &self.driver.provisioner;
        let name = provisioner.name.as_ref().or(provisioner.suffix.as_ref());
        let name = remedy::quoted(name.map_or("", String::as_str));
        remedy::run("see what is known of the driver", format!("stateward drivers {name}"))
    }
}
