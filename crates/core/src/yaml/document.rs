//! Kubernetes objects among the documents of one source, and the places of their fields.

use std::ops::Range;
use std::sync::Arc;

use super::packed::Packed;
use super::tree::{Content, Fault, NodeId, Repeated, Tree};
use super::view::View;
use super::{events, json, locate, template};
use crate::object::Pointer;
use crate::yaml::{InputError, Inputs};

/// How many repeated keys of one source are named.
const REPEATED_KEYS: usize = 10;

/// In what a source is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Yaml,
    Json,
}

/// A part of a file that is read on its own: what stands between two `---`, or a whole JSON file.
#[derive(Debug)]
pub(super) struct Source {
    pub file: Arc<str>,
    pub text: Arc<String>,
    pub span: Range<usize>,
    pub first_line: usize,
    pub form: Form,
}

impl Source {
    pub(super) fn as_str(&self) -> &str {
        &self.text[self.span.clone()]
    }

    pub(super) fn read(&self) -> (Tree, Option<Fault>) {
        match self.form {
            Form::Yaml => events::read(self.as_str()),
            Form::Json => json::read(self.as_str()),
        }
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub(super) fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = &self.as_str()[..at];
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (self.first_line + line, before[start..].chars().count() + 1)
    }

    pub(super) fn error(&self, fault: &Fault) -> InputError {
        let (line, column) = self.line_and_column(fault.at);
        InputError { file: self.file.to_string(), line, column, message: fault.message.clone() }
    }
}

/// One Kubernetes object of an input.
#[derive(Clone, Debug)]
pub struct Document {
    /// the object as JSON, for [`crate::object::Object::decode`]
    pub json: String,
    /// `apiVersion`
    pub api_version: String,
    /// `kind`
    pub kind: String,
    /// empty where the manifest leaves it out
    pub namespace: String,
    /// empty where the server has yet to make one from `generateName`
    pub name: String,
    /// `metadata.generateName`, empty where it is absent
    pub generate_name: String,
    /// as named on the command line, `<revision>:<path>` from git, `-` for standard input
    pub file: Arc<str>,
    /// the template that a `# Source:` comment of Helm names
    pub template: Option<String>,
    pub(super) source: Arc<Source>,
    pub(super) places: Arc<Packed>,
    pub(super) line: usize,
    pub(super) node: NodeId,
    /// the alias that stands for the object in a list
    pub(super) via: Option<NodeId>,
}

/// Where a field stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// in the file, from 1
    pub line: usize,
    /// in characters, from 1
    pub column: usize,
    /// bytes of [`Document::source`]
    pub span: Range<usize>,
    /// the first part of the field's name that the manifest lacks; the place is then its parent's
    pub missing: Option<String>,
}

impl Document {
    /// Whether both begin at the same place of a file of the same name.
    pub fn is_at_place_of(&self, other: &Self) -> bool {
        self.file == other.file
            && self.first_line() == other.first_line()
            && self.node == other.node
            && self.via == other.via
    }

    /// The text of the document in which the object stands.
    pub fn source(&self) -> &str {
        self.source.as_str()
    }

    /// The text of the whole file.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// The line of the file with which [`Self::source`] begins, from 1.
    pub fn first_line(&self) -> usize {
        self.source.first_line
    }

    /// The line of the object's first field, or of the alias that brings it in, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The API group, empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The place of a field's value. Where the field is absent, the place of the nearest parent's
    /// key; where it comes from an alias, the alias.
    pub fn locate(&self, field: &Pointer) -> Location {
        self.located(field, |located| located.span.clone())
    }

    /// The place that a person is shown: as [`Self::locate`], but the key of a list or a mapping
    /// that takes several lines, since the key names it.
    pub fn locate_head(&self, field: &Pointer) -> Location {
        self.located(field, |located| located.head.clone())
    }

    fn located(&self, field: &Pointer, part: fn(&locate::Located) -> Range<usize>) -> Location {
        let view = View { tree: self.places.tree(), source: self.source.as_str() };
        let located = locate::value(view, self.node, self.via, field);
        let span = part(&located);
        let (line, column) = self.source.line_and_column(span.start);
        Location { line, column, span, missing: located.missing }
    }

    /// The place of the object itself: of its first field.
    pub fn location(&self) -> Location {
        self.locate(&Pointer::default())
    }
}

