use super::Unjudged;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::{Facts, Seen, ServiceFact};

declare_rule! {
    /// A new set names a governing Service in `spec.serviceName` that does not exist.
    ///
    /// ## Why
    /// The pods get their DNS names, such as `db-0.db.shop.svc`, from that Service. Kubernetes does not ask
    /// for it: the pods start, and members do not find each other.
    ///
    /// The rule needs every Service of the namespace, which `--live` and `--facts` give together with the
    /// Services among the inputs. Beside manifests alone it is silent, because the Service may be kept
    /// elsewhere. The order in which both are created does not matter.
    ///
    /// ## Way out
    /// Add a headless Service of that name.
    StsServiceMissing {
        id: "sts-service-missing",
        title: "the governing Service of a new StatefulSet does not exist",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#stable-network-id",
    }
}

impl Rule for StsServiceMissing {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let name = set.spec.service_name.as_str();
        if name.is_empty() {
            return Ok(());
        }
        let Governing { service, all } = governing(change, name, facts)?;
        if service.is_some() || !all {
            return Ok(());
        }
        let pod = format!("{}-{}", change.name, set.spec.ordinals_start());
        let selector = set.selector()?.to_string();
        let finding = findings
            .add("/spec/serviceName", format!("Service {name} does not exist"))
            .values(None, Some(name))
            .why(format!("Without it, {pod}.{name} and the other pods have no DNS names."))
            .command(
                "create the Service; no pod restarts",
                format!(
                    "{} create service clusterip {} --clusterip=None",
                    remedy::kubectl(change),
                    remedy::quoted(name)
                ),
            );
        // That is what the command makes.
        if selector != format!("app={name}") {
            finding.step(format!("then change its selector from app={name} to {selector}"));
        }
        Ok(())
    }
}

/// The governing Service of a set.
pub(super) struct Governing<'f> {
    /// if it is known
    pub(super) service: Option<&'f ServiceFact>,
    /// every Service of the namespace is known
    all: bool,
}

/// The Service that a set names.
///
/// # Errors
/// [`Unjudged::Needs`] if Services cannot be read.
pub(super) fn governing<'f>(
    change: &Change<'_>,
    name: &str,
    facts: &'f Facts,
) -> Result<Governing<'f>, Unjudged> {
    let Seen { objects, all } = facts.services.seen(&change.namespace).needed()?;
    let service = objects.into_iter().find(|(one, _)| *one == name).map(|(_, service)| service);
    Ok(Governing { service, all })
}
