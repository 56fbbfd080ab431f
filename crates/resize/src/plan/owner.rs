//! Where operators that own StatefulSets keep the size of their claims.
//!
//! Operators that run pods without a set (those of `CloudNativePG`, Strimzi, Vitess) own none and are
//! not here.

use serde::Serialize;

use crate::Commands;

/// The field of a set's owner that its size comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnerField {
    /// the kind and name of the owner
    pub owner: String,
    /// the field; none where the owner's kind is not known
    pub field: Option<&'static str>,
    /// opens the owner in an editor
    pub command: Option<String>,
    /// what its operator does with a larger size, where that is known
    pub note: Option<&'static str>,
}

/// One kind of owner.
struct Known {
    kind: &'static str,
    /// the resource with its group: a command for another operator's kind of that name fails
    resource: &'static str,
    field: &'static str,
    note: &'static str,
}

const PROMETHEUS_NOTE: &str = "the operator grows no claims, and deletes the set with its pods \
    when the size changes: set spec.paused: true, grow the claims, delete the set with \
    --cascade=orphan, then unpause";
const PERCONA_NOTE: &str = "the operator grows the claims where spec.enableVolumeExpansion is true";

/// Each from the operator's own documentation, named beside it.
const KNOWN: [Known; 9] = [
    // rabbitmq/cluster-operator, docs/examples/production-ready/rabbitmq.yaml
    Known {
        kind: "RabbitmqCluster",
        resource: "rabbitmqclusters.rabbitmq.com",
        field: "spec.persistence.storage",
        note: "the operator grows the claims and re-creates the set",
    },
    // prometheus-operator.dev/docs/platform/storage
    Known {
        kind: "Prometheus",
        resource: "prometheuses.monitoring.coreos.com",
        field: "spec.storage.volumeClaimTemplate.spec.resources.requests.storage",
        note: PROMETHEUS_NOTE,
    },
    Known {
        kind: "Alertmanager",
        resource: "alertmanagers.monitoring.coreos.com",
        field: "spec.storage.volumeClaimTemplate.spec.resources.requests.storage",
        note: PROMETHEUS_NOTE,
    },
    Known {
        kind: "ThanosRuler",
        resource: "thanosrulers.monitoring.coreos.com",
        field: "spec.storage.volumeClaimTemplate.spec.resources.requests.storage",
        note: PROMETHEUS_NOTE,
    },
    // elastic.co/guide/en/cloud-on-k8s, "Volume claim templates"
    Known {
        kind: "Elasticsearch",
        resource: "elasticsearches.elasticsearch.k8s.elastic.co",
        field: "spec.nodeSets[].volumeClaimTemplates[].spec.resources.requests.storage",
        note: "the operator grows the claims and re-creates the set",
    },
    // mariadb-operator/mariadb-operator, docs/STORAGE.md
    Known {
        kind: "MariaDB",
        resource: "mariadbs.k8s.mariadb.com",
        field: "spec.storage.size",
        note: "the operator grows the claims and re-creates the set",
    },
    // k8ssandra/cass-operator, release notes of v1.22.0
    Known {
        kind: "CassandraDatacenter",
        resource: "cassandradatacenters.cassandra.datastax.com",
        field: "spec.storageConfig.cassandraDataVolumeClaimSpec.resources.requests.storage",
        note: "the operator grows the claims where the annotation \
               cassandra.datastax.com/allow-storage-changes is true",
    },
    // docs.percona.com/percona-operator-for-mysql/pxc, docs/scaling.md
    Known {
        kind: "PerconaXtraDBCluster",
        resource: "perconaxtradbclusters.pxc.percona.com",
        field: "spec.pxc.volumeSpec.persistentVolumeClaim.resources.requests.storage",
        note: PERCONA_NOTE,
    },
    // docs.percona.com/percona-operator-for-mongodb, docs/scaling.md
    Known {
        kind: "PerconaServerMongoDB",
        resource: "perconaservermongodbs.psmdb.percona.com",
        field: "spec.replsets[].volumeSpec.persistentVolumeClaim.resources.requests.storage",
        note: PERCONA_NOTE,
    },
];

/// The field of `owner`, which is a kind and a name.
pub(super) fn field(owner: &str, namespace: &str, commands: &Commands) -> Option<OwnerField> {
    let (kind, name) = owner.split_once(' ')?;
    let known = KNOWN.iter().find(|known| known.kind == kind);
    Some(OwnerField {
        owner: owner.to_owned(),
        field: known.map(|known| known.field),
        command: known.map(|known| {
            commands.kubectl_in(namespace, &format!("edit {} {name}", known.resource))
        }),
        note: known.map(|known| known.note),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_owner_names_its_field() {
        let found = field("RabbitmqCluster shop", "prod", &Commands::default()).unwrap();
        assert_eq!(found.field, Some("spec.persistence.storage"));
        assert_eq!(
            found.command.unwrap(),
            "kubectl -n prod edit rabbitmqclusters.rabbitmq.com shop"
        );
    }

    #[test]
    fn an_owner_that_is_not_known_is_named_and_nothing_more() {
        let found = field("Ledger books", "prod", &Commands::default()).unwrap();
        assert_eq!(
            (found.owner.as_str(), found.field, found.command),
            ("Ledger books", None, None)
        );
    }
}
