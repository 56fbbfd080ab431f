//! The claims that an object uses, and which of them its successor does not use.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

/// The claims of one object in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// `data-db` → the ordinals of `data-db-0` and so on
    pub(super) numbered: BTreeMap<String, Vec<Range<i64>>>,
    /// claims with their whole names
    pub(super) named: BTreeSet<String>,
    /// `data-db` of `data-db-x7k2p`, for controllers that make names up
    pub(super) generated: BTreeSet<String>,
}

impl Claims {
    pub(super) fn is_empty(&self) -> bool {
        self.numbered.is_empty() && self.named.is_empty() && self.generated.is_empty()
    }

    /// Whether one of `names` is the name of one of these.
    pub(super) fn has_any(&self, names: &Names<'_>) -> bool {
        let numbered = |(stem, ranges): (&String, &Vec<Range<i64>>)| {
            names.of_stem(stem).is_some_and(|ordinals| {
                ranges.iter().any(|range| ordinals.range(range.clone()).next().is_some())
            })
        };
        self.named.iter().any(|name| names.all.contains(&**name))
            || self.numbered.iter().any(numbered)
    }

    /// Removes the claims with these names.
    pub(super) fn remove(&mut self, names: &Names<'_>) {
        self.named.retain(|name| !names.all.contains(&**name));
        for (stem, ranges) in &mut self.numbered {
            if let Some(ordinals) = names.of_stem(stem) {
                *ranges =
                    ranges.iter().flat_map(|range| without_ordinals(range, ordinals)).collect();
            }
        }
        self.numbered.retain(|_, ranges| !ranges.is_empty());
    }

    /// Whether the claim called `name` is one of these.
    fn has(&self, name: &str) -> bool {
        self.has_any(&Names::from_iter([name]))
    }

    /// The claims of these that `successor`, in the same namespace, does not use.
    pub(super) fn without(mut self, successor: &Self) -> Self {
        // A set that only has fewer pods than before still uses the claims when it grows again.
        for (stem, ranges) in &successor.numbered {
            let start = ranges.first().map_or(0, |range| range.start);
            if let Some(mine) = self.numbered.get_mut(stem) {
                for range in mine.iter_mut() {
                    range.end = range.end.min(start);
                }
                mine.retain(|range| !range.is_empty());
            }
        }
        self.numbered.retain(|_, ranges| !ranges.is_empty());
        self.named.retain(|name| !successor.has(name));
        self.remove(&successor.named.iter().map(String::as_str).collect());
        self.generated.retain(|stem| !successor.generated.contains(stem));
        self
    }

    /// For people: `data-db-0 to -2, wal-db-0`.
    pub(super) fn text(&self) -> String {
        let numbered = self.numbered.iter().flat_map(|(stem, ranges)| {
            ranges.iter().map(move |range| match range.end - range.start {
                ..=1 => format!("{stem}-{}", range.start),
                2 => format!("{stem}-{} and -{}", range.start, range.end - 1),
                _ => format!("{stem}-{} to -{}", range.start, range.end - 1),
            })
        });
        let generated = self.generated.iter().map(|stem| format!("{stem}-*"));
        let all: Vec<String> =
            numbered.chain(self.named.iter().cloned()).chain(generated).collect();
        all.join(", ")
    }

    /// The names of all claims as words of a shell; `None` if they are too many or not known.
    pub(super) fn words(&self) -> Option<Vec<String>> {
        const MOST: i64 = 20;
        let ranges = || self.numbered.values().flatten();
        let count = ranges().fold(0i64, |sum, range| sum.saturating_add(range.end - range.start));
        if count > MOST || self.named.len() > 20 || !self.generated.is_empty() {
            return None;
        }
        let numbered = self.numbered.iter().flat_map(|(stem, ranges)| {
            ranges.iter().cloned().flatten().map(move |ordinal| format!("{stem}-{ordinal}"))
        });
        Some(numbered.chain(self.named.iter().cloned()).collect())
    }
}

/// The ranges that are left of `range`.
fn without_ordinals(range: &Range<i64>, ordinals: &BTreeSet<i64>) -> Vec<Range<i64>> {
    let mut left = Vec::new();
    let mut start = range.start;
    for ordinal in ordinals.range(range.clone()) {
        left.push(start..*ordinal);
        start = ordinal.saturating_add(1);
    }
    left.push(start..range.end);
    left.retain(|range| !range.is_empty());
    left
}

/// Names of claims of one namespace, which sets find by the stems of their claims.
#[derive(Debug, Default)]
pub(super) struct Names<'n> {
    all: HashSet<&'n str>,
    /// `data-db` → the ordinals of `data-db-0` and so on
    numbered: HashMap<&'n str, BTreeSet<i64>>,
}

impl<'n> Names<'n> {
    pub(super) fn insert(&mut self, name: &'n str) {
        self.all.insert(name);
        if let Some((stem, ordinal)) = name.rsplit_once('-')
            && let Ok(ordinal) = ordinal.parse()
        {
            self.numbered.entry(stem).or_default().insert(ordinal);
        }
    }

    fn of_stem(&self, stem: &str) -> Option<&BTreeSet<i64>> {
        self.numbered.get(stem)
    }
}

impl<'n> FromIterator<&'n str> for Names<'n> {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.insert(name));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(numbered: &[(&str, Range<i64>)], named: &[&str]) -> Claims {
        let one = |(stem, range): &(&str, Range<i64>)| ((*stem).to_owned(), vec![range.clone()]);
        Claims {
            numbered: numbered.iter().map(one).collect(),
            named: named.iter().map(|name| (*name).to_owned()).collect(),
            generated: BTreeSet::new(),
        }
    }

    #[test]
    fn claims_that_the_successor_uses_are_not_left() {
        let old = claims(&[("data-db", 0..3)], &["logs"]);
        for (successor, left) in [
            (claims(&[("data-db", 0..3)], &["logs"]), ""),
            (claims(&[("data-db", 0..1)], &["logs"]), ""),
            (claims(&[("data-db", 2..5)], &[]), "data-db-0 and -1, logs"),
            (claims(&[("data-db", 5..8)], &[]), "data-db-0 to -2, logs"),
            (claims(&[], &["data-db-1"]), "data-db-0, data-db-2, logs"),
            (claims(&[("data-new", 0..3)], &["logs"]), "data-db-0 to -2"),
        ] {
            assert_eq!(old.clone().without(&successor).text(), left, "{successor:?}");
        }
        let single = claims(&[], &["data-db-0"]);
        assert!(single.without(&claims(&[("data-db", 0..1)], &[])).is_empty());
    }

    #[test]
    fn names_are_spelt_out_only_if_they_are_few() {
        let few = claims(&[("data-db", 1..3)], &["logs"]).words().unwrap();
        assert_eq!(few, ["data-db-1", "data-db-2", "logs"]);
        assert_eq!(claims(&[("data-db", 0..i64::MAX)], &[]).words(), None);
    }
}
