//! Which folders of a claim a process is told to use, and what becomes of them.

use std::collections::{BTreeMap, BTreeSet};

use super::data_folders::DATA_FOLDERS;
use super::folders::Folders;
use super::named::{self, Meaning};
use super::running::Running;
use super::values::Named;
use super::view::{Found, Place, Source};

/// A folder of a claim that the old container is told to use, or uses by default.
#[derive(Debug)]
pub(super) struct Anchor<'p> {
    /// the name that leads to it; `None` for the default of the image
    pub(super) old: Option<&'p Named<'p>>,
    pub(super) path: &'p str,
    pub(super) meaning: Meaning,
    /// the mount that the path belongs to
    pub(super) mount: usize,
    pub(super) place: Place<'p>,
    pub(super) now: Now<'p>,
}

/// What becomes of an [`Anchor`].
#[derive(Debug)]
pub(super) enum Now<'p> {
    /// the process still finds the folder
    Same,
    /// the process is told another folder, which belongs to this mount
    Elsewhere(&'p Named<'p>, Option<usize>),
    /// the process is no longer told the folder, or no longer finds it by default
    Unnamed,
    /// the process, which is told nothing, has another default folder
    OtherDefault,
}

impl Anchor<'_> {
    pub(super) const fn is_same(&self) -> bool {
        matches!(self.now, Now::Same)
    }

    /// Whether it says where data is.
    pub(super) const fn is_data(&self) -> bool {
        matches!(self.meaning, Meaning::Certain(_) | Meaning::Data)
    }
}

/// A data folder outside of the claims, which the process was not told before.
#[derive(Debug)]
pub(super) struct Fresh<'p> {
    pub(super) new: &'p Named<'p>,
    pub(super) mount: Option<usize>,
    pub(super) unsure: bool,
}

/// A value with what its path leads to.
type Led<'p> = (&'p Named<'p>, Option<Found<'p>>);

/// The new values, by what they may stand for.
#[derive(Default)]
struct Index<'p> {
    by_name: BTreeMap<&'p str, Vec<Led<'p>>>,
    /// names of the table of data folders by row
    by_row: BTreeMap<usize, Vec<Led<'p>>>,
    /// the same by row and folder; a few names are enough
    row_names: BTreeMap<(usize, Place<'p>), Vec<&'p str>>,
    names: BTreeSet<(&'p str, Place<'p>)>,
    /// variables as they are written, by name; `None` stands for a name that is also a flag
    variables: BTreeMap<&'p str, Option<BTreeSet<&'p str>>>,
    data: BTreeSet<Place<'p>>,
    any: BTreeSet<Place<'p>>,
}

impl<'p> Index<'p> {
    fn of(values: &[Led<'p>]) -> Self {
        let mut index = Self::default();
        for (named, found) in values {
            let plain = named.name.plain.as_str();
            index.by_name.entry(plain).or_default().push((*named, *found));
            let variables = index.variables.entry(plain).or_insert_with(|| Some(BTreeSet::new()));
            match variables {
                Some(variables) if named.list == "env" => {
                    variables.insert(named.name.shown.as_str());
                }
                _ => *variables = None,
            }
            if let Meaning::Certain(row) = named.name.meaning {
                index.by_row.entry(row).or_default().push((*named, *found));
            }
            let Some(Found { place, .. }) = *found else { continue };
            index.names.insert((plain, place));
            match named.name.meaning {
                Meaning::Scratch => continue,
                Meaning::Certain(row) => {
                    let names = index.row_names.entry((row, place)).or_default();
                    if names.len() < 8 {
                        names.push(plain);
                    }
                    index.data.insert(place);
                }
                Meaning::Data => _ = index.data.insert(place),
                Meaning::Perhaps | Meaning::Unclear => {}
            }
            index.any.insert(place);
        }
        index
    }
}

/// Compares what two containers are told, the new one in place of the old one.
pub(super) struct Anchors<'s, 'p, 'a> {
    old: &'s Running<'p, 'a>,
    values: Vec<Led<'p>>,
    new: Index<'p>,
    old_names: BTreeSet<&'p str>,
    /// by row the first value of a name that the old container was not told
    fresh_of_row: BTreeMap<usize, Led<'p>>,
    old_rows: BTreeSet<usize>,
    /// default folders: the row, whether they are the image's, and what they lead to
    defaults: Vec<Fallback<'p>>,
}

struct Fallback<'p> {
    row: usize,
    path: &'static str,
    /// whether it is a default of the old and of the new container
    counts: (bool, bool),
    found: (Option<Found<'p>>, Option<Found<'p>>),
}

