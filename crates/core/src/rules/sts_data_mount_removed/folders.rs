//! Folders of volumes, each as one number.
//!
//! A volume may have a long `subPath`, and thousands of paths may lead below it. As numbers they
//! are compared in constant time, and none of them is copied. A path may have a part in every
//! second byte, so that a part takes as few bytes as it can.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::rules::path;

/// A folder of a volume. Two are equal if they are the same folder of the same volume.
pub(super) type Folder = u32;

/// The root of every volume.
pub(super) const ROOT: Folder = 0;

/// Every folder that the old or the new pods refer to.
#[derive(Debug, Default)]
pub(super) struct Folders {
    /// all but the root: the folder that each lies in, and its name
    all: Vec<(Folder, Name)>,
    children: BTreeMap<(Folder, Name), Folder>,
    names: Vec<Rc<str>>,
    by_name: BTreeMap<Rc<str>, Name>,
}

/// The place of a name in [`Folders::names`].
type Name = u32;

impl Folders {
    /// The folder `path` below `at`.
    pub(super) fn below(&mut self, at: Folder, path: &str) -> Folder {
        path::normal(path).split('/').filter(|name| !name.is_empty()).fold(at, |at, name| {
            let key = (at, self.name(name));
            *self.children.entry(key).or_insert_with(|| {
                self.all.push(key);
                self.all.len() as Folder
            })
        })
    }

    fn name(&mut self, name: &str) -> Name {
        if let Some(known) = self.by_name.get(name) {
            return *known;
        }
        let (shared, number) = (Rc::<str>::from(name), self.names.len() as Name);
        self.names.push(Rc::clone(&shared));
        self.by_name.insert(shared, number);
        number
    }

    /// The folder that this one lies in, and its name; `None` for the root.
    fn entry(&self, folder: Folder) -> Option<(Folder, Name)> {
        self.all.get((folder as usize).checked_sub(1)?).copied()
    }

    /// The folder itself and all folders that it lies in, up to the root.
    pub(super) fn upwards(&self, folder: Folder) -> impl Iterator<Item = Folder> {
        std::iter::successors(Some(folder), |folder| Some(self.entry(*folder)?.0))
    }

    /// The path below the root of the volume, at most its last few folders. A part that is not
    /// known is shown as `$`.
    pub(super) fn text(&self, folder: Folder) -> String {
        const SHOWN: usize = 6;
        let mut names: Vec<&str> = self
            .upwards(folder)
            .map_while(|folder| Some(&*self.names[self.entry(folder)?.1 as usize]))
            .take(SHOWN + 1)
            .collect();
        if names.len() > SHOWN {
            names[SHOWN] = "…";
        }
        names.reverse();
        names.join("/").chars().map(|c| if c.is_control() { '$' } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_has_one_number() {
        let mut folders = Folders::default();
        let data = folders.below(ROOT, "data");
        assert_eq!(folders.below(data, "pg/./x"), folders.below(ROOT, "/data//pg/x/"));
        assert_ne!(folders.below(ROOT, "pg"), folders.below(data, "pg"));
        assert_eq!(folders.below(data, ""), data);
        let deep = folders.below(data, "a/b");
        assert_eq!(folders.upwards(deep).count(), 4);
        assert!(folders.upwards(deep).any(|folder| folder == data));
    }

    #[test]
    fn long_paths_are_shown_by_their_end() {
        let mut folders = Folders::default();
        let deep = folders.below(ROOT, "1/2/3/4/5/6/7/8");
        assert_eq!(folders.text(deep), "…/3/4/5/6/7/8");
        assert_eq!(folders.text(ROOT), "");
    }
}
