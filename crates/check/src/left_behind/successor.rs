//! Which new object takes the place of which old one.

use std::collections::{BTreeMap, BTreeSet};

use super::holder::{Form, Holder};

/// A bucket with more possible pairs than this is paired in the order of names.
const COMPARED: usize = 1024;

/// The places of an old and a new holder, each at most once: the pairs that are most alike first.
pub(super) fn pairs(olds: &[Holder<'_>], news: &[Holder<'_>]) -> Vec<(usize, usize)> {
    let mut buckets: BTreeMap<String, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (at, old) in olds.iter().enumerate() {
        for key in keys(old) {
            buckets.entry(key).or_default().0.push(at);
        }
    }
    for (at, new) in news.iter().enumerate() {
        for key in keys(new) {
            // A new object that shares nothing with an old one takes nobody's place.
            if let Some((_, members)) = buckets.get_mut(&key) {
                members.push(at);
            }
        }
    }
    let mut candidates = BTreeSet::new();
    for (mut some_olds, mut some_news) in buckets.into_values() {
        if some_olds.len().saturating_mul(some_news.len()) <= COMPARED {
            candidates.extend(
                some_olds.iter().flat_map(|old| some_news.iter().map(move |new| (*old, *new))),
            );
        } else {
            let by_name = |holder: &Holder<'_>| {
                (holder.document.namespace.clone(), holder.document.name.clone())
            };
            some_olds.sort_by_cached_key(|at| by_name(&olds[*at]));
            some_news.sort_by_cached_key(|at| by_name(&news[*at]));
            candidates.extend(some_olds.into_iter().zip(some_news));
        }
    }
    let mut scored: Vec<_> = candidates
        .into_iter()
        .filter_map(|(old, new)| Some((likeness(&olds[old], &news[new])?, old, new)))
        .collect();
    scored.sort_by(|one, two| two.0.cmp(&one.0).then((one.1, one.2).cmp(&(two.1, two.2))));
    let (mut old_taken, mut new_taken) = (BTreeSet::new(), BTreeSet::new());
    let free = scored.into_iter().filter(|(_, old, new)| {
        let free = !old_taken.contains(old) && !new_taken.contains(new);
        if free {
            old_taken.insert(*old);
            new_taken.insert(*new);
        }
        free
    });
    free.map(|(_, old, new)| (old, new)).collect()
}

/// What two holders have to share in part to be compared.
fn keys(holder: &Holder<'_>) -> Vec<String> {
    let document = holder.document;
    let kind = if holder.form == Form::Claim { "claim" } else { "workload" };
    let mut keys = vec![format!("{kind} name {}", document.name)];
    let traits = holder.traits.iter().map(|(key, value)| format!("{kind} {key} {value}"));
    keys.extend(traits);
    keys.extend(holder.images.iter().map(|image| format!("{kind} image {image}")));
    if !holder.templates.is_empty() {
        keys.push(format!("{kind} templates {:?}", holder.templates));
    }
    keys
}

/// How much two holders are alike; `None` if neither is the other one under a new name.
fn likeness(old: &Holder<'_>, new: &Holder<'_>) -> Option<(u8, usize, usize)> {
    let (one, two) = (old.document, new.document);
    let same_name = one.name == two.name;
    let same_namespace = one.namespace == two.namespace;
    let shares = |key| old.trait_of(key).is_some() && old.trait_of(key) == new.trait_of(key);
    let related = same_name || is_part(&one.name, &two.name) || is_part(&two.name, &one.name);
    let mut score = 4 * u8::from(same_name) + 4 * u8::from(same_namespace);
    let alike = if old.form == Form::Claim {
        let spec = shares("spec");
        score += u8::from(spec) + 2 * u8::from(shares("labels"));
        same_name || (spec && (related || shares("labels")))
    } else {
        let images = !old.images.is_disjoint(&new.images);
        let templates = !old.templates.is_empty() && old.templates == new.templates;
        let other_form = old.form != new.form || one.group() != two.group();
        score += 2 * u8::from(shares("selector"))
            + 2 * u8::from(images)
            + u8::from(templates)
            + u8::from(!other_form);
        let beside = same_name || same_namespace;
        (same_name && same_namespace)
            || (images && (templates || beside))
            || (shares("selector") && (templates || other_form || beside))
            || (templates && related)
    };
    let common = |one: &str, two: &str| {
        one.bytes().zip(two.bytes()).take_while(|(one, two)| one == two).count()
    };
    alike.then(|| (score, common(&one.namespace, &two.namespace), common(&one.name, &two.name)))
}

/// Whether `part` is the whole of `name` but for parts between dashes: `db` of `my-db`.
fn is_part(part: &str, name: &str) -> bool {
    part.len() > 1 && format!("-{name}-").contains(&format!("-{part}-"))
}
