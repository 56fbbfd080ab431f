use super::sts_service_missing::governing;
use super::{Findings, Judged, Rule, remedy, voters};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// The governing Service of a new set of voters does not publish pods that are not ready.
    ///
    /// ## Why
    /// Voters must find each other to form a cluster, and many are ready only once it is formed. Until then
    /// their names resolve to nothing, so neither happens. After a full outage it is the same.
    ///
    /// The rule judges sets of two voters or more that have a readiness probe. A set is known to vote
    /// if its pack says so, if the policy names it under `voters.sets`, or if it has the annotation
    /// `stateward.dev/voters: all`. The rule knows Services among the inputs of `check`, from `--live`
    /// and `--facts`, and in a cluster.
    ///
    /// ## Way out
    /// Set `publishNotReadyAddresses: true` in the headless Service. It can be changed at any time.
    StsPublishNotReady {
        id: "sts-publish-not-ready",
        title: "voters that are not ready do not find each other",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create]],
        source: "kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1, publishNotReadyAddresses",
        params_from: Some("voters"),
    }
}

impl Rule for StsPublishNotReady {
    type Params = voters::Params;

    fn check(
        params: &voters::Params,
        change: &Change<'_>,
        facts: &Facts,
        findings: &mut Findings,
    ) -> Judged {
        let Some(set) = change.created_set() else { return Ok(()) };
        let name = set.spec.service_name.as_str();
        let probed =
            set.template()?.spec.containers.iter().any(|one| one.readiness_probe.is_some());
        if name.is_empty()
            || set.spec.replicas() < 2
            || !probed
            || !voters::vote(params, change, facts)?
            || governing(change, name, facts)?.service.is_none_or(|s| s.publishes_not_ready)
        {
            return Ok(());
        }
        findings
            .add("/spec/serviceName", format!("Service {name} does not publish voters that are not ready"))
            .values(None, Some(name))
            .why("Voters that are ready only together do not find each other, and never form a cluster.")
            .command(
                "publish them; no pod restarts",
                format!(
                    "{} patch service {} -p '{{\"spec\":{{\"publishNotReadyAddresses\":true}}}}'",
                    remedy::kubectl(change),
                    remedy::quoted(name)
                ),
            );
        Ok(())
    }
}
