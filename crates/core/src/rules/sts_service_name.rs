use super::{Findings, Judged, NoParams, Rule, remedy, system};
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
    /// Some systems keep the DNS names of their members in their data, as their packs say. For these, the
    /// rule offers no re-creation.
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

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
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
            let known = system::pack(change, facts)?.map(|(_, pack)| pack);
            let identity = known.and_then(|pack| Some((&pack.title, pack.identity.as_ref()?)));
            let mut why =
                "The DNS names of the pods depend on it, and Kubernetes rejects this edit."
                    .to_owned();
            if let Some((title, identity)) = identity.filter(|(_, identity)| identity.service) {
                // Around running pods, the set would get a name that its data does not know.
                why = format!("{why} {title}: {} ({})", identity.why, identity.source);
                steps.extend(identity.steps.iter().map(|step| remedy::say(format!("or {step}"))));
            } else {
                let lead = match after {
                    None | Some("") => "or ",
                    Some(_) => "or, once the new Service is there, ",
                };
                steps.extend(remedy::otherwise(lead, remedy::recreate(change, old, operations)?));
                steps.push(remedy::say("each pod gets its new DNS name at its next restart"));
            }
            findings
                .add(
                    difference.field.clone(),
                    format!("serviceName would change, {}", arrow(before, after)),
                )
                .values(before, after)
                .why(why)
                .remedy(steps);
        }
        Ok(())
    }
}
