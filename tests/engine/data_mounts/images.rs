//! Data folders of well-known images, and what a name excuses.

use super::Said::{self, Denied, Nothing, Warned};
use super::told::{DATA, try_told};
use super::try_all_owned;

#[test]
fn images_have_data_folders_of_their_own() {
    try_told(
        "postgres:16",
        "{name: data, mountPath: /var/lib/postgresql/data}",
        &[
            (
                "a new folder in the claim",
                "",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data/pgdata}],",
                Denied,
            ),
            (
                "the default, named",
                "",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data}],",
                Nothing,
            ),
            (
                "the folder in the claim is no longer named",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data/pgdata}],",
                "",
                Denied,
            ),
            (
                "the default is no longer named",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data}],",
                "",
                Nothing,
            ),
            (
                "a flag over the variable",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data/x}],",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data/x}], args: [-D, /tmp],",
                Denied,
            ),
            (
                "the same by a flag",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data/x}],",
                "args: [-D, /var/lib/postgresql/data/x],",
                Nothing,
            ),
            (
                "the same by a parameter",
                "",
                "args: [-c, data_directory=/var/lib/postgresql/data],",
                Nothing,
            ),
            ("elsewhere by a parameter", "", "args: [-c, data_directory=/tmp],", Denied),
            ("debugging", "", "args: [-d, '5'],", Nothing),
        ],
    );
    try_told(
        "mirror.example/library/mysql@sha256:00",
        "{name: data, mountPath: /var/lib/mysql}",
        &[
            ("elsewhere", "", "args: [--datadir=/mysql],", Denied),
            ("elsewhere in the claim", "", "args: [--datadir=/var/lib/mysql/db],", Denied),
            ("the default", "", "args: [--datadir=/var/lib/mysql],", Nothing),
            (
                "by a variable",
                "args: [--datadir=/var/lib/mysql],",
                "env: [{name: MYSQL_DATADIR, value: /var/lib/mysql}],",
                Nothing,
            ),
            (
                "scratch",
                "",
                "args: [--tmpdir=/tmp, --log-error=/logs/x, --pid-file=/run/x],",
                Nothing,
            ),
        ],
    );
}

#[test]
fn stores_and_object_storage_have_data_folders_of_their_own() {
    try_told(
        "cockroachdb/cockroach",
        "{name: data, mountPath: /cockroach/cockroach-data}",
        &[
            ("elsewhere", "", "args: [start, '--store=path=/tmp'],", Denied),
            ("relative", "", "args: [start, '--store=cockroach-data'],", Nothing),
        ],
    );
    try_told(
        "minio/minio",
        DATA,
        &[
            ("elsewhere", "args: [server, /data],", "args: [server, /export],", Denied),
            ("beside a flag", "args: [server, /data],", "args: [server, --quiet, /data],", Nothing),
            (
                "as a URL",
                "args: [server, /data],",
                "args: ['server', 'http://minio-{0...3}.minio/data'],",
                Nothing,
            ),
            (
                "as a URL, elsewhere",
                "args: ['server', 'http://minio-{0...3}.minio/data'],",
                "args: ['server', 'http://minio-{0...3}.minio/export'],",
                Denied,
            ),
            (
                "by a variable",
                "args: [server, /data],",
                "args: [server], env: [{name: MINIO_VOLUMES, value: /data}],",
                Nothing,
            ),
            (
                "in a script",
                "command: [sh, -c, 'minio server /data'],",
                "command: [sh, -c, 'minio server /tmp'],",
                Denied,
            ),
        ],
    );
}

