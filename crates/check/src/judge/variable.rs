//! Fields with a variable that Flux or envsubst has yet to replace.

use stateward_core::object::Pointer;
use stateward_core::yaml::Document;

use super::Judgement;
use super::side::Side;
use crate::report::{NotJudged, ObjectRef};
use crate::variables;

/// A field with a variable, and the manifest in which it is.
#[derive(Debug)]
pub(super) struct Variable {
    text: String,
    field: String,
    file: String,
    line: usize,
    template: Option<String>,
}

impl Variable {
    /// The variable that is in a field of a side, if any.
    pub(super) fn at(side: Option<&Side<'_>>, field: &Pointer) -> Option<Self> {
        let side = side.filter(|side| variables::is_in(&side.document.json))?;
        let text = side.value(field)?.as_str().filter(|text| variables::is_in(text))?;
        let document = side.document;
        Some(Self {
            text: text.to_owned(),
            field: field.dotted(),
            file: document.file.to_string(),
            line: document.locate_head(field).line,
            template: document.template.clone(),
        })
    }
}

impl Judgement {
    pub(super) fn add_variable(&mut self, variable: Variable) {
        if self.variables.iter().all(|known| known.field != variable.field) {
            self.variables.push(variable);
        }
    }

    /// Says once what has to be known of the object: rendering replaces all variables.
    pub(super) fn say_variables(&mut self, document: &Document) {
        let Some(first) = self.variables.first() else { return };
        let fields: Vec<String> =
            self.variables.iter().map(|one| format!("{} in {}", one.text, one.field)).collect();
        let (values, becomes) = match fields.len() {
            1 => ("value", "it becomes"),
            _ => ("values", "they become"),
        };
        self.not_judged.push(NotJudged {
            rule: "malformed".to_owned(),
            object: ObjectRef::from(document),
            needs: format!(
                "the {values} of {}: judge what {becomes}, with --render 'kustomize build FOLDER | \
                 flux envsubst'",
                fields.join(", ")
            ),
            file: first.file.clone(),
            line: first.line,
            template: first.template.clone(),
        });
    }
}
