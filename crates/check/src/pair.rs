//! Old and new state of the same object.

mod copies;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use stateward_core::yaml::{Document, InputError};

use self::copies::{pair_several, without_copies};
use crate::keep::kept_manifest;
use crate::kustomize::{Renaming, Renamings};
use crate::report::{Notice, ObjectRef, UnjudgedObject};
use crate::select::Selection;

/// An object before and after.
#[derive(Clone, Debug)]
pub struct Pairing {
    /// `None` for a new object
    pub old: Option<Document>,
    /// `None` for one that goes away
    pub new: Option<Document>,
}

/// What two inputs make together.
#[derive(Clone, Debug, Default)]
pub struct Paired {
    /// in the order of the new input, then what only the old one has
    pub pairings: Vec<Pairing>,
    /// what only the old input has, where deletions do not count
    pub removed: Vec<Document>,
    /// what only the old input has, and what its tool keeps in the cluster all the same
    pub kept: Vec<Document>,
    /// workloads that no rule judges and that only one input has
    pub workloads: Workloads,
    /// the errors of the new input, and objects whose old state could be either of two
    pub errors: Vec<InputError>,
    /// what else is worth knowing about both inputs
    pub notices: Vec<Notice>,
    /// objects of the new input of kinds that no rule judges
    pub ignored: Vec<UnjudgedObject>,
    /// documents of the new input that are no Kubernetes objects
    pub skipped: usize,
    /// what kustomizations make of the names of the old and of the new input
    pub renamings: (Renamings, Renamings),
}

/// Workloads that no rule judges: what comes may take the place of a set that goes.
#[derive(Clone, Debug, Default)]
pub struct Workloads {
    /// only in the old input
    pub gone: Vec<Document>,
    /// only in the new input
    pub new: Vec<Document>,
}

impl Workloads {
    /// What is in both inputs is left out; a namespace that one side leaves out may be any.
    fn of(mut old: Vec<Document>, mut new: Vec<Document>) -> Self {
        let known = |documents: &[Document]| documents.iter().map(key).collect::<BTreeSet<Key>>();
        let (olds, news) = (known(&old), known(&new));
        let is_in = |document: &Document, others: &BTreeSet<Key>| {
            let own = key(document);
            let first = (own.0.clone(), own.1.clone(), own.2.clone(), String::new());
            others.contains(&own)
                || others.contains(&first)
                || (own.3.is_empty() && same_name(others.range(&first..), &own).next().is_some())
        };
        old.retain(|document| !is_in(document, &news));
        new.retain(|document| !is_in(document, &olds));
        Self { gone: old, new }
    }
}

impl Paired {
    /// Each object of an input as a new one.
    pub fn created(mut new: Selection) -> Self {
        new.notices.extend(new.harmless.into_iter().map(Notice::warning));
        let documents = without_copies(new.documents, &mut new.notices);
        let created = |document| Pairing { old: None, new: Some(document) };
        Self {
            pairings: documents.into_iter().map(created).collect(),
            removed: Vec::new(),
            kept: Vec::new(),
            workloads: Workloads::default(),
            errors: new.errors,
            notices: new.notices,
            ignored: new.ignored,
            skipped: new.skipped,
            renamings: (Renamings::default(), new.renamings),
        }
    }
}

/// Group, kind, name, namespace.
type Key = (String, String, String, String);

fn key(document: &Document) -> Key {
    (
        document.group().to_owned(),
        document.kind.clone(),
        document.name.clone(),
        document.namespace.clone(),
    )
}

/// Objects by what they are called in the cluster.
pub(crate) struct Rendered<T>(HashMap<Key, (T, bool)>);

impl<T: Copy> Rendered<T> {
    pub(crate) fn new() -> Self {
        Self(HashMap::new())
    }

    /// Adds `document` under the name that `renaming` makes.
    pub(crate) fn insert(&mut self, document: &Document, renaming: &Renaming, value: T) {
        let key = rendered_key(document, renaming);
        let is_anywhere = key.3.is_empty();
        let anywhere = (key.0.clone(), key.1.clone(), key.2.clone(), String::new());
        self.0.entry(anywhere).or_insert((value, is_anywhere));
        self.0.entry(key).or_insert((value, is_anywhere));
    }

    /// The object that `document` is under the name that `renaming` makes. A namespace that one side leaves
    /// out may be any.
    pub(crate) fn get(&self, document: &Document, renaming: &Renaming) -> Option<T> {
        let mut key = rendered_key(document, renaming);
        if let Some((value, _)) = self.0.get(&key) {
            return Some(*value);
        }
        key.3.clear();
        self.0.get(&key).filter(|(_, is_anywhere)| *is_anywhere).map(|(value, _)| *value)
    }
}

