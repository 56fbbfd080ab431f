use std::collections::BTreeSet;

use serde_json::Value;

use super::{Findings, Judged, NoParams, Rule, remedy, set_claims};
use crate::change::Change;
use crate::facts::{Fact, Facts};
use crate::object::anti_affinity::ZONE;
use crate::object::pod::PodSpec;

declare_rule! {
    /// The pods of a set are bound to zones in which the volumes of their claims cannot be used, by a node
    /// selector or a required node affinity. The rule judges an edit of the pod template, and a new set that
    /// takes over claims.
    ///
    /// ## Why
    /// A zonal volume stays in its zone. The pod is deleted by the update, and its successor finds no node: it
    /// stays `Pending` with a volume node affinity conflict.
    ///
    /// The rule reads the label `topology.kubernetes.io/zone`, and in volumes also those of the drivers of large
    /// clouds. It needs the claims and the volumes, which the webhook has if it watches a cluster, and
    /// `check` from `--live` or `--facts`.
    ///
    /// ## Way out
    /// Keep the zone of the volumes. To move the data, add a member in the other zone and let the database copy
    /// it, or restore a snapshot there.
    StsZoneMove {
        id: "sts-zone-move",
        title: "pods are bound to a zone that is not that of their volumes",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/setup/best-practices/multiple-zones#storage-access-for-zones",
    }
}

impl Rule for StsZoneMove {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        if old.is_some_and(|old| old.spec.template.same_bytes(&set.spec.template)) {
            return Ok(());
        }
        let Some(wanted) = zones(&set.template()?.spec) else { return Ok(()) };
        let before = match old {
            Some(old) => zones(&old.template()?.spec),
            None => None,
        };
        if before.as_ref().is_some_and(|before| before.is_subset(&wanted)) {
            return Ok(());
        }
        let mut stranded = Vec::new();
        let mut found = BTreeSet::new();
        for existing in set_claims::existing(change, set, facts)? {
            let volume = existing.claim.volume.as_str();
            if volume.is_empty() {
                continue;
            }
            let volume = match facts.volumes.get("", volume) {
                Fact::Known(Some(volume)) => volume,
                Fact::Known(None) => continue,
                Fact::Unknown(why) => return Err(super::Unjudged::Needs(why)),
            };
            let zones = &volume.zones;
            if !zones.is_empty() && !zones.iter().any(|zone| wanted.contains(zone)) {
                stranded.push(existing.name);
                found.extend(zones.iter().map(String::as_str));
            }
        }
        if stranded.is_empty() {
            return Ok(());
        }
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let found: Vec<&str> = found.into_iter().collect();
        let (wanted, found) = (remedy::listed(&wanted), remedy::listed(&found));
        findings
            .add(
                "/spec/template/spec",
                format!("pods would move to {wanted}, and volumes stay in {found}"),
            )
            .values(Some(&found), Some(&wanted))
            .why(format!(
                "Only nodes in {found} can use the volumes of {}, so their pods stay Pending.",
                remedy::listed(&stranded)
            ))
            .remedy(vec![
                remedy::amend(change, &format!("let the pods run in {found} as well")),
                remedy::say(
                    "to move the data, let the database copy it to members in the other zone",
                ),
            ]);
        Ok(())
    }
}

/// The zones in which the pods may run, if they are bound to any.
fn zones(pod: &PodSpec<'_>) -> Option<BTreeSet<String>> {
    if let Some(zone) = pod.node_selector.get(ZONE) {
        return Some([zone.to_owned()].into());
    }
    let affinity = pod.affinity.as_ref()?.node_affinity?;
    let affinity: Value = serde_json::from_str(affinity.get()).ok()?;
    let terms = affinity
        .pointer("/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms")?
        .as_array()?;
    let mut zones = BTreeSet::new();
    for term in terms {
        // A term without a zone allows every zone.
        let mut expressions = term["matchExpressions"].as_array()?.iter();
        let zone = expressions.find(|one| one["key"] == ZONE && one["operator"] == "In")?;
        zones
            .extend(zone["values"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    (!zones.is_empty()).then_some(zones)
}
