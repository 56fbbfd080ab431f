//! Variables that Flux or envsubst replace before a manifest is applied: `${NAME:=default}` is judged
//! as its default.

use serde_json::Value;
use stateward_core::yaml::Document;

/// Puts the default in the place of every variable that has one.
pub(crate) fn resolve(document: &mut Document) {
    if !may_have_default(&document.json) {
        return;
    }
    let Ok(mut object) = serde_json::from_str::<Value>(&document.json) else { return };
    resolve_in(&mut object);
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    document.name = text("name");
    document.namespace = text("namespace");
    document.generate_name = text("generateName");
    document.json = object.to_string();
}

/// Whether JSON may hold a variable with a default. Shell scripts in manifests are full of variables
/// without one, and need not be read.
fn may_have_default(json: &str) -> bool {
    json.match_indices("${").any(|(at, _)| {
        let name = json[at + 2..].trim_start_matches(is_of_name);
        // An escape may stand for anything.
        name.strip_prefix(':').unwrap_or(name).starts_with(['=', '-', '\\'])
    })
}

const fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Defaults within defaults are resolved to this depth.
const NESTED: usize = 8;

/// Whether the text is a variable, or holds one.
pub(crate) fn is_in(text: &str) -> bool {
    text.contains("${")
}

fn resolve_in(value: &mut Value) {
    match value {
        // A default may hold a variable, which is resolved first.
        Value::String(text) if is_in(text) => {
            for _ in 0..NESTED {
                let inner = resolved(text);
                if inner == *text {
                    break;
                }
                *text = inner;
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(resolve_in),
        Value::Object(members) => members.values_mut().for_each(resolve_in),
        _ => {}
    }
}

/// The text with defaults. What has none stays as it is, as does `$${`, which stands for `${`.
fn resolved(text: &str) -> String {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let escaped = rest[..at].ends_with('$');
        resolved.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = closing(rest);
        let default = end.filter(|_| !escaped).and_then(|end| default(&rest[2..end]));
        let end = if let Some((default, end)) = default.zip(end) {
            resolved.push_str(default);
            end + 1
        } else {
            resolved.push_str("${");
            2
        };
        rest = &rest[end..];
    }
    resolved.push_str(rest);
    resolved
}

/// The place of the brace that closes the one of a text that begins with `${`.
fn closing(text: &str) -> Option<usize> {
    text.find(['}', '\n']).filter(|at| text.as_bytes()[*at] == b'}')
}

/// `d` of `NAME:=d`, `NAME:-d`, `NAME=d` and `NAME-d`, unless another variable is in it.
fn default(variable: &str) -> Option<&str> {
    let end = variable.find(|c| !is_of_name(c)).filter(|end| *end > 0)?;
    let operator = &variable[end..];
    let operator = operator.strip_prefix(':').unwrap_or(operator);
    let default = operator.strip_prefix(['=', '-'])?;
    (!is_in(default)).then_some(default)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{may_have_default, resolve_in};

    #[test]
    fn a_variable_is_judged_as_its_default() {
        for (text, expected) in [
            ("${SIZE:=10Gi}", "10Gi"),
            ("${SIZE:-10Gi}", "10Gi"),
            ("${SIZE=10Gi}", "10Gi"),
            ("${SIZE-10Gi}", "10Gi"),
            ("${N:-}", ""),
            ("a-${X:=b}-${Y:=c}d", "a-b-cd"),
            ("${SIZE}", "${SIZE}"),
            ("${SIZE} ${N:=3}", "${SIZE} 3"),
            ("$${N:=3}", "$${N:=3}"),
            ("${N:?missing}", "${N:?missing}"),
            ("${N:0:3}", "${N:0:3}"),
            ("${N:=", "${N:="),
            ("${:=3}", "${:=3}"),
            ("${A:-${B:-c}}", "c"),
            ("${A:=${B}}", "${A:=${B}}"),
            ("${ä:=3}", "${ä:=3}"),
        ] {
            let mut value = Value::from(text);
            assert!(value == expected || may_have_default(&value.to_string()), "{text}");
            resolve_in(&mut value);
            assert_eq!(value, expected, "{text}");
        }
    }
}
