//! See the page of the rule below. The submodules answer where a container finds which folder of
//! which claim (`view`), and which container carries on an old one's process (`successor`).

mod losses;
mod named;
mod path;
mod successor;
mod variables;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use self::losses::{Loss, What, losses};
use self::view::{Mount, Place, Source};
use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::arrow;
use crate::object::pod::Container;
use crate::object::{DecodeError, Pointer, StatefulSet};

declare_rule! {
    /// A process no longer finds the folder of the claim that it wrote to. The rule looks at every
    /// claim template and every `persistentVolumeClaim` volume, for each container that may write
    /// to it:
    ///
    /// - its mount is removed, or moves to another `mountPath`, `devicePath`, `subPath` or
    ///   `subPathExpr`; variables in `subPathExpr` are expanded;
    /// - another volume takes the place of the claim, or is mounted over a part of it;
    /// - a variable or an argument that named a path in the claim, such as `PGDATA` or
    ///   `--storage.tsdb.path`, names a path elsewhere;
    /// - the container is removed, or renamed without its mount;
    /// - the mount becomes read-only (a warning).
    ///
    /// If the name of a variable or an argument does not say that it is about data, the rule
    /// warns. It says nothing as long as the process finds the same folder: if the mount and the
    /// variable move together, if the paths are only spelled differently, or if a removed side car
    /// mounted read-only or what another container keeps.
    ///
    /// ## Why
    /// The claim and its data still exist, but the process looks for its data in the old place and
    /// finds an empty folder. Many images then set up a new, empty database, and what they write
    /// there is lost with the pod.
    ///
    /// ## Way out
    /// Keep the mount. If a new image expects its data elsewhere, point it to the old place
    /// (`PGDATA`, `--datadir` and the like), or move the files first and allow the edit with the
    /// annotation.
    ///
    /// The rule does not know the default data folder of an image, and does not see what a
    /// configuration file, a `ConfigMap` of variables (`envFrom`) or a symbolic link in the image
    /// points to. It takes init containers that end for no owners of data.
    StsDataMountRemoved {
        id: "sts-data-mount-removed",
        title: "a process no longer finds the folder of its claim",
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
        let templates = lasting_templates(old, set)?;
        let before = losses::Pod::of(old, before, &templates)?;
        let after = losses::Pod::of(set, after, &templates)?;
        // One finding for each claim, or a set with thousands of mounts fills the answer.
        let mut first: BTreeMap<(Source<'_>, bool), (Loss<'_, '_>, usize)> = BTreeMap::new();
        let mut order = Vec::new();
        for loss in losses(&before, &after) {
            let key = (loss.place.source, loss.unsure);
            if let Some((_, more)) = first.get_mut(&key) {
                *more += 1;
            } else {
                order.push(key);
                first.insert(key, (loss, 0));
            }
        }
        for key in order {
            if let Some((loss, more)) = first.get(&key) {
                report(change, findings, loss, *more);
            }
        }
        Ok(())
    }
}

/// The claim templates that both sets have: one that is removed or added is judged by a rule of
/// its own.
fn lasting_templates<'c>(
    old: &'c StatefulSet<'_>,
    new: &StatefulSet<'_>,
) -> Result<BTreeSet<&'c str>, DecodeError> {
    let new: BTreeSet<&str> =
        new.claim_templates()?.iter().map(|template| template.metadata.name.as_str()).collect();
    let old = old.claim_templates()?.iter().map(|template| template.metadata.name.as_str());
    Ok(old.filter(|name| new.contains(name)).collect())
}