fn rendered_key(document: &Document, renaming: &Renaming) -> Key {
    let (group, kind, name, namespace) = key(document);
    (group, kind, renaming.name(&name), renaming.namespace(&namespace).to_owned())
}

/// The keys that differ from `key` by the namespace at most.
fn same_name<'k>(keys: impl Iterator<Item = &'k Key>, key: &Key) -> impl Iterator<Item = &'k Key> {
    keys.take_while(|other| (&other.0, &other.1, &other.2) == (&key.0, &key.1, &key.2))
}

/// The key under which a new document pairs. It is the document's own key. If one side leaves the
/// namespace out, it is the key of the only old object of that kind and name, so that an old object
/// does not look new.
fn pairing_key(own: &Key, olds: &BTreeMap<Key, Vec<Document>>, news: &BTreeSet<Key>) -> Key {
    if olds.contains_key(own) {
        return own.clone();
    }
    let first = (own.0.clone(), own.1.clone(), own.2.clone(), String::new());
    let mut known = same_name(olds.range(&first..).map(|(key, _)| key), own);
    let only = known.next().filter(|_| known.next().is_none());
    let alone = || same_name(news.range(&first..), own).nth(1).is_none();
    only.filter(|old| own.3.is_empty() || (old.3.is_empty() && alone())).unwrap_or(own).clone()
}

/// Pairs by group, kind, namespace and name. If several files hold the same object, as bases and
/// overlays do, files pair that are named alike. What only `old` has is judged only if `deletions`
/// count.
pub fn pair(old: Selection, new: Selection, deletions: bool) -> Paired {
    let mut paired = Paired {
        skipped: new.skipped,
        ignored: new.ignored,
        workloads: Workloads::of(old.workloads, new.workloads),
        renamings: (old.renamings, new.renamings),
        ..Paired::default()
    };
    let old_errors = old.errors.into_iter().chain(old.harmless).collect();
    let harmless = faults(old_errors, new.errors, new.harmless, &mut paired);
    paired.notices.extend(new.notices);
    let new_documents = without_copies(new.documents, &mut paired.notices);
    let mut olds: BTreeMap<Key, Vec<Document>> = BTreeMap::new();
    let mut order = Vec::new();
    // Notices are about what counts now.
    for document in without_copies(old.documents, &mut Vec::new()) {
        // What has no name yet is made anew each time it is applied.
        if document.name.is_empty() {
            continue;
        }
        let key = key(&document);
        if !olds.contains_key(&key) {
            order.push(key.clone());
        }
        olds.entry(key).or_default().push(document);
    }
    let keys: BTreeSet<Key> = new_documents.iter().map(key).collect();
    let mut news: BTreeMap<Key, Vec<(usize, Document)>> = BTreeMap::new();
    let mut pairings: Vec<(usize, Pairing)> = Vec::new();
    for (at, document) in new_documents.into_iter().enumerate() {
        if document.name.is_empty() {
            pairings.push((at, Pairing { old: None, new: Some(document) }));
        } else {
            let key = pairing_key(&key(&document), &olds, &keys);
            news.entry(key).or_default().push((at, document));
        }
    }
    for (key, mut news) in news {
        let mut old = olds.remove(&key).unwrap_or_default();
        if news.len() > 1 || old.len() > 1 {
            pair_several(&mut old, news, &mut pairings, &mut paired);
        } else if let Some((at, new)) = news.pop() {
            pairings.push((at, Pairing { old: old.pop(), new: Some(new) }));
        }
        if !old.is_empty() {
            olds.insert(key, old);
        }
    }
    pairings.sort_by_key(|(at, _)| *at);
    paired.pairings.extend(pairings.into_iter().map(|(_, pairing)| pairing));
    let removed = order.iter().filter_map(|key| olds.remove(key)).flatten().collect();
    let removed = still_there(removed, harmless, &mut paired);
    if deletions {
        let created = rendered_new(&paired);
        let (olds, mut deleted) = (paired.renamings.0.clone(), Vec::new());
        for document in removed {
            let all = olds.of_file(path(&document.file));
            let is_new = |one: &Renaming| {
                created.get(&document, one).is_some_and(|as_it_is| !(as_it_is && one.is_none()))
            };
            if all.iter().all(is_new) {
                paired.removed.push(document);
                continue;
            }
            match kept_manifest(&document.json) {
                Some(annotation) => {
                    paired.notices.push(kept_notice(&document, annotation));
                    paired.kept.push(document);
                }
                None => deleted.push(document),
            }
        }
        let removed = deleted.into_iter();
        paired.pairings.extend(removed.map(|document| Pairing { old: Some(document), new: None }));
    } else {
        paired.removed.extend(removed);
    }
    paired
}

