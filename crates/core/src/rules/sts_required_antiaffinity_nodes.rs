use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Findings, Judged, NoParams, Rule, autoscaling, remedy};
use crate::change::Change;
use crate::facts::{Facts, NodeFact};
use crate::object::anti_affinity::{HOST, ZONE};
use crate::object::json::{self, Text, null_default};
use crate::object::selector::LabelSelector;
use crate::object::{DecodeError, Pointer, StatefulSet};

declare_rule! {
    /// A set has more replicas than the cluster has nodes or zones for them: its required pod anti-affinity
    /// allows one pod for each.
    ///
    /// ## Why
    /// The pods that find no place stay `Pending`. With the pod management policy `OrderedReady` no later pod
    /// is created, and an update waits for ever.
    ///
    /// The rule counts every node that takes new pods, also nodes that the pods do not tolerate or that are full,
    /// so there may be fewer. If nodes are added on demand, there may be more. It judges a new set, and an edit
    /// of the replicas or the pod template after which this holds, but not a scale, which does not show the
    /// affinity. It needs the nodes, which `--live` and `--facts` give. Beside manifests alone it is silent, and
    /// also about a cluster without nodes.
    ///
    /// ## Way out
    /// Prefer instead of require: `preferredDuringSchedulingIgnoredDuringExecution`.
    StsRequiredAntiaffinityNodes {
        id: "sts-required-antiaffinity-nodes",
        title: "pods that must keep apart find too few nodes or zones",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node#inter-pod-affinity-and-anti-affinity",
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AntiAffinity<'a> {
    #[serde(borrow, deserialize_with = "null_default")]
    required_during_scheduling_ignored_during_execution: Vec<Term<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term<'a> {
    #[serde(borrow)]
    label_selector: Option<LabelSelector<'a>>,
    #[serde(borrow)]
    topology_key: Text<'a>,
    #[serde(borrow, deserialize_with = "null_default")]
    namespaces: Vec<Text<'a>>,
}

impl Rule for StsRequiredAntiaffinityNodes {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.written_set() else { return Ok(()) };
        let pods = autoscaling::least_pods(change, set, facts)?;
        if pods < 2 {
            return Ok(());
        }
        let required = required(change, set)?;
        if required.is_empty() {
            return Ok(());
        }
        let before = match old {
            Some(old) => {
                let pods = autoscaling::least_pods(change, old, facts)?;
                self::required(change, old)?.into_keys().map(|key| (key, pods)).collect()
            }
            None => BTreeMap::new(),
        };
        let nodes = facts.nodes.seen("").needed()?;
        if !nodes.all {
            return Ok(());
        }
        let nodes: Vec<&NodeFact> = nodes.objects.into_iter().map(|(_, node)| node).collect();
        for (key, index) in required {
            let (places, what) = match key {
                HOST => (nodes.len(), "nodes"),
                _ => (zones(&nodes), "zones"),
            };
            let places = i64::try_from(places).unwrap_or(i64::MAX);
            let known = before.get(key).is_some_and(|pods| *pods > places);
            if places == 0 || pods <= places || known {
                continue;
            }
            findings
                .add(
                    Pointer::from("/spec/template/spec/affinity/podAntiAffinity")
                        .key("requiredDuringSchedulingIgnoredDuringExecution")
                        .index(index)
                        .key("topologyKey"),
                    format!("{pods} pods need {pods} {what}, and the cluster has {places}"),
                )
                .values(None, Some(key))
                .why(format!(
                    "The required anti-affinity allows one pod in each of the {what}, so {} of {pods} stay Pending.",
                    pods - places
                ))
                .unsure()
                .remedy(vec![remedy::amend_template(
                    change,
                    "use preferredDuringSchedulingIgnoredDuringExecution, or fewer replicas",
                )]);
        }
        Ok(())
    }
}

fn zones(nodes: &[&NodeFact]) -> usize {
    nodes
        .iter()
        .map(|node| &node.zone)
        .filter(|zone| !zone.is_empty())
        .collect::<BTreeSet<_>>()
        .len()
}

/// The topology keys by which the pods of a set must keep apart from each other, each with its first term.
fn required(
    change: &Change<'_>,
    set: &StatefulSet<'_>,
) -> Result<BTreeMap<&'static str, usize>, DecodeError> {
    let template = set.template()?;
    let Some(raw) = template.spec.pod_anti_affinity() else { return Ok(BTreeMap::new()) };
    let terms: Option<AntiAffinity<'_>> =
        json::decode(raw.get(), "/spec/template/spec/affinity/podAntiAffinity")?;
    let terms = terms.unwrap_or_default().required_during_scheduling_ignored_during_execution;
    let own = |term: &Term<'_>| {
        (term.namespaces.is_empty() || term.namespaces.iter().any(|one| **one == *change.namespace))
            && term
                .label_selector
                .as_ref()
                .is_some_and(|one| one.matches(&template.metadata.labels))
    };
    let own = terms.iter().enumerate().rev().filter(|(_, term)| own(term));
    let keys = own.filter_map(|(index, term)| {
        let key = match term.topology_key.as_str() {
            HOST => HOST,
            ZONE => ZONE,
            _ => return None,
        };
        Some((key, index))
    });
    Ok(keys.collect())
}
