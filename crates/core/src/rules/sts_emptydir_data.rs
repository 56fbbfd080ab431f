use std::collections::BTreeMap;

use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::{PodSpec, Volume};
use crate::object::{DecodeError, Pointer, StatefulSet};

declare_rule! {
    /// The only volume for the data of a set is an `emptyDir`. The rule looks at sets without a claim
    /// and without any other volume that outlives a pod. An `emptyDir` counts as data if its name says
    /// so, or if it is mounted at `/data` or below `/var/lib` or `/bitnami`.
    ///
    /// ## Why
    /// An `emptyDir` is deleted with its pod: an eviction, a drained node or a rollout loses the data.
    ///
    /// ## Way out
    /// Use a claim template. If the pods are a cache, give the volume a name that says so, or annotate
    /// the set.
    StsEmptydirData {
        id: "sts-emptydir-data",
        title: "the only volume for data is an emptyDir",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/storage/volumes#emptydir",
    }
}

impl Rule for StsEmptydirData {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let lost = lost_with_pod(set, &set.template()?.spec)?;
        let Some((index, path)) = lost else { return Ok(()) };
        findings
            .add(
                Pointer::from("/spec/template/spec/volumes").index(index),
                format!("its data at {path} would be in an emptyDir"),
            )
            .values(None, Some("emptyDir"))
            .why("An emptyDir is deleted with its pod, and the set has no volume that stays.")
            .remedy(vec![remedy::amend(
                change,
                "use a claim template, which gives each pod a volume that stays",
            )]);
        Ok(())
    }
}

/// The place and the path of the first `emptyDir` with data, if the set has no volume that stays.
fn lost_with_pod<'c>(
    set: &StatefulSet<'_>,
    pod: &'c PodSpec<'_>,
) -> Result<Option<(usize, &'c str)>, DecodeError> {
    if !set.claim_templates()?.is_empty() || pod.volumes.iter().any(|volume| !is_passing(volume)) {
        return Ok(None);
    }
    let mut places = BTreeMap::new();
    for (index, volume) in pod.volumes.iter().enumerate() {
        // What is in memory is meant to be lost.
        if volume.empty_dir.is_some_and(|source| !source.get().contains("\"Memory\"")) {
            places.entry(volume.name.as_str()).or_insert(index);
        }
    }
    for container in &pod.containers {
        for mount in container.volume_mounts.iter().filter(|mount| mount.read_only != Some(true)) {
            let (name, path) = (mount.name.as_str(), mount.mount_path.as_str());
            if let Some(index) = places.get(name)
                && is_data(name, path)
            {
                return Ok(Some((*index, path)));
            }
        }
    }
    Ok(None)
}

/// Whether nothing of a volume outlives its pod, or it holds files of Kubernetes only.
fn is_passing(volume: &Volume<'_>) -> bool {
    let Volume { ephemeral, empty_dir, config_map, secret, projected, downward_api, .. } = volume;
    [ephemeral, empty_dir, config_map, secret, projected, downward_api].iter().any(|s| s.is_some())
}

/// Whether the name of a volume or the path of its mount says that it holds data.
fn is_data(name: &str, path: &str) -> bool {
    let mut parts = name.split(['-', '.', '_']);
    let says_so = parts.clone().any(|part| matches!(part, "data" | "storage" | "pgdata" | "db"));
    let passing =
        |part| matches!(part, "tmp" | "temp" | "cache" | "log" | "logs" | "run" | "plugins");
    let at_data = path == "/data"
        || ["/data/", "/var/lib/", "/bitnami/"].iter().any(|folder| path.starts_with(folder));
    (says_so || at_data) && !parts.any(passing) && !path.split('/').any(passing)
}
