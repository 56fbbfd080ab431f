use std::collections::BTreeSet;

use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;

declare_rule! {
    /// A container has no readiness probe. Init containers and side cars among them do not count.
    ///
    /// ## Why
    /// Without a probe a pod is ready as soon as its containers run. A rolling update then restarts
    /// the next member before this one has caught up, and Services send clients to members that
    /// cannot answer.
    ///
    /// ## Way out
    /// Add a probe that asks the database itself, such as `pg_isready` or `redis-cli ping`. The rule
    /// does not check what an existing probe asks.
    StsNoReadiness {
        id: "sts-no-readiness",
        title: "a container has no readiness probe",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/workloads/controllers/statefulset#rolling-updates",
    }
}

impl Rule for StsNoReadiness {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let old = written.old.iter().flat_map(|(_, pod)| &pod.containers);
        let without: BTreeSet<&str> =
            old.filter(|old| old.readiness_probe.is_none()).map(|old| old.name.as_str()).collect();
        for (index, container) in written.pod.containers.iter().enumerate() {
            let name = container.name.as_str();
            if container.readiness_probe.is_some() || without.contains(name) {
                continue;
            }
            findings
                .add(
                    template::container("containers", index),
                    format!("no readiness probe in container {name}"),
                )
                .why(
                    "A rolling update restarts the next pod as soon as this container runs, even if it has not caught up.",
                )
                .remedy(vec![remedy::amend_template(
                    change,
                    &format!(
                        "add a readinessProbe to container {name} that asks the program itself, \
                         as pg_isready does"
                    ),
                )]);
        }
        Ok(())
    }
}
