//! What the pods of sets tell: where they run, and which of them do not start.

use std::collections::{BTreeMap, BTreeSet};

use stateward_core::facts::{Fact, Facts, PodFact, SetFact};
use stateward_core::object::TextMap;
use stateward_core::object::names::stem_and_ordinal;
use stateward_core::object::selector::LabelSelector;
use stateward_core::rules::remedy::{quoted, run, say};
use stateward_core::text::listed;

use super::{Auditor, SET, checks};

/// Where pods run.
pub(super) struct Pods<'f> {
    /// by namespace and name of their set
    of_sets: BTreeMap<(&'f str, &'f str), Vec<(&'f str, &'f PodFact)>>,
    /// the zones of all nodes
    zones: BTreeSet<&'f str>,
}

impl<'f> Pods<'f> {
    pub(super) fn new(facts: &'f Facts) -> Self {
        let mut pods: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (namespace, name, pod) in facts.pods.iter().filter(|(.., pod)| pod.of_a_set) {
            if let Some((set, _)) = stem_and_ordinal(name) {
                pods.entry((namespace, set)).or_default().push((name, pod));
            }
        }
        let zones = facts.nodes.iter().map(|(.., node)| node.zone.as_str()).collect();
        Self { of_sets: pods, zones }
    }

    fn of<'s>(&'s self, namespace: &'s str, set: &'s str) -> &'s [(&'s str, &'s PodFact)] {
        self.of_sets.get(&(namespace, set)).map_or(&[], Vec::as_slice)
    }
}

impl Auditor<'_> {
    /// Pods that do not start, that share a node or a zone, and budgets that allow no eviction.
    pub(super) fn running(&mut self, namespace: &str, name: &str, set: &SetFact, pods: &Pods<'_>) {
        let (all_zones, pods) = (pods.zones.len(), pods.of(namespace, name));
        self.broken(namespace, name, set, pods);
        self.together(namespace, name, pods, all_zones);
        self.undrainable(namespace, name, set);
    }

    /// A controller that updates pods one after another waits for the broken one, and a template that mends
    /// it never reaches it (kubernetes#67250).
    fn broken(&mut self, namespace: &str, name: &str, set: &SetFact, pods: &[(&str, &PodFact)]) {
        let broken = pods.iter().filter_map(|(pod, fact)| Some((*pod, fact.broken?)));
        let (names, reasons): (Vec<&str>, Vec<_>) = broken.unzip();
        let Some(first) = reasons.first() else { return };
        let does = if names.len() == 1 { "does" } else { "do" };
        let mut message = format!("{} {does} not start ({})", listed(&names), first);
        let kubectl = format!("kubectl -n {}", quoted(namespace));
        let quoted: Vec<String> = names.iter().take(5).map(|name| quoted(name)).collect();
        let step = if set.ordered {
            message.push_str(", and the controller updates no other pod until it does");
            run(
                "correct the pod template, then delete the pod: the controller does not update a pod that does not \
                 start",
                format!("{kubectl} delete pod {}", quoted.join(" ")),
            )
        } else {
            run("see why", format!("{kubectl} describe pod {}", quoted.join(" ")))
        };
        self.add(checks::DOES_NOT_START, (SET, namespace, name), message, Some(step));
    }

    /// All replicas on one node or in one zone, where there are others.
    fn together(
        &mut self,
        namespace: &str,
        name: &str,
        pods: &[(&str, &PodFact)],
        all_zones: usize,
    ) {
        let nodes: BTreeSet<&str> = pods.iter().map(|(_, pod)| pod.node.as_str()).collect();
        if pods.len() < 2 || nodes.contains("") || !self.facts.nodes.are_all() {
            return;
        }
        let step = say("spread the pods with anti-affinity or topologySpreadConstraints");
        let object = (SET, namespace, name);
        let count = pods.len();
        if nodes.len() == 1 && self.facts.nodes.iter().nth(1).is_some() {
            let node = nodes.first().copied().unwrap_or_default();
            let message = format!("all {count} pods run on node {node}");
            self.add(checks::ONE_NODE, object, message, Some(step));
            return;
        }
        let zone = |node: &&str| match self.facts.nodes.get("", node) {
            Fact::Known(Some(node)) => Some(node.zone.as_str()),
            Fact::Known(None) | Fact::Unknown(_) => None,
        };
        let zones: Option<BTreeSet<&str>> = nodes.iter().map(zone).collect();
        if let Some(zones) = zones.filter(|zones| zones.len() == 1 && all_zones > 1) {
            let zone = zones.first().copied().unwrap_or_default();
            if !zone.is_empty() {
                let message = format!("all {count} pods run in zone {zone}");
                self.add(checks::ONE_ZONE, object, message, Some(step));
            }
        }
    }

    /// A budget that allows no eviction stops each drain of a node.
    fn undrainable(&mut self, namespace: &str, name: &str, set: &SetFact) {
        let Ok(selector) = serde_json::from_str::<LabelSelector<'_>>(&set.selector) else { return };
        if set.replicas < 1 || selector.match_labels.is_empty() {
            return;
        }
        // Its pods have at least the labels that the set selects them by.
        let labels: &TextMap<'_> = &selector.match_labels;
        let Some(budgets) = self.budgets.get(namespace) else { return };
        let blocking: Vec<(&str, String)> = budgets
            .iter()
            .filter(|(_, budget)| {
                budget.selects(labels)
                    && budget.limits_alone(&selector)
                    && budget.evictable(set.replicas) == Some(0)
            })
            .map(|(budget, fact)| (*budget, fact.limit()))
            .collect();
        for (budget, limit) in blocking {
            let message = format!(
                "PodDisruptionBudget {budget} ({limit}) allows no eviction, so a drain never ends"
            );
            let step = if set.replicas == 1 {
                say(format!(
                    "set maxUnavailable: 1 in PodDisruptionBudget {budget} if its only pod may stop for a drain"
                ))
            } else {
                let patch = r#"{"spec":{"minAvailable":null,"maxUnavailable":1}}"#;
                let (namespace, budget) = (quoted(namespace), quoted(budget));
                let patch =
                    format!("kubectl -n {namespace} patch pdb {budget} --type merge -p '{patch}'");
                run("allow one eviction at a time", patch)
            };
            self.add(checks::BLOCKS_DRAIN, (SET, namespace, name), message, Some(step));
        }
    }
}
