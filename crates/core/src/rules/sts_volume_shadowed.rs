use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::pod::{PodSpec, Volume};
use crate::object::{DecodeError, Pointer, StatefulSet};

declare_rule! {
    /// An entry of `volumes` has the name of a claim template.
    ///
    /// ## Why
    /// The controller replaces the volume by the claim, so no pod gets the volume, such as a Secret.
    /// The API server accepts it without a warning.
    ///
    /// The rule is silent about a placeholder, `persistentVolumeClaim` with the name of the volume itself or
    /// with none: examples of early Kubernetes have it beside the claim template. It is also silent if the
    /// volume was replaced before, under this or another name.
    ///
    /// ## Way out
    /// Rename the volume and its mounts, or remove it.
    StsVolumeShadowed {
        id: "sts-volume-shadowed",
        title: "a claim template replaces a volume of the same name",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes staging/src/k8s.io/api/apps/v1/types.go volumeClaimTemplates",
    }
}

impl Rule for StsVolumeShadowed {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let now = shadowed(written.set, written.pod)?;
        let before = match written.old {
            Some((set, pod)) => shadowed(set, pod)?,
            None => Vec::new(),
        };
        let same: BTreeSet<&str> = now.iter().map(|(_, volume)| volume.name.as_str()).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|(_, volume)| same.contains(volume.name.as_str()));
        let kept: BTreeSet<&str> = kept.iter().map(|(_, volume)| volume.name.as_str()).collect();
        // A volume and its claim template may be renamed together.
        let mut renamed: BTreeMap<Sources<'_>, usize> = BTreeMap::new();
        for (_, volume) in gone {
            *renamed.entry(sources(volume)).or_default() += 1;
        }
        for (index, volume) in now {
            let name = volume.name.as_str();
            if kept.contains(name) {
                continue;
            }
            if let Some(left) = renamed.get_mut(&sources(volume)).filter(|left| **left > 0) {
                *left -= 1;
                continue;
            }
            findings
                .add(
                    Pointer::from("/spec/template/spec/volumes").index(index).key("name"),
                    format!("a claim template would replace volume {name}"),
                )
                .values(None, Some(name))
                .why("The pods would mount the claim instead of this volume.")
                .remedy(vec![remedy::amend_template(
                    change,
                    &format!("rename volume {name} and its mounts, or leave it out"),
                )]);
        }
        Ok(())
    }
}

/// The volumes that a claim template replaces, with their places; without placeholders for it.
fn shadowed<'c, 'a>(
    set: &'c StatefulSet<'a>,
    pod: &'c PodSpec<'a>,
) -> Result<Vec<(usize, &'c Volume<'a>)>, DecodeError> {
    let templates = template::by_name(set.claim_templates()?);
    let is_placeholder = |volume: &Volume<'_>| {
        let claim = volume.persistent_volume_claim.as_ref();
        claim.is_some_and(|claim| {
            let named = claim.claim_name.as_str();
            named.is_empty() || named == volume.name.as_str()
        })
    };
    let volumes = pod.volumes.iter().enumerate();
    let replaced = volumes.filter(|(_, volume)| templates.contains_key(volume.name.as_str()));
    Ok(replaced.filter(|(_, volume)| !is_placeholder(volume)).collect())
}

/// What a volume holds, as far as it is decoded.
type Sources<'v> = [Option<&'v str>; 8];

fn sources<'v>(volume: &'v Volume<'_>) -> Sources<'v> {
    let Volume { host_path, persistent_volume_claim: claim, ephemeral, empty_dir, .. } = volume;
    let Volume { config_map, secret, projected, downward_api, .. } = volume;
    let raw = |raw: Option<&'v RawValue>| raw.map(RawValue::get);
    [
        host_path.as_ref().map(|source| source.path.as_str()),
        claim.as_ref().map(|source| source.claim_name.as_str()),
        raw(*ephemeral),
        raw(*empty_dir),
        raw(*config_map),
        raw(*secret),
        raw(*projected),
        raw(*downward_api),
    ]
}
