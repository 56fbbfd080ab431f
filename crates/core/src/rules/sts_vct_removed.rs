use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::DifferenceKind;
use crate::object::names::claim_of;
use crate::object::{DecodeError, StatefulSet};

declare_rule! {
    /// A claim template is removed. The API server rejects this edit.
    ///
    /// ## Why
    /// The claims of the template stay behind with their data. The next pod starts without them, and
    /// a database that finds an empty folder may start empty.
    ///
    /// ## Way out
    /// Keep the template. If its data is no longer needed, re-create the set without it. The claims
    /// stay until somebody deletes them.
    StsVctRemoved {
        id: "sts-vct-removed",
        title: "a claim template is removed",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsVctRemoved {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let removed: Vec<_> = change
            .differences()?
            .iter()
            .filter(|difference| difference.kind == DifferenceKind::TemplateRemoved)
            .collect();
        let Some(first) = removed.first() else { return Ok(()) };
        let names: Vec<&str> = removed.iter().filter_map(|d| d.template.as_deref()).collect();
        let list = names.join(", ");
        let place = remedy::manifest_place(change.circumstances.tool);
        let noun = if names.len() == 1 { "claim template" } else { "claim templates" };
        let mut steps = vec![remedy::say(format!("keep {noun} {list} {place}"))];
        let (adopted, more) = adopted(change, old, new, &names)?;
        let mounted_by_name = remedy::listed(&adopted);
        if mounts(new, &names)? {
            steps.push(remedy::say(format!(
                "the pod template still mounts {list}, so a set without it could not be created: remove those mounts first"
            )));
        } else {
            let templates = "/spec/volumeClaimTemplates".into();
            let mut operations =
                Vec::from_iter(remedy::transplant(change, &templates, &templates)?);
            // If the live pods mount it, the template has to change as well.
            let mounted = mounts(old, &names)?;
            let lead = if more { "or, if its data is no longer needed, " } else { "or " };
            if mounted {
                operations.extend(remedy::take_over_parts(change, &"/spec/template".into())?);
            }
            let recreation = remedy::Recreation {
                operations,
                pods: mounted.then_some(if adopted.is_empty() {
                    "its pods are adopted, then restart one at a time without these claims"
                } else {
                    "its pods are adopted, then restart one at a time and mount these claims by name"
                }),
                complete: mounted,
            };
            steps.extend(remedy::otherwise(lead, recreation.steps(change, old)?));
            if !adopted.is_empty() {
                steps.push(remedy::say(format!(
                    "do not delete {mounted_by_name}, which the pods still mount"
                )));
            }
            if more {
                let other = if adopted.is_empty() { "" } else { "other " };
                steps.push(remedy::say(format!(
                    "the {other}claims of {list} stay until you delete them"
                )));
            }
        }
        let what = format!("{noun} {list} would be removed");
        findings
            .add(first.field.clone(), what)
            .old_field(first.old_field.clone())
            .values(Some(&list), None)
            .why(match (adopted.is_empty(), more) {
                (true, _) => {
                    "Its claims would stay behind with their data, and the next pod would \
                              start without them."
                        .to_owned()
                }
                (false, true) => format!(
                    "Every pod would mount {mounted_by_name}. The other claims would stay behind \
                     with their data."
                ),
                (false, false) => format!(
                    "The set would no longer create its claims, and its pod would mount \
                     {mounted_by_name} by name."
                ),
            })
            .remedy(steps);
        Ok(())
    }
}

/// The claims of the removed templates that the new pods mount by name, and whether there are others.
fn adopted<'c>(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &'c StatefulSet<'_>,
    names: &[&str],
) -> Result<(Vec<&'c str>, bool), DecodeError> {
    let spec = &new.template()?.spec;
    let used = template::used_volumes(spec);
    let ordinals = old.ordinals();
    let is_ours = |claim: &str| {
        claim_of(claim, &change.name, names.iter().copied())
            .is_some_and(|(_, ordinal)| ordinals.contains(&i64::from(ordinal)))
    };
    let claims: BTreeSet<&str> = spec
        .named_claims()
        .filter(|(_, volume, claim)| used.contains(&*volume.name) && is_ours(claim))
        .map(|(_, _, claim)| claim)
        .collect();
    let more = claims.len() < names.len().saturating_mul(ordinals.count());
    Ok((claims.into_iter().collect(), more))
}

/// Whether a container uses one of the claim templates called `names`.
fn mounts(set: &StatefulSet<'_>, names: &[&str]) -> Result<bool, DecodeError> {
    let spec = &set.template()?.spec;
    let own: BTreeSet<&str> = spec.volumes.iter().map(|volume| volume.name.as_str()).collect();
    let used = template::used_volumes(spec);
    Ok(names.iter().any(|name| used.contains(name) && !own.contains(name)))
}
