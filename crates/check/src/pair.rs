//! Old and new state of the same object.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use stateward_core::yaml::{Document, InputError};

use crate::report::{Notice, UnjudgedObject};
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
    pub fn created(new: Selection) -> Self {
        let created = |document| Pairing { old: None, new: Some(document) };
        Self {
            pairings: new.documents.into_iter().map(created).collect(),
            removed: Vec::new(),
            workloads: Workloads::default(),
            errors: new.errors,
            notices: new.notices,
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
    let alone = || same_name(news.range(&first..), own).count() == 1;
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
        ..Paired::default()
    };
    faults(old.errors, new.errors, &mut paired);
    paired.notices.extend(new.notices);
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
    let removed = order.iter().filter_map(|key| olds.remove(key)).flatten();
    if deletions {
        paired.pairings.extend(removed.map(|document| Pairing { old: Some(document), new: None }));
    } else {
        paired.removed.extend(removed);
    }
    paired
}

/// What cannot be read in the old manifests does not block the change that mends it, nor one that has
/// nothing to do with it.
fn faults(old: Vec<InputError>, new: Vec<InputError>, paired: &mut Paired) {
    // A file that only moves is as unreadable as before.
    let moved = |error: &InputError| {
        let name = path(&error.file).rsplit('/').next().unwrap_or_default().to_owned();
        (name, error.message.clone())
    };
    let same = |error: &InputError| (path(&error.file).to_owned(), error.message.clone());
    let mut at: HashSet<(String, String)> = old.iter().map(same).collect();
    let mut by_name: HashMap<(String, String), usize> = HashMap::new();
    let news: HashSet<(String, String)> = new.iter().map(same).collect();
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
    at.retain(|fault| !carried.contains(fault));
    for error in old.into_iter().filter(|error| at.contains(&same(error))) {
        let message = format!(
            "the old manifest could not be read, so what it holds now is judged as new: {}",
            error.message
        );
        paired.notices.push(Notice::warning(InputError { message, ..error }));
    }
}

/// Pairs one object that stands several times: with the one whose file is named most alike. What is
/// left over of the new ones is a copy: of the same object if both are applied together, and else
/// a new object, such as one for another cluster.
fn pair_several(
    olds: &mut Vec<Document>,
    mut news: Vec<(usize, Document)>,
    pairings: &mut Vec<(usize, Pairing)>,
    paired: &mut Paired,
) {
    let errors = &mut paired.errors;
    // Notices are about what counts now.
    let old_repeated = take_repeated(olds, |document| document, &mut Vec::new());
    let repeated = take_repeated(&mut news, |(_, document)| document, &mut paired.notices);
    let all_olds = olds.clone();
    let deepest = olds.iter().map(|old| path(&old.file).split('/').count()).max().unwrap_or(0);
    for parts in (0..=deepest).rev() {
        // Files with more parts in common were paired before, so these have just so many.
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for old in olds.drain(..) {
            groups.entry(ending(&old, parts)).or_default().olds.push(old);
        }
        for (at, new) in news.drain(..) {
            groups.entry(ending(&new, parts)).or_default().news.push((at, new));
        }
        for mut group in groups.into_values() {
            group.pair(pairings, errors);
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
    for (at, new) in news {
        let beside = || all_olds.iter().find(|old| are_applied_together(&old.file, &new.file));
        let old = by_path.get(path(&new.file)).copied().or_else(beside).cloned();
        pairings.push((at, Pairing { old, new: Some(new) }));
    }
}

/// Whether one file is in the folder of the other or below it, so that both are applied together.
fn are_applied_together(one: &str, two: &str) -> bool {
    let folder = |file| path(file).rsplit_once('/').map_or("", |(folder, _)| folder);
    let (one, two) = (folder(one), folder(two));
    let holds = |outer: &str, inner: &str| {
        outer.is_empty()
            || inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    holds(one, two) || holds(two, one)
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
    /// an error: any choice would be a guess.
    fn pair(&mut self, pairings: &mut Vec<(usize, Pairing)>, errors: &mut Vec<InputError>) {
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
        while !olds.is_empty() && !news.is_empty() {
            let doubt = if olds.len().saturating_mul(news.len()) > COMPARED {
                duplicate_error(&news[0].1, &news[news.len() - 1].1)
            } else {
                match best_pair(olds, news) {
                    Ok((old, new)) => {
                        let (at, new) = news.remove(new);
                        let old = Some(olds.remove(old));
                        pairings.push((at, Pairing { old, new: Some(new) }));
                        continue;
                    }
                    Err((first, second)) => duplicate_error(first, second),
                }
            };
            errors.push(doubt);
            olds.clear();
            news.clear();
        }
    }
}

/// The old and the new document that are most alike, or two that are equally so.
fn best_pair<'d>(
    olds: &'d [Document],
    news: &'d [(usize, Document)],
) -> Result<(usize, usize), (&'d Document, &'d Document)> {
    let pairs = olds.iter().enumerate().flat_map(|(o, old)| {
        news.iter().enumerate().map(move |(n, (_, new))| (likeness(old, new), o, n))
    });
    let mut best: Vec<((usize, bool), usize, usize)> = Vec::new();
    for pair in pairs {
        if best.first().is_none_or(|(top, ..)| pair.0 > *top) {
            best.clear();
        }
        if best.first().is_none_or(|(top, ..)| pair.0 == *top) {
            best.push(pair);
        }
    }
    let (_, old, new) = best[0];
    for (_, o, n) in &best[1..] {
        // Of two that say the same, either may be taken.
        if *n == new && olds[*o].json != olds[old].json {
            return Err((&olds[old], &olds[*o]));
        }
        if *o == old && news[*n].1.json != news[new].1.json {
            return Err((&news[new].1, &news[*n].1));
        }
    }
    Ok((old, new))
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

fn duplicate_error(first: &Document, second: &Document) -> InputError {
    duplicate(first, second, "which one counts?")
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

/// The path of a file without the revision that stands before it.
fn path(file: &str) -> &str {
    file.split_once(':').map_or(file, |(_, path)| path)
}

/// How much alike two documents are whose files have the same last parts in their names: how much
/// of the folder before these begins alike, and whether they say the same.
fn likeness(old: &Document, new: &Document) -> (usize, bool) {
    let (one, two) = (path(&old.file).rsplit('/'), path(&new.file).rsplit('/'));
    let differing = one.zip(two).find(|(one, two)| one != two);
    let begin = differing.map_or(0, |(one, two)| {
        one.bytes().zip(two.bytes()).take_while(|(one, two)| one == two).count()
    });
    (begin, old.json == new.json)
}
