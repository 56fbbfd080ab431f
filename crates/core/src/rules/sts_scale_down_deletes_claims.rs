use std::ops::Range;

use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::{Change, Subject};
use crate::facts::Facts;
use crate::object::DecodeError;
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
    /// A scale shows neither the retention policy nor the claim templates. The rule then needs the
    /// set as a fact, which the webhook has if it watches a cluster. It does not look at claims of
    /// pods that were removed before.
    StsScaleDownDeletesClaims {
        id: "sts-scale-down-deletes-claims",
        title: "a scale-down deletes the claims of the pods that it removes",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update], Scale: [Update]],
        source: "KEP-1847; kubernetes pkg/controller/statefulset/stateful_set_control.go",
    }
}

/// What the rule reads of a set, before and after.
struct Scaling {
    old: Range<i64>,
    new: Range<i64>,
    when_scaled: Policy,
    templates: Vec<String>,
}

impl Rule for StsScaleDownDeletesClaims {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(scaling) = scaling(change, facts)? else { return Ok(()) };
        if scaling.when_scaled != Policy::Delete || scaling.templates.is_empty() {
            return Ok(());
        }
        let leaving = remedy::leaving(&scaling.old, &scaling.new);
        let pods: i64 = leaving.iter().map(|range| range.end - range.start).sum();
        if pods == 0 {
            return Ok(());
        }
        let claims = pods.saturating_mul(scaling.templates.len().try_into().unwrap_or(i64::MAX));
        let what = if claims == 1 {
            "a claim would be deleted with its pod".to_owned()
        } else {
            format!("{claims} claims would be deleted with their pods")
        };
        let (before, after) = (size(&scaling.old), size(&scaling.new));
        let field = if before == after { "/spec/ordinals/start" } else { "/spec/replicas" };
        findings
            .add(field, format!("{what}, as whenScaled is Delete"))
            .values(Some(&before.to_string()), Some(&after.to_string()))
            .why(format!(
                "The controller deletes {}, and the data in them.",
                named(&scaling.templates, &change.name, &leaving)
            ))
            .remedy(steps(change, after));
        Ok(())
    }
}

fn size(range: &Range<i64>) -> i64 {
    range.end - range.start
}

fn scaling(change: &Change<'_>, facts: &Facts) -> Result<Option<Scaling>, super::Unjudged> {
    if let Some((old, new)) = change.updated_set() {
        return Ok(Some(Scaling {
            old: old.ordinals(),
            new: new.ordinals(),
            // The controller acts on the policy of the set that it sees, which is the new one.
            when_scaled: remedy::policy(new.spec.retention.when_scaled()),
            templates: templates(new)?,
        }));
    }
    let Subject::Scale(pair) = &change.subject else { return Ok(None) };
    let Some((old, new)) = pair.both().filter(|(old, new)| new.replicas < old.replicas) else {
        return Ok(None);
    };
    let needs = || super::Unjudged::Needs(format!("StatefulSet {}", change.name));
    let set = facts.set(&change.namespace, &change.name).needed()?.ok_or_else(needs)?;
    let range =
        |replicas: i64| set.first_ordinal..set.first_ordinal.saturating_add(replicas.max(0));
    Ok(Some(Scaling {
        old: range(old.replicas),
        new: range(new.replicas),
        when_scaled: set.when_scaled,
        templates: set.template_names.clone(),
    }))
}

fn templates(set: &crate::object::StatefulSet<'_>) -> Result<Vec<String>, DecodeError> {
    let templates = set.claim_templates()?.iter();
    Ok(templates.map(|template| template.metadata.name.to_string()).collect())
}

/// The claims in words: `data-db-2 to data-db-4`, and what other templates there are.
fn named(templates: &[String], set: &str, leaving: &[Range<i64>]) -> String {
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
    let mut steps = Vec::new();
    if keeper || change.updated_set().is_some() {
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
    steps.push(remedy::say(
        "to delete the data on purpose, annotate the set first with stateward.dev/allow: \
         sts-scale-down-deletes-claims and allow-reason",
    ));
    steps
}
