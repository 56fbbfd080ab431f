//! One side of a pair: its values, and where they are in their files.

use std::cell::OnceCell;

use serde_json::Value;
use stateward_core::object::compare::plain;
use stateward_core::object::{DecodeError, Pointer, Quantity};
use stateward_core::rules::Step;
use stateward_core::rules::remedy::say;
use stateward_core::text::cut;
use stateward_core::yaml::Document;

use crate::report::{Excerpt, Place};

/// The longest value that a report holds, in bytes.
const VALUE: usize = 1024;

/// One side of a pair.
pub(super) struct Side<'a> {
    pub(super) document: &'a Document,
    /// read when a value is first asked for
    object: OnceCell<Value>,
}

impl<'a> Side<'a> {
    pub(super) const fn new(document: &'a Document) -> Self {
        Self { document, object: OnceCell::new() }
    }

    pub(super) fn value(&self, field: &Pointer) -> Option<&Value> {
        let object = || serde_json::from_str(&self.document.json).unwrap_or(Value::Null);
        self.object.get_or_init(object).pointer(field.as_str())
    }

    /// The place of a field. `value` is what the rule says of it, if it says more than the field
    /// does.
    pub(super) fn place(&self, field: &Pointer, value: Option<String>) -> Place {
        let document = self.document;
        let location = document.locate_head(field);
        let value = value.or_else(|| self.value(field).filter(|value| is_scalar(value)).map(plain));
        let value = value.map(|value| cut(value, VALUE));
        let excerpt = Excerpt::new(document.source(), location.span.start, value.as_deref());
        Place {
            value,
            missing: location.missing.map(|missing| cut(missing, VALUE)),
            file: document.file.to_string(),
            line: location.line,
            column: location.column,
            template: document.template.clone(),
            excerpt,
        }
    }

    /// How to write a size that is none, if it is plain what was meant.
    pub(super) fn meant(&self, error: &DecodeError) -> Option<Step> {
        let text = self.value(&error.field)?.as_str()?;
        if !error.message.contains("is not a quantity") {
            return None;
        }
        let meant = Quantity::meant(text)?;
        Some(say(format!("set {} to {meant}", error.field.dotted())))
    }
}

const fn is_scalar(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_))
}