/// What the new objects are in the cluster, each with whether that is its name in the file.
fn rendered_new(paired: &Paired) -> Rendered<bool> {
    let (_, news) = &paired.renamings;
    let mut rendered = Rendered::new();
    let created = paired.pairings.iter().filter(|pairing| pairing.old.is_none());
    for document in created.filter_map(|pairing| pairing.new.as_ref()) {
        for renaming in news.of_file(path(&document.file)).iter() {
            rendered.insert(document, renaming, renaming.is_none());
        }
    }
    rendered
}

/// Says that a manifest is removed, and its object is not.
fn kept_notice(document: &Document, annotation: &str) -> Notice {
    let place = document.location();
    Notice::note(InputError {
        file: document.file.to_string(),
        line: place.line,
        column: place.column,
        message: format!(
            "{} is removed from the manifests, but {annotation} keeps it in the cluster: not judged \
             as a DELETE",
            ObjectRef::from(document)
        ),
    })
}

/// The objects of `removed` that are really missing from the new input. What was in a file that can
/// no longer be read is not deleted: the file is at fault then, however `harmless` it looks.
fn still_there(
    mut removed: Vec<Document>,
    harmless: Vec<InputError>,
    paired: &mut Paired,
) -> Vec<Document> {
    let of_revision = removed.iter().any(|old| old.file.contains(':'));
    // Two folders that are compared have different names.
    let key = |file: &str| match path(file).split_once('/') {
        Some((_, below)) if !of_revision => below.to_owned(),
        _ => path(file).to_owned(),
    };
    let held: HashMap<String, ObjectRef> =
        removed.iter().rev().map(|old| (key(&old.file), ObjectRef::from(old))).collect();
    for mut error in harmless {
        if let Some(object) = held.get(&key(&error.file)) {
            let _ = write!(error.message, "; {object} was defined here before");
            paired.errors.push(error);
        } else {
            paired.notices.push(Notice::warning(error));
        }
    }
    let faulty: HashSet<String> = paired.errors.iter().map(|error| key(&error.file)).collect();
    removed.retain(|old| !faulty.contains(&key(&old.file)));
    removed
}

/// What cannot be read in the old manifests does not block the change that mends it, nor one that has
/// nothing to do with it. Returns what is at fault only now, and `harmless`.
fn faults(
    old: Vec<InputError>,
    new: Vec<InputError>,
    harmless: Vec<InputError>,
    paired: &mut Paired,
) -> Vec<InputError> {
    // A file that only moves is as unreadable as before.
    let moved = |error: &InputError| {
        let name = path(&error.file).rsplit('/').next().unwrap_or_default().to_owned();
        (name, error.message.clone())
    };
    let same = |error: &InputError| (path(&error.file).to_owned(), error.message.clone());
    let mut at: HashSet<(String, String)> = old.iter().map(same).collect();
    let mut by_name: HashMap<(String, String), usize> = HashMap::new();
    let news: HashSet<(String, String)> = new.iter().chain(&harmless).map(same).collect();
    for error in old.iter().filter(|error| !news.contains(&same(error))) {
        *by_name.entry(moved(error)).or_default() += 1;
    }
    let mut carried = HashSet::new();
    for error in new {
        if at.contains(&same(&error)) {
            carried.insert(same(&error));
            paired.notices.push(Notice::warning(error));
        } else if let Some(left) = by_name.get_mut(&moved(&error)).filter(|left| **left > 0) {
            *left -= 1;
            paired.notices.push(Notice::warning(error));
        } else {
            paired.errors.push(error);
        }
    }
    let mut new_harmless = Vec::new();
    for error in harmless {
        if at.contains(&same(&error)) {
            carried.insert(same(&error));
            paired.notices.push(Notice::warning(error));
        } else {
            new_harmless.push(error);
        }
    }
    at.retain(|fault| !carried.contains(fault));
    for error in old.into_iter().filter(|error| at.contains(&same(error))) {
        let message = format!(
            "the old manifest could not be read, so what it holds now is judged as new: {}",
            error.message
        );
        paired.notices.push(Notice::warning(InputError { message, ..error }));
    }
    new_harmless
}

/// The path of a file without the revision that stands before it.
pub(crate) fn path(file: &str) -> &str {
    file.split_once(':').map_or(file, |(_, path)| path)
}
