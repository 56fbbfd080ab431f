//! What one process loses: its old container against the one that carries it on.

use std::collections::{BTreeMap, BTreeSet};

use super::anchors::{Anchor, Anchors, Fresh, Now};
use super::folders::{Folders, ROOT};
use super::loss::{Loss, What};
use super::named::{self, Meaning};
use super::running::Running;
use super::view::{Mount, Other, Place, Source, View};
use crate::rules::path;

/// Adds what the process of `old` loses in `new` to `lost`, and gives the mounts that it keeps.
pub(super) fn compare<'p, 'a>(
    old: &'p Running<'p, 'a>,
    new: &'p Running<'p, 'a>,
    lost: &mut Vec<Loss<'p, 'a>>,
    folders: &mut Folders,
) -> Vec<&'p Mount<'p>> {
    Pair { old, new, lost }.compare(folders)
}

/// A container and the one that carries on its process.
struct Pair<'f, 'p, 'a> {
    old: &'p Running<'p, 'a>,
    new: &'p Running<'p, 'a>,
    lost: &'f mut Vec<Loss<'p, 'a>>,
}

/// What the paths that a process is told say about a mount.
#[derive(Default)]
struct Evidence {
    /// whether every data folder in it is still found
    data: Option<bool>,
    /// the same of every other path that is the mount itself
    whole: Option<bool>,
    /// whether it holds a data folder that is still found
    told: bool,
    /// whether a data folder in it is named, and not only the default of the image
    named: bool,
}

impl Evidence {
    fn by_mount(view: &View<'_>, anchors: &[Anchor<'_>]) -> BTreeMap<usize, Self> {
        let mut all: BTreeMap<usize, Self> = BTreeMap::new();
        for anchor in anchors {
            let evidence = all.entry(anchor.mount).or_default();
            let same = anchor.is_same();
            let is_whole = view.mounts[anchor.mount].place == anchor.place;
            if anchor.is_data() {
                evidence.data = Some(same && evidence.data.unwrap_or(true));
                evidence.told |= same;
                evidence.named |= anchor.old.is_some();
            } else if is_whole && anchor.meaning != Meaning::Scratch {
                evidence.whole = Some(same && evidence.whole.unwrap_or(true));
            }
        }
        all
    }

    fn found(&self) -> Option<bool> {
        self.data.or(self.whole)
    }
}