/// Reads one source.
pub(super) fn read(source: &Arc<Source>) -> Inputs {
    let (tree, fault) = source.read();
    let places = Arc::new(Packed::new(&tree));
    let view = View { tree: &tree, source: source.as_str() };
    let template = template::named(source.as_str());
    let read = Inputs::default();
    let mut objects =
        Objects { view, source, places: &places, template, counted: (0, source.first_line), read };
    for root in &tree.roots {
        if let Some(fault) = template::unresolved(view, *root) {
            objects.fault(&fault);
        } else {
            objects.document(*root);
        }
    }
    if let Some(fault) = fault {
        let fault = template::behind(source.as_str(), fault.at).unwrap_or(fault);
        objects.fault(&fault);
    }
    objects.repeated_keys(&tree.repeated);
    objects.read
}

struct Objects<'a> {
    view: View<'a>,
    source: &'a Arc<Source>,
    places: &'a Arc<Packed>,
    template: Option<String>,
    /// a byte and its line: objects come in order, and no line is counted twice
    counted: (usize, usize),
    read: Inputs,
}

/// What the items of a typed list inherit from it.
#[derive(Clone, Copy)]
struct Inherited<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl<'a> Objects<'a> {
    fn fault(&mut self, fault: &Fault) {
        let relevant = super::names_a_judged_kind(self.view.source.as_bytes());
        self.read.fault(self.source.error(fault), relevant);
    }

    fn repeated_keys(&mut self, repeated: &[Repeated]) {
        for Repeated { key, first, second } in repeated.iter().take(REPEATED_KEYS) {
            let (line, column) = self.source.line_and_column(*first);
            let message = format!(
                "the key \"{key}\" replaces the one of line {line}, column {column}; kubectl applies \
                 only this one"
            );
            self.read.warnings.push(self.source.error(&Fault { at: *second, message }));
        }
        if let Some(next) = repeated.get(REPEATED_KEYS) {
            let more = repeated.len() - REPEATED_KEYS;
            let message = format!("{more} more keys of this document replace earlier ones");
            self.read.warnings.push(self.source.error(&Fault { at: next.second, message }));
        }
    }

    fn document(&mut self, root: NodeId) {
        match self.view.node(root).content {
            // Nothing but comments.
            Content::Null => {}
            Content::Mapping(_) => self.object(root, None, None),
            _ => self.read.skipped += 1,
        }
    }

    fn object(&mut self, id: NodeId, via: Option<NodeId>, inherited: Option<Inherited<'a>>) {
        match self.head(id, inherited) {
            Ok(Some(head)) => self.known_object(id, via, &head),
            Ok(None) => self.read.skipped += 1,
            Err(mut fault) => {
                if let Some(alias) = via {
                    fault.at = self.view.span(alias).start;
                }
                self.fault(&fault);
            }
        }
    }

    fn known_object(&mut self, id: NodeId, via: Option<NodeId>, head: &Head<'a>) {
        if let Some(items) = head.items(self.view, id) {
            if !matches!(self.view.node(items).content, Content::Sequence(_) | Content::Null) {
                let what = self.view.describe(items);
                let message = format!("items of a {} is {what}, not a list", head.kind);
                self.fault(&Fault { at: self.view.span(via.unwrap_or(items)).start, message });
                return;
            }
            // An item of a typed list may leave out what the list says.
            let inherited = head
                .kind
                .strip_suffix("List")
                .filter(|kind| !kind.is_empty())
                .map(|kind| Inherited { api_version: head.api_version, kind });
            for item in self.view.children(items) {
                let alias = (self.view.resolve(item) != item).then_some(item);
                let via = via.or(alias);
                if matches!(self.view.node(item).content, Content::Mapping(_)) {
                    self.object(item, via, inherited);
                } else {
                    let message = format!(
                        "an item of a {} is {}, not an object",
                        head.kind,
                        self.view.describe(item)
                    );
                    self.fault(&Fault { at: self.view.span(via.unwrap_or(item)).start, message });
                }
            }
            return;
        }
        let line = self.line(self.view.span(via.unwrap_or(id)).start);
        self.read.documents.push(Document {
            line,
            json: self.json(id, head),
            api_version: head.api_version.to_owned(),
            kind: head.kind.to_owned(),
            namespace: head.namespace.to_owned(),
            name: head.name.to_owned(),
            generate_name: head.generate_name.to_owned(),
            file: Arc::clone(&self.source.file),
            template: self.template.clone(),
            source: Arc::clone(self.source),
            places: Arc::clone(self.places),
            node: self.view.resolve(id),
            via,
        });
    }

    fn line(&mut self, at: usize) -> usize {
        let (from, line) =
            if at < self.counted.0 { (0, self.source.first_line) } else { self.counted };
        let passed = self.view.source[from..at].bytes().filter(|byte| *byte == b'\n').count();
        self.counted = (at, line + passed);
        self.counted.1
    }

