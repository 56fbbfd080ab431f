//! Errors of a label selector.

use super::{Area, Errors, ValidationError, labels, shown};
use crate::object::Pointer;
use crate::object::names::{is_label_value, is_qualified_name};
use crate::object::selector::LabelSelector;

/// Errors in the terms of a selector.
pub(super) fn selector_terms(
    selector: &LabelSelector<'_>,
    at: &Pointer,
    area: Area,
    subject: &str,
    errors: &mut Errors,
) {
    errors.prefix = format!("{subject}in its selector, ");
    labels(&selector.match_labels, &at.clone().key("matchLabels"), area, errors);
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let at = at.clone().key("matchExpressions").index(index);
        let mut add = |key: &str, value: &str, what: String, instead: &str| {
            let field = at.clone().key(key);
            errors.push(ValidationError {
                area,
                value: Some(value.to_owned()),
                what,
                instead: format!("set {} to {instead}", field.dotted()),
                field,
            });
        };
        let operator = requirement.operator.as_str();
        match operator {
            "In" | "NotIn" if requirement.values.is_empty() => {
                add("values", "", format!("{operator} stands without values"), "some values");
            }
            "Exists" | "DoesNotExist" if !requirement.values.is_empty() => {
                add("values", "", format!("{operator} stands beside values"), "nothing");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => add(
                "operator",
                operator,
                format!("{} is no operator", shown(operator)),
                "In, NotIn, Exists or DoesNotExist",
            ),
        }
        if !is_qualified_name(&requirement.key) {
            let what = format!("{} is no label key", shown(&requirement.key));
            add("key", &requirement.key, what, "a key such as app.kubernetes.io/name");
        }
        for value in requirement.values.iter().filter(|value| !is_label_value(value)) {
            let what = format!("{} is no label value", shown(value));
            add("values", value, what, "letters, digits, '-', '_' and '.'");
        }
    }
    errors.prefix.clear();
}
