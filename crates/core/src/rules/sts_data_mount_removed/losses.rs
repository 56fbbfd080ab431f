//! Which processes lose sight of the data that they wrote.

use std::collections::{BTreeMap, BTreeSet};

use super::named::{self, Key, Meaning, Named};
use super::path;
use super::successor::{Candidate, successors};
use super::variables::{BUDGET, Variables};
use super::view::{Mount, Other, Place, Source, View, Volumes};
use crate::object::pod::{Container, PodSpec};
use crate::object::{DecodeError, StatefulSet};

/// The containers of a pod that run as long as it does.
#[derive(Debug)]
pub(super) struct Pod<'c, 'a> {
    containers: Vec<Running<'c, 'a>>,
}

#[derive(Debug)]
struct Running<'c, 'a> {
    list: &'static str,
    index: usize,
    container: &'c Container<'a>,
    view: View<'c>,
}

impl<'c, 'a> Pod<'c, 'a> {
    /// # Errors
    /// The claim template that has the wrong type.
    pub(super) fn of(
        set: &'c StatefulSet<'a>,
        pod: &'c PodSpec<'a>,
        templates: &BTreeSet<&str>,
    ) -> Result<Self, DecodeError> {
        let volumes = Volumes::of(set, pod, templates)?;
        let mut left = BUDGET;
        let running = pod.all_containers().filter(|(list, _, container)| {
            *list == "containers" || container.restart_policy.as_deref() == Some("Always")
        });
        let containers = running.map(|(list, index, container)| {
            let mut variables = Variables::of(container, left);
            let view = View::of(container, &mut variables, &volumes);
            left = variables.left;
            Running { list, index, container, view }
        });
        Ok(Self { containers: containers.collect() })
    }
}

/// A container that no longer finds what it wrote.
#[derive(Debug)]
pub(super) struct Loss<'p, 'a> {
    /// the container before, and its place in its list
    pub(super) container: &'p Container<'a>,
    pub(super) list: &'static str,
    pub(super) index: usize,
    /// the container that carries on its process
    pub(super) successor: Option<(&'static str, usize, &'p Container<'a>)>,
    /// the mount through which it wrote
    pub(super) mount: &'p Mount<'p>,
    /// where it looks for its data, and which folder it found there
    pub(super) path: String,
    pub(super) place: Place<'p>,
    pub(super) what: What<'p>,
    /// whether it would write to a claim, though not to its data
    pub(super) stays: bool,
    /// whether the data may well be elsewhere
    pub(super) unsure: bool,
}

/// How it loses its data.
#[derive(Debug)]
pub(super) enum What<'p> {
    /// the container is removed
    Removed,
    /// the mount is removed from this list
    Unmounted(&'static str),
    /// the claim is mounted at another path
    Moved(&'p Mount<'p>),
    /// another folder of the claim is mounted at the path
    OtherFolder(&'p Mount<'p>),
    /// another volume is mounted at the path
    Replaced(&'p Mount<'p>),
    /// another volume is mounted below the path
    Hidden(&'p Mount<'p>),
    /// a variable or an argument names another path
    Named { old: Named<'p>, new: Option<Named<'p>> },
    /// the process can read its data and not write it
    ReadOnly(&'p Mount<'p>),
}

/// What the containers of `before` lose in `after`, in their order.
pub(super) fn losses<'p, 'a>(before: &'p Pod<'p, 'a>, after: &'p Pod<'p, 'a>) -> Vec<Loss<'p, 'a>> {
    let successors = successors(&candidates(before), &candidates(after));
    let mut found = Vec::new();
    let mut kept: BTreeMap<Source<'_>, BTreeSet<&str>> = BTreeMap::new();
    let mut left = (BUDGET, BUDGET);
    for (old, successor) in before.containers.iter().zip(&successors) {
        let Some(new) = successor.map(|index| &after.containers[index]) else { continue };
        let mut pair = Pair { old, new, lost: &mut found };
        for mount in pair.compare(&mut left) {
            kept.entry(mount.place.source).or_default().insert(&mount.place.folder);
        }
    }
    let strangers = successors.iter().flatten().count() < after.containers.len();
    for (old, _) in before.containers.iter().zip(&successors).filter(|(_, s)| s.is_none()) {
        for mount in written(&old.view).map(|index| &old.view.mounts[index]) {
            let keepers = kept.get(&mount.place.source);
            // Nobody comes who could start empty, and somebody still has the claim.
            if keepers.is_some() && !strangers {
                continue;
            }
            let folder = &*mount.place.folder;
            let shared = keepers.is_some_and(|kept| kept.contains("") || kept.contains(folder));
            let mut loss = old.loss(mount, None, What::Removed);
            loss.unsure = shared;
            found.push(loss);
        }
    }
    found
}

fn candidates<'p, 'a>(pod: &'p Pod<'p, 'a>) -> Vec<Candidate<'p, 'a>> {
    let containers = pod.containers.iter();
    containers.map(|c| Candidate { container: c.container, view: &c.view }).collect()
}

/// The mounts, by their places, through which a container writes to claims.
fn written(view: &View<'_>) -> impl Iterator<Item = usize> {
    let mounts = view.mounts.iter().enumerate();
    mounts.filter(|(i, mount)| mount.writes_claim() && !view.is_covered(*i)).map(|(i, _)| i)
}

impl<'p, 'a> Running<'p, 'a> {
    fn loss(&self, mount: &'p Mount<'p>, new: Option<&Self>, what: What<'p>) -> Loss<'p, 'a> {
        Loss {
            container: self.container,
            list: self.list,
            index: self.index,
            successor: new.map(|new| (new.list, new.index, new.container)),
            mount,
            path: mount.path.to_string(),
            place: mount.place.clone(),
            what,
            stays: false,
            unsure: false,
        }
    }
}

/// A container and the one that carries on its process.
struct Pair<'f, 'p, 'a> {
    old: &'p Running<'p, 'a>,
    new: &'p Running<'p, 'a>,
    lost: &'f mut Vec<Loss<'p, 'a>>,
}