#[test]
fn logs_and_urls_can_be_data() {
    try_told(
        "kafka",
        "{name: data, mountPath: /var/lib/kafka}",
        &[
            (
                "logs that are data",
                "env: [{name: KAFKA_LOG_DIRS, value: /var/lib/kafka/data}],",
                "env: [{name: KAFKA_LOG_DIRS, value: /tmp}],",
                Denied,
            ),
            (
                "by a property",
                "args: [--override, log.dirs=/var/lib/kafka/data],",
                "args: [--override, log.dirs=/tmp],",
                Denied,
            ),
        ],
    );
    try_told(
        "zookeeper",
        "{name: data, mountPath: /zk}",
        &[(
            "its log is data",
            "args: ['--data_dir=/zk --data_log_dir=/zk/log'],",
            "args: ['--data_dir=/zk --data_log_dir=/log'],",
            Denied,
        )],
    );
    try_told(
        "app",
        DATA,
        &[
            (
                "a URL of a file",
                "env: [{name: DATABASE_URL, value: 'sqlite:////data/a.db?mode=rw'}],",
                "env: [{name: DATABASE_URL, value: 'sqlite:////tmp/a.db'}],",
                Denied,
            ),
            (
                "another URL of the file",
                "env: [{name: DATABASE_URL, value: 'sqlite:////data/a.db?mode=rw'}],",
                "env: [{name: DATABASE_URL, value: 'file:/data/a.db'}],",
                Nothing,
            ),
            (
                "a JDBC URL",
                "env: [{name: DB_URL, value: 'jdbc:h2:file:/data/a;MODE=x'}],",
                "env: [{name: DB_URL, value: 'jdbc:h2:file:/tmp/a'}],",
                Denied,
            ),
            (
                "a server",
                "env: [{name: DB_URL, value: 'http://host/data'}],",
                "env: [{name: DB_URL, value: 'http://host/other'}],",
                Nothing,
            ),
        ],
    );
}

#[test]
fn what_is_named_does_not_excuse_what_is_lost() {
    let pod = |image: &str, told: &str, mounts: &str| {
        format!("containers: [{{name: db, image: '{image}', {told} volumeMounts: [{mounts}]}}]")
    };
    let root = "{name: data, mountPath: /var/lib/postgresql/data}";
    let narrowed = "{name: data, mountPath: /var/lib/postgresql/data/pgdata, subPath: pgdata}";
    let backups = "env: [{name: BACKUPS, value: /data/b}],";
    let pgdata = "env: [{name: PGDATA, value: /var/lib/postgresql/data/pgdata}],";
    let cases: Vec<(&str, String, String, Said)> = vec![
        (
            "only a folder of backups stays",
            pod("app", backups, DATA),
            pod("app", backups, "{name: data, mountPath: /data/b, subPath: b}"),
            Warned,
        ),
        (
            "a database by default in the root",
            pod("postgres", "", root),
            pod("postgres", "", narrowed),
            Warned,
        ),
        (
            "a database that is told the folder",
            pod("postgres", pgdata, root),
            pod("postgres", pgdata, narrowed),
            Nothing,
        ),
        (
            "the mount moves, and a folder is named for the first time",
            pod("postgres", "", root),
            pod("postgres", "env: [{name: PGDATA, value: /pg}],", "{name: data, mountPath: /pg}"),
            Nothing,
        ),
        (
            "the mount moves to where the default is",
            pod("postgres", "env: [{name: PGDATA, value: /pg/x}],", "{name: data, mountPath: /pg}"),
            pod("postgres", "", "{name: data, mountPath: /var/lib/postgresql/data, subPath: x}"),
            Nothing,
        ),
        (
            "the mount moves above the default",
            pod("postgres", "", "{name: data, mountPath: /var/lib/postgresql, subPath: x}"),
            pod(
                "postgres",
                "",
                "{name: data, mountPath: /var/lib/postgresql/data, subPath: x/data}",
            ),
            Nothing,
        ),
        (
            "a home folder stays behind",
            pod("app", "env: [{name: HOME, value: /data}, {name: PGDATA, value: /data/pg}],", DATA),
            pod(
                "app",
                "env: [{name: HOME, value: /data}, {name: PGDATA, value: /srv/pg}],",
                "{name: data, mountPath: /srv}",
            ),
            Nothing,
        ),
        (
            "the folder and its mount swap volumes",
            pod(
                "app",
                "args: [--data-dir=/data, --wal-dir=/wal],",
                "{name: data, mountPath: /data}, {name: wal, mountPath: /wal}",
            ),
            pod(
                "app",
                "args: [--data-dir=/wal, --wal-dir=/data],",
                "{name: data, mountPath: /wal}, {name: wal, mountPath: /data}",
            ),
            Nothing,
        ),
        (
            "only the folders swap",
            pod(
                "app",
                "args: [--data-dir=/data, --wal-dir=/wal],",
                "{name: data, mountPath: /data}, {name: wal, mountPath: /wal}",
            ),
            pod(
                "app",
                "args: [--data-dir=/wal, --wal-dir=/data],",
                "{name: data, mountPath: /data}, {name: wal, mountPath: /wal}",
            ),
            Denied,
        ),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(n, old, new, s)| (*n, old.as_str(), new.as_str(), *s)).collect();
    try_all_owned(&cases);
}

