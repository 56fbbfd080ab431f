use std::ops::Range;

use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy};
use crate::annotations::ALLOW;
use crate::change::{Change, Subject};
use crate::facts::{Fact, Facts, SetClaim};
use crate::loss::Loss;
use crate::object::StatefulSet;
use crate::record::Policy;

declare_rule! {
    /// Pods are removed from a set whose `persistentVolumeClaimRetentionPolicy.whenScaled` is
    /// `Delete`: by fewer replicas, by another `ordinals.start`, or through its scale, as
    /// `kubectl scale` and an autoscaler do.
    ///
    /// ## Why
    /// The controller deletes the claim of every pod that it removes. If the reclaim policy of the
    /// volume is `Delete`, its disk is deleted too. A pod that is added again starts with an empty
    /// volume.
    ///
    /// ## Way out
    /// Set `whenScaled: Retain`, in the same edit or before it. The controller acts on the policy
    /// that holds after the edit, so this keeps the claims. If the data of these pods may be
    /// deleted, allow the edit with the annotation.
    ///
    /// A set that is created counts, too, if claims with names of its pods exist outside of its
    /// replicas, as after `kubectl replace --force --cascade=orphan`: the controller adopts the pods
    /// that still run, and removes those that it does not need with their claims.
    ///
    /// A scale shows neither the retention policy nor the claim templates, and a new set shows no
    /// claims. The rule then needs facts, which the webhook has if it watches a cluster. It names
    /// only claims that exist. It does not look at claims of pods that were removed before.
    StsScaleDownDeletesClaims {
        id: "sts-scale-down-deletes-claims",
        title: "a scale-down deletes the claims of the pods that it removes",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update], Scale: [Update]],
        source: "KEP-1847; kubernetes pkg/controller/statefulset/stateful_set_control.go",
    }
}

/// What the rule reads of a set, before and after.
struct Scaling<'c> {
    /// the ordinals before; none on CREATE
    old: Option<Range<i64>>,
    new: Range<i64>,
    when_scaled: Policy,
    templates: Vec<&'c str>,
    /// the set whose claims the controller deletes; empty on CREATE
    uid: &'c str,
}

impl Scaling<'_> {
    fn leaving(&self) -> Vec<Range<i64>> {
        self.old.as_ref().map(|old| remedy::leaving(old, &self.new)).unwrap_or_default()
    }

    /// Whether the controller would delete this claim with its pod. It leaves a claim alone that
    /// somebody else owns, and one whose pod does not exist.
    fn takes(
        &self,
        leaving: &[Range<i64>],
        claim: &SetClaim<'_>,
        change: &Change<'_>,
        facts: &Facts,
    ) -> bool {
        if self.old.is_some() {
            return leaving.iter().any(|range| range.contains(&claim.ordinal))
                && claim.claim.owners.iter().all(|owner| owner == self.uid);
        }
        let pod = format!("{}-{}", change.name, claim.ordinal);
        !self.new.contains(&claim.ordinal)
            && facts.pods.get(&change.namespace, &pod) != Fact::Known(None)
    }
}

