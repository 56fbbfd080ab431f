//! Separates the manifests that are judged from those that are facts and from the rest.

use stateward_core::change::label;
use stateward_core::facts::FactKind;
use stateward_core::object::{KINDS, Kind, KindInfo};
use stateward_core::text::{NAME, cut};
use stateward_core::yaml::{Document, InputError, Inputs};

use crate::kustomize::Renamings;
use crate::report::{Notice, ObjectRef, UnjudgedObject};
use crate::variables;

/// The manifests of one side. Of objects that no rule reads only the names are kept, so that a
/// large repository fits into little memory.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// StatefulSets and PersistentVolumeClaims, in any version or spelling
    pub documents: Vec<Document>,
    /// what rules read as facts, such as a `StorageClass` or a Service
    pub facts: Vec<Document>,
    /// other objects with pods: no rule judges them, but a set may become one of them
    pub workloads: Vec<Document>,
    /// objects of kinds that no rule judges
    pub ignored: Vec<UnjudgedObject>,
    /// inputs that could not be read
    pub errors: Vec<InputError>,
    /// what could not be read in a text that does not name a judged kind
    pub harmless: Vec<InputError>,
    /// what else is worth knowing about the inputs
    pub notices: Vec<Notice>,
    /// documents that are no Kubernetes objects
    pub skipped: usize,
    /// what kustomizations make of the names
    pub renamings: Renamings,
}

impl Selection {
    /// Adds what was selected elsewhere.
    pub fn append(&mut self, mut other: Self) {
        self.documents.append(&mut other.documents);
        self.facts.append(&mut other.facts);
        self.workloads.append(&mut other.workloads);
        self.ignored.append(&mut other.ignored);
        self.errors.append(&mut other.errors);
        self.harmless.append(&mut other.harmless);
        self.notices.append(&mut other.notices);
        self.skipped += other.skipped;
    }
}

impl From<Inputs> for Selection {
    fn from(inputs: Inputs) -> Self {
        let mut selection = Self {
            errors: inputs.errors,
            harmless: inputs.harmless,
            notices: inputs.warnings.into_iter().map(Notice::warning).collect(),
            skipped: inputs.skipped,
            ..Self::default()
        };
        for mut document in inputs.documents {
            variables::resolve(&mut document);
            if is_judged(&document) {
                selection.documents.push(document);
                continue;
            }
            selection.ignored.push(UnjudgedObject::from(&document));
            if is_fact(&document) {
                selection.facts.push(document);
            } else if has_pods(&document) {
                selection.workloads.push(document);
            }
        }
        selection
    }
}

impl From<&Document> for ObjectRef {
    fn from(document: &Document) -> Self {
        Self {
            api_version: cut(document.api_version.as_str(), NAME),
            kind: cut(document.kind.as_str(), NAME),
            namespace: cut(document.namespace.as_str(), NAME),
            name: label(&document.name, &document.generate_name),
        }
    }
}

impl From<&Document> for UnjudgedObject {
    fn from(document: &Document) -> Self {
        Self {
            object: ObjectRef::from(document),
            file: document.file.to_string(),
            line: document.line(),
        }
    }
}

/// The kind of manifests that `name` is, whatever its capitals.
pub(crate) fn in_manifests(name: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|info| info.in_manifests && info.name.eq_ignore_ascii_case(name))
}

/// Whether the document is of a judged kind. A version that no cluster serves and a misspelt kind
/// count too: they become errors. Kinds of the same name in groups of other projects do not.
fn is_judged(document: &Document) -> bool {
    let named = || in_manifests(&document.kind).is_some();
    let kind = Kind::of_manifest(&document.api_version, &document.kind);
    kind.info().is_some_and(|info| info.in_manifests)
        || (matches!(document.group(), "" | "apps" | "extensions") && named())
}

/// Whether rules read the document as a fact.
fn is_fact(document: &Document) -> bool {
    matches!(
        FactKind::of_manifest(&document.api_version, &document.kind),
        Some(FactKind::Autoscaler | FactKind::Budget | FactKind::Class | FactKind::Service)
    )
}

/// Whether the document may be a workload, of whatever project. Cheap, and wrong at most by taking
/// too much.
fn has_pods(document: &Document) -> bool {
    document.json.contains("\"template\"") && document.json.contains("\"containers\"")
}
