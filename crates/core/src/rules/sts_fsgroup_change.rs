use std::collections::BTreeMap;

use super::{Findings, Judged, NoParams, Rule, Unjudged, remedy, template};
use crate::change::{Change, Operation};
use crate::facts::{Fact, Facts};
use crate::object::pod::PodSpec;
use crate::object::pod_default::ON_ROOT_MISMATCH;
use crate::object::{Quantity, StatefulSet};

declare_rule! {
    /// `securityContext.fsGroup` of the pods is added or changed without
    /// `fsGroupChangePolicy: OnRootMismatch`, or that policy is taken away.
    ///
    /// ## Why
    /// Before a pod starts, Kubernetes changes the group of each file on its volumes to the `fsGroup`.
    /// Without the policy it does so at every start, which takes minutes on a volume with a million
    /// files. Meanwhile the pod hangs in `ContainerCreating`.
    ///
    /// With `OnRootMismatch` it looks at the root folder only and leaves volumes alone that have the
    /// right group. The first start after the change takes the time in either case.
    ///
    /// The rule is silent about sets without claims, and if the volumes of a pod are known to be smaller
    /// than 10Gi together: by default, ext4 has room for one file in 16 KiB, so they hold far fewer than a
    /// million. It does not know whether the driver of the volume sets the group itself.
    ///
    /// ## Way out
    /// Set the policy in the same edit.
    StsFsgroupChange {
        id: "sts-fsgroup-change",
        title: "a changed fsGroup makes every start walk all files of a volume",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes#69699; kubernetes.io/docs/tasks/configure-pod-container/security-context",
    }
}

/// Below so many bytes, a walk takes seconds.
const SMALL: u64 = 10 << 30;

impl Rule for StsFsgroupChange {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        if change.operation != Operation::Update {
            return Ok(());
        }
        let Some(written) = template::written(change)? else { return Ok(()) };
        let Some((_, old)) = written.old else { return Ok(()) };
        let (before, after) =
            (old.security_context.fs_group, written.pod.security_context.fs_group);
        let Some(group) = after.filter(|_| !walks_once(written.pod)) else { return Ok(()) };
        let changed = before != after;
        let has_claims = !written.set.claim_templates()?.is_empty()
            || written.pod.named_claims().next().is_some();
        if !has_claims
            || !changed && !walks_once(old)
            || are_small(change, facts, written.set, written.pod)?
        {
            return Ok(());
        }
        let at = "/spec/template/spec/securityContext";
        let policy = |pod: &PodSpec<'_>| {
            let policy = pod.security_context.fs_group_change_policy.as_deref();
            policy.filter(|policy| !policy.is_empty()).unwrap_or("Always").to_owned()
        };
        let finding = if changed {
            let what = match before {
                Some(before) => {
                    format!("fsGroup would change, {before} → {group}, without {ON_ROOT_MISMATCH}")
                }
                None => format!("fsGroup {group} would be added without {ON_ROOT_MISMATCH}"),
            };
            let finding = findings.add(format!("{at}/fsGroup").as_str(), what);
            finding
                .values(before.map(|group| group.to_string()).as_deref(), Some(&group.to_string()));
            finding
        } else {
            let (before, after) = (policy(old), policy(written.pod));
            let finding = findings.add(
                format!("{at}/fsGroup").as_str(),
                format!("fsGroupChangePolicy would change, {before} → {after}"),
            );
            finding.values(Some(&before), Some(&after));
            finding
        };
        finding
            .why(
                "Each start of a pod would walk all files of its volumes, which takes minutes if there \
                 are a million.",
            )
            .remedy(vec![remedy::amend_template(
                change,
                &format!("set spec.template.spec.securityContext.fsGroupChangePolicy: {ON_ROOT_MISMATCH}"),
            )]);
        Ok(())
    }
}

/// Whether only the first start after a change walks the files.
fn walks_once(pod: &PodSpec<'_>) -> bool {
    pod.security_context.fs_group_change_policy.as_deref() == Some(ON_ROOT_MISMATCH)
}

/// Whether the volumes of a pod together are known to be small. A claim may have grown beyond its template.
fn are_small(
    change: &Change<'_>,
    facts: &Facts,
    set: &StatefulSet<'_>,
    pod: &PodSpec<'_>,
) -> Result<bool, Unjudged> {
    let small = Quantity::from_units(SMALL);
    let templates = set.claim_templates()?.iter();
    let templates = templates.map(|template| template.spec.storage().map(|size| &size.quantity));
    let named = pod.named_claims().map(|(_, _, name)| match facts.claim(&change.namespace, name) {
        Fact::Known(claim) => claim.request.as_ref(),
        Fact::Unknown(_) => None,
    });
    if Quantity::total(templates.chain(named)).is_none_or(|total| total >= small) {
        return Ok(false);
    }
    let claims = facts.claims_named(&change.namespace, &change.name, set.template_names()?);
    let claims = match claims {
        Fact::Known(claims) => claims,
        Fact::Unknown(why) if facts.claims.why_unknown().is_some() => {
            return Err(Unjudged::Needs(why));
        }
        Fact::Unknown(_) => return Ok(true),
    };
    let mut pods: BTreeMap<i64, Vec<Option<&Quantity>>> = BTreeMap::new();
    for one in &claims {
        pods.entry(one.ordinal).or_default().push(one.claim.request.as_ref());
    }
    Ok(pods.into_values().all(|sizes| Quantity::total(sizes).is_some_and(|total| total < small)))
}
