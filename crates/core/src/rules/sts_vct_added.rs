use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::DifferenceKind;
use crate::object::pod::VolumeMount;
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
    /// ordinal. Every pod restarts once. If the new template replaces another volume, such as an
    /// `emptyDir`, copy its data first: it is deleted with each pod.
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
        let mut operations = Vec::new();
        for field in ["/spec/volumeClaimTemplates", "/spec/template"] {
            operations.extend(remedy::transplant(change, &field.into(), &field.into())?);
        }
        if old.spec.template.same_bytes(&new.spec.template) {
            operations.pop();
        }
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
            steps.extend(replaced(old, new, &names)?.map(remedy::say));
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

/// What the pods keep today in a volume that a new claim template takes the place of: by its name, or
/// at a path where a container mounts it.
fn replaced(
    old: &StatefulSet<'_>,
    new: &StatefulSet<'_>,
    added: &[&str],
) -> Result<Option<String>, DecodeError> {
    let added: BTreeSet<&str> = added.iter().copied().collect();
    let (before, after) = (&old.template()?.spec, &new.template()?.spec);
    let path = |mount: &VolumeMount<'_>| mount.mount_path.trim_end_matches('/').to_owned();
    let taken: BTreeSet<String> = after
        .all_containers()
        .flat_map(|(_, _, container)| &container.volume_mounts)
        .filter(|mount| added.contains(&*mount.name))
        .map(path)
        .collect();
    let displaced: BTreeSet<&str> = before
        .all_containers()
        .flat_map(|(_, _, container)| &container.volume_mounts)
        .filter(|mount| taken.contains(&path(mount)))
        .map(|mount| mount.name.as_str())
        .collect();
    let volume = before
        .volumes
        .iter()
        .filter(|volume| added.contains(&*volume.name) || displaced.contains(&*volume.name))
        .find(|volume| volume.config_map.is_none() && volume.secret.is_none());
    Ok(volume.map(|volume| {
        let name = &volume.name;
        if volume.empty_dir.is_some() || volume.ephemeral.is_some() {
            format!(
                "first copy what the pods hold in volume {name}, or let the members synchronise: it \
                 is deleted with each pod"
            )
        } else {
            format!("first copy the data of volume {name}: the new pods do not mount it any more")
        }
    }))
}
