use std::fmt;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::{Container, PodSpec};
use crate::object::{Pointer, StatefulSet, Text};

declare_rule! {
    /// A container that mounted a claim template mounts it no longer, or at another `mountPath`,
    /// `subPath` or `devicePath`. A container that goes counts as well, unless another one takes
    /// its mount over. Init containers that run to their end do not count.
    ///
    /// ## Why
    /// The claim is still there, but the database looks for its data in the place where it always
    /// was and finds an empty folder of the container. Many images then set up a new, empty
    /// database, and what is written to it goes with the pod.
    ///
    /// ## Way out
    /// Keep the mount. Where a new image expects its data elsewhere, point it to the old place
    /// (`PGDATA`, `--datadir` and the like), or move the files first and allow the edit with the
    /// annotation.
    StsDataMountRemoved {
        id: "sts-data-mount-removed",
        title: "a container loses the mount of its data, or finds it elsewhere",
        group: Data,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/controller/statefulset/stateful_set_utils.go updateStorage",
    }
}

impl Rule for StsDataMountRemoved {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(template::Written { set, pod: after, old: Some((old, before)) }) =
            template::written(change)?
        else {
            return Ok(());
        };
        let names: Vec<&Text<'_>> = claim_template_names(old, set)?;
        for (list, index, container) in lasting(before) {
            let there = lasting(after).find(|(_, _, c)| c.name == container.name);
            let new_mounts = there.map(|(_, _, c)| mounts(c, &names)).unwrap_or_default();
            let old_mounts = mounts(container, &names);
            for mount in &old_mounts {
                let Some((new_list, new_index, _)) = there else {
                    if !taken_over(mount, before, after, &names) {
                        lost(change, findings, container, mount, list, index, None);
                    }
                    continue;
                };
                if new_mounts.iter().any(|new| new.place == mount.place) {
                    continue;
                }
                let moved = new_mounts.iter().find(|new| {
                    new.place.template == mount.place.template
                        && old_mounts.iter().all(|old| old.place != new.place)
                });
                let now = template::container(new_list, new_index);
                lost(change, findings, container, mount, list, index, Some((now, moved)));
            }
        }
        Ok(())
    }
}

/// Where a container sees a claim template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place<'c> {
    template: &'c str,
    path: &'c str,
    folder: &'c str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)?;
        if self.folder.is_empty() { Ok(()) } else { write!(f, " (subPath {})", self.folder) }
    }
}

/// A place and the entry that says so, such as `volumeMounts/0`.
#[derive(Debug)]
struct Mount<'c> {
    place: Place<'c>,
    list: &'static str,
    index: usize,
}

/// The claim templates that both sets have: one that goes or comes is another rule's business.
fn claim_template_names<'c, 'a>(
    old: &'c StatefulSet<'a>,
    new: &StatefulSet<'a>,
) -> Result<Vec<&'c Text<'a>>, crate::object::DecodeError> {
    let new = new.claim_templates()?;
    let kept = |name: &Text<'_>| new.iter().any(|template| template.metadata.name == *name);
    let names = old.claim_templates()?.iter().map(|template| &template.metadata.name);
    Ok(names.filter(|name| kept(name)).collect())
}

/// The containers that run as long as the pod: init containers only where they are side cars.
fn lasting<'c, 'a>(
    pod: &'c PodSpec<'a>,
) -> impl Iterator<Item = (&'static str, usize, &'c Container<'a>)> {
    pod.all_containers().filter(|(list, _, container)| {
        *list == "containers" || container.restart_policy.as_deref() == Some("Always")
    })
}

/// The mounts of claim templates in `container`.
fn mounts<'c>(container: &'c Container<'_>, names: &[&Text<'_>]) -> Vec<Mount<'c>> {
    let files = container.volume_mounts.iter().enumerate().map(|(index, mount)| Mount {
        place: Place {
            template: &mount.name,
            path: trim(&mount.mount_path),
            folder: trim(if mount.sub_path.is_empty() {
                &mount.sub_path_expr
            } else {
                &mount.sub_path
            }),
        },
        list: "volumeMounts",
        index,
    });
    let devices = container.volume_devices.iter().enumerate().map(|(index, device)| Mount {
        place: Place { template: &device.name, path: &device.device_path, folder: "" },
        list: "volumeDevices",
        index,
    });
    files
        .chain(devices)
        .filter(|mount| names.iter().any(|name| name.as_str() == mount.place.template))
        .collect()
}