fn report(change: &Change<'_>, findings: &mut Findings, loss: &Loss<'_, '_>, more: usize) {
    let (name, claim) = (loss.container.name.as_str(), loss.place.source);
    let at = format!("/{}", loss.path);
    let old_container = template::container(loss.list, loss.index);
    let new_container = loss.successor.map(|(list, index, _)| template::container(list, index));
    let keeper = loss.successor.map_or(name, |(_, _, container)| container.name.as_str());
    let (field, what, is) = match &loss.what {
        What::Removed => (
            Pointer::from("/spec/template/spec").key(loss.list),
            format!("container {name}, which has {claim} at {at}, is removed"),
            None,
        ),
        What::Unmounted(list) if keeper == name => (
            new_container.unwrap_or_default().key(list),
            format!("container {name} would no longer mount {claim} at {at}"),
            None,
        ),
        What::Unmounted(list) => (
            new_container.unwrap_or_default().key(list),
            format!("{name} becomes {keeper} and would not mount {claim} at {at}"),
            None,
        ),
        What::Moved(mount) => {
            let is = shown(&mount.path, &mount.place);
            (
                entry(new_container, mount),
                format!(
                    "{claim} moves in {keeper}, {}",
                    path_arrow(&shown(&loss.path, &loss.place), &is)
                ),
                Some(is),
            )
        }
        What::OtherFolder(mount) => {
            let (from, to) = (folder(&loss.place), folder(&mount.place));
            (
                entry(new_container, mount),
                format!("{claim} moves in {keeper}, subPath {from} → {to}"),
                Some(shown(&mount.path, &mount.place)),
            )
        }
        What::Replaced(mount) => (
            entry(new_container, mount),
            format!("{at} in {keeper} would change, {claim} → {}", mount.place.source),
            Some(mount.place.source.to_string()),
        ),
        What::Hidden(mount) => {
            let by = match mount.place.source {
                Source::Other(_, volume) => format!("volume {volume}"),
                source => source.to_string(),
            };
            (
                entry(new_container, mount),
                format!("{by} would hide {claim} at /{}", mount.path),
                Some(by),
            )
        }
        What::Named { old, new } => {
            let name = old.name();
            let what = match new {
                Some(new) => {
                    format!("{name} in {keeper} would change, {}", path_arrow(&old.text, &new.text))
                }
                None => format!("{name} in {keeper} would no longer be {}", old.text),
            };
            let field = match new {
                Some(new) => new.field(new_container.unwrap_or_default()),
                None => new_container.unwrap_or_default().key(old.list),
            };
            (field, what, new.as_ref().map(|new| new.text.to_string()))
        }
        What::ReadOnly(mount) => (
            entry(new_container, mount),
            format!("{claim} at {at} would be read-only in {keeper}"),
            Some("read-only".to_owned()),
        ),
    };
    let old_field = match &loss.what {
        What::Named { old, .. } => old.field(old_container.clone()),
        _ => entry(Some(old_container.clone()), loss.mount),
    };
    let was = match &loss.what {
        What::Named { old, .. } => old.text.to_string(),
        What::Replaced(_) | What::Hidden(_) => claim.to_string(),
        _ => shown(&loss.path, &loss.place),
    };
    let more = match more {
        0 => String::new(),
        1 => " The same holds for one other mount or path.".to_owned(),
        more => format!(" The same holds for {more} other mounts or paths."),
    };
    let finding = findings.add(field, what);
    finding
        .old_field(old_field)
        .values(Some(&was), is.as_deref())
        .why(format!("{}{more}", why(loss, &at)))
        .remedy(steps(change, loss, &at, keeper));
    if loss.unsure {
        finding.unsure();
    }
}

fn entry(container: Option<Pointer>, mount: &Mount<'_>) -> Pointer {
    container.unwrap_or_default().key(mount.list).index(mount.index)
}

/// Both paths, without what they have in common where a line could not hold them.
fn path_arrow(old: &str, new: &str) -> String {
    if old.chars().count() + new.chars().count() <= 48 {
        format!("{old} → {new}")
    } else {
        arrow(Some(old), Some(new))
    }
}

