//! Which container of a new pod template carries on the process of an old one.

use std::collections::{BTreeMap, VecDeque};

use super::named;
use super::view::{Place, View};
use crate::object::Text;
use crate::object::pod::Container;

/// A container with what it mounts.
#[derive(Debug)]
pub(super) struct Candidate<'c, 'a> {
    pub(super) container: &'c Container<'a>,
    pub(super) view: &'c View<'c>,
}

/// For each old container the place of its successor in `new`, if there is one.
///
/// A container is the same one by its name, its image and what it runs. If no new container is the
/// same, the process is looked for by image, command, arguments, ports and mounts: its old name may
/// have been given to another one. Each pass sorts by one key, so thousands of renamed containers
/// take no quadratic time.
pub(super) fn successors(
    old: &[Candidate<'_, '_>],
    new: &[Candidate<'_, '_>],
) -> Vec<Option<usize>> {
    let mut pairs = Pairs { found: vec![None; old.len()], taken: vec![false; new.len()] };
    pairs.pass(old, new, |c| Some((name(c), base(c), start(c))));
    pairs.pass(old, new, |c| Some((repository(c), start(c), ports(c), mounts(c))));
    pairs.pass(old, new, |c| Some((repository(c), start(c), ports(c))));
    pairs.pass(old, new, |c| Some((name(c), base(c))));
    pairs.pass(old, new, |c| Some((base(c), command(c), mounts(c))));
    pairs.pass(old, new, |c| Some((base(c), command(c))));
    pairs.pass(old, new, |c| Some(name(c)));
    pairs.pass(old, new, |c| Some((base(c), mounts(c))));
    pairs.pass(old, new, |c| Some(base(c)));
    // Who takes the mounts carries on the process only if no other new container may be it.
    let rivals = pairs.left(new).filter(|candidate| !is_helper(candidate)).count();
    let may_be =
        |candidate: &Candidate<'_, '_>| rivals <= 1 || named::is_data_image(base(candidate));
    pairs.pass(old, new, |c| Some(mounts(c)).filter(|mounts| !mounts.is_empty() && may_be(c)));
    pairs.found
}

struct Pairs {
    found: Vec<Option<usize>>,
    taken: Vec<bool>,
}

impl Pairs {
    /// The new containers that carry on no process so far.
    fn left<'k, 'c, 'a>(
        &self,
        new: &'k [Candidate<'c, 'a>],
    ) -> impl Iterator<Item = &'k Candidate<'c, 'a>> {
        new.iter().zip(&self.taken).filter(|(_, taken)| !**taken).map(|(candidate, _)| candidate)
    }

    /// Pairs containers that are left and have the same key, in their order.
    fn pass<'k, 'c: 'k, 'a: 'k, K: Ord>(
        &mut self,
        old: &'k [Candidate<'c, 'a>],
        new: &'k [Candidate<'c, 'a>],
        key: impl Fn(&'k Candidate<'c, 'a>) -> Option<K>,
    ) {
        let mut waiting: BTreeMap<K, VecDeque<usize>> = BTreeMap::new();
        for (index, candidate) in new.iter().enumerate().filter(|(i, _)| !self.taken[*i]) {
            if let Some(key) = key(candidate) {
                waiting.entry(key).or_default().push_back(index);
            }
        }
        for (index, candidate) in old.iter().enumerate() {
            if self.found[index].is_some() {
                continue;
            }
            let queue = key(candidate).and_then(|key| waiting.get_mut(&key));
            if let Some(successor) = queue.and_then(VecDeque::pop_front) {
                self.found[index] = Some(successor);
                self.taken[successor] = true;
            }
        }
    }
}

fn name<'k>(candidate: &'k Candidate<'_, '_>) -> &'k str {
    candidate.container.name.as_str()
}

fn repository<'k>(candidate: &'k Candidate<'_, '_>) -> &'k str {
    named::repository(candidate.container.image.as_str())
}

fn base<'k>(candidate: &'k Candidate<'_, '_>) -> &'k str {
    named::base(candidate.container.image.as_str())
}

fn is_helper(candidate: &Candidate<'_, '_>) -> bool {
    let container = candidate.container;
    named::is_helper(
        container.name.as_str(),
        base(candidate),
        !container.command.is_empty() || !container.args.is_empty(),
    )
}

