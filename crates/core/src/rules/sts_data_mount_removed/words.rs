//! How a loss is reported.

use serde_json::value::RawValue;

use super::folders::{Folders, ROOT};
use super::loss::{Loss, What};
use super::values::Named;
use super::view::{Mount, Other, Place, Source};
use crate::annotations::ALLOW;
use crate::change::Change;
use crate::object::immutable::arrow;
use crate::object::pod::Container;
use crate::object::{Pointer, StatefulSet};
use crate::rules::path::{below, clean, cut};
use crate::rules::{Findings, Step, remedy, template};

/// Adds the finding that the pods of the new set cannot be judged.
pub(super) fn report_unread(change: &Change<'_>, findings: &mut Findings) {
    let what = "the variables and arguments of the containers are too many or too long to be read";
    findings
        .add(Pointer::from("/spec/template/spec/containers"), what.to_owned())
        .why(
            "Of the containers of a pod, stateward reads 16,384 values, and less if they refer to \
             each other. It cannot tell whether a process would still find its data.",
        )
        .remedy(vec![remedy::amend(change, "use fewer variables and arguments, or shorter ones")]);
}

/// Adds the finding of `loss`, which stands for `more` others.
pub(super) fn report(
    change: &Change<'_>,
    findings: &mut Findings,
    loss: &Loss<'_, '_>,
    more: usize,
    folders: &Folders,
) {
    let words = Words::of(loss, folders);
    let (mut field, what, is) = words.what();
    let mut old_field = words.old_field();
    if let Some((old, new)) = words.changed_volume(change) {
        (old_field, field) = (old, new);
    }
    let more = match more {
        0 => String::new(),
        1 => " The same holds for one other mount or path.".to_owned(),
        more => format!(" The same holds for {more} other mounts or paths."),
    };
    let finding = findings.add(field, what);
    finding
        .old_field(old_field)
        .values(words.was().as_deref(), is.as_deref())
        .why(format!("{}{more}", words.why()))
        .remedy(words.steps(change));
    if loss.unsure {
        finding.unsure();
    }
}

struct Words<'w, 'p, 'a> {
    loss: &'w Loss<'p, 'a>,
    folders: &'w Folders,
    /// the old container, and the one that carries on its process
    name: String,
    keeper: String,
    new_container: Pointer,
    claim: String,
    /// the path of the data
    at: String,
    /// the variable of an unchanged `subPathExpr` that leads elsewhere, and its field
    variable: Option<(String, Pointer)>,
}

impl<'w, 'p, 'a> Words<'w, 'p, 'a> {
    fn of(loss: &'w Loss<'p, 'a>, folders: &'w Folders) -> Self {
        let keeper = loss.successor.map_or(loss.container, |(_, _, container)| container);
        let at = loss.successor.map(|(list, index, _)| template::container(list, index));
        let variable = match loss.what {
            What::OtherFolder(now) => changed_variable(loss, now),
            _ => None,
        };
        let variable = variable.map(|(name, index)| {
            let env = at.clone().unwrap_or_default().key("env");
            let field = index.map_or(env.clone(), |index| env.index(index).key("value"));
            (cut(name), field)
        });
        Self {
            loss,
            folders,
            variable,
            name: cut(loss.container.name.as_str()),
            keeper: cut(keeper.name.as_str()),
            new_container: at.unwrap_or_default(),
            claim: cut(&loss.place.source.to_string()),
            at: cut(&format!("/{}", loss.path)),
        }
    }

    fn entry(&self, mount: &Mount<'_>) -> Pointer {
        self.new_container.clone().key(mount.list).index(mount.index)
    }

