//! Objects that several files hold, such as bases and overlays, or copies for several clusters.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde_json::Value;
use stateward_core::yaml::{Document, InputError};

use super::{Paired, Pairing, path};
use crate::report::Notice;

/// The documents without those that say the same of one object in files of one folder: they are
/// applied together, so the first one stands for all.
pub(super) fn without_copies(
    mut documents: Vec<Document>,
    notices: &mut Vec<Notice>,
) -> Vec<Document> {
    let mut first: HashMap<[&str; 5], usize> = HashMap::new();
    let mut copies = Vec::new();
    for (at, one) in documents.iter().enumerate().filter(|(_, one)| !one.name.is_empty()) {
        let known = [folder(path(&one.file)), &one.kind, &one.namespace, &one.name, &one.json];
        match first.entry(known) {
            Entry::Vacant(free) => {
                free.insert(at);
            }
            Entry::Occupied(first) => {
                let first = &documents[*first.get()];
                if first.file != one.file {
                    let same = "both say the same, and are judged once";
                    notices.push(Notice::warning(duplicate(first, one, same)));
                    copies.push(at);
                }
            }
        }
    }
    let mut copies = copies.into_iter().peekable();
    let mut at = 0;
    documents.retain(|_| {
        let is_copy = copies.next_if_eq(&at).is_some();
        at += 1;
        !is_copy
    });
    documents
}

/// Pairs one object that stands several times: with the one whose file is named most alike. What is
/// left over of the new ones is a copy: of the same object if both are applied together, and else
/// a new object, such as one for another cluster.
pub(super) fn pair_several(
    olds: &mut Vec<Document>,
    mut news: Vec<(usize, Document)>,
    pairings: &mut Vec<(usize, Pairing)>,
    paired: &mut Paired,
) {
    // Notices are about what counts now.
    let old_repeated = take_repeated(olds, |document| document, &mut Vec::new());
    let repeated = take_repeated(&mut news, |(_, document)| document, &mut paired.notices);
    let all_olds = olds.clone();
    let mut beside = Vec::new();
    let deepest = olds.iter().map(|old| path(&old.file).split('/').count()).max().unwrap_or(0);
    for parts in (0..=deepest).rev() {
        if olds.is_empty() || news.is_empty() {
            break;
        }
        // Files with more parts in common were paired before, so these have just so many.
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for old in olds.drain(..) {
            groups.entry(ending(&old, parts)).or_default().olds.push(old);
        }
        for (at, new) in news.drain(..) {
            groups.entry(ending(&new, parts)).or_default().news.push((at, new));
        }
        for mut group in groups.into_values() {
            group.pair(pairings, &mut beside, paired);
            olds.append(&mut group.olds);
            news.append(&mut group.news);
        }
    }
    let by_path: HashMap<&str, &Document> =
        all_olds.iter().map(|old| (path(&old.file), old)).collect();
    let unchanged: HashMap<(&str, &str), &Document> =
        old_repeated.iter().map(|old| ((path(&old.file), &*old.json), old)).collect();
    for (at, new) in repeated {
        let known = unchanged.get(&(path(&new.file), &*new.json)).copied();
        let old = known.or_else(|| by_path.get(path(&new.file)).copied());
        pairings.push((at, Pairing { old: old.cloned(), new: Some(new) }));
    }
    let folders = Folders::of(&all_olds);
    for (at, new) in news.into_iter().chain(beside) {
        let beside = || folders.applied_with(path(&new.file)).map(|old| &all_olds[old]);
        let old = by_path.get(path(&new.file)).copied().or_else(beside).cloned();
        pairings.push((at, Pairing { old, new: Some(new) }));
    }
}

/// Old documents by folder, each by its place in their list.
#[derive(Default)]
struct Folders<'d> {
    /// the first document in a folder itself
    inside: HashMap<&'d str, usize>,
    /// the first document in a folder or below it
    below: HashMap<&'d str, usize>,
}

impl<'d> Folders<'d> {
    fn of(documents: &'d [Document]) -> Self {
        let mut all = Self::default();
        for (at, document) in documents.iter().enumerate() {
            let mut folders = folders(path(&document.file)).peekable();
            if let Some(folder) = folders.peek() {
                all.inside.entry(folder).or_insert(at);
            }
            for folder in folders {
                all.below.entry(folder).or_insert(at);
            }
        }
        all
    }

