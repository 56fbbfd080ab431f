//! Folders of volumes, each as one number.
//!
//! A volume may have a long `subPath`, and thousands of paths may lead below it. As numbers they
//! are compared in constant time, and none of them is copied.

use std::collections::BTreeMap;

use super::path;

/// A folder of a volume. Two are equal if they are the same folder of the same volume.
pub(super) type Folder = usize;

/// The root of every volume.
pub(super) const ROOT: Folder = 0;

/// Every folder that the old or the new pods refer to.
#[derive(Debug)]
pub(super) struct Folders {
    all: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    parent: Folder,
    name: String,
    children: BTreeMap<String, Folder>,
}

impl Default for Folders {
    fn default() -> Self {
        Self { all: vec![Node::default()] }
    }
}

impl Folders {
    /// The folder `path` below `at`.
    pub(super) fn below(&mut self, at: Folder, path: &str) -> Folder {
        path::normal(path).split('/').filter(|name| !name.is_empty()).fold(at, |at, name| {
            if let Some(child) = self.all[at].children.get(name) {
                return *child;
            }
            let child = self.all.len();
            self.all[at].children.insert(name.to_owned(), child);
            self.all.push(Node { parent: at, name: name.to_owned(), ..Node::default() });
            child
        })
    }

    /// The folder itself and all folders that it lies in, up to the root.
    pub(super) fn upwards(&self, folder: Folder) -> impl Iterator<Item = Folder> {
        let up = |folder: &Folder| (*folder != ROOT).then(|| self.all[*folder].parent);
        std::iter::successors(Some(folder), up)
    }

    /// The path below the root of the volume, at most its last few folders. A part that is not
    /// known is shown as `$`.
    pub(super) fn text(&self, folder: Folder) -> String {
        const SHOWN: usize = 6;
        let mut names: Vec<&str> = self
            .upwards(folder)
            .filter(|folder| *folder != ROOT)
            .take(SHOWN + 1)
            .map(|folder| self.all[folder].name.as_str())
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