    /// The new field, what changes, and the new value.
    fn what(&self) -> (Pointer, String, Option<String>) {
        let Self { name, keeper, claim, at, .. } = self;
        match &self.loss.what {
            What::Removed => (
                Pointer::from("/spec/template/spec").key(self.loss.list),
                format!("container {name}, which has {claim} at {at}, would be removed"),
                None,
            ),
            What::Unmounted(list) if keeper == name => (
                self.new_container.clone().key(list),
                format!("container {name} would no longer mount {claim} at {at}"),
                None,
            ),
            What::Unmounted(list) => (
                self.new_container.clone().key(list),
                format!("{name} would become {keeper} and not mount {claim} at {at}"),
                None,
            ),
            What::Moved(mount) => {
                let (was, is) = (self.shown(self.loss.path, &self.loss.place), self.mount(mount));
                let what = format!("{claim} moves in {keeper}, {}", path_arrow(&was, &is));
                (self.entry(mount), what, Some(is))
            }
            What::OtherFolder(mount) => {
                let (from, to) = (self.folder(&self.loss.place), self.folder(&mount.place));
                let what = format!("{claim} moves in {keeper}, subPath {from} → {to}");
                let variable = self.variable.as_ref().map(|(_, field)| field.clone());
                (variable.unwrap_or_else(|| self.entry(mount)), what, Some(self.mount(mount)))
            }
            What::Replaced(mount) => {
                let is = cut(&mount.place.source.to_string());
                let what = format!("{at} in {keeper} would change, {claim} → {is}");
                (self.entry(mount), what, Some(is))
            }
            What::Swapped(mount, other) => {
                let (what, is) = if mount.place.source == self.loss.place.source {
                    let (a, b) = (self.folder(&self.loss.place), self.folder(&mount.place));
                    (format!("subPath {a} and {b} of {claim} would change places in {keeper}"), b)
                } else {
                    let is = cut(&mount.place.source.to_string());
                    let other = cut(&format!("/{other}"));
                    (
                        format!(
                            "{claim} and {is} would change places in {keeper}, {at} and {other}"
                        ),
                        is,
                    )
                };
                (self.entry(mount), what, Some(is))
            }
            What::Hidden(mount) => {
                let by = self.over(mount);
                let path = cut(&format!("/{}", mount.path));
                (self.entry(mount), format!("{by} would hide {claim} at {path}"), Some(by))
            }
            What::Named { old, new } => {
                let is = new.as_ref().map(|new| {
                    if new.from_elsewhere {
                        "a value from elsewhere".to_owned()
                    } else {
                        cut(new.whole_text())
                    }
                });
                let field = new.as_ref().map(|new| new.field(self.new_container.clone()));
                let field = field.unwrap_or_else(|| {
                    let list = old.as_ref().map_or("image", |old| old.list);
                    self.new_container.clone().key(list)
                });
                let names = || old.as_ref().map(|old| &old.name.shown);
                let what = match (old, new, &is) {
                    (Some(old), Some(new), Some(is)) if old.name.shown == new.name.shown => {
                        let new = if new.from_elsewhere { is } else { new.whole_text() };
                        let change = path_arrow(old.whole_text(), new);
                        format!("{} in {keeper} would change, {change}", old.name.shown)
                    }
                    (_, Some(new), Some(is)) => {
                        let instead = match names() {
                            Some(old) => format!("instead of {old}"),
                            None if self.is_below_its_data(new) => "below its data".to_owned(),
                            None if self.loss.stays => "beside its data".to_owned(),
                            None => "outside of its claims".to_owned(),
                        };
                        format!("{} in {keeper} would be {is}, {instead}", new.name.shown)
                    }
                    _ => {
                        let old = names().map_or("the default data folder", String::as_str);
                        format!("{old} in {keeper} would no longer be {at}")
                    }
                };
                (field, what, is)
            }
            What::ReadOnly(mount) => (
                self.entry(mount),
                format!("{claim} at {at} would be read-only in {keeper}"),
                Some("read-only".to_owned()),
            ),
        }
    }

    /// The old and the new place of the volume, if it is what changes: the mount still has its name.
    fn changed_volume(&self, change: &Change<'_>) -> Option<(Pointer, Pointer)> {
        let What::Replaced(mount) = &self.loss.what else { return None };
        let (_, _, successor) = self.loss.successor?;
        let name = volume_name(successor, mount)?;
        if volume_name(self.loss.container, self.loss.mount)? != name {
            return None;
        }
        let (old, new) = change.written_set()?;
        Some((volume(old?, name)?, volume(new, name)?))
    }

    /// Whether a value leads to a folder below the one in which the data is.
    fn is_below_its_data(&self, new: &Named<'_>) -> bool {
        let rest = new.path.as_deref().and_then(|path| below(path, self.loss.path));
        self.loss.stays && rest.is_some_and(|rest| !rest.is_empty())
    }

    fn old_field(&self) -> Pointer {
        let container = template::container(self.loss.list, self.loss.index);
        match &self.loss.what {
            What::Named { old: Some(old), .. } => old.field(container),
            _ => container.key(self.loss.mount.list).index(self.loss.mount.index),
        }
    }

    fn was(&self) -> Option<String> {
        match &self.loss.what {
            What::Named { old, .. } => old.as_ref().map(|old| cut(old.whole_text())),
            What::Replaced(_) | What::Hidden(_) | What::Swapped(..) => Some(self.claim.clone()),
            _ => Some(self.shown(self.loss.path, &self.loss.place)),
        }
    }