impl<'p, 'a> Pair<'_, 'p, 'a> {
    /// Adds what the process loses, and gives the mounts that it keeps.
    fn compare(&mut self, folders: &mut Folders) -> Vec<&'p Mount<'p>> {
        let (old, new) = (&self.old.view, &self.new.view);
        let written: Vec<usize> = self.old.written().collect();
        if written.is_empty() {
            return Vec::new();
        }
        let compared = Anchors::of(self.old, self.new, folders);
        let anchors = compared.all();
        let evidence = Evidence::by_mount(old, &anchors);
        let (narrowed, hidden) = self.nested(folders);
        let paths: Vec<&str> = written.iter().map(|index| &*old.mounts[*index].path).collect();
        let mut kept = Vec::new();
        let mut kept_mounts = BTreeSet::new();
        let mut swaps: BTreeMap<(Place<'p>, Place<'p>), usize> = BTreeMap::new();
        let moved = self.moved();
        let sources: BTreeSet<Source<'p>> =
            written.iter().map(|index| old.mounts[*index].place.source).collect();
        for (index, found) in written.into_iter().zip(new.find(&paths, folders)) {
            let mount = &old.mounts[index];
            let there = found.map(|found| (found, &new.mounts[found.mount]));
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
            let told = evidence.get(&index).and_then(Evidence::found);
            // The process is told where its data is, and finds it.
            if told == Some(true) || (told.is_none() && narrow == Some(&Narrow::Data)) {
                kept.push(mount);
                continue;
            }
            let source = mount.place.source;
            let exact = there.filter(|(found, _)| found.exact);
            let what = match (rival, exact) {
                (Some(rival), _) => What::Hidden(rival),
                (None, Some((found, now)))
                    if new.twins(found.mount).any(|m| m.place == mount.place) =>
                {
                    What::Hidden(now)
                }
                (None, Some((found, now))) => {
                    if let Some(other) = swaps.get(&(found.place, mount.place)).copied() {
                        self.swap(other, &mount.path);
                        continue;
                    }
                    swaps.insert((mount.place, found.place), self.lost.len());
                    if found.place.source == source {
                        What::OtherFolder(now)
                    } else {
                        What::Replaced(now)
                    }
                }
                (None, None) => match moved.get(&source) {
                    Some(now) => What::Moved(now),
                    None => What::Unmounted(mount.list),
                },
            };
            let mut loss = self.loss(mount, what);
            loss.stays = there.is_some_and(|(found, _)| found.place.source.is_claim());
            // An image may have another default than its name says.
            let is_named = evidence.get(&index).is_some_and(|evidence| evidence.named);
            loss.unsure = narrow.is_some() && (told.is_none() || !is_named);
            self.lost.push(loss);
        }
        let hidden = hidden.into_iter().filter(|(index, _)| kept_mounts.contains(index));
        let said = self.hidden(hidden, &anchors);
        let fresh = compared.fresh(&anchors, &sources);
        for anchor in anchors {
            if kept_mounts.contains(&anchor.mount) {
                let told = evidence.get(&anchor.mount).is_some_and(|evidence| evidence.told);
                self.astray(&anchor, told, &said);
            }
        }
        if let Some(first) = kept_mounts.first() {
            for fresh in fresh {
                self.fresh(&old.mounts[*first], &fresh);
            }
        }
        kept
    }

    fn loss(&self, mount: &'p Mount<'p>, what: What<'p>) -> Loss<'p, 'a> {
        self.old.loss(mount, Some(self.new), what)
    }

    /// Turns a loss into an exchange with the mount at `path`.
    fn swap(&mut self, loss: usize, path: &'p str) {
        if let Some(loss) = self.lost.get_mut(loss)
            && let What::Replaced(now) | What::OtherFolder(now) = loss.what
        {
            loss.what = What::Swapped(now, path);
        }
    }

    /// Adds the mounts that hide a part of the data, and gives their places in their list.
    fn hidden(
        &mut self,
        hidden: impl Iterator<Item = (usize, &'p Mount<'p>)>,
        anchors: &[Anchor<'p>],
    ) -> BTreeSet<(&'static str, usize)> {
        let mounts: Vec<_> = hidden.collect();
        // The new mounts are in the order of their paths, and so are those that hide something.
        let paths: Vec<&str> = mounts.iter().map(|(_, mount)| &*mount.path).collect();
        let mut data: Vec<_> = anchors.iter().filter(|anchor| anchor.is_data()).collect();
        data.sort_by(|a, b| path::order(a.path, b.path));
        let with_data: BTreeSet<usize> = data.iter().map(|anchor| anchor.mount).collect();
        let folders: Vec<&str> = data.iter().map(|anchor| anchor.path).collect();
        let below = path::nearest(&folders, &paths);
        let astray: Vec<&str> =
            data.iter().filter(|anchor| !anchor.is_same()).map(|anchor| anchor.path).collect();
        let above: BTreeSet<usize> = path::nearest(&paths, &astray).into_iter().flatten().collect();
        let mut said = BTreeSet::new();
        for (at, ((index, now), below)) in mounts.into_iter().zip(below).enumerate() {
            let is_over_data = below.is_some() || above.contains(&at);
            // The process keeps its data elsewhere in the claim.
            let is_beside = with_data.contains(&index) && !is_over_data;
            let Some(sure) = hides_data(now) else { continue };
            // Provisioned files, such as dashboards, often get a folder of their own below the data.
            let files = matches!(now.place.source, Source::Other(Other::Files, _));
            let is_exact = below.is_some_and(|folder| folders[folder] == paths[at]);
            let is_over_data = above.contains(&at) || (below.is_some() && (!files || is_exact));
            let mut loss = self.loss(&self.old.view.mounts[index], What::Hidden(now));
            loss.unsure = is_beside || !(sure || is_over_data);
            said.insert((now.list, now.index));
            self.lost.push(loss);
        }
        said
    }

    /// Adds the loss of a path that is named and leads elsewhere, while its mount stays. `told` is
    /// whether another name says where the data is, and `said` are the mounts that are known to
    /// hide something.
    fn astray(&mut self, anchor: &Anchor<'p>, told: bool, said: &BTreeSet<(&str, usize)>) {
        let mount = &self.old.view.mounts[anchor.mount];
        let mounts = &self.new.view.mounts;
        let other_default = matches!(anchor.now, Now::OtherDefault);
        let (new, now) = match anchor.now {
            Now::Same => return,
            Now::Unnamed | Now::OtherDefault => (None, None),
            Now::Elsewhere(new, found) => (Some(new), found.map(|index| &mounts[index])),
        };
        let stays = now.is_some_and(|now| now.place.source.is_claim());
        let unsure = match (anchor.meaning, &new) {
            (Meaning::Scratch, _) | (Meaning::Unclear, None) => return,
            (Meaning::Perhaps, None) if told => return,
            (Meaning::Perhaps, Some(new)) if told && new.list == "workingDir" => return,
            _ if other_default => true,
            // What a mount hides is said where the mount is.
            (_, None) if anchor.old.is_none() => return,
            (Meaning::Certain(row), None) => {
                named::defaults(row).next().is_none() || self.new.reads_config_file()
            }
            (Meaning::Certain(_), Some(new)) if new.list == "workingDir" => {
                anchor.old.is_none() && self.new.reads_config_file()
            }
            (Meaning::Certain(_) | Meaning::Data, Some(new)) => new.from_elsewhere,
            (Meaning::Perhaps, Some(new)) => told || stays || new.from_elsewhere,
            (Meaning::Data | Meaning::Perhaps, None) | (Meaning::Unclear, Some(_)) => true,
        };
        let same_path = new.as_ref().is_some_and(|new| new.path.as_deref() == Some(anchor.path));
        let mut loss = match now.filter(|_| same_path) {
            Some(now) if said.contains(&(now.list, now.index)) => return,
            Some(now) => self.loss(mount, What::Hidden(now)),
            None => self.loss(mount, What::Named { old: anchor.old, new }),
        };
        loss.path = anchor.path;
        loss.stays = stays;
        loss.place = anchor.place;
        loss.unsure = unsure;
        self.lost.push(loss);
    }

    fn fresh(&mut self, mount: &'p Mount<'p>, fresh: &Fresh<'p>) {
        let now = fresh.mount.map(|index| &self.new.view.mounts[index]);
        let mut loss = self.loss(mount, What::Named { old: None, new: Some(fresh.new) });
        loss.stays = now.is_some_and(|now| now.place.source.is_claim());
        loss.unsure = fresh.unsure;
        self.lost.push(loss);
    }

    /// The new mounts below old ones: which old mounts have a folder that is still mounted where it
    /// was, and each mount that lies over a folder.
    fn nested(
        &self,
        folders: &mut Folders,
    ) -> (BTreeMap<usize, Narrow>, Vec<(usize, &'p Mount<'p>)>) {
        let (old, new) = (&self.old.view, &self.new.view);
        let paths: Vec<&str> = new.mounts.iter().map(|mount| &*mount.path).collect();
        let (mut narrowed, mut hidden) = (BTreeMap::new(), Vec::new());
        for (mount, found) in new.mounts.iter().zip(old.find(&paths, folders)) {
            let Some(found) = found.filter(|found| !found.exact) else { continue };
            let above = &old.mounts[found.mount];
            if !above.writes_claim() {
                continue;
            }
            if found.place == mount.place {
                let rest = path::below(&mount.path, &above.path).unwrap_or_default();
                let narrow = match named::meaning(rest, &[]) {
                    Meaning::Certain(_) | Meaning::Data => Narrow::Data,
                    _ => Narrow::Unclear,
                };
                let known = narrowed.entry(found.mount).or_insert(narrow);
                *known = narrow.max(*known);
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

/// What a folder of a claim is, which stays mounted while the rest of the claim does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Narrow {
    Unclear,
    /// by its name all of the data
    Data,
}

/// Whether a mount surely hides data that lies below it; `None` if it hides none.
fn hides_data(mount: &Mount<'_>) -> Option<bool> {
    let last = mount.path.rsplit('/').next().unwrap_or_default();
    let is_scratch = named::meaning(last, &[]) == Meaning::Scratch;
    match mount.place.source {
        // One file of configuration, over a file of the same name.
        Source::Other(Other::Files, _) if mount.place.folder != ROOT => {
            named::is_data_file(last).then_some(false)
        }
        _ if is_scratch => None,
        Source::Other(Other::Files | Other::Unknown, _) => Some(false),
        _ => Some(true),
    }
}
