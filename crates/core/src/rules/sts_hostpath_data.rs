use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::Pointer;
use crate::object::pod::PodSpec;

declare_rule! {
    /// A container mounts a `hostPath` volume and may write to it.
    ///
    /// ## Why
    /// The files are on one node. A pod that moves to another node starts without them and may find
    /// files of an earlier pod. If the node is replaced, they are lost.
    ///
    /// ## Way out
    /// Use a claim template. For disks of the node, use the class of a local volume provisioner,
    /// which ties the pod to its node. Mount with `readOnly: true` what is only read.
    StsHostpathData {
        id: "sts-hostpath-data",
        title: "a container writes to a folder of its node",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/storage/volumes#hostpath",
    }
}

impl Rule for StsHostpathData {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let writers = writers(written.pod);
        let mut written_before = BTreeSet::new();
        if let Some((_, pod)) = written.old {
            let writers = self::writers(pod);
            let volumes = pod.volumes.iter().filter(|old| writers.contains_key(old.name.as_str()));
            let folders = volumes.filter_map(|old| old.host_path.as_ref());
            written_before.extend(folders.map(|folder| folder.path.as_str()));
        }
        for (index, volume) in written.pod.volumes.iter().enumerate() {
            let Some(folder) = &volume.host_path else { continue };
            let path = folder.path.as_str();
            let Some(container) = writers.get(volume.name.as_str()) else { continue };
            if written_before.contains(path) {
                continue;
            }
            let name = &volume.name;
            findings
                .add(
                    Pointer::from("/spec/template/spec/volumes")
                        .index(index)
                        .key("hostPath")
                        .key("path"),
                    format!("{container} would write to node folder {path}"),
                )
                .values(None, Some(path))
                .why(
                    "A pod that moves to another node starts without these files, and they are lost if the node is replaced.",
                )
                .remedy(vec![
                    remedy::amend_template(
                        change,
                        &format!("mount {name} with readOnly: true if files are only read"),
                    ),
                    remedy::say(
                        "if they are data, use a claim template, which only a new set can get",
                    ),
                ]);
        }
        Ok(())
    }
}

/// The first container that may write to each volume.
fn writers<'c>(pod: &'c PodSpec<'_>) -> BTreeMap<&'c str, &'c str> {
    let mut writers = BTreeMap::new();
    for (_, _, container) in pod.all_containers() {
        for mount in container.volume_mounts.iter().filter(|mount| mount.read_only != Some(true)) {
            writers.entry(mount.name.as_str()).or_insert(container.name.as_str());
        }
    }
    writers
}
