use super::{Findings, Judged, NoParams, Rule, remedy, template};
use crate::change::Change;
use crate::facts::Facts;
use crate::object::StatefulSet;
use crate::object::pod::PodSpec;

declare_rule! {
    /// The pods of a database with claim templates have less time to stop than Kubernetes gives by default:
    /// `terminationGracePeriodSeconds` is below 30.
    ///
    /// ## Why
    /// A database that is killed before it has written its data must recover when it starts, which takes longer than
    /// a clean stop. Some lose the last writes.
    ///
    /// The rule knows databases and brokers by the names of their images. `sts-grace-zero` judges 0 seconds.
    ///
    /// ## Way out
    /// Leave the field out, or set it to what the database needs to stop under load.
    StsGraceShort {
        id: "sts-grace-short",
        title: "databases have less time to stop than by default",
        group: Practice,
        action: Warn,
        since: "0.1.0",
        judges: [StatefulSet: [Create, Update]],
        source: "kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle#pod-termination",
    }
}

/// What the last part of an image's name contains if it is a database or a broker.
const DATABASES: [&str; 25] = [
    "cassandra",
    "clickhouse",
    "cockroach",
    "consul",
    "couchbase",
    "couchdb",
    "elasticsearch",
    "etcd",
    "influxdb",
    "kafka",
    "mariadb",
    "mongo",
    "mysql",
    "nats",
    "neo4j",
    "opensearch",
    "percona",
    "postgres",
    "pulsar",
    "rabbitmq",
    "redis",
    "scylla",
    "valkey",
    "vault",
    "zookeeper",
];

/// What Kubernetes gives by default, in seconds.
const DEFAULT: i64 = 30;

impl Rule for StsGraceShort {
    type Params = NoParams;

    fn check(_: &NoParams, change: &Change<'_>, _: &Facts, findings: &mut Findings) -> Judged {
        let Some(written) = template::written(change)? else { return Ok(()) };
        let short = |pod: &PodSpec<'_>| {
            let grace = pod.termination_grace_period_seconds;
            grace.filter(|seconds| (1..DEFAULT).contains(seconds))
        };
        let Some(seconds) = short(written.pod) else { return Ok(()) };
        let holds =
            |_: &StatefulSet<'_>, pod: &PodSpec<'_>| short(pod).is_some_and(|old| old <= seconds);
        if !runs_a_database(written.pod)
            || written.set.claim_templates()?.is_empty()
            || !written.introduces(holds)
        {
            return Ok(());
        }
        let before = written
            .old
            .map(|(_, pod)| pod.termination_grace_period_seconds.unwrap_or(DEFAULT).to_string());
        findings
            .add(
                "/spec/template/spec/terminationGracePeriodSeconds",
                format!("the database would have {seconds} s to stop"),
            )
            .values(before.as_deref(), Some(&seconds.to_string()))
            .why("A database that is killed before it has written its data must recover when it starts.")
            .remedy(vec![remedy::amend_template(
                change,
                "leave spec.template.spec.terminationGracePeriodSeconds out, which gives 30 s, or set what the database needs",
            )]);
        Ok(())
    }
}

fn runs_a_database(pod: &PodSpec<'_>) -> bool {
    pod.containers.iter().any(|container| {
        let image = container.image.rsplit('/').next().unwrap_or_default();
        DATABASES.iter().any(|name| image.contains(name))
    })
}
