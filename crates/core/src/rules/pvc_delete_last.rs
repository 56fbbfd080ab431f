use super::pvc_keep_removed::only_leaves_the_manifests;
use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::change::{Change, Operation, Subject};
use crate::facts::{ClaimOf, Fact, Facts};
use crate::loss::{Fate, Loss, fate};
use crate::object::Claim;

declare_rule! {
    /// The last claim of a claim template is deleted while its set still exists: no other claim of the
    /// template has a volume and is to stay.
    ///
    /// To rebuild one of several members is everyday work, and `pvc-delete` only warns of it. The rule is
    /// silent if the volume is retained or does not exist any more. A scale to zero does not count: the claims are still there.
    ///
    /// ## Why
    /// With the last claim goes the last copy that the set has. Its next pod starts with an empty
    /// volume.
    ///
    /// ## Way out
    /// Retain the volume first, then take a snapshot. If the data may be deleted, confirm it with the annotation
    /// `stateward.dev/confirm-delete`.
    ///
    /// The rule needs facts, which the webhook has if it watches a cluster. Claims that are deleted at
    /// the same moment do not see each other, so each may find the others still there.
    PvcDeleteLast {
        id: "pvc-delete-last",
        title: "the last claim of a StatefulSet is deleted",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [Claim: [Delete]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming; kubernetes#55824",
    }
}

impl Rule for PvcDeleteLast {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(claim) = deleted_with_data(change) else { return Ok(()) };
        let of = match last_of_its_set(change, facts) {
            Fact::Known(Some(of)) => of,
            Fact::Known(None) => return Ok(()),
            // Without a look at sets, nothing would be known of any claim.
            Fact::Unknown(_) if !facts.looks_at_sets() => return Ok(()),
            Fact::Unknown(needs) => return Err(Unjudged::Needs(needs)),
        };
        let what = format!("the last claim of template {} would be deleted", of.template);
        let why = format!(
            "StatefulSet {} has no other claim of this template with a volume, so no member keeps \
             the data.",
            of.set
        );
        findings
            .add("", what)
            .why(why)
            .loss(Loss::of(facts, &change.namespace, [change.name.as_str()]))
            .remedy(remedy::keep_data(
                facts,
                claim.spec.volume_name.as_str(),
                &change.namespace,
                &change.name,
                claim.class(),
            ));
        Ok(())
    }
}

/// The set of which this is the last claim of a template. None if its volume is known to stay or to be
/// gone.
pub(super) fn last_of_its_set<'f, 'c>(
    change: &'c Change<'_>,
    facts: &'f Facts,
) -> Fact<Option<ClaimOf<'f, 'c>>> {
    let (namespace, name) = (&change.namespace, &change.name);
    let keeps = match facts.claim(namespace, name) {
        Fact::Known(claim) => match fate(facts, &claim.volume) {
            Fact::Known(Fate::Retained) => true,
            // A volume that does not exist any more holds nothing.
            Fact::Known(Fate::NoVolume) => !claim.volume.is_empty(),
            Fact::Known(_) | Fact::Unknown(_) => false,
        },
        Fact::Unknown(_) => false,
    };
    if keeps {
        return Fact::Known(None);
    }
    // A name may be that of claims of several sets (kubernetes#41153): a set that somebody adds takes no
    // claim from the others.
    let mut unknown = None;
    for of in facts.sets_of_claim(namespace, name) {
        match of {
            Fact::Known(of) if of.fact.terminating => {}
            Fact::Known(of) => match facts.siblings(namespace, name, &of) {
                Fact::Known(others) if others.is_empty() => return Fact::Known(Some(of)),
                Fact::Known(_) => {}
                Fact::Unknown(why) => unknown = Some(why),
            },
            Fact::Unknown(why) => unknown = Some(why),
        }
    }
    unknown.map_or(Fact::Known(None), Fact::Unknown)
}

/// The claim that a change deletes, unless it has no volume or its tool keeps it.
pub(super) fn deleted_with_data<'c, 'a>(change: &'c Change<'a>) -> Option<&'c Claim<'a>> {
    let Subject::Claim(pair) = &change.subject else { return None };
    let claim = pair.old.as_ref().filter(|_| change.operation == Operation::Delete)?;
    let unbound = claim.spec.volume_name.is_empty() && claim.status.is_some();
    (!unbound && !only_leaves_the_manifests(change)).then_some(claim)
}
