//! Old and new state of the same object.

use std::collections::BTreeMap;

use super::{Document, Inputs};
use crate::report::InputError;

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
    /// the errors of both inputs, and objects that stand twice
    pub errors: Vec<InputError>,
    /// documents of the new input that are no Kubernetes objects
    pub skipped: usize,
}

/// Group, kind, namespace, name.
type Key = (String, String, String, String);

fn key(document: &Document) -> Key {
    (
        document.group().to_owned(),
        document.kind.clone(),
        document.namespace.clone(),
        document.name.clone(),
    )
}

/// Pairs by group, kind, namespace and name. Where several files hold the same object, as bases
/// and overlays do, files pair that are named alike. What only `old` has is left out unless
/// `deletions` count.
pub fn pair(old: Inputs, new: Inputs, deletions: bool) -> Paired {
    let mut paired = Paired { skipped: new.skipped, ..Paired::default() };
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
    let mut counts: BTreeMap<Key, usize> = BTreeMap::new();
    for document in &new.documents {
        *counts.entry(key(document)).or_default() += 1;
    }
    let mut several: BTreeMap<Key, Vec<(usize, Document)>> = BTreeMap::new();
    let mut pairings: Vec<(usize, Pairing)> = Vec::new();
    for (at, document) in new.documents.into_iter().enumerate() {
        let key = key(&document);
        let alone = counts.get(&key) == Some(&1) && olds.get(&key).is_none_or(|old| old.len() == 1);
        if document.name.is_empty() {
            pairings.push((at, Pairing { old: None, new: Some(document) }));
        } else if alone {
            let old = olds.remove(&key).and_then(|mut old| old.pop());
            pairings.push((at, Pairing { old, new: Some(document) }));
        } else {
            several.entry(key).or_default().push((at, document));
        }
    }
    for (key, news) in several {
        let olds = olds.entry(key).or_default();
        pair_several(olds, news, &mut pairings, &mut paired.errors);
    }
    pairings.sort_by_key(|(at, _)| *at);
    paired.pairings.extend(pairings.into_iter().map(|(_, pairing)| pairing));
    if deletions {
        for document in order.iter().filter_map(|key| olds.remove(key)).flatten() {
            paired.pairings.push(Pairing { old: Some(document), new: None });
        }
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
    twice(&mut new_documents, errors);
    twice(olds, errors);
    news.retain(|(_, document)| new_documents.iter().any(|kept| same_place(kept, document)));
    while !olds.is_empty() && !news.is_empty() {
        let mut best: Vec<(usize, usize, usize)> = Vec::new();
        for (o, old) in olds.iter().enumerate() {
            for (n, (_, new)) in news.iter().enumerate() {
                let score = alike(&old.file, &new.file);
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
            errors.push(double(first, second));
            olds.clear();
            return;
        }
        let (at, new) = news.remove(new);
        pairings.push((at, Pairing { old: Some(olds.remove(old)), new: Some(new) }));
    }
    for (at, new) in news {
        pairings.push((at, Pairing { old: None, new: Some(new) }));
    }
}

/// Reports and removes what stands in the same file once more.
fn twice(documents: &mut Vec<Document>, errors: &mut Vec<InputError>) {
    let mut kept: Vec<Document> = Vec::new();
    for document in documents.drain(..) {
        match kept.iter().find(|first| first.file == document.file) {
            Some(first) => errors.push(double(first, &document)),
            None => kept.push(document),
        }
    }
    *documents = kept;
}

fn same_place(a: &Document, b: &Document) -> bool {
    a.file == b.file && a.first_line() == b.first_line() && a.node == b.node && a.via == b.via
}

fn double(first: &Document, second: &Document) -> InputError {
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
fn alike(old: &str, new: &str) -> usize {
    let parts = |path: &str| path.split(['/', ':']).rev().map(str::to_owned).collect::<Vec<_>>();
    parts(old).iter().zip(parts(new)).take_while(|(old, new)| **old == *new).count()
}