impl Rule for StsScaleDownDeletesClaims {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(scaling) = scaling(change, facts).map_err(Unjudged::blind)? else {
            return Ok(());
        };
        if scaling.when_scaled != Policy::Delete || scaling.templates.is_empty() {
            return Ok(());
        }
        let leaving = scaling.leaving();
        if leaving.is_empty() && scaling.old.is_some() {
            return Ok(());
        }
        let templates = scaling.templates.iter().copied();
        let existing = facts.claims_named(&change.namespace, &change.name, templates);
        let mut lost = None;
        let (count, named) = match existing {
            Fact::Known(claims) => {
                let claims: Vec<&str> = claims
                    .iter()
                    .filter(|claim| scaling.takes(&leaving, claim, change, facts))
                    .map(|claim| claim.name)
                    .collect();
                lost = Loss::of(facts, &change.namespace, claims.iter().copied());
                (i64::try_from(claims.len()).unwrap_or(i64::MAX), remedy::listed(&claims))
            }
            Fact::Unknown(needs) if scaling.old.is_none() => return Err(Unjudged::Blind(needs)),
            Fact::Unknown(_) => {
                let pods: i64 = leaving.iter().map(|range| range.end - range.start).sum();
                let templates = i64::try_from(scaling.templates.len()).unwrap_or(i64::MAX);
                let named = named(&scaling.templates, &change.name, &leaving);
                let count = pods.saturating_mul(templates);
                let exist = if count == 1 { "if it exists" } else { "as far as they exist" };
                (count, format!("{named}, {exist}"))
            }
        };
        if count == 0 {
            return Ok(());
        }
        let what = if count == 1 {
            "a claim would be deleted with its pod".to_owned()
        } else {
            format!("{count} claims would be deleted with their pods")
        };
        let (replicas, new) = (size(&scaling.new), &scaling.new);
        let (field, before, after, why) = if let Some(old) = &scaling.old {
            let (field, before, after) = if size(old) == replicas {
                ("/spec/ordinals/start", old.start, new.start)
            } else {
                ("/spec/replicas", size(old), replicas)
            };
            let why = match (&lost, count) {
                (Some(_), _) => {
                    "The controller deletes the claim of each pod that it removes.".to_owned()
                }
                (None, 1) => format!("The controller deletes {named}, and the data in it."),
                (None, _) => format!("The controller deletes {named}, and the data in them."),
            };
            (field, Some(before.to_string()), after, why)
        } else {
            let why = format!(
                "If pods of an earlier set still run beyond the replicas, the controller removes \
                 them, and deletes {named} with the data."
            );
            ("/spec/replicas", None, replicas, why)
        };
        let finding = findings.add(field, format!("{what}, as whenScaled is Delete"));
        if lost.as_ref().is_some_and(|lost| !lost.destroys()) {
            finding.unsure();
        }
        finding
            .loss(lost)
            .values(before.as_deref(), Some(&after.to_string()))
            .why(why)
            .remedy(steps(change, replicas));
        Ok(())
    }
}

fn size(range: &Range<i64>) -> i64 {
    range.end - range.start
}

fn scaling<'c>(change: &'c Change<'_>, facts: &'c Facts) -> Result<Option<Scaling<'c>>, Unjudged> {
    if let Some((old, new)) = change.written_set() {
        return Ok(Some(Scaling {
            old: old.map(StatefulSet::ordinals),
            new: new.ordinals(),
            // The controller acts on the policy of the set that it sees, which is the new one.
            when_scaled: remedy::policy(new.spec.retention.when_scaled()),
            templates: new.template_names()?.collect(),
            uid: old.map_or("", |old| old.metadata.uid.as_str()),
        }));
    }
    let Subject::Scale(pair) = &change.subject else { return Ok(None) };
    let Some((old, new)) = pair.both().filter(|(old, new)| new.replicas < old.replicas) else {
        return Ok(None);
    };
    let needs = || Unjudged::Needs(format!("StatefulSet {}", change.name));
    let set = facts.set(&change.namespace, &change.name).needed()?.ok_or_else(needs)?;
    let range =
        |replicas: i64| set.first_ordinal..set.first_ordinal.saturating_add(replicas.max(0));
    Ok(Some(Scaling {
        old: Some(range(old.replicas)),
        new: range(new.replicas),
        when_scaled: set.when_scaled,
        templates: set.template_names().collect(),
        uid: &set.uid,
    }))
}

/// The claims in words: `data-db-2 to data-db-4`, and what other templates there are.
fn named(templates: &[&str], set: &str, leaving: &[Range<i64>]) -> String {
    const SHOWN: usize = 2;
    let mut words: Vec<String> = templates
        .iter()
        .take(SHOWN)
        .flat_map(|template| {
            leaving.iter().map(move |range| remedy::numbered(&format!("{template}-{set}"), range))
        })
        .collect();
    if templates.len() > SHOWN {
        words.push(format!("those of {} other claim templates", templates.len() - SHOWN));
    }
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

fn steps(change: &Change<'_>, after: i64) -> Vec<super::Step> {
    let place = remedy::manifest_place(change.circumstances.tool);
    let keeper = change.circumstances.tool.keeper().is_some();
    let mut steps = remedy::keep_replicas(change);
    if keeper || change.written_set().is_some() {
        steps.push(remedy::say(format!(
            "set persistentVolumeClaimRetentionPolicy.whenScaled: Retain {place}, together with \
             this change; no pod restarts"
        )));
    } else {
        steps.push(remedy::keep_scaled_claims(change));
        steps.push(remedy::run(
            "scale it again",
            format!(
                "{} scale statefulset {} --replicas={after}",
                remedy::kubectl(change),
                remedy::quoted(&change.name)
            ),
        ));
    }
    steps.push(remedy::say(format!(
        "to delete the data on purpose, annotate the set first with {ALLOW}: \
         sts-scale-down-deletes-claims and allow-reason"
    )));
    steps
}
