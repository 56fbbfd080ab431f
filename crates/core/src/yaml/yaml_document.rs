//! One YAML document that is no Kubernetes object: the policy.

use std::sync::Arc;

use super::document::{Form, Source};
use super::tree::{Fault, NodeId, Tree};
use super::view::View;
use super::{json, locate};
use crate::object::Pointer;
use crate::yaml::InputError;

/// A YAML document as JSON, with the places of its fields.
#[derive(Debug)]
pub struct YamlDocument {
    json: String,
    source: Source,
    tree: Tree,
}

impl YamlDocument {
    /// Reads `text`. An empty one is `null`.
    ///
    /// # Errors
    /// The place of a syntax error, or of a second document.
    pub fn read(text: &str) -> Result<Self, InputError> {
        let text = Arc::new(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned());
        let source =
            Source { file: "".into(), span: 0..text.len(), text, first_line: 1, form: Form::Yaml };
        let (tree, fault) = source.read();
        if let Some(fault) = fault {
            return Err(source.error(&fault));
        }
        if let Some(repeated) = tree.repeated.first() {
            let at = repeated.second;
            let message = format!("duplicate key \"{}\"", repeated.key);
            return Err(source.error(&Fault { at, message }));
        }
        let mut json = String::new();
        match tree.roots.as_slice() {
            [] => json.push_str("null"),
            [root] => json::write(View { tree: &tree, source: source.as_str() }, *root, &mut json),
            [_, second, ..] => {
                let (line, column) = source.line_and_column(tree.node(*second).span().start);
                let message = "a second document begins here; write all of it in one".to_owned();
                return Err(InputError { file: String::new(), line, column, message });
            }
        }
        Ok(Self { json, source, tree })
    }

    /// The document as JSON.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Line and column of a field's value; of the nearest parent's key where it is absent.
    pub fn locate(&self, field: &Pointer) -> (usize, usize) {
        self.place(|view, root| locate::value(view, root, None, field).head.start)
    }

    /// Line and column of a field's key.
    pub fn locate_key(&self, field: &Pointer) -> (usize, usize) {
        self.place(|view, root| locate::key_start(view, root, field))
    }

    fn place(&self, find: impl FnOnce(View<'_>, NodeId) -> usize) -> (usize, usize) {
        let view = View { tree: &self.tree, source: self.source.as_str() };
        match self.tree.roots.first() {
            Some(root) => self.source.line_and_column(find(view, *root)),
            None => (1, 1),
        }
    }
}
