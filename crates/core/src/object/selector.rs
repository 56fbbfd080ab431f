//! Label selectors.

use std::fmt;

use serde::Deserialize;

use super::json::{Text, TextMap, null_default};

/// `matchLabels` and `matchExpressions`, all of which must hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector<'a> {
    /// pairs that must be there
    #[serde(borrow)]
    pub match_labels: TextMap<'a>,
    /// further requirements
    #[serde(borrow, deserialize_with = "null_default")]
    pub match_expressions: Vec<Requirement<'a>>,
}

/// One of `matchExpressions`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Requirement<'a> {
    /// the label
    #[serde(borrow)]
    pub key: Text<'a>,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`
    #[serde(borrow)]
    pub operator: Text<'a>,
    /// the values of `In` and `NotIn`
    #[serde(borrow, deserialize_with = "null_default")]
    pub values: Vec<Text<'a>>,
}

impl LabelSelector<'_> {
    /// Whether it asks for nothing, which the API server refuses for a StatefulSet.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// Whether `labels` fulfil every requirement.
    pub fn matches(&self, labels: &TextMap<'_>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                let listed = || requirement.values.iter().any(|v| Some(v.as_str()) == value);
                match requirement.operator.as_str() {
                    "In" => value.is_some() && listed(),
                    "NotIn" => !listed(),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}

impl fmt::Display for LabelSelector<'_> {
    /// The selector as `kubectl get -l` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms: Vec<String> =
            self.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for Requirement { key, operator, values } in &self.match_expressions {
            let list = values.iter().map(Text::as_str).collect::<Vec<_>>().join(",");
            terms.push(match operator.as_str() {
                "In" => format!("{key} in ({list})"),
                "NotIn" => format!("{key} notin ({list})"),
                "Exists" => key.to_string(),
                _ => format!("!{key}"),
            });
        }
        f.write_str(&terms.join(","))
    }
}
