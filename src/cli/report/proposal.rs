//! The policy to enforce next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use stateward_core::rules::{self, Group};

use super::log::Denial;

/// Beyond this many namespaces a rule is left at `warn` everywhere.
const MOST_NAMESPACES: usize = 20;

/// A policy that enforces every rule but where it would have denied something. What Kubernetes
/// itself refuses is enforced everywhere: it is refused in any case.
pub(super) fn policy(denials: &[Denial]) -> String {
    let mut by_rule: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for denial in denials.iter().filter(|denial| denial.is_audited()) {
        let group = rules::by_id(&denial.rule).map(|entry| entry.meta.group);
        if group.is_some_and(|group| group != Group::Refusal) {
            by_rule.entry(&denial.rule).or_default().insert(&denial.namespace);
        }
    }
    let mut text = "version: 1\nmode: enforce\n".to_owned();
    let (wide, narrow): (Vec<_>, Vec<_>) =
        by_rule.into_iter().partition(|(_, namespaces)| namespaces.len() > MOST_NAMESPACES);
    if !wide.is_empty() {
        text.push_str("rules:\n");
        for (rule, namespaces) in wide {
            let _ = writeln!(text, "  # would have denied in {} namespaces", namespaces.len());
            let _ = writeln!(text, "  {rule}: warn");
        }
    }
    // Rules that fired in the same namespaces share a scope.
    let mut scopes: BTreeMap<BTreeSet<&str>, Vec<&str>> = BTreeMap::new();
    for (rule, namespaces) in narrow {
        scopes.entry(namespaces).or_default().push(rule);
    }
    if !scopes.is_empty() {
        text.push_str("scopes:\n");
    }
    for (namespaces, rules) in scopes {
        let namespaces: Vec<String> =
            namespaces.into_iter().map(|name| format!("\"{name}\"")).collect();
        let _ = writeln!(text, "  - match: {{namespaces: [{}]}}", namespaces.join(", "));
        text.push_str("    rules:\n");
        for rule in rules {
            let _ = writeln!(text, "      {rule}: warn");
        }
    }
    text
}
