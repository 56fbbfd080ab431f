//! Lists of resources, such as `requests`, of objects that their authors may have written in any form.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::object::Quantity;

pub(super) type Quantities = Option<BTreeMap<String, Value>>;

/// A quantity is a string, but people write numbers, too.
pub(super) fn quantity(texts: &Quantities, key: &str) -> Option<Quantity> {
    match texts.as_ref()?.get(key)? {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}