    fn json(&self, id: NodeId, head: &Head<'a>) -> String {
        let span = self.view.span(self.view.resolve(id));
        let mut out = String::with_capacity(span.len() + 64);
        if self.source.form == Form::Json && self.view.tree.repeated.is_empty() {
            out.push_str(&self.view.source[span]);
        } else {
            json::write(self.view, id, &mut out);
        }
        if !head.inherits.is_empty() {
            let mut front = String::from("{");
            for (key, value) in &head.inherits {
                json::string(key, &mut front);
                front.push(':');
                json::string(value, &mut front);
                front.push(',');
            }
            let rest = out[1..].trim_start();
            if rest == "}" {
                front.pop();
            }
            front.push_str(rest);
            out = front;
        }
        // Indentation and comments are gone, and a large repository has many documents.
        out.shrink_to_fit();
        out
    }

    fn head(
        &self,
        id: NodeId,
        inherited: Option<Inherited<'a>>,
    ) -> Result<Option<Head<'a>>, Fault> {
        let view = self.view;
        let fault = |at: NodeId, message: String| Fault { at: view.span(at).start, message };
        let present = |key: &str| {
            view.get(id, key).filter(|value| !matches!(view.node(*value).content, Content::Null))
        };
        let mut inherits = Vec::new();
        let mut identity = |key: &'static str, default: Option<&'a str>| match view.get(id, key) {
            None => Ok(default.inspect(|value| inherits.push((key, *value)))),
            Some(value) => match view.node(value).content {
                Content::Null => Ok(None),
                Content::String(_) => Ok(view.string(value).filter(|text| !text.is_empty())),
                _ => Err(value),
            },
        };
        let api_version = identity("apiVersion", inherited.map(|list| list.api_version));
        let kind = identity("kind", inherited.map(|list| list.kind));
        let metadata = present("metadata");
        let is_object =
            metadata.is_some_and(|value| matches!(view.node(value).content, Content::Mapping(_)));
        let wrong = |key: &str, value: NodeId| {
            Err(fault(value, format!("{key} is {}, not a string", view.describe(value))))
        };
        let (api_version, kind) = match (api_version, kind) {
            (Ok(Some(api_version)), Ok(Some(kind))) => (api_version, kind),
            (Err(value), Ok(Some(_))) => return wrong("apiVersion", value),
            (Ok(Some(_)), Err(value)) => return wrong("kind", value),
            // A chart's Chart.yaml has an apiVersion and no kind; an object has metadata besides.
            (Ok(None), Ok(Some(_))) if is_object => {
                return Err(fault(id, "apiVersion is missing".to_owned()));
            }
            (Ok(Some(_)), Ok(None)) if is_object => {
                return Err(fault(id, "kind is missing".to_owned()));
            }
            _ => return Ok(None),
        };
        if api_version.starts_with("kustomize.config.k8s.io/") {
            return Ok(None);
        }
        let mut head = Head { api_version, kind, inherits, ..Head::default() };
        let Some(metadata) = metadata else { return Ok(Some(head)) };
        if !is_object {
            let message = format!("metadata is {}, not a mapping", view.describe(metadata));
            return Err(fault(metadata, message));
        }
        for (key, slot) in [
            ("name", &mut head.name),
            ("generateName", &mut head.generate_name),
            ("namespace", &mut head.namespace),
        ] {
            let Some(value) = view.get(metadata, key) else { continue };
            match view.node(value).content {
                Content::Null => {}
                Content::String(_) => *slot = view.string(value).unwrap_or_default(),
                _ => return wrong(&format!("metadata.{key}"), value),
            }
        }
        Ok(Some(head))
    }
}

#[derive(Default)]
struct Head<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    generate_name: &'a str,
    inherits: Vec<(&'static str, &'a str)>,
}

impl Head<'_> {
    /// The items, where the object is a list of objects and not an object of a kind whose name
    /// happens to end so.
    fn items(&self, view: View<'_>, id: NodeId) -> Option<NodeId> {
        let known = self.is_known_list();
        let named = !self.name.is_empty() || view.get(id, "spec").is_some();
        if !self.kind.ends_with("List") || (named && !known) {
            return None;
        }
        let items = view.get(id, "items")?;
        let list = matches!(view.node(items).content, Content::Sequence(_) | Content::Null);
        (list || known).then_some(items)
    }

    /// A list that may hold what is judged, whatever else it says.
    fn is_known_list(&self) -> bool {
        matches!(
            (self.api_version, self.kind),
            ("v1", "List" | "PersistentVolumeClaimList") | ("apps/v1", "StatefulSetList")
        )
    }
}