impl<'s, 'p, 'a> Anchors<'s, 'p, 'a> {
    pub(super) fn of(
        old: &'p Running<'p, 'a>,
        new: &'p Running<'p, 'a>,
        folders: &mut Folders,
    ) -> Self
    where
        'p: 's,
    {
        let values = led(old, folders);
        let index = Index::of(&led(new, folders));
        let names = values.iter().map(|(named, _)| &named.name);
        let old_rows = names.clone().filter_map(|name| match name.meaning {
            Meaning::Certain(row) => Some(row),
            _ => None,
        });
        let old_rows: BTreeSet<usize> = old_rows.collect();
        let is_told = |row| old_rows.contains(&row) || index.by_row.contains_key(&row);
        let old_names: BTreeSet<&str> = names.map(|name| name.plain.as_str()).collect();
        let fresh = |values: &Vec<Led<'p>>| {
            values.iter().find(|(named, _)| !old_names.contains(&*named.name.plain)).copied()
        };
        let rows = index.by_row.iter();
        Self {
            defaults: defaults(old, new, is_told, folders),
            fresh_of_row: rows.filter_map(|(row, values)| Some((*row, fresh(values)?))).collect(),
            old_names,
            old_rows,
            old,
            values,
            new: index,
        }
    }

    /// Every folder in a claim that the old container was told to use.
    pub(super) fn all(&self) -> Vec<Anchor<'p>> {
        let mut anchors = Vec::new();
        for (named, found) in &self.values {
            let (Some(found), Some(path)) = (found, &named.path) else { continue };
            if self.old.writes(found.mount) {
                anchors.push(Anchor {
                    now: self.now(named, found.place),
                    old: Some(*named),
                    path,
                    meaning: named.name.meaning,
                    mount: found.mount,
                    place: found.place,
                });
            }
        }
        anchors.extend(self.by_default());
        anchors
    }

    fn now(&self, old: &Named<'p>, place: Place<'p>) -> Now<'p> {
        let plain = old.name.plain.as_str();
        // No process reads PG_DATA in place of PGDATA.
        if old.list == "env"
            && let Some(Some(variables)) = self.new.variables.get(plain)
            && !variables.contains(old.name.shown.as_str())
        {
            return match old.name.meaning {
                Meaning::Certain(row) if self.is_default(row, place) => Now::Same,
                _ => Now::Unnamed,
            };
        }
        if self.new.names.contains(&(plain, place)) {
            return Now::Same;
        }
        let named = self.new.by_name.get(plain).and_then(|all| all.first());
        if plain.is_empty() {
            // An argument may have become a flag, and others may have come before it.
            let fresh = |(_, found): &&Led<'p>| {
                found.is_none_or(|found| !self.old_arguments().any(|old| old == found.place))
            };
            let arguments = self.new.by_name.get(plain).into_iter().flatten();
            return match arguments.take(8).find(fresh) {
                _ if self.new.any.contains(&place) => Now::Same,
                Some(led) => elsewhere(led),
                None => Now::Unnamed,
            };
        }
        if let Some(led) = named {
            return elsewhere(led);
        }
        match old.name.meaning {
            Meaning::Certain(row) => self.replaced(row, plain, place),
            Meaning::Data if self.new.data.contains(&place) => Now::Same,
            Meaning::Data => Now::Unnamed,
            _ if self.new.any.contains(&place) => Now::Same,
            _ => Now::Unnamed,
        }
    }

    fn old_arguments(&self) -> impl Iterator<Item = Place<'p>> {
        let arguments = self.values.iter().filter(|(named, _)| named.name.plain.is_empty());
        arguments.take(8).filter_map(|(_, found)| found.map(|found| found.place))
    }

    /// A name of `row` is removed: another name of the row, or the default, may lead to `place`.
    fn replaced(&self, row: usize, plain: &str, place: Place<'p>) -> Now<'p> {
        // FOO_DATA_DIR and BAR_DATA_DIR are two folders, --data-dir may be either.
        let stands_for = |name: &&str| name.ends_with(plain) || plain.ends_with(*name);
        let names = self.new.row_names.get(&(row, place));
        if names.is_some_and(|n| !named::is_of_any(row) || n.iter().any(stands_for)) {
            return Now::Same;
        }
        if let Some(led) = self.fresh_of_row.get(&row) {
            return elsewhere(led);
        }
        if self.is_default(row, place) { Now::Same } else { Now::Unnamed }
    }

    /// Whether the new container finds `place` if nothing of `row` is named. Without a default of its
    /// own any default of the row may be meant.
    fn is_default(&self, row: usize, place: Place<'p>) -> bool {
        let of_row = || self.defaults.iter().filter(|default| default.row == row);
        let has_own = of_row().any(|default| default.counts.1);
        of_row()
            .filter(|default| default.counts.1 || !has_own)
            .any(|default| default.found.1.is_some_and(|found| found.place == place))
    }

    /// The default folders that lead into a claim. A default of another image counts only if the
    /// new container is told a folder of the same row, and the old image has no default of its own there.
    fn by_default(&self) -> Vec<Anchor<'p>> {
        let mut anchors = Vec::new();
        let mut rows = BTreeSet::new();
        let own = self.defaults.iter().filter(|default| default.counts.0);
        let own: BTreeSet<usize> = own.map(|default| default.row).collect();
        for default in &self.defaults {
            let told = self.new.by_row.get(&default.row);
            let Some(found) = default.found.0.filter(|found| self.old.writes(found.mount)) else {
                continue;
            };
            let may_count =
                told.is_some() && !named::is_of_any(default.row) && !own.contains(&default.row);
            let counts = default.counts.0 || may_count;
            if !counts || self.old_rows.contains(&default.row) || !rows.insert(default.row) {
                continue;
            }
            let now = match told.and_then(|told| told.last()) {
                Some(_) if self.new.row_names.contains_key(&(default.row, found.place)) => {
                    Now::Same
                }
                Some(led) => elsewhere(led),
                None if default.found.1.is_none_or(|new| new.place != found.place) => Now::Unnamed,
                None if self.is_default(default.row, found.place) => Now::Same,
                None => Now::OtherDefault,
            };
            anchors.push(Anchor {
                old: None,
                path: default.path.trim_start_matches('/'),
                meaning: Meaning::Certain(default.row),
                mount: found.mount,
                place: found.place,
                now,
            });
        }
        anchors
    }

    /// Data folders that are newly named and lead out of the claims in `written`. `anchors` are
    /// those of [`Anchors::all`].
    pub(super) fn fresh(
        &self,
        anchors: &[Anchor<'p>],
        written: &BTreeSet<Source<'p>>,
    ) -> Vec<Fresh<'p>> {
        let told = anchors.iter().any(|anchor| anchor.is_data() && anchor.is_same());
        // By row: whether its anchors are all found, and by which value, the last one.
        let mut rows: BTreeMap<usize, bool> = BTreeMap::new();
        for anchor in anchors {
            if let Meaning::Certain(row) = anchor.meaning {
                *rows.entry(row).or_insert(true) &= anchor.is_same();
            }
        }
        let places: BTreeSet<Place<'p>> = anchors.iter().map(|anchor| anchor.place).collect();
        let is_anchor =
            |found: &Option<Found<'p>>| found.is_some_and(|f| places.contains(&f.place));
        let mut fresh = Vec::new();
        for (row, values) in &self.new.by_row {
            let mut news = values.iter().filter(|(named, found)| {
                let is_new = !self.old_names.contains(&*named.name.plain);
                is_new && named.path.is_some() && !is_anchor(found)
            });
            let Some((named, found)) = news.next_back() else { continue };
            let stays = found.is_some_and(|found| written.contains(&found.place.source));
            let same = values.iter().rfind(|(_, found)| is_anchor(found));
            let unsure = match (rows.get(row), same) {
                (Some(false), _) => continue,
                // The value that counts still leads to the folder.
                (Some(true), Some((same, _))) if same.order > named.order => continue,
                (Some(true), same) => {
                    let both_variables =
                        named.list == "env" && same.is_none_or(|(same, _)| same.list == "env");
                    if both_variables && stays {
                        continue;
                    }
                    both_variables
                }
                (None, _) if stays => continue,
                (None, _) => told,
            };
            let mount = found.map(|found| found.mount);
            fresh.push(Fresh { new: named, mount, unsure });
        }
        fresh
    }
}

