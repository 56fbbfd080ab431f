use super::sts_service_missing::governing;
use super::{Findings, Judged, NoParams, Rule, remedy};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// The governing Service of a new set has a cluster IP: `spec.serviceName` names a Service whose
    /// `clusterIP` is not `None`.
    ///
    /// ## Why
    /// Only a headless Service gives each pod a DNS name of its own. Members that look for
    /// `db-0.db.shop.svc` do not find each other. Neither field can be changed later: the Service and the
    /// set would have to be created anew.
    ///
    /// The rule knows Services among the inputs of `check`, from `--live` and `--facts`, and in a cluster.
    ///
    /// ## Way out
    /// Name a headless Service. A second Service with a cluster IP may serve clients.
    StsServiceNotHeadless {
        id: "sts-service-not-headless",
        title: "the governing Service of a new StatefulSet is not headless",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#limitations",
    }
}

impl Rule for StsServiceNotHeadless {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, facts: &Facts, findings: &mut Findings) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let name = set.spec.service_name.as_str();
        if name.is_empty() || governing(change, name, facts)?.service.is_none_or(|s| s.headless) {
            return Ok(());
        }
        findings
            .add("/spec/serviceName", format!("Service {name} has a cluster IP and is not headless"))
            .values(None, Some(name))
            .why("Its pods get no DNS names of their own, by which members find each other.")
            .remedy(vec![
                remedy::amend(
                    change,
                    &format!("add a Service with clusterIP: None, such as {name}-headless, and name it in spec.serviceName"),
                ),
                remedy::say(format!("keep {name} for clients, if they use it")),
            ]);
        Ok(())
    }
}
