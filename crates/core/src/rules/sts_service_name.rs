use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::immutable::{DifferenceKind, SpecDifference, arrow};
use crate::object::{DecodeError, Object};

declare_rule! {
    /// `spec.serviceName` names the Service that gives each pod its DNS name. The API server rejects
    /// a change, and its message does not name the field.
    ///
    /// ## Why
    /// Clients and members find `<pod>.<service>.<namespace>.svc`. Under another Service, the old
    /// names no longer resolve once the pods restart.
    ///
    /// ## Way out
    /// Keep the name, or re-create the set around its running pods. They keep running and use the new
    /// name after their next restart, so create the new Service first.
    StsServiceName {
        id: "sts-service-name",
        title: "the governing Service of a StatefulSet changes",
        group: Refusal,
        action: Deny,
        since: "0.1.0",
        judges: [StatefulSet: [Update]],
        source: "kubernetes pkg/apis/apps/validation/validation.go ValidateStatefulSetUpdate",
    }
}

impl Rule for StsServiceName {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some((old, _)) = change.updated_set() else { return Ok(()) };
        for difference in change.differences()? {
            if difference.kind != DifferenceKind::ServiceName {
                continue;
            }
            // An absent name is an empty one to the API server.
            let written = |value: &Option<String>, object: &Object<'_>| {
                let absent = object.value_at(&difference.field)?.is_none();
                Ok::<_, DecodeError>(value.clone().filter(|_| !absent))
            };
            let Some((was, is)) = change.objects.both() else { return Ok(()) };
            let (before, after) = (written(&difference.old, was)?, written(&difference.new, is)?);
            let operations = remedy::take_over(change, difference)?;
            let shown = SpecDifference { old: before.clone(), ..difference.clone() };
            let mut steps = vec![remedy::keep_old(change, &shown)];
            let (before, after) = (before.as_deref(), after.as_deref());
            let lead = match after {
                None | Some("") => "or ",
                Some(_) => "or, once the new Service is there, ",
            };
            steps.extend(remedy::otherwise(lead, remedy::recreate(change, old, operations)?));
            steps.push(remedy::say("each pod gets its new DNS name at its next restart"));
            findings
                .add(
                    difference.field.clone(),
                    format!("serviceName would change, {}", arrow(before, after)),
                )
                .values(before, after)
                .why("The DNS names of the pods depend on it, and Kubernetes rejects this edit.")
                .remedy(steps);
        }
        Ok(())
    }
}