fn command<'k, 'a>(candidate: &'k Candidate<'_, 'a>) -> &'k [Text<'a>] {
    &candidate.container.command
}

fn start<'k, 'a>(candidate: &'k Candidate<'_, 'a>) -> (&'k [Text<'a>], &'k [Text<'a>]) {
    (&candidate.container.command, &candidate.container.args)
}

fn ports(candidate: &Candidate<'_, '_>) -> Vec<i64> {
    candidate.container.ports.iter().filter_map(|port| port.container_port).collect()
}

/// The claims that it writes, and where.
fn mounts<'k, 'c>(candidate: &'k Candidate<'c, '_>) -> Vec<(&'k str, &'k Place<'c>)> {
    let written = candidate.view.mounts.iter().filter(|mount| mount.writes_claim());
    written.map(|mount| (&*mount.path, &mount.place)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::{Object, StatefulSet};
    use crate::rules::sts_data_mount_removed::folders::Folders;
    use crate::rules::sts_data_mount_removed::view::Volumes;
    use crate::rules::variables::{BUDGET, Variables};

    /// Name, image, command, and where `data` is mounted; empty for nowhere.
    type Shown = (&'static str, &'static str, &'static str, &'static str);

    fn document(containers: &[Shown]) -> String {
        let containers: Vec<_> = containers
            .iter()
            .map(|(name, image, command, path)| {
                let mount = json!({"name": "data", "mountPath": path});
                let mounts: Vec<_> = (!path.is_empty()).then_some(mount).into_iter().collect();
                let command: Vec<_> = command.split_whitespace().collect();
                json!({"name": name, "image": image, "command": command, "volumeMounts": mounts})
            })
            .collect();
        json!({"spec": {
            "template": {"spec": {"containers": containers}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}]
        }})
        .to_string()
    }

    fn views<'c>(set: &'c StatefulSet<'_>, folders: &mut Folders) -> Vec<View<'c>> {
        let pod = &set.template().unwrap().spec;
        let volumes = Volumes::of(set, pod, &std::iter::once("data").collect()).unwrap();
        pod.containers
            .iter()
            .map(|c| View::of(c, &mut Variables::of(c, Some(BUDGET)), &volumes, folders))
            .collect()
    }

    fn candidates<'c, 'a>(
        set: &'c StatefulSet<'a>,
        views: &'c [View<'c>],
    ) -> Vec<Candidate<'c, 'a>> {
        let containers = &set.template().unwrap().spec.containers;
        let both = containers.iter().zip(views);
        both.map(|(container, view)| Candidate { container, view }).collect()
    }

    fn pairs(old: &[Shown], new: &[Shown]) -> Vec<Option<&'static str>> {
        let (old_document, new_document) = (document(old), document(new));
        let (old_object, new_object) =
            (Object::decode(&old_document).unwrap(), Object::decode(&new_document).unwrap());
        let (old_set, new_set) =
            (StatefulSet::decode(&old_object).unwrap(), StatefulSet::decode(&new_object).unwrap());
        let mut folders = Folders::default();
        let old_views = views(&old_set, &mut folders);
        let new_views = views(&new_set, &mut folders);
        successors(&candidates(&old_set, &old_views), &candidates(&new_set, &new_views))
            .into_iter()
            .map(|found| found.map(|index| new[index].0))
            .collect()
    }

    #[test]
    fn a_container_is_the_same_one_by_its_name() {
        let old = [("db", "postgres:16", "", "/data"), ("side", "busybox", "tail", "")];
        let new = [
            ("side", "busybox", "tail", "/data"),
            ("db", "mirror:5000/x/postgres@sha256:1", "a", ""),
        ];
        assert_eq!(pairs(&old, &new), [Some("db"), Some("side")]);
        assert_eq!(pairs(&old, &[("db", "mysql", "", "")]), [Some("db"), None]);
    }

    #[test]
    fn a_renamed_one_is_found_by_image_and_command_before_its_mounts() {
        let old = [("db", "postgres:16", "", "/data")];
        let side = ("side", "busybox", "tail", "/data");
        assert_eq!(pairs(&old, &[side, ("pg", "postgres:17", "", "")]), [Some("pg")]);
        // A backup is often of the image of its database.
        let backup = ("backup", "postgres:16", "pg_dump", "/data");
        assert_eq!(pairs(&old, &[backup, ("pg", "mirror/postgres:17", "", "")]), [Some("pg")]);
        // Another image altogether.
        assert_eq!(
            pairs(&old, &[("x", "x", "", ""), ("pg", "percona:17", "", "/data")]),
            [Some("pg")]
        );
        assert_eq!(pairs(&old, &[("x", "x", "", "/srv")]), [None]);
        // Of two unknown images either may be the database.
        let unknown = [("db", "db", "", "/data")];
        let side = ("side", "side", "", "/data");
        assert_eq!(pairs(&unknown, &[("pg", "pg", "", ""), side]), [None]);
        assert_eq!(pairs(&unknown, &[("exporter", "exporter", "", ""), side]), [Some("side")]);
        assert_eq!(pairs(&unknown, &[side]), [Some("side")]);
    }

    #[test]
    fn a_name_that_is_given_to_another_image_moves_on() {
        let old = [("a", "postgres:16", "", "/data"), ("b", "exporter", "", "")];
        let swapped = [("a", "exporter", "", ""), ("b", "postgres:16", "", "/data")];
        assert_eq!(pairs(&old, &swapped), [Some("b"), Some("a")]);
        let stolen = [("a", "busybox", "", "/data"), ("pg", "postgres:17", "", "")];
        assert_eq!(pairs(&old[..1], &stolen), [Some("pg")]);
        let asleep = [("a", "postgres:16", "sleep 1", "/data"), ("pg", "postgres:17", "", "")];
        assert_eq!(pairs(&old[..1], &asleep), [Some("pg")]);
    }
}