/// A path that the old container named, in a claim that it writes to.
struct Anchor<'p> {
    named: Named<'p>,
    mount: usize,
    place: Place<'p>,
    now: Now<'p>,
}

/// What became of an [`Anchor`].
enum Now<'p> {
    /// the name leads to the same folder
    Same,
    /// the name leads elsewhere; at the same path another mount does
    Elsewhere(Named<'p>, Option<usize>),
    /// nothing has the name any more
    Unnamed,
}

impl<'p, 'a> Pair<'_, 'p, 'a> {
    /// Adds what the process loses, and gives the mounts that it keeps.
    fn compare(&mut self, left: &mut (usize, usize)) -> Vec<&'p Mount<'p>> {
        let (old, new) = (&self.old.view, &self.new.view);
        let written: Vec<usize> = written(old).collect();
        if written.is_empty() {
            return Vec::new();
        }
        let anchors = self.anchors(left);
        // By mount: whether every path that is named in it still leads to its folder.
        let mut evidence: BTreeMap<usize, bool> = BTreeMap::new();
        for anchor in anchors.iter().filter(|a| a.named.key.meaning() != Meaning::Scratch) {
            let same = matches!(anchor.now, Now::Same);
            *evidence.entry(anchor.mount).or_insert(true) &= same;
        }
        let (narrowed, hidden) = self.nested();
        let paths: Vec<&str> = written.iter().map(|index| &*old.mounts[*index].path).collect();
        let mut kept = Vec::new();
        let mut kept_mounts = BTreeSet::new();
        let moved = self.moved();
        for (index, found) in written.into_iter().zip(new.find(&paths)) {
            let mount = &old.mounts[index];
            let there = found.as_ref().map(|found| (found, &new.mounts[found.mount]));
            let same = there.filter(|(found, _)| found.place == mount.place);
            // Runtimes disagree about which of two mounts at one path lies on top.
            let contested = |found: usize| new.twins(found).find(|twin| twin.place != mount.place);
            let rival = same
                .filter(|(found, _)| found.exact && old.twins(index).next().is_none())
                .and_then(|(found, _)| contested(found.mount));
            if let (Some((_, now)), None) = (same, rival) {
                kept.push(mount);
                kept_mounts.insert(index);
                if now.read_only {
                    let mut loss = self.loss(mount, What::ReadOnly(now));
                    loss.unsure = true;
                    self.lost.push(loss);
                }
                continue;
            }
            let narrow = narrowed.get(&index);
            match (evidence.get(&index), narrow) {
                // The process is told where its data is, and finds it.
                (Some(true), _) | (None, Some(Meaning::Data)) => {
                    kept.push(mount);
                    continue;
                }
                _ => {}
            }
            let source = mount.place.source;
            let what = match (rival, there) {
                (Some(rival), _) => What::Hidden(rival),
                (None, Some((found, now)))
                    if new.twins(found.mount).any(|m| m.place == mount.place) =>
                {
                    What::Hidden(now)
                }
                (None, Some((found, now))) if found.exact && found.place.source == source => {
                    What::OtherFolder(now)
                }
                (None, Some((found, now))) if found.exact => What::Replaced(now),
                _ => match moved.get(&source) {
                    Some(now) => What::Moved(now),
                    None => What::Unmounted(mount.list),
                },
            };
            let mut loss = self.loss(mount, what);
            loss.stays = there.is_some_and(|(found, _)| found.place.source.is_claim());
            loss.unsure = !evidence.contains_key(&index) && narrow.is_some();
            self.lost.push(loss);
        }
        let mut said = BTreeSet::new();
        for (index, now) in hidden.into_iter().filter(|(index, _)| kept_mounts.contains(index)) {
            let last = now.path.rsplit('/').next().unwrap_or_default();
            let unsure = match now.place.source {
                Source::Other(Other::Files, _) => continue,
                _ if named::meaning(last) == Meaning::Scratch => continue,
                Source::Other(Other::Unknown, _) => true,
                _ => false,
            };
            let mut loss = self.loss(&old.mounts[index], What::Hidden(now));
            loss.unsure = unsure;
            said.insert((now.list, now.index));
            self.lost.push(loss);
        }
        for anchor in anchors {
            if kept_mounts.contains(&anchor.mount) {
                self.astray(anchor, &said);
            }
        }
        kept
    }

    fn loss(&self, mount: &'p Mount<'p>, what: What<'p>) -> Loss<'p, 'a> {
        self.old.loss(mount, Some(self.new), what)
    }

    /// Adds the loss of a path that is named and leads elsewhere, while its mount stays. `said` are
    /// the mounts that are known to hide something.
    fn astray(&mut self, anchor: Anchor<'p>, said: &BTreeSet<(&str, usize)>) {
        let mount = &self.old.view.mounts[anchor.mount];
        let meaning = anchor.named.key.meaning();
        let mounts = &self.new.view.mounts;
        let (new, now) = match anchor.now {
            Now::Same => return,
            Now::Unnamed if meaning != Meaning::Data => return,
            Now::Unnamed => (None, None),
            Now::Elsewhere(new, found) => (Some(new), found.map(|index| &mounts[index])),
        };
        let same_path = new.as_ref().is_some_and(|new| new.path() == anchor.named.path());
        let unsure = meaning != Meaning::Data || new.is_none();
        let mut loss = match now.filter(|_| same_path) {
            Some(now) if said.contains(&(now.list, now.index)) => return,
            Some(now) => self.loss(mount, What::Hidden(now)),
            None if meaning == Meaning::Scratch => return,
            None => self.loss(mount, What::Named { old: anchor.named, new }),
        };
        loss.stays = now.is_some_and(|now| now.place.source.is_claim());
        loss.place = anchor.place;
        loss.unsure = unsure;
        self.lost.push(loss);
    }

    /// The paths in claims that the old container names, and what became of them.
    fn anchors(&self, left: &mut (usize, usize)) -> Vec<Anchor<'p>> {
        let old = named_by(self.old.container, &mut left.0);
        let paths: Vec<_> = old.iter().map(|named| named.path().unwrap_or_default()).collect();
        let queries: Vec<&str> = paths.iter().map(|path| &**path).collect();
        let view = &self.old.view;
        let found: Vec<_> = view.find(&queries);
        let mut anchors: Vec<Anchor<'p>> = Vec::new();
        let arguments = arguments(&old);
        for (named, found) in old.iter().zip(found) {
            let Some(found) = found.filter(|_| named.path().is_some()) else { continue };
            if view.mounts[found.mount].writes_claim() {
                let (mount, place) = (found.mount, found.place);
                anchors.push(Anchor { named: named.clone(), mount, place, now: Now::Unnamed });
            }
        }
        if anchors.is_empty() {
            return anchors;
        }
        let new = named_by(self.new.container, &mut left.1);
        // Arguments are told apart by their number.
        if arguments != self::arguments(&new) {
            anchors.retain(|anchor| !matches!(anchor.named.key, Key::Argument(_)));
        }
        let paths: Vec<_> = new.iter().map(|named| named.path().unwrap_or_default()).collect();
        let queries: Vec<&str> = paths.iter().map(|path| &**path).collect();
        let found = self.new.view.find(&queries);
        let mut by_key: BTreeMap<&Key<'_>, usize> = BTreeMap::new();
        let mut same_key = BTreeSet::new();
        let mut any_key = BTreeSet::new();
        for (index, (named, found)) in new.iter().zip(&found).enumerate() {
            by_key.entry(&named.key).or_insert(index);
            if let Some(found) = found.as_ref().filter(|_| named.path().is_some()) {
                same_key.insert((&named.key, &found.place));
                any_key.insert(&found.place);
            }
        }
        for anchor in &mut anchors {
            anchor.now = match by_key.get(&anchor.named.key) {
                Some(_) if same_key.contains(&(&anchor.named.key, &anchor.place)) => Now::Same,
                // A flag that replaces a variable may say the same.
                None if any_key.contains(&anchor.place) => Now::Same,
                Some(index) => {
                    let mount = found[*index].as_ref().map(|found| found.mount);
                    Now::Elsewhere(new[*index].clone(), mount)
                }
                None => Now::Unnamed,
            };
        }
        anchors
    }

    /// The new mounts below old ones: by old mount the name of a folder that is still mounted where
    /// it was, and each mount that lies over a folder.
    fn nested(&self) -> (BTreeMap<usize, Meaning>, Vec<(usize, &'p Mount<'p>)>) {
        let (old, new) = (&self.old.view, &self.new.view);
        let paths: Vec<&str> = new.mounts.iter().map(|mount| &*mount.path).collect();
        let (mut narrowed, mut hidden) = (BTreeMap::new(), Vec::new());
        for (mount, found) in new.mounts.iter().zip(old.find(&paths)) {
            let Some(found) = found.filter(|found| !found.exact) else { continue };
            let above = &old.mounts[found.mount];
            if !above.writes_claim() {
                continue;
            }
            if found.place == mount.place {
                let rest = path::below(&mount.path, &above.path).unwrap_or_default();
                let meaning = named::meaning(rest);
                let known = narrowed.entry(found.mount).or_insert(meaning);
                if meaning == Meaning::Data {
                    *known = meaning;
                }
            } else {
                hidden.push((found.mount, mount));
            }
        }
        (narrowed, hidden)
    }

    /// By claim the first mount of it that the old container did not have.
    fn moved(&self) -> BTreeMap<Source<'p>, &'p Mount<'p>> {
        let old: BTreeSet<_> = self.old.view.mounts.iter().map(|m| (&*m.path, &m.place)).collect();
        let mounts = self.new.view.mounts.iter().rev();
        let fresh = mounts.filter(|mount| !old.contains(&(&*mount.path, &mount.place)));
        fresh.map(|mount| (mount.place.source, mount)).collect()
    }
}

fn named_by<'c>(container: &'c Container<'_>, left: &mut usize) -> Vec<Named<'c>> {
    let mut found = Vec::new();
    let mut variables = Variables::of(container, *left);
    named::values(container, &mut variables, |named| found.push(named));
    *left = variables.left;
    found
}

fn arguments(named: &[Named<'_>]) -> usize {
    named.iter().filter(|named| matches!(named.key, Key::Argument(_))).count()
}
