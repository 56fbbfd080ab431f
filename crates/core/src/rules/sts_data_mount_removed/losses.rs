//! What the processes of a pod lose.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::compare;
use super::folders::{Folder, Folders, ROOT};
use super::loss::{Loss, What};
use super::running::Pod;
use super::successor::{Candidate, successors};
use super::view::{Place, Source};

/// What the containers of `before` lose in `after`, in their order.
pub(super) fn losses<'p, 'a>(
    before: &'p Pod<'p, 'a>,
    after: &'p Pod<'p, 'a>,
    folders: &mut Folders,
) -> Vec<Loss<'p, 'a>> {
    let successors = successors(&candidates(before), &candidates(after));
    let both = || before.containers.iter().zip(&successors);
    // By claim the folders that a container keeps, unless it looks after the data of others.
    let mut kept: BTreeMap<Source<'_>, BTreeSet<Folder>> = BTreeMap::new();
    // The same of containers whose images are known to keep data.
    let mut owned: BTreeSet<(Source<'_>, Folder)> = BTreeSet::new();
    let mut found: Vec<Vec<Loss<'p, 'a>>> = Vec::new();
    for (old, successor) in both() {
        let mut lost = Vec::new();
        if let Some(new) = successor.map(|index| &after.containers[index]) {
            let mounts = compare(old, new, &mut lost, folders);
            for Place { source, folder, .. } in mounts.iter().map(|mount| mount.place) {
                if !old.is_helper {
                    kept.entry(source).or_default().insert(folder);
                }
                if old.is_data {
                    owned.insert((source, folder));
                }
            }
        }
        found.push(lost);
    }
    let strangers = successors.iter().flatten().count() < after.containers.len();
    for ((old, successor), lost) in both().zip(&mut found) {
        if old.is_helper {
            lost.retain(|loss| !kept.contains_key(&loss.place.source));
        }
        if successor.is_some() {
            // Beside a database that keeps its folder, another container hardly owns the data.
            for loss in lost.iter_mut().filter(|_| !old.is_data) {
                let Place { source, folder, .. } = loss.mount.place;
                loss.unsure |= owned.contains(&(source, folder)) || owned.contains(&(source, ROOT));
            }
            continue;
        }
        for mount in old.written().map(|index| &old.view.mounts[index]) {
            let keepers = kept.get(&mount.place.source);
            // Nobody comes who could start empty, and somebody still has the claim.
            if keepers.is_some() && (!strangers || old.is_helper) {
                continue;
            }
            let mut above = folders.upwards(mount.place.folder);
            let mut loss = old.loss(mount, None, What::Removed);
            loss.unsure = keepers.is_some_and(|kept| above.any(|folder| kept.contains(&folder)));
            lost.push(loss);
        }
    }
    found.into_iter().flatten().collect()
}

fn candidates<'p, 'a>(pod: &'p Pod<'p, 'a>) -> Vec<Candidate<'p, 'a>> {
    let containers = pod.containers.iter();
    containers.map(|c| Candidate { container: c.container, view: &c.view }).collect()
}