    /// The first document whose file is applied together with `file`: one of the two is in the
    /// folder of the other or below it.
    fn applied_with(&self, file: &str) -> Option<usize> {
        let above = folders(file).filter_map(|folder| self.inside.get(folder));
        let below = folders(file).next().and_then(|folder| self.below.get(folder));
        above.chain(below).min().copied()
    }
}

/// The folder of a file, and every folder above it; the empty one is the last.
fn folders<'f>(file: &'f str) -> impl Iterator<Item = &'f str> {
    let parent = |path: &&'f str| (!path.is_empty()).then_some(*path).map(folder);
    std::iter::successors(Some(folder(file)), parent)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The last `parts` parts of a document's path; the whole path if it has fewer, which no other
/// path of so many parts is.
fn ending(document: &Document, parts: usize) -> String {
    let path: Vec<&str> = path(&document.file).split('/').collect();
    match path.len().checked_sub(parts) {
        Some(start) => path[start..].join("/"),
        None => format!("{}/", path.join("/")),
    }
}

/// More possible pairs than this are not compared.
const COMPARED: usize = 10_000;

/// Documents of one object whose files have the same last parts in their names.
#[derive(Default)]
struct Group {
    olds: Vec<Document>,
    news: Vec<(usize, Document)>,
}

impl Group {
    /// Pairs as far as names or contents tell. An object whose old state could be either of two is
    /// an error: any choice would be a guess. Two that are applied together have one old state, and
    /// are put `beside`.
    fn pair(
        &mut self,
        pairings: &mut Vec<(usize, Pairing)>,
        beside: &mut Vec<(usize, Document)>,
        paired: &mut Paired,
    ) {
        let Self { olds, news } = self;
        // Of old ones that say the same, each may be taken for any new one.
        if !news.is_empty()
            && olds.len() == news.len()
            && olds.windows(2).all(|two| two[0].json == two[1].json)
        {
            let paired = news.drain(..).zip(olds.drain(..));
            pairings.extend(
                paired.map(|((at, new), old)| (at, Pairing { old: Some(old), new: Some(new) })),
            );
        }
        if olds.is_empty() || news.is_empty() {
            return;
        }
        let (first, last) = (&news[0].1, &news[news.len() - 1].1);
        let (pairs, doubt) = if olds.len().saturating_mul(news.len()) > COMPARED {
            (Vec::new(), Some((first, last)))
        } else {
            most_alike(olds, news)
        };
        let doubt = doubt.map(|(first, second)| {
            let together = folder(path(&first.file)) == folder(path(&second.file));
            let consequence =
                if together { "both are applied, and judged" } else { "which one counts?" };
            (together, duplicate(first, second, consequence))
        });
        let mut left_olds: Vec<Option<Document>> = olds.drain(..).map(Some).collect();
        let mut left_news: Vec<Option<(usize, Document)>> = news.drain(..).map(Some).collect();
        for (old, new) in pairs {
            if let Some((at, new)) = left_news[new].take() {
                pairings.push((at, Pairing { old: left_olds[old].take(), new: Some(new) }));
            }
        }
        match doubt {
            Some((false, doubt)) => paired.errors.push(doubt),
            Some((true, doubt)) => {
                paired.notices.push(Notice::warning(doubt));
                beside.extend(left_news.into_iter().flatten());
            }
            None => {
                olds.extend(left_olds.into_iter().flatten());
                news.extend(left_news.into_iter().flatten());
            }
        }
    }
}

/// Two documents that are equally like a third one.
type Doubt<'d> = (&'d Document, &'d Document);

/// Pairs of an old and a new document, those that are most alike first, up to the first one that
/// could be either of two.
fn most_alike<'d>(
    olds: &'d [Document],
    news: &'d [(usize, Document)],
) -> (Vec<(usize, usize)>, Option<Doubt<'d>>) {
    let new_values: Vec<HashSet<u64>> = news.iter().map(|(_, new)| values(new)).collect();
    let row = |old: &Document| {
        let old_values = values(old);
        let news = news.iter().zip(&new_values);
        news.map(|((_, new), values)| likeness(old, new, old_values.intersection(values).count()))
            .collect()
    };
    let alike: Vec<Vec<Likeness>> = olds.iter().map(row).collect();
    let all = (0..olds.len()).flat_map(|old| (0..news.len()).map(move |new| (old, new)));
    let mut all: Vec<(usize, usize)> = all.collect();
    all.sort_by_key(|(old, new)| Reverse(alike[*old][*new]));
    let (mut old_taken, mut new_taken) = (vec![false; olds.len()], vec![false; news.len()]);
    let mut pairs = Vec::new();
    for (old, new) in all {
        if old_taken[old] || new_taken[new] {
            continue;
        }
        let best = alike[old][new];
        // Of two that say the same, either may be taken.
        let other = (0..news.len()).find(|other| {
            !new_taken[*other]
                && alike[old][*other] == best
                && news[*other].1.json != news[new].1.json
        });
        if let Some(other) = other {
            return (pairs, Some((&news[new].1, &news[other].1)));
        }
        let other = (0..olds.len()).find(|other| {
            !old_taken[*other] && alike[*other][new] == best && olds[*other].json != olds[old].json
        });
        if let Some(other) = other {
            return (pairs, Some((&olds[old], &olds[other])));
        }
        (old_taken[old], new_taken[new]) = (true, true);
        pairs.push((old, new));
    }
    (pairs, None)
}

