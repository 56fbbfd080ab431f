use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::annotations::RESIZE_MAX;
use crate::change::Change;
use crate::facts::Facts;
use crate::mutations::resize::limit;
use crate::object::immutable::{DifferenceKind, arrow};

declare_rule! {
    /// A claim template asks for more storage than before, which the API server lets no UPDATE
    /// change.
    ///
    /// ## Why
    /// The size in the template only counts for claims that are yet to be made. To grow a set,
    /// each claim is raised, and then the set is re-created around its running pods with the
    /// bigger template, so that later pods get the same size as the others.
    ///
    /// The annotation `stateward.dev/resize-max` on the live set is the largest size that an edit
    /// may ask for; beyond it nothing is carried out. One on the namespace wins.
    ///
    /// ## Way out
    /// With `resize: orchestrate` in the policy stateward does all of it and lets the edit pass,
    /// as long as a controller is known to run and what is known of the claims lets them grow.
    /// By hand: raise the claims, then re-create the set. The StorageClass has to allow expansion;
    /// no pod restarts where the driver expands file systems in use.
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
                        "{carrier} annotation {RESIZE_MAX} sets that limit, since \
                         volumes never shrink again."
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
            let mut steps = remedy::grow_claims(change, old, template, size);
            steps.extend(remedy::recreate(change, old, operations)?);
            findings
                .add(difference.field.clone(), what)
                .old_field(difference.old_field.clone())
                .values(values.0, values.1)
                .why(
                    "Kubernetes lets no edit change a claim template: raise the claims, then \
                     re-create the set.",
                )
                .remedy(steps);
        }
        Ok(())
    }
}