    fn why(&self) -> String {
        let Self { keeper, at, .. } = self;
        let lost = if self.loss.stays {
            "The data stays unused in the claim."
        } else {
            "What it writes there is lost with the pod, and the data stays unused in the claim."
        };
        let over = |mount: &Mount<'_>| (self.over(mount), cut(&format!("/{}", mount.path)));
        match &self.loss.what {
            What::Removed => {
                format!("The container that takes its place would start without the data at {at}.")
            }
            What::Swapped(..) => format!(
                "Container {keeper} would find each folder where it expects the other one, and may \
                 start with the wrong data or with none."
            ),
            What::Hidden(mount) => {
                let (by, path) = over(mount);
                format!(
                    "Container {keeper} would find {by} at {path}, not the files in the claim, and \
                     may start with an empty folder."
                )
            }
            What::Replaced(mount) if is_files(mount) => format!(
                "Container {keeper} would find only the files of {} at {at}, and not its data.",
                self.over(mount)
            ),
            What::ReadOnly(_) => format!("Container {keeper} could no longer write its data."),
            What::Named { old: None, .. } => {
                format!(
                    "Container {keeper} would look for its data there and find an empty folder. {lost}"
                )
            }
            What::Named { .. } if self.loss.unsure => format!(
                "If container {keeper} keeps its data at {at}, it would start with another folder. {lost}"
            ),
            What::Named { .. } => format!(
                "Container {keeper} would no longer find its data at {at}, and would start with another \
                 folder. {lost}"
            ),
            _ if self.loss.place.device => {
                format!("Container {keeper} would no longer find its data at {at}.")
            }
            _ if self.loss.stays => {
                format!(
                    "Container {keeper} would find other files than its data at {at}, or none. {lost}"
                )
            }
            _ => format!("Container {keeper} would start with an empty folder at {at}. {lost}"),
        }
    }

    fn steps(&self, change: &Change<'_>) -> Vec<Step> {
        let Self { keeper, at, .. } = self;
        let allow = |if_done: &str| {
            remedy::say(format!(
                "or, if {if_done} first, allow the edit with the annotation {ALLOW}"
            ))
        };
        let amend = |what: String| remedy::amend(change, &what);
        match &self.loss.what {
            What::Named { old: Some(old), .. } => vec![
                amend(format!(
                    "keep {} {} in container {keeper}",
                    old.name.shown.replacen("an argument", "the argument", 1),
                    cut(old.whole_text())
                )),
                allow("the files are moved"),
            ],
            What::Named { old: None, new } => {
                let name = new.as_ref().map_or("the data folder", |new| &new.name.shown);
                vec![
                    amend(format!("point {name} to the data, below {at} in container {keeper}")),
                    allow("the files are moved"),
                ]
            }
            What::Swapped(..) => vec![
                amend(format!(
                    "keep {}: [{}] in container {keeper}, and the other one where it was",
                    self.loss.mount.list,
                    written(self.loss)
                )),
                allow("the files change places"),
            ],
            What::Hidden(mount) => vec![
                amend(format!(
                    "mount nothing else at {} in container {keeper}",
                    cut(&format!("/{}", mount.path))
                )),
                allow("the files are moved"),
            ],
            What::ReadOnly(_) => {
                vec![amend(format!(
                    "leave readOnly out of the mount at {at} in container {keeper}"
                ))]
            }
            What::OtherFolder(_) if self.variable.is_some() => {
                let name = self.variable.as_ref().map_or("", |(name, _)| name);
                vec![
                    amend(format!("keep the value of {name} in container {keeper}")),
                    allow("the files are moved"),
                ]
            }
            What::Replaced(_) if matches!(self.loss.place.source, Source::Claim(_)) => vec![
                amend(format!("keep {} behind the volume at {at}", self.claim)),
                allow("the data is copied to the new volume"),
            ],
            _ => {
                let container = match self.loss.successor {
                    Some(_) => format!("in container {keeper}"),
                    None => "in the container that takes its place".to_owned(),
                };
                vec![
                    amend(format!(
                        "keep {}: [{}] {container}",
                        self.loss.mount.list,
                        written(self.loss)
                    )),
                    remedy::say(format!(
                        "or, if a new image expects its data elsewhere, point it to {at} (PGDATA, \
                         --datadir …)"
                    )),
                ]
            }
        }
    }

    /// What a mount brings to its path.
    fn over(&self, mount: &Mount<'_>) -> String {
        match mount.place.source {
            Source::Other(_, volume) => format!("volume {}", cut(volume)),
            source if source == self.loss.place.source => {
                format!("{} (subPath {})", self.claim, self.folder(&mount.place))
            }
            source => cut(&source.to_string()),
        }
    }

    fn mount(&self, mount: &Mount<'_>) -> String {
        self.shown(&mount.path, &mount.place)
    }

