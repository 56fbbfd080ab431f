//! The policy to enforce next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use stateward_core::rules::{self, Group};

use super::log::Denial;

/// Beyond this many namespaces a rule is left at `warn` everywhere.
const MOST_NAMESPACES: usize = 20;

/// What to propose, per rule and per scope.
#[derive(Debug, Default, PartialEq, Eq)]
struct Proposal<'d> {
    /// rules that warn everywhere, each with the number of namespaces
    wide: Vec<(&'d str, usize)>,
    /// rules that warn in some namespaces; rules with the same namespaces share a scope
    scopes: BTreeMap<BTreeSet<&'d str>, Vec<&'d str>>,
}

fn proposal(denials: &[Denial]) -> Proposal<'_> {
    let mut by_rule: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for denial in denials.iter().filter(|denial| denial.is_audited()) {
        let group = rules::by_id(&denial.rule).map(|entry| entry.meta.group);
        if group.is_some_and(|group| group != Group::Refusal) {
            by_rule.entry(&denial.rule).or_default().insert(&denial.namespace);
        }
    }
    let mut found = Proposal::default();
    for (rule, namespaces) in by_rule {
        if namespaces.len() > MOST_NAMESPACES {
            found.wide.push((rule, namespaces.len()));
        } else {
            found.scopes.entry(namespaces).or_default().push(rule);
        }
    }
    found
}

/// A policy that enforces every rule but where it would have denied something. What Kubernetes
/// itself refuses is enforced everywhere: it is refused in any case.
pub(super) fn policy(denials: &[Denial]) -> String {
    let Proposal { wide, scopes } = proposal(denials);
    let mut text = "version: 1\nmode: enforce\n".to_owned();
    if !wide.is_empty() {
        text.push_str("rules:\n");
        for (rule, namespaces) in wide {
            let _ = writeln!(text, "  # would have denied in {namespaces} namespaces");
            let _ = writeln!(text, "  {rule}: warn");
        }
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

/// The running policy, in force, with what it would have denied at `warn`. Everything else of it stays.
pub(super) fn policy_on(current: &Value, denials: &[Denial]) -> Value {
    let Proposal { wide, scopes } = proposal(denials);
    let mut policy = current.clone();
    policy["mode"] = "enforce".into();
    for (rule, _) in &wide {
        relax(&mut policy["rules"][*rule]);
    }
    // A rule that warns everywhere warns in the scopes of this file, too.
    for scope in policy["scopes"].as_array_mut().into_iter().flatten() {
        let Some(rules) = scope.get_mut("rules").and_then(Value::as_object_mut) else { continue };
        for (rule, _) in &wide {
            rules.get_mut(*rule).into_iter().for_each(relax);
        }
    }
    let mut added = Vec::new();
    for (namespaces, rules) in scopes {
        let rules: Map<String, Value> =
            rules.into_iter().map(|rule| (rule.to_owned(), "warn".into())).collect();
        added.push(json!({"match": {"namespaces": namespaces}, "rules": rules}));
    }
    if !added.is_empty() {
        match policy["scopes"].as_array_mut() {
            // The last match wins.
            Some(scopes) => scopes.extend(added),
            None => policy["scopes"] = added.into(),
        }
    }
    policy
}

/// Sets the action to `warn`, and keeps parameters.
fn relax(setting: &mut Value) {
    match setting.as_object_mut() {
        Some(setting) => {
            setting.insert("action".to_owned(), "warn".into());
        }
        None => *setting = "warn".into(),
    }
}
