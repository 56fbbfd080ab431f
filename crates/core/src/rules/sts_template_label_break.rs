use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::TextMap;

declare_rule! {
    /// The pods of a set lose a label by which a Service or a PodDisruptionBudget selects them.
    ///
    /// ## Why
    /// As the update replaces the pods, they leave the Service one by one, until it serves none. A budget that
    /// selects none of them no longer holds off drains. Nothing reports either.
    ///
    /// A Service or a budget that changes with the set counts as it will be. The rule knows those among the
    /// inputs of `check`, from `--live` and `--facts`, and in a cluster.
    ///
    /// ## Way out
    /// Keep the label, or change the selector of the Service or the budget at the same time.
    StsTemplateLabelBreak {
        id: "sts-template-label-break",
        title: "a Service or a PodDisruptionBudget no longer selects the pods",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes.io/docs/concepts/services-networking/service#services-in-kubernetes",
    }
}

impl Rule for StsTemplateLabelBreak {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, set)) = change.updated_set() else { return Ok(()) };
        if old.spec.template.same_bytes(&set.spec.template) {
            return Ok(());
        }
        let (before, after) = (&old.template()?.metadata.labels, &set.template()?.metadata.labels);
        if before == after {
            return Ok(());
        }
        let loses = |selects: &dyn Fn(&TextMap<'_>) -> bool| selects(before) && !selects(after);
        let services = facts.services.seen(&change.namespace).needed()?.objects.into_iter();
        let services = services.filter(|(_, one)| loses(&|labels| one.selects(labels)));
        let budgets = facts.budgets.seen(&change.namespace).needed()?.objects.into_iter();
        let budgets = budgets.filter(|(_, one)| loses(&|labels| one.selects(labels)));
        let broken: Vec<(&str, &str)> = services
            .map(|(name, _)| ("Service", name))
            .chain(budgets.map(|(name, _)| ("PodDisruptionBudget", name)))
            .collect();
        let (before, after) = (shown(before), shown(after));
        for (kind, name) in broken {
            let why = if kind == "Service" {
                format!("As the pods are replaced, {name} loses them, until it serves none.")
            } else {
                format!(
                    "As the pods are replaced, {name} no longer holds off drains of their nodes."
                )
            };
            findings
                .add("/spec/template/metadata/labels", format!("{kind} {name} would no longer select its pods"))
                .values(Some(&before), Some(&after))
                .why(why)
                .remedy(vec![remedy::amend(
                    change,
                    &format!("keep the labels that {kind} {name} selects, or change its selector with them"),
                )]);
        }
        Ok(())
    }
}

fn shown(labels: &TextMap<'_>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}
