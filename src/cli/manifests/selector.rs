//! Requirements on the labels of namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

pub(super) fn not_in(key: &str, values: Vec<String>) -> LabelSelectorRequirement {
    requirement(key, "NotIn", Some(values))
}

fn requirement(key: &str, operator: &str, values: Option<Vec<String>>) -> LabelSelectorRequirement {
    LabelSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values }
}

/// Reads `KEY=VALUE`, `KEY!=VALUE`, `KEY` or `!KEY`, as kubectl does.
pub(super) fn parse(text: &str) -> Result<LabelSelectorRequirement, String> {
    let (key, operator, value) = if let Some((key, value)) = text.split_once("!=") {
        (key, "NotIn", Some(value))
    } else if let Some((key, value)) = text.split_once('=') {
        (key, "In", Some(value.strip_prefix('=').unwrap_or(value)))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, "DoesNotExist", None)
    } else {
        (text, "Exists", None)
    };
    let (key, value) = (key.trim(), value.map(str::trim));
    if !is_key(key) || !value.is_none_or(is_value) {
        return Err(format!(
            "\"{text}\" is not KEY=VALUE, KEY!=VALUE, KEY or !KEY with the characters of labels"
        ));
    }
    Ok(requirement(key, operator, value.map(|value| vec![value.to_owned()])))
}

fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').unwrap_or(("a", text));
    !name.is_empty()
        && is_value(name)
        && prefix.split('.').all(super::is_label)
        && prefix.len() <= 253
}

/// Up to 63 letters, digits, dashes, dots and underscores, a letter or digit at both ends.
fn is_value(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && ends(text.chars().next())
        && ends(text.chars().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_requirements() {
        let parsed = |text: &str| {
            parse(text).map(|r| (r.key, r.operator, r.values.unwrap_or_default().concat()))
        };
        let expected = |key: &str, operator: &str, value: &str| {
            Ok((key.to_owned(), operator.to_owned(), value.to_owned()))
        };
        assert_eq!(parsed("team=a"), expected("team", "In", "a"));
        assert_eq!(parsed("team==a"), expected("team", "In", "a"));
        assert_eq!(parsed("x.io/team != a"), expected("x.io/team", "NotIn", "a"));
        assert_eq!(parsed("team"), expected("team", "Exists", ""));
        assert_eq!(parsed("!team"), expected("team", "DoesNotExist", ""));
        assert_eq!(parsed("team="), expected("team", "In", ""));
        for wrong in ["", "=a", "!", "a b", "a=b,c=d", "a in (b)", "/a", "a/", "-a", "a=b-", "X/a"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
