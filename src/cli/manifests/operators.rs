//! Operators that often run in the namespace of their objects.
//!
//! Such an operator has a service account that looks like any other of the namespace, and a tenant has
//! those, too. Only an operator may update the status of its custom resources, and only the API server
//! can look that up. So a match condition for each kind asks it, and requests of operators are not sent.

use serde::Serialize;

/// A kind of custom resource whose operator writes StatefulSets or claims that it owns.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Operator {
    /// its API group
    pub group: &'static str,
    /// its kind
    pub kind: &'static str,
    /// its resource
    pub plural: &'static str,
}

const fn operator(group: &'static str, kind: &'static str, plural: &'static str) -> Operator {
    Operator { group, kind, plural }
}

/// The kinds. The API server takes 64 match conditions, and some are for other things.
pub const OPERATORS: [Operator; 54] = [
    operator("acid.zalan.do", "postgresql", "postgresqls"),
    operator("apps.emqx.io", "EMQX", "emqxes"),
    operator("cassandra.datastax.com", "CassandraDatacenter", "cassandradatacenters"),
    operator(
        "clickhouse-keeper.altinity.com",
        "ClickHouseKeeperInstallation",
        "clickhousekeeperinstallations",
    ),
    operator("clickhouse.altinity.com", "ClickHouseInstallation", "clickhouseinstallations"),
    operator("couchbase.com", "CouchbaseCluster", "couchbaseclusters"),
    operator("crdb.cockroachlabs.com", "CrdbCluster", "crdbclusters"),
    operator("database.arangodb.com", "ArangoDeployment", "arangodeployments"),
    operator("databases.spotahome.com", "RedisFailover", "redisfailovers"),
    operator("dragonflydb.io", "Dragonfly", "dragonflies"),
    operator("druid.apache.org", "Druid", "druids"),
    operator("elasticsearch.k8s.elastic.co", "Elasticsearch", "elasticsearches"),
    operator("hazelcast.com", "Hazelcast", "hazelcasts"),
    operator("k8s.keycloak.org", "Keycloak", "keycloaks"),
    operator("k8s.mariadb.com", "MariaDB", "mariadbs"),
    operator("k8s.mariadb.com", "MaxScale", "maxscales"),
    operator("kafka.banzaicloud.io", "KafkaCluster", "kafkaclusters"),
    operator("kafka.strimzi.io", "Kafka", "kafkas"),
    operator("keycloak.org", "Keycloak", "keycloaks"),
    operator("logstash.k8s.elastic.co", "Logstash", "logstashes"),
    operator("loki.grafana.com", "LokiStack", "lokistacks"),
    operator("minio.min.io", "Tenant", "tenants"),
    operator("mongodb.com", "MongoDB", "mongodb"),
    operator("mongodbcommunity.mongodb.com", "MongoDBCommunity", "mongodbcommunity"),
    operator("monitoring.coreos.com", "Alertmanager", "alertmanagers"),
    operator("monitoring.coreos.com", "Prometheus", "prometheuses"),
    operator("monitoring.coreos.com", "PrometheusAgent", "prometheusagents"),
    operator("monitoring.coreos.com", "ThanosRuler", "thanosrulers"),
    operator("mysql.oracle.com", "InnoDBCluster", "innodbclusters"),
    operator("nats.io", "NatsCluster", "natsclusters"),
    operator("opensearch.opster.io", "OpenSearchCluster", "opensearchclusters"),
    operator("opentelemetry.io", "OpenTelemetryCollector", "opentelemetrycollectors"),
    operator("operator.victoriametrics.com", "VLSingle", "vlsingles"),
    operator("operator.victoriametrics.com", "VMAgent", "vmagents"),
    operator("operator.victoriametrics.com", "VMAlertmanager", "vmalertmanagers"),
    operator("operator.victoriametrics.com", "VMCluster", "vmclusters"),
    operator("operator.victoriametrics.com", "VMSingle", "vmsingles"),
    operator("pingcap.com", "TidbCluster", "tidbclusters"),
    operator("postgres-operator.crunchydata.com", "PostgresCluster", "postgresclusters"),
    operator("postgresql.cnpg.io", "Cluster", "clusters"),
    operator("ps.percona.com", "PerconaServerMySQL", "perconaservermysqls"),
    operator("psmdb.percona.com", "PerconaServerMongoDB", "perconaservermongodbs"),
    operator("pxc.percona.com", "PerconaXtraDBCluster", "perconaxtradbclusters"),
    operator("rabbitmq.com", "RabbitmqCluster", "rabbitmqclusters"),
    operator("redis.redis.opstreelabs.in", "Redis", "redis"),
    operator("redis.redis.opstreelabs.in", "RedisCluster", "redisclusters"),
    operator("redis.redis.opstreelabs.in", "RedisReplication", "redisreplications"),
    operator("scylla.scylladb.com", "ScyllaCluster", "scyllaclusters"),
    operator("scylla.scylladb.com", "ScyllaDBDatacenter", "scylladbdatacenters"),
    operator("solr.apache.org", "SolrCloud", "solrclouds"),
    operator("tempo.grafana.com", "TempoStack", "tempostacks"),
    operator("vault.banzaicloud.com", "Vault", "vaults"),
    operator("workloads.kubeblocks.io", "InstanceSet", "instancesets"),
    operator("zookeeper.pravega.io", "ZookeeperCluster", "zookeeperclusters"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_is_listed_once_in_order() {
        let kinds: Vec<(&str, &str)> = OPERATORS.iter().map(|o| (o.group, o.kind)).collect();
        assert!(kinds.is_sorted(), "{kinds:?}");
        let resources: BTreeSet<_> = OPERATORS.iter().map(|o| (o.group, o.plural)).collect();
        assert_eq!(resources.len(), OPERATORS.len());
    }
}
