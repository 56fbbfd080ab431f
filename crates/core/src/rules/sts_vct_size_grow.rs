use super::{Findings, Judged, NoParams, Rule, Step, remedy};
use crate::annotations::RESIZE_MAX;
use crate::change::Change;
use crate::facts::{ControllerState, Fact, Facts};
use crate::growth::class_obstacle;
use crate::mutations::resize::limit;
use crate::object::DecodeError;
use crate::object::immutable::{DifferenceKind, SpecDifference, arrow};

declare_rule! {
    /// A claim template requests more storage than before. The API server rejects this edit.
    ///
    /// ## Why
    /// The size in the template applies only to claims that do not exist yet. To grow a set, raise
    /// each claim, then re-create the set around its running pods with the larger template. Later
    /// pods then get the same size as the others.
    ///
    /// The annotation `stateward.dev/resize-max` of the live set limits the size that an edit may
    /// request. The same annotation on the namespace takes precedence.
    ///
    /// ## Way out
    /// With `resize: orchestrate` in the policy, stateward does all of this and accepts the edit, as
    /// long as a healthy controller is running and the claims can grow. By hand: raise the claims,
    /// then re-create the set. The StorageClass has to allow expansion. No pod restarts if the driver
    /// expands file systems in use.
    StsVctSizeGrow {
        id: "sts-vct-size-grow",
        title: "a claim template grows",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate; KEP-4650",
    }
}

impl Rule for StsVctSizeGrow {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.updated_set() else { return Ok(()) };
        let apply = match facts.controller {
            ControllerState::Runs => resize_apply(change)?,
            _ => None,
        };
        for difference in change.differences()? {
            let Some((template, before, after)) = difference.sizes() else { continue };
            if difference.kind != DifferenceKind::TemplateStorage || after <= before {
                continue;
            }
            let values = (difference.old.as_deref(), difference.new.as_deref());
            let size = values.1.unwrap_or_default();
            let what =
                format!("claim template {template} would grow, {}", arrow(values.0, values.1));
            let limit = limit(old, &change.namespace, facts)?.filter(|limit| limit.forbids(&after));
            if let Some(limit) = limit {
                let (its, object) = if limit.of_namespace {
                    let namespace = remedy::quoted(&change.namespace);
                    ("its namespace's", format!("kubectl annotate namespace {namespace}"))
                } else {
                    let (kubectl, name) = (remedy::kubectl(change), remedy::quoted(&change.name));
                    ("its", format!("{kubectl} annotate statefulset {name}"))
                };
                let size = remedy::quoted(size);
                let raise = remedy::run(
                    format!("or raise the limit to {size}, then make the edit again"),
                    format!("{object} --overwrite {RESIZE_MAX}={size}"),
                );
                let carrier = if limit.of_namespace { "The namespace's" } else { "Its" };
                findings
                    .add(difference.field.clone(), format!("{what}, beyond {its} limit {limit}"))
                    .old_field(difference.old_field.clone())
                    .values(values.0, values.1)
                    .why(format!(
                        "{carrier} annotation {RESIZE_MAX} sets this limit, because volumes \
                         cannot shrink."
                    ))
                    .remedy(vec![
                        remedy::say(format!(
                            "set {} to at most {limit} {}",
                            difference.field.dotted(),
                            remedy::manifest_place(change.circumstances.tool)
                        )),
                        raise,
                    ]);
                continue;
            }
            let operations = remedy::take_over(change, difference)?;
            let class = difference.template_index().and_then(|index| {
                old.claim_templates().ok()?.get(index).map(|claim| claim.class().to_owned())
            });
            let rigid = class.filter(|class| {
                matches!(facts.class(class), Fact::Known(fact) if class_obstacle(class, fact).is_some())
            });
            let recreation = remedy::recreate(change, old, operations)?;
            let (why, steps) = if let Some(class) = rigid {
                let driver = match facts.class(&class) {
                    Fact::Known(fact) => fact.no_expansion(),
                    Fact::Unknown(_) => None,
                };
                let why = match driver {
                    Some(why) => {
                        format!("Kubernetes rejects this edit, and StorageClass {class} {why}.")
                    }
                    None => format!(
                        "Kubernetes rejects this edit, and StorageClass {class} does not allow its \
                         claims to grow."
                    ),
                };
                let allow = driver.is_none().then_some(&*class);
                (why, rigid_steps(change, difference, allow, recreation))
            } else {
                let mut steps = remedy::grow_claims(change, old, template, size);
                steps.extend(recreation);
                if let Some(apply) = &apply {
                    steps = remedy::otherwise("or by hand: ", steps);
                    steps.insert(0, apply.clone());
                }
                let why = "Kubernetes rejects this edit. Raise the claims, then re-create the set.";
                (why.to_owned(), steps)
            };
            findings
                .add(difference.field.clone(), what)
                .old_field(difference.old_field.clone())
                .values(values.0, values.1)
                .why(why)
                .remedy(steps);
        }
        Ok(())
    }
}

/// The command by which the controller does all of it, for every claim template that grows.
///
/// None if it is too long: each finding repeats it.
fn resize_apply(change: &Change<'_>) -> Result<Option<Step>, DecodeError> {
    const LONGEST: usize = 1024;
    let mut command = format!(
        "stateward resize apply {} -n {}",
        remedy::quoted(&format!("sts/{}", change.name)),
        remedy::quoted(&change.namespace)
    );
    for difference in change.differences()? {
        let Some((template, before, after)) = difference.sizes() else { continue };
        if difference.kind == DifferenceKind::TemplateStorage && after > before {
            let size = difference.new.as_deref().unwrap_or_default();
            command += " --size ";
            command += &remedy::quoted(&format!("{template}={size}"));
            if command.len() > LONGEST {
                return Ok(None);
            }
        }
    }
    Ok(Some(remedy::run(
        "let the controller grow the claims, then re-create the set; no pod restarts",
        command,
    )))
}

/// The ways out if the class of the claims is known to allow no expansion.
fn rigid_steps(
    change: &Change<'_>,
    difference: &SpecDifference,
    allow: Option<&str>,
    recreation: Vec<Step>,
) -> Vec<Step> {
    let mut steps = vec![remedy::keep_old(change, difference)];
    steps.extend(allow.map(|class| {
        remedy::run(
            format!(
                "or, if the driver of class {class} can expand volumes, allow it, then make the edit \
                 again"
            ),
            format!(
                "kubectl patch storageclass {} --type merge -p '{{\"allowVolumeExpansion\":true}}'",
                remedy::quoted(class)
            ),
        )
    }));
    steps.extend(remedy::otherwise("or, for the claims of later pods only, ", recreation));
    steps
}
