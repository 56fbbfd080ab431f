//! The environment of a container, as `$(NAME)` in its fields refers to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::object::pod::Container;

/// Stands before a value that is not known. No path holds it.
const UNKNOWN: char = '\0';

/// How many bytes the expansions of one pod may add up to. References multiply: thirty variables
/// that each name another twice would be a gigabyte.
pub(super) const BUDGET: usize = 1 << 18;

/// The variables of a container with their values.
#[derive(Debug)]
pub(super) struct Variables<'c> {
    values: BTreeMap<&'c str, Cow<'c, str>>,
    /// what is left of [`BUDGET`]
    pub(super) left: usize,
}

impl<'c> Variables<'c> {
    /// Variables refer to those before them, and a later one of the same name wins.
    pub(super) fn of(container: &'c Container<'_>, left: usize) -> Self {
        let mut variables = Self { values: BTreeMap::new(), left };
        for variable in &container.env {
            let value = match (variable.value.as_deref(), variable.value_from) {
                (Some(value), None) => variables.expand(value),
                (_, Some(source)) => Cow::Owned(format!("{UNKNOWN}{}", plain(source))),
                (None, None) => Cow::Borrowed(""),
            };
            variables.values.insert(variable.name.as_str(), value);
        }
        variables
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&Cow<'c, str>> {
        self.values.get(name)
    }

    /// A script with `$NAME`, `${NAME}` and `${NAME:-default}` expanded as a shell does.
    pub(super) fn expand_script<'t>(&mut self, script: &'t str) -> Cow<'t, str> {
        if !script.contains('$') {
            return Cow::Borrowed(script);
        }
        let mut expanded = String::new();
        let mut rest = script;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let braces = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            let (inner, after) = braces.unwrap_or_else(|| {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
            });
            let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
            match self.values.get(name) {
                Some(value) if value.len() <= self.left => {
                    self.left -= value.len();
                    expanded.push_str(value);
                }
                None if !default.is_empty() => expanded.push_str(default),
                _ => {
                    expanded.push(UNKNOWN);
                    expanded.push_str(inner);
                }
            }
            rest = after;
        }
        expanded.push_str(rest);
        Cow::Owned(expanded)
    }

    /// `text` with its references expanded as the kubelet does. A reference to an unknown variable
    /// stays, marked as such.
    pub(super) fn expand<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        if !text.contains('$') {
            return Cow::Borrowed(text);
        }
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = after;
            let reference = after.strip_prefix('(').and_then(|name| name.split_once(')'));
            if let Some(escaped) = after.strip_prefix('$') {
                expanded.push('$');
                rest = escaped;
            } else if let Some((name, after)) = reference {
                rest = after;
                match self.values.get(name) {
                    Some(value) if value.len() <= self.left => {
                        self.left -= value.len();
                        expanded.push_str(value);
                    }
                    _ => {
                        expanded.push(UNKNOWN);
                        expanded.push_str(name);
                    }
                }
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        Cow::Owned(expanded)
    }
}

/// The source of a value, by which two unknown values are taken for equal. The API server adds the
/// version to a `fieldRef`.
fn plain(source: &RawValue) -> String {
    let mut value: Value = serde_json::from_str(source.get()).unwrap_or_default();
    if let Some(field) = value.get_mut("fieldRef").and_then(Value::as_object_mut) {
        field.remove("apiVersion");
    }
    value.to_string()
}

/// Whether a value holds one that comes from a `ConfigMap`, a Secret or a field of the pod.
pub(super) fn comes_from_elsewhere(value: &str) -> bool {
    value.split(UNKNOWN).skip(1).any(|rest| rest.starts_with('{'))
}

/// Whether a value holds something that is not known.
pub(super) fn is_unknown(value: &str) -> bool {
    value.contains(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(env: &str, text: &str) -> String {
        let container: Container<'_> =
            serde_json::from_str(env).unwrap_or_else(|error| panic!("{error}"));
        Variables::of(&container, BUDGET).expand(text).into_owned()
    }

    #[test]
    fn references_are_expanded_in_order() {
        let env = r#"{"env":[{"name":"A","value":"a"},{"name":"B","value":"$(A)/b"},
                             {"name":"A","value":"z"},{"name":"C","value":"$(D)"},
                             {"name":"D","value":"d"}]}"#;
        assert_eq!(expand(env, "/$(B)/$(A)"), "/a/b/z");
        assert_eq!(expand(env, "$$(A) $A ${A} $(A $"), "$(A) $A ${A} $(A $");
        assert!(is_unknown(&expand(env, "$(C)")), "C refers to a later variable");
        assert!(is_unknown(&expand(env, "$(nowhere)")));
    }

    #[test]
    fn scripts_are_expanded_as_by_a_shell() {
        let container: Container<'_> =
            serde_json::from_str(r#"{"env":[{"name":"A","value":"/a"}]}"#).unwrap();
        let mut variables = Variables::of(&container, BUDGET);
        assert_eq!(variables.expand_script("x $A/b ${A} ${A:-/c} ${B:-/d}"), "x /a/b /a /a /d");
        assert!(is_unknown(&variables.expand_script("$B/x")));
        assert!(is_unknown(&variables.expand_script("$")));
    }

    #[test]
    fn a_value_from_elsewhere_is_unknown_and_equal_to_itself() {
        let env = |field: &str| {
            format!(
                r#"{{"env":[{{"name":"P","valueFrom":{{"fieldRef":{{"fieldPath":"{field}"}}}}}}]}}"#
            )
        };
        let name = expand(&env("metadata.name"), "$(P)");
        assert!(is_unknown(&name));
        assert_eq!(name, expand(&env("metadata.name"), "$(P)"));
        assert_ne!(name, expand(&env("metadata.uid"), "$(P)"));
    }

    #[test]
    fn references_that_multiply_are_bounded() {
        let mut env = vec![r#"{"name":"V0","value":"xxxxxxxx"}"#.to_owned()];
        env.extend((1..40).map(|i| {
            let before = i - 1;
            format!(r#"{{"name":"V{i}","value":"$(V{before})$(V{before})"}}"#)
        }));
        let container = format!(r#"{{"env":[{}]}}"#, env.join(","));
        assert!(expand(&container, "$(V39)").len() <= 2 * BUDGET);
    }
}
