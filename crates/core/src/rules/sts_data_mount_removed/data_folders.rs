//! The names and default folders of well-known images, as a table.

/// Names of one and the same data folder. One of them may replace another.
///
/// Names are in lower case and without separators.
#[derive(Debug, Default)]
pub(super) struct DataFolder {
    /// longer names may end in one: `MYSQL_DATADIR` in `datadir`
    pub(super) names: &'static [&'static str],
    /// the images of which `flags` are whole names
    pub(super) images: &'static [&'static str],
    pub(super) flags: &'static [&'static str],
    /// an image, and the folder that it takes if nothing is named
    pub(super) defaults: &'static [(&'static str, &'static str)],
    /// the same if the image names its folder by arguments, and the container has others
    pub(super) defaults_with_arguments: &'static [(&'static str, &'static str)],
}

const NONE: DataFolder = any_image(&[]);

/// Names that certainly name data. Those of an image stand before those of all.
pub(super) const DATA_FOLDERS: &[DataFolder] = &[
    DataFolder {
        names: &["pgdata", "postgresqldatadir"],
        images: &["postgres", "postgis", "timescale", "pgvector"],
        flags: &["D", "datadirectory"],
        defaults: &[
            ("postgres", "/var/lib/postgresql/data"),
            ("postgres", "/bitnami/postgresql/data"),
            ("postgis", "/var/lib/postgresql/data"),
            ("timescale", "/var/lib/postgresql/data"),
            ("pgvector", "/var/lib/postgresql/data"),
        ],
        ..NONE
    },
    DataFolder {
        names: &["mysqldatadir", "mariadbdatadir"],
        images: &["mysql", "mariadb", "percona"],
        flags: &["h", "datadir"],
        defaults: &[
            ("mysql", "/var/lib/mysql"),
            ("mariadb", "/var/lib/mysql"),
            ("mariadb", "/bitnami/mariadb/data"),
            ("percona", "/var/lib/mysql"),
        ],
        ..NONE
    },
    DataFolder {
        names: &["mongodbpath"],
        images: &["mongo"],
        flags: &["dbpath", "storagedbpath"],
        defaults: &[("mongo", "/data/db"), ("mongo", "/bitnami/mongodb/data/db")],
        ..NONE
    },
    DataFolder {
        names: &["redisdatadir", "redisdir"],
        images: &["redis", "valkey", "keydb", "dragonfly"],
        flags: &["workingdir", "cd", "dir"],
        defaults: &[
            ("redis", "/data"),
            ("valkey", "/data"),
            ("keydb", "/data"),
            ("dragonfly", "/data"),
        ],
        ..NONE
    },
    DataFolder {
        names: &["cockroachstore"],
        images: &["cockroach"],
        flags: &["store", "s"],
        defaults: &[("cockroach", "/cockroach/cockroach-data")],
        ..NONE
    },
    // An argument of its own has no name.
    DataFolder {
        names: &["miniovolumes"],
        images: &["minio"],
        flags: &["", "volumes"],
        defaults: &[],
        ..NONE
    },
    DataFolder {
        names: &["rethinkdbdirectory"],
        images: &["rethinkdb"],
        flags: &["d", "directory"],
        defaults: &[("rethinkdb", "/data")],
        ..NONE
    },
    DataFolder { names: &["storedir"], images: &["nats"], flags: &["sd"], defaults: &[], ..NONE },
    DataFolder {
        defaults: &[("prometheus", "/prometheus")],
        defaults_with_arguments: &[("prometheus", "/prometheus/data")],
        ..any_image(&["storagetsdbpath", "tsdbpath"])
    },
    DataFolder {
        defaults: &[
            ("elasticsearch", "/usr/share/elasticsearch/data"),
            ("opensearch", "/usr/share/opensearch/data"),
            ("grafana", "/var/lib/grafana"),
            ("neo4j", "/data"),
        ],
        ..any_image(&["pathdata", "pathsdata", "directoriesdata"])
    },
    // Kafka and ZooKeeper keep their data in what they call logs.
    DataFolder {
        defaults: &[("kafka", "/var/lib/kafka/data"), ("kafka", "/bitnami/kafka/data")],
        ..any_image(&["logdirs", "kafkalogdir", "cfglogdir", "metadatalogdir"])
    },
    DataFolder { defaults: &[("zookeeper", "/datalog")], ..any_image(&["datalogdir"]) },
    DataFolder {
        defaults: &[("rabbitmq", "/var/lib/rabbitmq/mnesia")],
        ..any_image(&["mnesiabase", "mnesiadir"])
    },
    DataFolder { defaults: &[("jenkins", "/var/jenkins_home")], ..any_image(&["jenkinshome"]) },
    DataFolder {
        defaults: &[("registry", "/var/lib/registry")],
        ..any_image(&["filesystemrootdirectory"])
    },
    DataFolder {
        defaults: &[("cassandra", "/var/lib/cassandra")],
        ..any_image(&["cassandradata", "datafiledirectories"])
    },
    DataFolder { defaults: &[("solr", "/var/solr")], ..any_image(&["solrhome", "solrdatahome"]) },
    DataFolder { defaults: &[("nexus", "/nexus-data")], ..any_image(&["nexusdata"]) },
    any_image(&["fswaldir", "fswaldirs", "waldir"]),
    DataFolder {
        defaults: &[
            ("consul", "/consul/data"),
            ("zookeeper", "/data"),
            ("victoria", "/victoria-metrics-data"),
            ("vaultwarden", "/data"),
            ("qdrant", "/qdrant/storage"),
            ("arango", "/var/lib/arangodb3"),
            ("influx", "/var/lib/influxdb2"),
            ("couchdb", "/opt/couchdb/data"),
            ("couchbase", "/opt/couchbase/var"),
            ("scylla", "/var/lib/scylla"),
        ],
        ..any_image(ANY)
    },
];

/// Names that any program may have for its data folder.
pub(super) const ANY: &[&str] = &[
    "boltpath",
    "databasedir",
    "databasedirectory",
    "databasepath",
    "datadir",
    "datadirectories",
    "datadirectory",
    "datadirs",
    "datafolder",
    "datahome",
    "datapath",
    "dbdir",
    "dbdirectory",
    "dbpath",
    "enginepath",
    "persistencepath",
    "qdbroot",
    "storagedir",
    "storagepath",
    "storedir",
];

const fn any_image(names: &'static [&'static str]) -> DataFolder {
    DataFolder { names, images: &[], flags: &[], defaults: &[], defaults_with_arguments: &[] }
}
