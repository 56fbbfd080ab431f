//! Old and new state of the same object.

use std::collections::{BTreeMap, BTreeSet};

use stateward_core::yaml::{Document, InputError};

use crate::report::UnjudgedObject;
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
    /// the errors of both inputs, and objects that stand twice
    pub errors: Vec<InputError>,
    /// objects of the new input of kinds that no rule judges
    pub ignored: Vec<UnjudgedObject>,
    /// documents of the new input that are no Kubernetes objects
    pub skipped: usize,
}

impl Paired {
    /// Each object of an input as a new one.
    pub fn created(new: Selection) -> Self {
        let created = |document| Pairing { old: None, new: Some(document) };
        Self {
            pairings: new.documents.into_iter().map(created).collect(),
            removed: Vec::new(),
            errors: new.errors,
            ignored: new.ignored,
            skipped: new.skipped,
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

/// The keys that differ from `key` by the namespace at most.
fn same_name<'k>(keys: impl Iterator<Item = &'k Key>, key: &Key) -> impl Iterator<Item = &'k Key> {
    keys.take_while(|other| (&other.0, &other.1, &other.2) == (&key.0, &key.1, &key.2))
}

/// The key under which a new document pairs: its own, or, where one side leaves the namespace
/// out, that of the only old object of its kind and name. Leaving the namespace out must not
/// make an old object look new.
fn pairing_key(own: &Key, olds: &BTreeMap<Key, Vec<Document>>, news: &BTreeSet<Key>) -> Key {
    if olds.contains_key(own) {
        return own.clone();
    }
    let first = (own.0.clone(), own.1.clone(), own.2.clone(), String::new());
    let mut known = same_name(olds.range(&first..).map(|(key, _)| key), own);
    let only = known.next().filter(|_| known.next().is_none());
    let alone = || same_name(news.range(&first..), own).count() == 1;
    only.filter(|old| own.3.is_empty() || (old.3.is_empty() && alone())).unwrap_or(own).clone()
}

/// Pairs by group, kind, namespace and name. Where several files hold the same object, as bases
/// and overlays do, files pair that are named alike; a copy that is left over is a change of what
/// it copies, too. What only `old` has is judged only if `deletions` count.
pub fn pair(old: Selection, new: Selection, deletions: bool) -> Paired {
    let mut paired = Paired { skipped: new.skipped, ignored: new.ignored, ..Paired::default() };
    paired.errors.extend(old.errors);
    paired.errors.extend(new.errors);
    let mut olds: BTreeMap<Key, Vec<Document>> = BTreeMap::new();
    let mut order = Vec::new();
    for document in old.documents {
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
    let keys: BTreeSet<Key> = new.documents.iter().map(key).collect();
    let mut news: BTreeMap<Key, Vec<(usize, Document)>> = BTreeMap::new();
    let mut pairings: Vec<(usize, Pairing)> = Vec::new();
    for (at, document) in new.documents.into_iter().enumerate() {
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
            pair_several(&mut old, news, &mut pairings, &mut paired.errors);
        } else if let Some((at, new)) = news.pop() {
            pairings.push((at, Pairing { old: old.pop(), new: Some(new) }));
        }
        if !old.is_empty() {
            olds.insert(key, old);
        }
    }
    pairings.sort_by_key(|(at, _)| *at);
    paired.pairings.extend(pairings.into_iter().map(|(_, pairing)| pairing));
    let removed = order.iter().filter_map(|key| olds.remove(key)).flatten();
    if deletions {
        paired.pairings.extend(removed.map(|document| Pairing { old: Some(document), new: None }));
    } else {
        paired.removed.extend(removed);
    }
    paired
}

/// Pairs one object that stands several times. An object that stands twice in one file, or whose
/// partner could be either of two, is an error: any choice would be a guess.
fn pair_several(
    olds: &mut Vec<Document>,
    mut news: Vec<(usize, Document)>,
    pairings: &mut Vec<(usize, Pairing)>,
    errors: &mut Vec<InputError>,
) {
    let mut new_documents: Vec<Document> =
        news.iter().map(|(_, document)| document.clone()).collect();
    drop_duplicates(&mut new_documents, errors);
    drop_duplicates(olds, errors);
    news.retain(|(_, document)| new_documents.iter().any(|kept| kept.is_at_place_of(document)));
    let all_olds = olds.clone();
    while !olds.is_empty() && !news.is_empty() {
        let mut best: Vec<(usize, usize, usize)> = Vec::new();
        for (o, old) in olds.iter().enumerate() {
            for (n, (_, new)) in news.iter().enumerate() {
                let score = shared_suffix_len(&old.file, &new.file);
                if best.first().is_none_or(|(top, ..)| score > *top) {
                    best.clear();
                }
                if best.first().is_none_or(|(top, ..)| score == *top) {
                    best.push((score, o, n));
                }
            }
        }
        let (_, old, new) = best[0];
        let ambiguous = best[1..].iter().find(|(_, o, n)| *o == old || *n == new);
        if let Some((_, other_old, other_new)) = ambiguous {
            let (first, second) = if *other_new == new {
                (&olds[old], &olds[*other_old])
            } else {
                (&news[new].1, &news[*other_new].1)
            };
            errors.push(duplicate_error(first, second));
            olds.clear();
            return;
        }
        let (at, new) = news.remove(new);
        pairings.push((at, Pairing { old: Some(olds.remove(old)), new: Some(new) }));
    }
    for (at, new) in news {
        pairings.extend(copied(&all_olds, &new).into_iter().map(|pairing| (at, pairing)));
    }
}

/// A copy of an object whose old state pairs with another document: whoever applies the copy
/// changes the same object. Where several old documents are equally near, each counts.
fn copied(olds: &[Document], new: &Document) -> Vec<Pairing> {
    let Some(nearest) = olds.iter().map(|old| shared_suffix_len(&old.file, &new.file)).max() else {
        return vec![Pairing { old: None, new: Some(new.clone()) }];
    };
    olds.iter()
        .filter(|old| shared_suffix_len(&old.file, &new.file) == nearest)
        .map(|old| Pairing { old: Some(old.clone()), new: Some(new.clone()) })
        .collect()
}

/// Reports and removes what stands in the same file once more.
fn drop_duplicates(documents: &mut Vec<Document>, errors: &mut Vec<InputError>) {
    let mut kept: Vec<Document> = Vec::new();
    for document in documents.drain(..) {
        match kept.iter().find(|first| first.file == document.file) {
            Some(first) => errors.push(duplicate_error(first, &document)),
            None => kept.push(document),
        }
    }
    *documents = kept;
}

fn duplicate_error(first: &Document, second: &Document) -> InputError {
    let (one, two) = (first.location(), second.location());
    let namespace =
        if second.namespace.is_empty() { String::new() } else { format!("{}/", second.namespace) };
    InputError {
        file: second.file.to_string(),
        line: two.line,
        column: two.column,
        message: format!(
            "{} {namespace}{} stands here and at {}:{}:{}; which one counts?",
            second.kind, second.name, first.file, one.line, one.column
        ),
    }
}

/// How many last parts of their paths two files share, a revision not counted.
fn shared_suffix_len(old: &str, new: &str) -> usize {
    let parts = |path: &str| path.split(['/', ':']).rev().map(str::to_owned).collect::<Vec<_>>();
    parts(old).iter().zip(parts(new)).take_while(|(old, new)| **old == *new).count()
}
