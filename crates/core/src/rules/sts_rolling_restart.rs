use serde_json::Value;
use serde_json::value::RawValue;

use super::{Findings, Judged, NoParams, Rule, remedy, system, template};
use crate::change::{Change, Tool};
use crate::facts::Facts;
use crate::object::pod::{Container, PodSpec};
use crate::object::{DecodeError, StatefulSet};
use crate::packs::{RollingEdits, RollingUpdate};

declare_rule! {
    /// An edit restarts the pods of a system one after another, which does harm to it.
    ///
    /// ## Why
    /// A rolling update goes on to the next pod once the one before is ready. Vault starts sealed and has to
    /// be unsealed by hand. A MinIO server waits until half of the others run the same program with the same
    /// settings. The rule knows such systems from their packs.
    ///
    /// It is silent with `OnDelete`, if the partition keeps all pods back, and if the set shows that its
    /// system needs no help, such as by a variable that names the key for Vault's auto-unseal. The rule does
    /// not see what a configuration file says. It warns then as well, because the vendor advises `OnDelete`.
    ///
    /// It also warns if `OnDelete` or the partition ends while pods still have an older template.
    ///
    /// ## Way out
    /// Set `updateStrategy.type: OnDelete` first, which restarts no pod. Then make the edit, and take the
    /// steps that the finding names.
    StsRollingRestart {
        id: "sts-rolling-restart",
        title: "a rolling update would harm the system",
        group: Data,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "the pack of the system",
    }
}

impl Rule for StsRollingRestart {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, new)) = change.updated_set() else { return Ok(()) };
        // Pods that an edit under OnDelete, or behind a partition, has left as they were.
        let released = !restarts_pods(old) && restarts_pods(new) && leaves_pods(old)?;
        let same = old.spec.template.same_bytes(&new.spec.template);
        if !restarts_pods(new) || same && !released {
            return Ok(());
        }
        // The old set decides, so that an edit cannot choose by whom it is judged.
        let Some(known) = system::of(old, facts)? else { return Ok(()) };
        let Some(rolling) = &known.pack.pods.rolling_update else { return Ok(()) };
        let few = rolling.with_replicas && new.spec.replicas() <= 1;
        let restarts = released || template::changes(old, new);
        if few || !restarts || (needs_no_help(rolling, old)? && needs_no_help(rolling, new)?) {
            return Ok(());
        }
        let (before, after) = (&old.template()?.spec, &new.template()?.spec);
        let does_harm = match rolling.edits {
            _ if released => true,
            RollingEdits::All => true,
            RollingEdits::Program => known.container.is_none_or(|index| {
                match (before.containers.get(index), same_name(after, before, index)) {
                    (Some(before), Some(after)) => program_changes(rolling, before, after),
                    _ => true,
                }
            }),
        };
        if !does_harm {
            return Ok(());
        }
        let title = &known.pack.title;
        let at = if released { "/spec/updateStrategy" } else { "/spec/template" };
        let finding = findings.add(at, format!("a rolling update would harm {title}"));
        finding.why(format!("{title}: {} ({})", rolling.why, rolling.source));
        if released {
            finding.step("keep updateStrategy until all pods have the new template");
            for step in rolling.steps.iter().skip(1) {
                finding.step(step.as_str());
            }
            return Ok(());
        }
        let tool = change.circumstances.tool;
        if tool == Tool::Kubectl {
            finding.command(
                "before the edit, set updateStrategy OnDelete, so that pods restart only when you delete them",
                format!(
                    "{} patch statefulset {} --type=merge -p '{{\"spec\":{{\"updateStrategy\":{{\"type\":\"OnDelete\",\"rollingUpdate\":null}}}}}}'",
                    remedy::kubectl(change),
                    remedy::quoted(&change.name)
                ),
            );
        } else {
            finding.step(format!(
                "set updateStrategy.type: OnDelete {} before the edit; this restarts no pod",
                remedy::manifest_place(tool)
            ));
        }
        for step in &rolling.steps {
            finding.step(step.as_str());
        }
        Ok(())
    }
}

/// Whether pods of the set have an older template than it says.
fn leaves_pods(set: &StatefulSet<'_>) -> Result<bool, DecodeError> {
    let status = set.status.get()?;
    let pods = status.replicas.unwrap_or_default();
    Ok(status.updated_replicas.unwrap_or_default() < pods)
}

/// Whether a new template reaches a pod by itself.
fn restarts_pods(set: &StatefulSet<'_>) -> bool {
    let strategy = &set.spec.update_strategy;
    let partition = strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition);
    let ordinals = set.ordinals();
    let pods = ordinals.end.saturating_sub(ordinals.start);
    // The controller counts the partition from the first ordinal.
    strategy.kind() == "RollingUpdate" && partition.unwrap_or(0) < pods
}

/// Whether the pods show that a rolling update does no harm to them.
fn needs_no_help(rolling: &RollingUpdate, set: &StatefulSet<'_>) -> Result<bool, DecodeError> {
    let any = |text: &str| rolling.unless.iter().any(|sign| text.contains(sign.as_str()));
    Ok(set.template()?.spec.all_containers().any(|(_, _, container)| {
        let words = container.command.iter().chain(&container.args);
        any(&container.image)
            || words.into_iter().any(|word| any(word))
            || container.env.iter().any(|variable| {
                any(&variable.name) || variable.value.as_ref().is_some_and(|value| any(value))
            })
    }))
}

/// The container of `after` that has the name of the one at `index` of `before`.
fn same_name<'c, 'a>(
    after: &'c PodSpec<'a>,
    before: &PodSpec<'_>,
    index: usize,
) -> Option<&'c Container<'a>> {
    let name = &before.containers.get(index)?.name;
    after.containers.iter().find(|container| container.name.as_str() == name.as_str())
}

fn program_changes(rolling: &RollingUpdate, before: &Container<'_>, after: &Container<'_>) -> bool {
    before.image != after.image
        || before.command != after.command
        || before.args != after.args
        || variables(rolling, before) != variables(rolling, after)
        || values(&before.env_from) != values(&after.env_from)
}

/// The variables that count, sorted: their order says nothing.
fn variables<'c>(
    rolling: &RollingUpdate,
    container: &'c Container<'_>,
) -> Vec<(&'c str, Option<&'c str>, Option<String>)> {
    let counts = |name: &str| {
        rolling.variables.is_empty()
            || rolling.variables.iter().any(|start| name.starts_with(start.as_str()))
    };
    let counting = container.env.iter().filter(|variable| counts(&variable.name));
    let mut all: Vec<_> = counting
        .map(|variable| {
            let from = variable.value_from.and_then(value).map(|value| value.to_string());
            (variable.name.as_str(), variable.value.as_deref(), from)
        })
        .collect();
    all.sort_unstable();
    all
}

fn values(raw: &[&RawValue]) -> Vec<Option<Value>> {
    raw.iter().map(|raw| value(raw)).collect()
}

/// What is written, whatever the order of its keys.
fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}