/// A name that is nearly the same is not read by the process.
#[test]
fn a_variable_under_another_name_is_no_longer_given() {
    const NAMED: &str = "env: [{name: PGDATA, value: /var/lib/postgresql/data/pg}],";
    let mount = "{name: data, mountPath: /var/lib/postgresql/data}";
    let renamed = "env: [{name: PG_DATA, value: /var/lib/postgresql/data/pg}],";
    let lower = "env: [{name: pgdata, value: /var/lib/postgresql/data/pg}],";
    try_told(
        "postgres:16",
        mount,
        &[
            ("an underscore more", NAMED, renamed, Denied),
            ("in lower case", NAMED, lower, Denied),
            ("a flag in its place", NAMED, "args: [-D, /var/lib/postgresql/data/pg],", Nothing),
            (
                "the default under another name",
                "env: [{name: PGDATA, value: /var/lib/postgresql/data}],",
                "env: [{name: PG_DATA, value: /var/lib/postgresql/data}],",
                Nothing,
            ),
        ],
    );
    try_told(
        "app",
        DATA,
        &[
            (
                "an underscore less",
                "env: [{name: APP_DATA_DIR, value: /data/x}],",
                "env: [{name: APP_DATADIR, value: /data/x}],",
                Denied,
            ),
            (
                "a flag in its place",
                "env: [{name: DATA_DIR, value: /data/x}],",
                "args: [--data-dir=/data/x],",
                Nothing,
            ),
        ],
    );
}

/// Arguments of the container take the place of those of the image, which name the folder.
#[test]
fn arguments_take_those_of_the_image_away() {
    let mount = "{name: data, mountPath: /prometheus}";
    let told = "args: [--storage.tsdb.path=/prometheus, --log.level=debug],";
    try_told(
        "prom/prometheus:v3.1.0",
        mount,
        &[
            ("the flag goes", told, "args: [--log.level=debug],", Denied),
            ("all arguments go", told, "", Nothing),
            ("arguments come", "", "args: [--log.level=debug],", Warned),
            ("arguments come with the folder", "", told, Nothing),
            (
                "arguments change",
                "args: [--log.level=warn],",
                "args: [--log.level=debug],",
                Nothing,
            ),
        ],
    );
}

/// The same mount with an image of another publisher, which looks for its data elsewhere.
#[test]
fn images_of_bitnami_have_folders_of_their_own() {
    let pod = |image: &str, path: &str| {
        format!(
            "containers: [{{name: db, image: '{image}', volumeMounts: [{{name: data, mountPath: {path}}}]}}]"
        )
    };
    for (name, old, new, path, wanted) in [
        ("away", "bitnami/postgresql:16", "postgres:16", "/bitnami/postgresql", Warned),
        ("mongo", "bitnami/mongodb:7.0", "mongo:7", "/bitnami/mongodb", Warned),
        ("to it", "mongo:7", "docker.io/bitnami/mongodb:7.0", "/data/db", Warned),
        ("maria", "mariadb:11", "bitnami/mariadb:11", "/var/lib/mysql", Warned),
        ("moved", "bitnami/kafka:3", "bitnamilegacy/kafka:3", "/bitnami/kafka", Nothing),
        ("mirrored", "bitnami/kafka:3", "mirror.example/kafka:3", "/bitnami/kafka", Nothing),
        ("newer", "postgres:16", "library/postgres:17", "/var/lib/postgresql/data", Nothing),
        ("made from it", "postgres:16", "acme/postgres-ha:17", "/var/lib/postgresql/data", Nothing),
    ] {
        try_all_owned(&[(name, &pod(old, path), &pod(new, path), wanted)]);
    }
}

/// They look like paths in the claim and are none, or say little about data.
#[test]
fn addresses_and_home_folders_are_hardly_data() {
    try_told(
        "prom/prometheus",
        "{name: data, mountPath: /prometheus}",
        &[
            (
                "the address under which it is known",
                "args: [--storage.tsdb.path=/prometheus, --web.external-url=/prometheus],",
                "args: [--storage.tsdb.path=/prometheus, --web.external-url=/prom],",
                Nothing,
            ),
            (
                "a prefix of routes",
                "args: [--storage.tsdb.path=/prometheus, --web.route-prefix=/prometheus],",
                "args: [--storage.tsdb.path=/prometheus, --web.route-prefix=/],",
                Nothing,
            ),
        ],
    );
    try_told(
        "app",
        DATA,
        &[(
            "home",
            "env: [{name: HOME, value: /data}],",
            "env: [{name: HOME, value: /root}],",
            Warned,
        )],
    );
}