    fn shown(&self, path: &str, place: &Place<'_>) -> String {
        let path = cut(&format!("/{path}"));
        match place.folder {
            ROOT => path,
            _ => format!("{path} (subPath {})", self.folder(place)),
        }
    }

    fn folder(&self, place: &Place<'_>) -> String {
        match place.folder {
            ROOT => "none".to_owned(),
            folder => cut(&self.folders.text(folder)),
        }
    }
}

/// The first variable of a `subPathExpr` that stays as it is, whose own value changes, and its place in
/// the new container.
fn changed_variable<'p>(loss: &Loss<'p, '_>, now: &Mount<'_>) -> Option<(&'p str, Option<usize>)> {
    /// Each variable is looked for, for each claim.
    const MOST: usize = 1000;
    type Value<'c> = (Option<&'c str>, Option<&'c str>);
    fn value<'c>(container: &'c Container<'_>, name: &str) -> Option<(usize, Value<'c>)> {
        let (index, variable) = container
            .env
            .iter()
            .enumerate()
            .rfind(|(_, variable)| variable.name.as_str() == name)?;
        Some((index, (variable.value.as_deref(), variable.value_from.map(RawValue::get))))
    }
    let (_, _, new) = loss.successor?;
    let expression = &*loss.container.volume_mounts.get(loss.mount.index)?.sub_path_expr;
    let same = new.volume_mounts.get(now.index)?.sub_path_expr.as_str() == expression;
    if !same || loss.container.env.len() + new.env.len() > MOST {
        return None;
    }
    expression.split("$(").skip(1).take(8).find_map(|part| {
        let (name, _) = part.split_once(')')?;
        let (old, new) = (value(loss.container, name), value(new, name));
        let differs = old.map(|(_, value)| value) != new.map(|(_, value)| value);
        differs.then_some((name, new.map(|(index, _)| index)))
    })
}

const fn is_files(mount: &Mount<'_>) -> bool {
    matches!(mount.place.source, Source::Other(Other::Files, _))
}

/// Both paths, without what they have in common if a line could not hold them.
fn path_arrow(old: &str, new: &str) -> String {
    /// No path is longer, and a text of any length may be the value of many claims.
    const LONGEST: usize = 4096;
    let (old, new) = if old.len() + new.len() > LONGEST {
        (cut(old), cut(new))
    } else {
        (clean(old), clean(new))
    };
    if old.chars().count() + new.chars().count() <= 48 {
        format!("{old} → {new}")
    } else {
        arrow(Some(&old), Some(&new))
    }
}

/// The entry of the old manifest, such as `{name: data, mountPath: /data}`.
fn written(loss: &Loss<'_, '_>) -> String {
    fn entry(container: &Container<'_>, mount: &Mount<'_>) -> Option<String> {
        if mount.list == "volumeDevices" {
            let device = container.volume_devices.get(mount.index)?;
            let (name, path) = (cut(device.name.as_str()), cut(device.device_path.as_str()));
            return Some(format!("{{name: {name}, devicePath: {path}}}"));
        }
        let entry = container.volume_mounts.get(mount.index)?;
        let folder = if !entry.sub_path.is_empty() {
            format!(", subPath: {}", cut(&entry.sub_path))
        } else if !entry.sub_path_expr.is_empty() {
            format!(", subPathExpr: {}", cut(&entry.sub_path_expr))
        } else {
            String::new()
        };
        let (name, path) = (cut(entry.name.as_str()), cut(entry.mount_path.as_str()));
        Some(format!("{{name: {name}, mountPath: {path}{folder}}}"))
    }
    entry(loss.container, loss.mount).unwrap_or_default()
}

/// The volume that a mount names.
fn volume_name<'c>(container: &'c Container<'_>, mount: &Mount<'_>) -> Option<&'c str> {
    match mount.list {
        "volumeMounts" => container.volume_mounts.get(mount.index).map(|one| one.name.as_str()),
        _ => container.volume_devices.get(mount.index).map(|one| one.name.as_str()),
    }
}

/// Where the claim template or the volume of this name is defined.
fn volume(set: &StatefulSet<'_>, name: &str) -> Option<Pointer> {
    let templates = set.claim_templates().ok()?;
    if let Some(index) = templates.iter().position(|one| one.metadata.name.as_str() == name) {
        return Some(Pointer::from("/spec/volumeClaimTemplates").index(index));
    }
    let volumes = &set.template().ok()?.spec.volumes;
    let index = volumes.iter().position(|volume| volume.name.as_str() == name)?;
    Some(Pointer::from("/spec/template/spec/volumes").index(index))
}
