//! What rules read of the objects that act on the pods of a set: Services, disruption budgets,
//! autoscalers and nodes.

use std::collections::BTreeMap;

use crate::object::TextMap;
use crate::object::selector::LabelSelector;
use crate::object::statefulset::IntOrString;

/// What is read of a `HorizontalPodAutoscaler` of a StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoscalerFact {
    /// the set
    pub set: String,
    /// `spec.minReplicas`; 1 if absent
    pub min: i64,
    /// `spec.maxReplicas`
    pub max: i64,
}

/// What is read of a `PodDisruptionBudget`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetFact {
    /// `spec.selector` as JSON; `null` selects nothing
    pub selector: String,
    /// `spec.minAvailable`
    pub min_available: Option<IntOrString>,
    /// `spec.maxUnavailable`
    pub max_unavailable: Option<IntOrString>,
}

impl BudgetFact {
    fn selector(&self) -> Option<LabelSelector<'_>> {
        serde_json::from_str(&self.selector).ok().flatten()
    }

    /// Whether it holds for pods with these labels. An empty selector selects every pod.
    pub fn selects(&self, labels: &TextMap<'_>) -> bool {
        self.selector().is_some_and(|selector| selector.matches(labels))
    }

    /// Whether its limit means the same for the pods that `set` selects as for all that it selects: it is
    /// relative, or selects no others.
    pub fn limits_alone(&self, set: &LabelSelector<'_>) -> bool {
        self.is_relative() || self.is_only_for(set)
    }

    /// Whether it holds for no pods beside those that `set` selects: it asks for every label that the
    /// set asks for.
    pub fn is_only_for(&self, set: &LabelSelector<'_>) -> bool {
        !set.match_labels.is_empty()
            && set.match_expressions.is_empty()
            && self.selector().is_some_and(|own| {
                set.match_labels.iter().all(|(key, value)| own.match_labels.get(key) == Some(value))
            })
    }

    /// How many of `pods` healthy pods may be evicted at once. Percentages are rounded up, as the
    /// disruption controller does. `None` if the budget says nothing that can be read.
    pub fn evictable(&self, pods: i64) -> Option<i64> {
        let number = |number: &IntOrString| match number {
            IntOrString::Number(number) => Some(i64::from(*number)),
            IntOrString::Text(text) => {
                let percent: u32 = text.strip_suffix('%')?.parse().ok()?;
                let hundredfold = pods.max(0).saturating_mul(i64::from(percent));
                Some(hundredfold.saturating_add(99) / 100)
            }
        };
        match (&self.max_unavailable, &self.min_available) {
            (Some(most), _) => Some(number(most)?.clamp(0, pods.max(0))),
            (None, Some(least)) => Some(pods.saturating_sub(number(least)?).max(0)),
            (None, None) => None,
        }
    }

    /// The field that limits evictions, as written.
    pub fn limit(&self) -> String {
        match (&self.max_unavailable, &self.min_available) {
            (Some(most), _) => format!("maxUnavailable {most}"),
            (None, Some(least)) => format!("minAvailable {least}"),
            (None, None) => String::new(),
        }
    }

    /// Whether the limit means the same however many pods there are: a percentage, or 0.
    pub fn is_relative(&self) -> bool {
        match (&self.max_unavailable, &self.min_available) {
            (Some(IntOrString::Number(most)), _) => *most == 0,
            (Some(IntOrString::Text(_)), _) | (None, Some(IntOrString::Text(_))) => true,
            _ => false,
        }
    }
}

/// What is read of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFact {
    /// `clusterIP: None`
    pub headless: bool,
    /// `publishNotReadyAddresses`
    pub publishes_not_ready: bool,
    /// the labels of the pods that it serves; none if somebody else writes its endpoints
    pub selector: BTreeMap<String, String>,
}

impl ServiceFact {
    /// Whether it serves pods with these labels.
    pub fn selects(&self, labels: &TextMap<'_>) -> bool {
        !self.selector.is_empty()
            && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// What is read of a node that takes new pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFact {
    /// its zone; empty if it has none
    pub zone: String,
    /// it takes no pods that do not tolerate a taint of it
    pub tainted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(json: &str) -> TextMap<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn budget(min: Option<&str>, max: Option<&str>) -> BudgetFact {
        let number = |text: &str| serde_json::from_str(text).unwrap();
        BudgetFact {
            selector: "{}".to_owned(),
            min_available: min.map(number),
            max_unavailable: max.map(number),
        }
    }

    #[test]
    fn percentages_of_a_budget_are_rounded_up() {
        assert_eq!(budget(Some("\"50%\""), None).evictable(5), Some(2));
        assert_eq!(budget(None, Some("\"30%\"")).evictable(3), Some(1));
        assert_eq!(budget(None, Some("\"0%\"")).evictable(3), Some(0));
        assert_eq!(budget(Some("\"100%\""), None).evictable(3), Some(0));
        assert_eq!(budget(Some("7"), None).evictable(3), Some(0));
        assert_eq!(budget(None, Some("7")).evictable(3), Some(3));
        assert_eq!(budget(None, Some("-7")).evictable(3), Some(0));
        assert_eq!(budget(None, Some("\"4294967295%\"")).evictable(i64::MAX), Some(i64::MAX / 100));
        assert_eq!(budget(None, Some("\"half\"")).evictable(3), None);
        assert_eq!(budget(None, None).evictable(3), None);
    }

    #[test]
    fn an_empty_selector_of_a_budget_selects_every_pod_and_none_selects_nothing() {
        let pod = labels(r#"{"app":"db"}"#);
        let select = |selector: &str| {
            BudgetFact { selector: selector.to_owned(), ..BudgetFact::default() }.selects(&pod)
        };
        assert!(select("{}") && select(r#"{"matchLabels":{"app":"db"}}"#));
        assert!(!select("null") && !select("") && !select(r#"{"matchLabels":{"app":"web"}}"#));
        assert!(
            !ServiceFact::default().selects(&pod),
            "an empty selector of a Service selects none"
        );
    }
}
