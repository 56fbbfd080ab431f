use std::collections::BTreeMap;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::DifferenceKind;
use crate::object::pod::{Volume, VolumeMount};
use crate::object::{DecodeError, StatefulSet};

declare_rule! {
    /// A claim template is added. The API server rejects this edit.
    ///
    /// ## Why
    /// A running pod cannot get another volume. If the set is re-created with one more template, it
    /// adopts its pods, creates the new claims, and then fails to update the pods until each one has
    /// been replaced.
    ///
    /// ## Way out
    /// Re-create the set around its pods, then delete the pods one at a time, starting with the first
    /// ordinal. Every pod restarts once. If the new template replaces another template or volume, such
    /// as an `emptyDir`, create the new claims first and copy the data into them.
    StsVctAdded {
        id: "sts-vct-added",
        title: "a claim template is added",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate; kubernetes#69041",
    }
}

impl Rule for StsVctAdded {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        let added: Vec<_> = change
            .differences()?
            .iter()
            .filter(|difference| difference.kind == DifferenceKind::TemplateAdded)
            .collect();
        let Some(first) = added.first() else { return Ok(()) };
        let names: Vec<&str> = added.iter().filter_map(|d| d.template.as_deref()).collect();
        // The whole edit goes into the new set, so that its pods restart once and not twice.
        let templates = "/spec/volumeClaimTemplates".into();
        let mut operations = Vec::from_iter(remedy::transplant(change, &templates, &templates)?);
        operations.extend(remedy::take_over_parts(change, &"/spec/template".into())?);
        let list = names.join(", ");
        let noun = if names.len() == 1 { "claim template" } else { "claim templates" };
        let mut steps = vec![remedy::say(format!(
            "leave {noun} {list} out {}",
            remedy::manifest_place(change.circumstances.tool)
        ))];
        let recreation = remedy::Recreation {
            operations,
            pods: Some("its pods are adopted, and keep running without the new volume"),
            complete: true,
        };
        let recreation = recreation.steps(change, old)?;
        let possible = !recreation.first().is_some_and(|step| step.text.starts_with("do not "));
        steps.extend(remedy::otherwise("or ", recreation));
        if possible {
            steps.extend(copies(change, old, new, &names)?.into_iter().map(remedy::say));
            steps.extend(remedy::replace_pods(change, old));
        }
        let what = format!("{noun} {list} would be added");
        findings
            .add(first.field.clone(), what)
            .old_field(first.old_field.clone())
            .values(None, Some(&list))
            .why(
                "A running pod cannot get another volume. The set has to be re-created, and every pod restarted.",
            )
            .remedy(steps);
        Ok(())
    }
}

/// How to take the data along that the pods keep today where the new claim templates are mounted, or in
/// a volume of their name.
fn copies(
    change: &Change<'_>,
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    added: &[&str],
) -> Result<Vec<String>, DecodeError> {
    const SHOWN: usize = 2;
    let (before, after) = (&old.template()?.spec, &new.template()?.spec);
    let path = |mount: &VolumeMount<'_>| mount.mount_path.trim_end_matches('/').to_owned();
    // Where each new template is mounted.
    let taken: BTreeMap<String, &str> = after
        .all_containers()
        .flat_map(|(_, _, container)| &container.volume_mounts)
        .filter_map(|mount| {
            let template = added.iter().find(|name| **name == mount.name.as_str())?;
            Some((path(mount), *template))
        })
        .collect();
    let mut replaced: BTreeMap<&str, &str> = BTreeMap::new();
    for (_, _, container) in before.all_containers() {
        for mount in &container.volume_mounts {
            let template = taken.get(&path(mount)).copied();
            let same = added.iter().find(|name| **name == mount.name.as_str()).copied();
            if let Some(template) = template.or(same) {
                replaced.entry(&*mount.name).or_insert(template);
            }
        }
    }
    // A pod need not mount a volume for its name to be taken.
    for name in added {
        replaced.entry(*name).or_insert(*name);
    }
    let (olds, news) =
        (template::by_name(old.claim_templates()?), template::by_name(new.claim_templates()?));
    let mut copies = Vec::new();
    for (name, template) in replaced {
        let into = format!("into {} (create missing ones)", claims(change, old, template));
        if olds.contains_key(name) {
            // A template that stays keeps its claims mounted, or another rule tells that it does not.
            if !news.contains_key(name) {
                let theirs = claims(change, old, name);
                copies.push(format!(
                    "first copy the data of {theirs} {into}: the new pods do not mount the old ones"
                ));
            }
            continue;
        }
        let volume = before.volumes.iter().find(|volume| &*volume.name == name);
        let Some(volume) = volume.filter(|volume| holds_data(volume)) else { continue };
        let source = if volume.empty_dir.is_some() || volume.ephemeral.is_some() {
            let kind = if volume.empty_dir.is_some() { "emptyDir" } else { "ephemeral volume" };
            copies.push(format!(
                "first copy each pod's {kind} {name} {into}, or let the members synchronise: the \
                 {kind} is deleted with its pod"
            ));
            continue;
        } else if let Some(source) = &volume.persistent_volume_claim {
            format!("claim {}", source.claim_name)
        } else if let Some(folder) = &volume.host_path {
            format!("the node's folder {}", folder.path)
        } else {
            format!("volume {name}")
        };
        copies.push(format!(
            "first copy the data of {source} {into}: the new pods do not mount {source}"
        ));
    }
    copies.truncate(SHOWN);
    Ok(copies)
}

/// Whether a volume holds more than files that the API server makes.
fn holds_data(volume: &Volume<'_>) -> bool {
    let files = [volume.config_map, volume.secret, volume.projected, volume.downward_api];
    files.iter().all(Option::is_none)
}

/// The claims of a template in words: `claims data-db-0 to data-db-2`.
fn claims(change: &Change<'_>, set: &StatefulSet<'_>, template: &str) -> String {
    let (stem, ordinals) = (format!("{template}-{}", change.name), set.ordinals());
    match ordinals.end - ordinals.start {
        ..=1 => format!("claim {stem}-{}", ordinals.start),
        _ => format!("claims {}", remedy::numbered(&stem, &ordinals)),
    }
}