/// `/data/` is the same place as `/data`.
fn trim(path: &str) -> &str {
    if path.len() > 1 { path.trim_end_matches('/') } else { path }
}

/// Whether the mount of a container that goes is kept by another one: by one that did not have it
/// before (the container was renamed), or, where no container comes, by one that shared it.
fn taken_over(
    mount: &Mount<'_>,
    before: &PodSpec<'_>,
    after: &PodSpec<'_>,
    names: &[&Text<'_>],
) -> bool {
    let has = |container: &Container<'_>| {
        mounts(container, names).iter().any(|other| other.place == mount.place)
    };
    let former = |container: &Container<'_>| {
        lasting(before).map(|(_, _, c)| c).find(|c| c.name == container.name)
    };
    let nobody_comes = lasting(after).all(|(_, _, container)| former(container).is_some());
    lasting(after).any(|(_, _, container)| {
        has(container) && (nobody_comes || former(container).is_none_or(|former| !has(former)))
    })
}

/// The finding about `mount`, which `container` (the `index`th of `list` before) loses. `now` is
/// the container after the edit, with the place that the mount moves to.
fn lost(
    change: &Change<'_>,
    findings: &mut Findings,
    container: &Container<'_>,
    mount: &Mount<'_>,
    list: &str,
    index: usize,
    now: Option<(Pointer, Option<&Mount<'_>>)>,
) {
    let (name, place) = (&container.name, mount.place);
    let template = place.template;
    let was = place.to_string();
    let at = place.path;
    let stays = now.as_ref().is_some_and(|(_, moved)| moved.is_some_and(|m| m.place.path == at));
    let why = if stays {
        "and may start anew, beside the data that it has"
    } else {
        "and may start anew; what it writes there goes with the pod"
    };
    let keeper = match &now {
        Some(_) => format!("in container {name}"),
        None => "in the container that takes its place".to_owned(),
    };
    let key = if mount.list == "volumeMounts" { "mountPath" } else { "devicePath" };
    let folder = match (place.folder, container.volume_mounts.get(mount.index)) {
        ("", _) => String::new(),
        (folder, Some(mount)) if mount.sub_path.is_empty() => format!(", subPathExpr: {folder}"),
        (folder, _) => format!(", subPath: {folder}"),
    };
    let entry = format!("{{name: {template}, {key}: {at}{folder}}}");
    let (field, what, is) = match now {
        None => (
            Pointer::from("/spec/template/spec").key(list),
            format!("container {name} goes, and its mount of {template} at {was}"),
            None,
        ),
        Some((container, None)) => (
            container.key(mount.list),
            format!("container {name} would no longer mount {template} at {was}"),
            None,
        ),
        Some((container, Some(moved))) => {
            let is = moved.place.to_string();
            let field = container.key(moved.list).index(moved.index);
            let arrow = if moved.place.path == place.path {
                let folder = |place: Place<'_>| match place.folder {
                    "" => "none".to_owned(),
                    folder => folder.to_owned(),
                };
                format!("subPath {} → {}", folder(place), folder(moved.place))
            } else {
                format!("{was} → {is}")
            };
            (field, format!("{template} moves in {name}, {arrow}"), Some(is))
        }
    };
    findings
        .add(field, what)
        .old_field(template::container(list, index).key(mount.list).index(mount.index))
        .values(Some(&was), is.as_deref())
        .why(format!("The database would find no data at {at} {why}."))
        .remedy(vec![
            remedy::amend(change, &format!("keep {}: [{entry}] {keeper}", mount.list)),
            remedy::say(format!(
                "where a new image expects its data elsewhere, point it to {at} (PGDATA, --datadir …)"
            )),
        ]);
}
