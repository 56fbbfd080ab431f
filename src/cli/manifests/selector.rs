//! Requirements on the labels of namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use stateward_core::object::names::{is_label_value, is_qualified_name};

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
    if !is_qualified_name(key) || !value.is_none_or(is_label_value) {
        return Err(format!(
            "\"{text}\" is not KEY=VALUE, KEY!=VALUE, KEY or !KEY with the characters of labels"
        ));
    }
    Ok(requirement(key, operator, value.map(|value| vec![value.to_owned()])))
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