fn elsewhere<'p>((named, found): &Led<'p>) -> Now<'p> {
    Now::Elsewhere(named, found.map(|found| found.mount))
}

fn led<'p>(container: &'p Running<'p, '_>, folders: &mut Folders) -> Vec<Led<'p>> {
    let paths: Vec<&str> = container.values.iter().filter_map(|v| v.path.as_deref()).collect();
    let mut found = container.view.find(&paths, folders).into_iter();
    let values = container.values.iter();
    values.map(|v| (v, v.path.as_ref().and_then(|_| found.next().flatten()))).collect()
}

fn defaults<'p>(
    old: &Running<'p, '_>,
    new: &Running<'p, '_>,
    is_told: impl Fn(usize) -> bool,
    folders: &mut Folders,
) -> Vec<Fallback<'p>> {
    let mut defaults = Vec::new();
    for row in 0..DATA_FOLDERS.len() {
        for path in named::defaults(row) {
            let of =
                |container: &Running<'_, '_>| named::is_default(row, path, container.container);
            let counts = (of(old), of(new));
            if !counts.0 && !counts.1 && !is_told(row) {
                continue;
            }
            defaults.push(Fallback { row, path, counts, found: (None, None) });
        }
    }
    let paths: Vec<&str> = defaults.iter().map(|d| d.path.trim_start_matches('/')).collect();
    let found = old.view.find(&paths, folders).into_iter().zip(new.view.find(&paths, folders));
    for (default, found) in defaults.iter_mut().zip(found) {
        default.found = found;
    }
    defaults
}
