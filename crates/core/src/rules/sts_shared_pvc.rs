use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::{ClaimFact, Fact, Facts};
use crate::object::pod::Volume;
use crate::object::{DecodeError, Pointer, StatefulSet};

declare_rule! {
    /// A set of several replicas mounts one claim in all of its pods, by
    /// `volumes[].persistentVolumeClaim`, and the access modes of the claim do not allow that. On
    /// UPDATE the rule judges an edit that adds the claim or a second replica. In `check` it also
    /// warns if another set among the inputs mounts such a claim.
    ///
    /// ## Why
    /// A `ReadWriteOnce` volume is attached to one node. Pods on other nodes hang in
    /// `ContainerCreating`, and pods on the same node write to the same files. With
    /// `ReadWriteOncePod` the second pod is never scheduled. If the claim is not among the inputs,
    /// its access modes are unknown, and the rule only warns.
    ///
    /// ## Way out
    /// Use a claim template, which gives each pod its own claim. A claim that pods should share needs
    /// `ReadWriteMany` or `ReadOnlyMany`.
    StsSharedPvc {
        id: "sts-shared-pvc",
        title: "several pods share one claim that only one node can use",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes",
    }
}

impl Rule for StsSharedPvc {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        used_elsewhere(change, facts, old, set, findings)?;
        let replicas = set.spec.replicas();
        let same = old.is_some_and(|old| old.spec.template.same_bytes(&set.spec.template));
        if replicas <= 1 || same && old.is_some_and(|old| old.spec.replicas() > 1) {
            return Ok(());
        }
        for (index, claim) in added(set, old.filter(|old| old.spec.replicas() > 1))? {
            let field = claim_name(index);
            let own = remedy::amend(
                change,
                "use spec.volumeClaimTemplates, which give each pod a claim of its own",
            );
            match known(facts, &change.namespace, claim) {
                Fact::Known(known) if is_shared(&known.access_modes) => {}
                Fact::Known(known) => {
                    let modes = known.access_modes.join(", ");
                    findings
                        .add(field, format!("{replicas} pods would share claim {claim} ({modes})"))
                        .values(None, Some(claim))
                        .why(if known.access_modes.iter().any(|mode| mode == "ReadWriteOncePod") {
                            "Only one pod can use it, and the others are never scheduled."
                        } else {
                            "Its volume is attached to one node: pods elsewhere never start, and pods that share it write to the same files."
                        })
                        .remedy(vec![
                            own,
                            remedy::say(format!(
                                "for files that all pods share, name a claim with ReadWriteMany \
                                 instead of {claim}"
                            )),
                        ]);
                }
                Fact::Unknown(needs) => {
                    findings
                        .add(field, format!("{replicas} pods would share claim {claim}, access modes unknown"))
                        .values(None, Some(claim))
                        .why(format!(
                            "Only ReadWriteMany or ReadOnlyMany works for several nodes; to be sure, the rule needs {needs}."
                        ))
                        .unsure()
                        .remedy(vec![
                            remedy::run(
                                "see the access modes of the claim",
                                format!(
                                    "{} get pvc {claim} -o jsonpath='{{.spec.accessModes}}'",
                                    remedy::kubectl(change)
                                ),
                            ),
                            own,
                        ]);
                }
            }
        }
        Ok(())
    }
}

/// Warns of a claim for one node that another set mounts, too.
fn used_elsewhere(
    change: &Change<'_>,
    facts: &Facts,
    old: Option<&StatefulSet<'_>>,
    set: &StatefulSet<'_>,
    findings: &mut Findings,
) -> Judged {
    for (index, claim) in added(set, old)? {
        let users = facts.claim_users.get(&change.namespace, claim);
        let Fact::Known(Some(users)) = users else { continue };
        let Some(other) = users.iter().find(|user| **user != change.name) else { continue };
        let Fact::Known(fact) = known(facts, &change.namespace, claim) else { continue };
        if is_shared(&fact.access_modes) {
            continue;
        }
        let modes = fact.access_modes.join(", ");
        findings
            .add(claim_name(index), format!("claim {claim} ({modes}) is also mounted by set {other}"))
            .values(None, Some(claim))
            .why("Its volume is attached to one node: pods elsewhere never start, and pods that share it write to the same files.")
            .unsure()
            .remedy(vec![remedy::amend(
                change,
                &format!("give each set a claim of its own, or name one with ReadWriteMany instead of {claim}"),
            )]);
    }
    Ok(())
}

fn claim_name(volume: usize) -> Pointer {
    Pointer::from("/spec/template/spec/volumes")
        .index(volume)
        .key("persistentVolumeClaim")
        .key("claimName")
}

/// The claims that the pods of `set` mount by their names, and those of `old` do not, each with the
/// place of its volume.
fn added<'c>(
    set: &'c StatefulSet<'_>,
    old: Option<&StatefulSet<'_>>,
) -> Result<Vec<(usize, &'c str)>, DecodeError> {
    let templates = template::by_name(set.claim_templates()?);
    let before: BTreeSet<&str> = match old {
        Some(old) => old.template()?.spec.named_claims().map(|(_, _, claim)| claim).collect(),
        None => BTreeSet::new(),
    };
    // A claim template takes the place of a volume of its name.
    let is_added = |(_, volume, claim): &(usize, &Volume<'_>, &str)| {
        !templates.contains_key(volume.name.as_str()) && !before.contains(claim)
    };
    let claims = set.template()?.spec.named_claims().filter(is_added);
    Ok(claims.map(|(index, _, claim)| (index, claim)).collect())
}

/// The claim, also if its manifest or that of the set leaves the namespace to the command that applies
/// it.
fn known<'f>(facts: &'f Facts, namespace: &str, claim: &str) -> Fact<&'f ClaimFact> {
    let found = facts.claim(namespace, claim);
    if matches!(found, Fact::Known(_)) {
        return found;
    }
    let elsewhere = match namespace {
        "" => facts.claims.only(claim),
        _ => match facts.claim("", claim) {
            Fact::Known(claim) => Some(claim),
            Fact::Unknown(_) => None,
        },
    };
    elsewhere.map_or(found, Fact::Known)
}

fn is_shared(access_modes: &[String]) -> bool {
    access_modes.iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany")
}
