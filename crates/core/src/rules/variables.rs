//! The environment of a container, as `$(NAME)` in its fields refers to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::object::pod::Container;

/// Stands before a value that is not known. No path holds it.
const UNKNOWN: &str = "\0";

/// How many bytes the values of one pod may take beside its own text. References multiply: thirty
/// variables that each name another twice would be a gigabyte.
pub(super) const BUDGET: usize = 1 << 20;

/// The variables of a container with their values.
#[derive(Debug)]
pub(super) struct Variables<'c> {
    values: BTreeMap<&'c str, Cow<'c, str>>,
    /// what is left of [`BUDGET`]; `None` if something needed more
    pub(super) left: Option<usize>,
}

impl<'c> Variables<'c> {
    /// Variables refer to those before them, and a later one of the same name wins.
    pub(super) fn of(container: &'c Container<'_>, left: Option<usize>) -> Self {
        let mut variables = Self { values: BTreeMap::new(), left };
        for variable in &container.env {
            let value = match (variable.value.as_deref(), variable.value_from) {
                (Some(value), None) => variables.expand(value),
                (_, Some(source)) => Cow::Owned(unknown(source)),
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

    /// Takes so many bytes of the budget, if they are left.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        self.left = self.left.and_then(|left| left.checked_sub(bytes));
        self.left.is_some()
    }

    /// Adds the value of a variable to `expanded`, or `reference` marked as unknown.
    fn write(&mut self, name: &str, reference: &str, expanded: &mut String) {
        let bytes = self.values.get(name).map(|value| value.len());
        let is_known = bytes.is_some_and(|bytes| self.take(bytes));
        match self.values.get(name).filter(|_| is_known) {
            Some(value) => expanded.push_str(value),
            None => expanded.extend([UNKNOWN, reference]),
        }
    }

    /// A script with `$NAME`, `${NAME}` and `${NAME:-default}` expanded as a shell does.
    pub(super) fn expand_script<'t>(&mut self, script: &'t str) -> Cow<'t, str> {
        if !script.contains('$') {
            return Cow::Borrowed(script);
        }
        let mut expanded = String::new();
        let mut rest = script;
        let mut braces = Ends::new('{', '}');
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let braces = braces.inner(after);
            let (inner, after) = braces.unwrap_or_else(|| {
                let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
            });
            let (name, default) = inner.split_once(":-").unwrap_or((inner, ""));
            if default.is_empty() || self.values.contains_key(name) {
                self.write(name, inner, &mut expanded);
            } else {
                expanded.push_str(default);
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
        let mut parentheses = Ends::new('(', ')');
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = after;
            let reference = parentheses.inner(after);
            if let Some(escaped) = after.strip_prefix('$') {
                expanded.push('$');
                rest = escaped;
            } else if let Some((name, after)) = reference {
                rest = after;
                self.write(name, name, &mut expanded);
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        Cow::Owned(expanded)
    }
}

/// Finds the text between a pair of brackets. Where one search found no closing bracket, later ones
/// cannot find one either and are skipped: a hostile text opens a bracket in every second byte.
struct Ends {
    open: char,
    close: char,
    closes: bool,
}

impl Ends {
    const fn new(open: char, close: char) -> Self {
        Self { open, close, closes: true }
    }

    /// The text between the brackets that `text` begins with, and the rest after them.
    fn inner<'t>(&mut self, text: &'t str) -> Option<(&'t str, &'t str)> {
        let inner = text.strip_prefix(self.open).filter(|_| self.closes)?;
        let parts = inner.split_once(self.close);
        self.closes = parts.is_some();
        parts
    }
}

/// A value that comes from elsewhere: its source, by which two unknown values are taken for equal.
/// The API server adds the version to a `fieldRef`.
fn unknown(source: &RawValue) -> String {
    type Fields<'j> = BTreeMap<String, &'j RawValue>;
    let kinds: Fields<'_> = serde_json::from_str(source.get()).unwrap_or_default();
    let mut text = format!("{UNKNOWN}{{");
    for (kind, source) in kinds {
        let fields: Fields<'_> = serde_json::from_str(source.get()).unwrap_or_default();
        text.push_str(&kind);
        for (field, value) in fields.iter().filter(|(field, _)| *field != "apiVersion") {
            text.extend([" ", field, ":", value.get()]);
        }
        text.push('}');
    }
    text
}

/// Whether a value holds one that comes from a `ConfigMap`, a Secret or a field of the pod.
pub(super) fn comes_from_elsewhere(value: &str) -> bool {
    value.split(UNKNOWN).skip(1).any(|rest| rest.starts_with('{'))
}

/// The sources outside the manifest that a value is made of.
pub(super) fn sources(value: &str) -> impl Iterator<Item = &str> {
    let unknown = value.split(UNKNOWN).skip(1).filter(|rest| rest.starts_with('{'));
    unknown.map(|rest| rest.split_inclusive('}').next().unwrap_or_default())
}

/// A value for people, with what is not known as it was written down here.
pub(super) fn readable(value: &str) -> String {
    value.replace(UNKNOWN, "")
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
        Variables::of(&container, Some(BUDGET)).expand(text).into_owned()
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
        let mut variables = Variables::of(&container, Some(BUDGET));
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
