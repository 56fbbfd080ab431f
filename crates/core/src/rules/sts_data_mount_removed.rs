//! See the page of the rule below. Its question is whether the process that wrote to a claim still
//! finds the same folder of the same claim.
//!
//! `view` tells where a container finds which folder of which claim, and `values` which paths it is
//! told. `named` knows the names of data folders. `successor` finds the container that carries on
//! an old one's process. `compare` and `anchors` compare the two, `losses` gathers what a whole pod
//! loses, and `words` reports it.

mod anchors;
mod compare;
mod data_folders;
mod folders;
mod loss;
mod losses;
mod named;
mod running;
mod successor;
mod values;
mod view;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::named::{default_without_arguments_of_image, keeps_data_by_name};

use self::folders::Folders;
use self::loss::Loss;
use self::losses::losses;
use self::running::Pod;
use self::view::Source;
use super::{Findings, Judged, NoParams, Rule, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::{DecodeError, StatefulSet};

declare_rule! {
    /// A process no longer finds the folder of the claim that it wrote to. The rule looks at every
    /// claim template and every `persistentVolumeClaim` volume, for each container that may write
    /// to it:
    ///
    /// - its mount is removed, or moves to another `mountPath`, `devicePath`, `subPath` or
    ///   `subPathExpr`; variables in `subPathExpr` are expanded;
    /// - another volume takes the place of the claim, or is mounted over a part of it;
    /// - two claims, or two folders of one, change places;
    /// - a variable or a flag that names the data folder, such as `PGDATA` or
    ///   `--storage.tsdb.path`, leads elsewhere. It may be changed, removed, given twice, or named
    ///   for the first time;
    /// - `workingDir` changes, and with it the place of relative paths;
    /// - the container is removed, or renamed without its mount, even if another container now has
    ///   its name or its mount;
    /// - the mount becomes read-only (a warning);
    /// - the containers are given so many values that they cannot be read.
    ///
    /// The rule reads `env`, `command` and `args`, also scripts of `sh -c`, and expands variables.
    /// It knows the data folders of well-known images. If a name does not say that it is about
    /// data, the rule warns. Names of logs, caches, temporary files and configuration do not count.
    ///
    /// The rule says nothing as long as the process finds the same folder: if the mount and the
    /// variable move together, or if the paths are only spelled differently. It also says nothing
    /// about read-only mounts, about one file of configuration beside the data, and about exporters,
    /// log shippers and backups, as long as another container keeps the claim.
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
    /// The rule does not see what a configuration file, a `ConfigMap` of variables (`envFrom`) or a
    /// symbolic link in the image points to. It knows no default folders that depend on the version
    /// of an image. It takes init containers that end for no owners of data.
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
        let mut folders = Folders::default();
        let before = Pod::of(old, before, &templates, &mut folders)?;
        let after = Pod::of(set, after, &templates, &mut folders)?;
        // A value that is not read may lead elsewhere.
        if !after.is_read && before.containers.iter().any(|c| c.written().next().is_some()) {
            words::report_unread(change, findings);
        }
        // One finding for each claim, or a set with thousands of mounts fills the answer.
        let mut first: BTreeMap<(Source<'_>, bool), (Loss<'_, '_>, usize)> = BTreeMap::new();
        let mut order = Vec::new();
        for loss in losses(&before, &after, &mut folders) {
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
                words::report(change, findings, loss, *more, &folders);
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
