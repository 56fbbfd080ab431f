//! Which files of a revision are manifests.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use stateward_check::report::Notice;
use stateward_core::yaml::InputError;

use super::super::{DEAD_LINK, Files, is_history, is_manifest, is_wanted};
use super::GitError;
use super::repository::{Blob, Entry, Repository, SUBMODULE, Submodule};

/// Finds the files of a revision.
pub(super) struct Walk<'a> {
    pub(super) repository: &'a Repository,
    pub(super) blobs: &'a mut Vec<Blob>,
    pub(super) found: &'a mut Files,
}

impl Walk<'_> {
    /// Finds what a path of the command line names.
    pub(super) fn named(&mut self, name: &str, full: &str) -> Result<(), GitError> {
        self.path(name, full, true, &mut HashSet::new())
    }

    fn path(
        &mut self,
        name: &str,
        full: &str,
        named: bool,
        within: &mut HashSet<String>,
    ) -> Result<(), GitError> {
        let wanted = named || is_manifest(name);
        match self.repository.look_up(full)? {
            Entry::File(id) if wanted => {
                self.blobs.push(Blob { name: name.to_owned(), id, named });
            }
            // A link back to a folder that is being walked adds nothing.
            Entry::Folder(id) if within.insert(id.clone()) => {
                self.tree(name, full, &id, within)?;
                within.remove(&id);
            }
            Entry::Unreadable(Submodule { path, commit }) if named => {
                return Err(GitError::Submodule { path, commit });
            }
            Entry::DeadLink if wanted => self.found.errors.push(InputError {
                file: format!("{}:{name}", self.repository.revision),
                line: 0,
                column: 0,
                message: DEAD_LINK.to_owned(),
            }),
            _ => {}
        }
        Ok(())
    }

    fn tree(
        &mut self,
        name: &str,
        full: &str,
        id: &str,
        within: &mut HashSet<String>,
    ) -> Result<(), GitError> {
        let mut folders = HashMap::new();
        for (mode, id, below) in self.repository.list(id)? {
            if below.split('/').any(is_history) {
                continue;
            }
            let join = |parent: &str| match parent {
                "" | "." => below.clone(),
                parent => format!("{parent}/{below}"),
            };
            match mode.as_str() {
                "040000" => {
                    folders.insert(below.clone(), id);
                }
                "120000" => {
                    let parents = Path::new(&below).ancestors().skip(1);
                    let parents = parents.filter_map(|path| folders.get(path.to_str()?).cloned());
                    let mut within: HashSet<String> =
                        within.iter().cloned().chain(parents).collect();
                    self.path(&join(name), &join(full), false, &mut within)?;
                }
                "100644" | "100755" if is_wanted(&below) => {
                    self.blobs.push(Blob { name: join(name), id, named: false });
                }
                SUBMODULE => {
                    let submodule = Submodule { path: join(full), commit: id };
                    self.submodule(&join(name), &submodule, within)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn submodule(
        &mut self,
        name: &str,
        submodule: &Submodule,
        within: &mut HashSet<String>,
    ) -> Result<(), GitError> {
        if self.repository.enter(submodule)? {
            return self.tree(name, &submodule.path, &submodule.commit, within);
        }
        let commit = submodule.commit.get(..12).unwrap_or_default();
        self.found.notices.push(Notice::warning(InputError {
            file: format!("{}:{name}", self.repository.revision),
            line: 0,
            column: 0,
            message: format!(
                "the clone lacks commit {commit} of this submodule, so its old files are not read, \
                 and its objects are judged as new"
            ),
        }));
        Ok(())
    }
}
