//! Where the files of a report lie in their repository: code hosts match paths with the changed
//! files from its root.

use std::path::{Component, Path, PathBuf};

use super::Place;

/// The repository around the working folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// the absolute path of its root
    pub root: PathBuf,
    /// the working folder within it; empty at the root
    pub folder: PathBuf,
    /// the revision with which [`Place::file`] of an old manifest begins
    pub revision: Option<String>,
}

impl Checkout {
    /// The file of `place` as its code host names it. Names that are no files of the repository
    /// stay as they are: standard input, rendered output, and what lies outside.
    pub(super) fn path(&self, place: &Place) -> String {
        self.within(place.shown_file())
    }

    fn within(&self, file: &str) -> String {
        let of_revision = self
            .revision
            .as_ref()
            .and_then(|revision| Some((revision, file.strip_prefix(&**revision)?)))
            .and_then(|(revision, rest)| Some((revision, rest.strip_prefix(':')?)));
        if let Some((revision, path)) = of_revision {
            return format!("{revision}:{}", self.within(path));
        }
        if file == "-" || file == crate::report::RENDERED {
            return file.to_owned();
        }
        let path = Path::new(file);
        let from_root = if path.is_absolute() {
            path.strip_prefix(&self.root).ok().map(Path::to_owned)
        } else {
            simple(&self.folder.join(path))
        };
        match from_root {
            Some(path) => path.to_string_lossy().into_owned(),
            None => file.to_owned(),
        }
    }
}

/// `a/./b/../c` as `a/c`; `None` where it leads above its start.
fn simple(path: &Path) -> Option<PathBuf> {
    let mut simple = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => simple.push(part),
            Component::ParentDir if !simple.pop() => return None,
            _ => {}
        }
    }
    Some(simple)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_the_root() {
        let checkout = Checkout {
            root: "/src/repo".into(),
            folder: "deploy/prod".into(),
            revision: Some("HEAD^1".to_owned()),
        };
        for (file, from_root) in [
            ("db.yaml", "deploy/prod/db.yaml"),
            ("./db/a.yaml", "deploy/prod/db/a.yaml"),
            ("../base/db.yaml", "deploy/base/db.yaml"),
            ("/src/repo/deploy/db.yaml", "deploy/db.yaml"),
            ("HEAD^1:db.yaml", "HEAD^1:deploy/prod/db.yaml"),
            ("main:db.yaml", "deploy/prod/main:db.yaml"),
            ("/tmp/db.yaml", "/tmp/db.yaml"),
            ("../../../db.yaml", "../../../db.yaml"),
            ("-", "-"),
            ("rendered", "rendered"),
            ("HEAD^1:rendered", "HEAD^1:rendered"),
        ] {
            assert_eq!(checkout.within(file), from_root, "{file}");
        }
    }
}