fn shown(path: &str, place: &Place<'_>) -> String {
    if place.folder.is_empty() {
        format!("/{path}")
    } else {
        format!("/{path} (subPath {})", folder(place))
    }
}

/// The folder as people read it: a part that is not known is left out.
fn folder(place: &Place<'_>) -> String {
    match &*place.folder {
        "" => "none".to_owned(),
        folder => folder.chars().map(|c| if c.is_control() { '$' } else { c }).collect(),
    }
}

fn why(loss: &Loss<'_, '_>, at: &str) -> String {
    match &loss.what {
        What::Hidden(mount) => format!(
            "The process would find other files at /{} than those in the claim, and may start empty.",
            mount.path
        ),
        What::Named { old, .. } if loss.stays => format!(
            "If the process keeps its data at {}, it would not find it and may start empty in \
             another folder.",
            old.text
        ),
        What::Named { old, .. } => format!(
            "If the process keeps its data at {}, it would not find it, and what it writes elsewhere \
             is lost with the pod.",
            old.text
        ),
        What::ReadOnly(_) => "The process could no longer write its data.".to_owned(),
        _ if loss.stays => format!(
            "The process would not find its data at {at} and may start empty, beside the data that \
             exists."
        ),
        _ => format!(
            "The process would not find its data at {at} and may start empty; what it writes there \
             is lost with the pod."
        ),
    }
}

fn steps(change: &Change<'_>, loss: &Loss<'_, '_>, at: &str, keeper: &str) -> Vec<super::Step> {
    let on_purpose = remedy::say(
        "or, if the files are moved first, allow the edit with the annotation stateward.dev/allow",
    );
    match &loss.what {
        What::Named { old, .. } => vec![
            remedy::amend(
                change,
                &format!("keep {} {} in container {keeper}", old.name(), old.text),
            ),
            on_purpose,
        ],
        What::Hidden(mount) => vec![
            remedy::amend(
                change,
                &format!("mount nothing else at /{} in container {keeper}", mount.path),
            ),
            on_purpose,
        ],
        What::ReadOnly(_) => {
            vec![remedy::amend(
                change,
                &format!("leave readOnly out of the mount at {at} in container {keeper}"),
            )]
        }
        What::Replaced(_) if matches!(loss.place.source, Source::Claim(_)) => vec![
            remedy::amend(change, &format!("keep {} behind the volume at {at}", loss.place.source)),
            remedy::say(
                "or, if the data is copied to the new volume first, allow the edit with the \
                 annotation stateward.dev/allow",
            ),
        ],
        _ => {
            let container = match loss.successor {
                Some(_) => format!("in container {keeper}"),
                None => "in the container that takes its place".to_owned(),
            };
            vec![
                remedy::amend(
                    change,
                    &format!("keep {}: [{}] {container}", loss.mount.list, written(loss)),
                ),
                remedy::say(format!(
                    "or, if a new image expects its data elsewhere, point it to {at} (PGDATA, \
                     --datadir …)"
                )),
            ]
        }
    }
}

/// The entry of the old manifest, such as `{name: data, mountPath: /data}`.
fn written(loss: &Loss<'_, '_>) -> String {
    fn written_in(container: &Container<'_>, mount: &Mount<'_>) -> Option<String> {
        if mount.list == "volumeDevices" {
            let device = container.volume_devices.get(mount.index)?;
            return Some(format!("{{name: {}, devicePath: {}}}", device.name, device.device_path));
        }
        let entry = container.volume_mounts.get(mount.index)?;
        let folder = if !entry.sub_path.is_empty() {
            format!(", subPath: {}", entry.sub_path)
        } else if !entry.sub_path_expr.is_empty() {
            format!(", subPathExpr: {}", entry.sub_path_expr)
        } else {
            String::new()
        };
        Some(format!("{{name: {}, mountPath: {}{folder}}}", entry.name, entry.mount_path))
    }
    written_in(loss.container, loss.mount).unwrap_or_default()
}