/// Takes out all but the last one of the objects that one file holds several times. kubectl applies
/// them one after the other, so the last one is the state that stays.
fn take_repeated<T>(
    documents: &mut Vec<T>,
    document: impl Fn(&T) -> &Document,
    notices: &mut Vec<Notice>,
) -> Vec<T> {
    let mut last: HashMap<Arc<str>, usize> = HashMap::new();
    for (at, one) in documents.iter().enumerate() {
        last.insert(Arc::clone(&document(one).file), at);
    }
    if last.len() == documents.len() {
        return Vec::new();
    }
    let (mut kept, mut repeated) = (Vec::new(), Vec::new());
    for (at, one) in std::mem::take(documents).into_iter().enumerate() {
        let is_last = last.get(&document(&one).file) == Some(&at);
        if is_last { kept.push(one) } else { repeated.push(one) }
    }
    let by_file: HashMap<Arc<str>, &Document> =
        kept.iter().map(|one| (Arc::clone(&document(one).file), document(one))).collect();
    repeated.retain(|one| {
        let one = document(one);
        let Some(last) = by_file.get(&one.file).filter(|last| last.json != one.json) else {
            return false;
        };
        notices.push(Notice::warning(duplicate(one, last, "kubectl applies both, this one last")));
        true
    });
    *documents = kept;
    repeated
}

/// Says that `second` is the same object as `first`.
fn duplicate(first: &Document, second: &Document, consequence: &str) -> InputError {
    let (one, two) = (first.location(), second.location());
    let namespace =
        if second.namespace.is_empty() { String::new() } else { format!("{}/", second.namespace) };
    InputError {
        file: second.file.to_string(),
        line: two.line,
        column: two.column,
        message: format!(
            "{} {namespace}{} is also defined at {}:{}:{}; {consequence}",
            second.kind, second.name, first.file, one.line, one.column
        ),
    }
}

/// How much alike two documents are. What comes first matters most: a beginning of names that is no
/// accident, the same content, how many values are the same, and any beginning of names.
type Likeness = (usize, bool, usize, usize);

/// The likeness of two documents whose files have the same last parts in their names, by the folder
/// before these. They have `same` values in common.
fn likeness(old: &Document, new: &Document, same: usize) -> Likeness {
    let (one, two) = (path(&old.file).rsplit('/'), path(&new.file).rsplit('/'));
    let differing = one.zip(two).find(|(one, two)| one != two);
    let begin = differing.map_or(0, |(one, two)| {
        one.bytes().zip(two.bytes()).take_while(|(one, two)| one == two).count()
    });
    (if begin > 1 { begin } else { 0 }, old.json == new.json, same, begin)
}

/// So many values of a document are compared.
const VALUES: usize = 500;

/// The values of a document with their fields, each as a hash.
fn values(document: &Document) -> HashSet<u64> {
    let mut values = HashSet::new();
    let object: Value = serde_json::from_str(&document.json).unwrap_or_default();
    let mut open = vec![(DefaultHasher::new(), &object)];
    while let Some((field, value)) = open.pop() {
        match value {
            Value::Object(members) => open.extend(members.iter().map(|(key, member)| {
                let mut field = field.clone();
                key.hash(&mut field);
                (field, member)
            })),
            Value::Array(elements) => {
                open.extend(elements.iter().map(|element| (field.clone(), element)));
            }
            value => {
                let mut field = field;
                value.to_string().hash(&mut field);
                values.insert(field.finish());
            }
        }
        if values.len() >= VALUES {
            break;
        }
    }
    values
}
