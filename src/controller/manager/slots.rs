//! How many sets are between the retention pin and adoption together.

use std::collections::{BTreeMap, BTreeSet};

use crate::controller::Key;

/// The sets that are touched.
#[derive(Default)]
pub(super) struct Slots {
    taken: BTreeSet<Key>,
    /// how many there are in all
    all: usize,
    /// how many one namespace may take
    of_one: usize,
}

impl Slots {
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self { taken: BTreeSet::new(), all, of_one }
    }

    /// Whether there is none for this set.
    pub(super) fn full_for(&self, key: &Key) -> bool {
        !self.taken.contains(key)
            && (self.taken.len() >= self.all || self.of(&key.namespace) >= self.of_one)
    }

    /// Takes one for this set, if there is one.
    pub(super) fn take(&mut self, key: &Key) -> bool {
        let free = !self.full_for(key);
        if free {
            self.taken.insert(key.clone());
        }
        free
    }

    /// The set is touched already, by this process before it was started or by another one.
    pub(super) fn note(&mut self, key: &Key) {
        self.taken.insert(key.clone());
    }

    /// Gives the set's slot back; whether it had one.
    pub(super) fn release(&mut self, key: &Key) -> bool {
        self.taken.remove(key)
    }

    /// Those of the sets that wait for which there is a slot: as many as there are slots, first of
    /// namespaces that have taken few. All others wait without being looked at.
    pub(super) fn next<'k>(&self, waiting: impl IntoIterator<Item = &'k Key>) -> Vec<&'k Key> {
        let mut lines = BTreeMap::<&str, Vec<&Key>>::new();
        for key in waiting {
            lines.entry(&key.namespace).or_default().push(key);
        }
        let mut turns = Vec::new();
        for (namespace, line) in lines {
            let taken = self.of(namespace);
            let free = self.of_one.saturating_sub(taken);
            let of_line = line.into_iter().take(free).enumerate();
            turns.extend(of_line.map(|(at, key)| (taken + at, key)));
        }
        turns.sort_unstable();
        let free = self.all.saturating_sub(self.taken.len());
        turns.into_iter().take(free).map(|(_, key)| key).collect()
    }

    fn of(&self, namespace: &str) -> usize {
        self.taken.iter().filter(|key| key.namespace == namespace).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn one_namespace_takes_only_its_part() {
        let mut slots = Slots::new(4, 2);
        assert!(slots.take(&key("a", "1")) && slots.take(&key("a", "2")));
        assert!(!slots.take(&key("a", "3")), "half is the most");
        assert!(slots.take(&key("a", "2")), "it has one");
        assert!(slots.take(&key("b", "1")) && slots.take(&key("c", "1")));
        assert!(!slots.take(&key("d", "1")), "all are taken");
        assert!(slots.release(&key("a", "1")) && !slots.release(&key("a", "1")));
        assert!(slots.take(&key("d", "1")));
        // What is away already is counted, even if there were too many.
        slots.note(&key("e", "1"));
        assert!(!slots.full_for(&key("e", "1")) && slots.full_for(&key("a", "1")));
    }

    #[test]
    fn who_waits_is_woken_in_turn_and_no_more_than_there_are_slots() {
        let mut slots = Slots::new(4, 2);
        let names: Vec<String> = (0..50).map(|n| format!("{n:02}")).collect();
        let mut waiting: Vec<Key> = names.iter().map(|name| key("a", name)).collect();
        waiting.extend([key("b", "x"), key("c", "y"), key("c", "z")]);
        let next = |slots: &Slots| -> Vec<String> {
            slots.next(&waiting).iter().map(ToString::to_string).collect()
        };
        assert_eq!(next(&slots), ["a/00", "b/x", "c/y", "a/01"]);
        slots.note(&key("a", "88"));
        assert_eq!(next(&slots), ["b/x", "c/y", "a/00"]);
        slots.note(&key("a", "99"));
        assert_eq!(next(&slots), ["b/x", "c/y"]);
        slots.note(&key("d", "1"));
        slots.note(&key("d", "2"));
        assert!(next(&slots).is_empty());
    }
}
