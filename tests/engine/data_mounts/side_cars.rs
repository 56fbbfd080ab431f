//! Containers that look after the data of others, decoys, and claims that change places.

use serde_json::Value;

use super::Said::{self, Denied, Nothing, Warned};
use super::{judge, try_all_owned};

const DB: &str =
    "{name: db, image: 'mysql:8', volumeMounts: [{name: data, mountPath: /var/lib/mysql}]}";

fn pod(containers: &[&str]) -> String {
    format!("containers: [{}]", containers.join(", "))
}

#[track_caller]
fn try_pods(cases: &[(&str, &[&str], &[&str], Said)]) {
    let pods: Vec<_> = cases.iter().map(|(n, old, new, s)| (*n, pod(old), pod(new), *s)).collect();
    let cases: Vec<_> =
        pods.iter().map(|(n, old, new, s)| (*n, old.as_str(), new.as_str(), *s)).collect();
    try_all_owned(&cases);
}

#[test]
fn helpers_come_and_go() {
    let exporter = "{name: metrics, image: 'prom/mysqld-exporter', volumeMounts: [{name: data, mountPath: /data}]}";
    let moved = "{name: metrics, image: 'prom/mysqld-exporter', volumeMounts: [{name: data, mountPath: /d}]}";
    let without = "{name: metrics, image: 'prom/mysqld-exporter'}";
    let backup = "{name: backup, image: 'mysql:8', command: [mysqldump], volumeMounts: [{name: data, mountPath: /src}]}";
    let backup_moved = "{name: backup, image: 'mysql:8', command: [mysqldump], volumeMounts: [{name: data, mountPath: /in}]}";
    let shipper = "{name: ship, image: 'fluent/fluent-bit', volumeMounts: [{name: data, mountPath: /pos, subPath: pos}]}";
    let vector = "{name: vector, image: 'timberio/vector'}";
    let reader = "{name: x, image: x, volumeMounts: [{name: data, mountPath: /x, readOnly: true}]}";
    let worker = "{name: worker, image: app, volumeMounts: [{name: data, mountPath: /files}]}";
    let worker_without = "{name: worker, image: app}";
    let other = "{name: other, image: other}";
    let db_without = "{name: db, image: 'mysql:8'}";
    let named_backup =
        "{name: backup, image: 'mysql:8', volumeMounts: [{name: data, mountPath: /var/lib/mysql}]}";
    let named_without = "{name: backup, image: 'mysql:8'}";
    try_pods(&[
        ("an exporter that may write is removed", &[DB, exporter], &[DB], Nothing),
        ("an exporter moves", &[DB, exporter], &[DB, moved], Nothing),
        ("an exporter loses its mount", &[DB, exporter], &[DB, without], Nothing),
        ("a backup of the same image moves", &[DB, backup], &[DB, backup_moved], Nothing),
        ("a backup of the same image is removed", &[DB, backup], &[DB], Nothing),
        ("a shipper is replaced by another one", &[DB, shipper], &[DB, vector], Nothing),
        ("a reader is replaced", &[DB, reader], &[DB, other], Nothing),
        ("a reader becomes a writer", &[DB, reader], &[DB, worker], Nothing),
        ("a process of its own loses its mount", &[DB, worker], &[DB, worker_without], Warned),
        (
            "the database loses it, and a helper keeps it",
            &[DB, exporter],
            &[db_without, exporter],
            Denied,
        ),
        ("the only container is called a backup", &[named_backup], &[named_without], Denied),
        (
            "a database called a backup loses it beside another",
            &[DB, named_backup],
            &[DB, named_without],
            Denied,
        ),
    ]);
}

#[test]
fn decoys_do_not_take_over() {
    let mount = "volumeMounts: [{name: data, mountPath: /var/lib/mysql}]";
    let asleep = format!("{{name: db, image: 'mysql:8', command: [sleep, infinity], {mount}}}");
    let real = "{name: sql, image: 'mysql:8'}";
    let side = format!("{{name: side, image: busybox, {mount}}}");
    let init = format!("{{name: db, image: 'mysql:8', {mount}}}");
    let with_init = |init: &str, rest: &[&str]| format!("initContainers: [{init}], {}", pod(rest));
    let db = pod(&[DB]);
    let upgraded =
        DB.replace("mysql:8", "mysql:9").replace("volumeMounts", "args: [--a], volumeMounts");
    let cases: Vec<(&str, String, String, Said)> = vec![
        (
            "the old name runs something else, with the mount",
            db.clone(),
            pod(&[&asleep, real]),
            Denied,
        ),
        (
            "a new container with the mount, and the database without",
            db.clone(),
            pod(&["{name: db, image: 'mysql:8'}", &side]),
            Denied,
        ),
        ("a new image and arguments", db.clone(), pod(&[&upgraded]), Nothing),
        (
            "an init container that ends, with the mount",
            db.clone(),
            with_init(&init, &["{name: db2, image: 'mysql:8'}"]),
            Denied,
        ),
        (
            "an init container loses the mount",
            with_init(&init.replace("db", "chown"), &[DB]),
            with_init("{name: chown, image: busybox}", &[DB]),
            Nothing,
        ),
        (
            "an init container is removed",
            with_init(&init.replace("db", "restore"), &[DB]),
            db.clone(),
            Nothing,
        ),
        (
            "an init container becomes a side car",
            with_init(&init.replace("db", "chown"), &[DB]),
            with_init(
                &init.replace("db", "chown").replacen('{', "{restartPolicy: Always, ", 1),
                &[DB],
            ),
            Nothing,
        ),
    ];
    let cases: Vec<_> =
        cases.iter().map(|(n, old, new, s)| (*n, old.as_str(), new.as_str(), *s)).collect();
    try_all_owned(&cases);
}

#[test]
fn claims_that_change_places_are_a_loss() {
    let two = |a: &str, b: &str| {
        format!("containers: [{{name: db, image: db, volumeMounts: [{{{a}, mountPath: /a}}, {{{b}, mountPath: /b}}]}}],
        volumes: [{{name: x, persistentVolumeClaim: {{claimName: x}}}}, {{name: z, persistentVolumeClaim: {{claimName: z}}}}]")
    };
    let parse = |text: &str| -> Value { serde_saphyr::from_str(&format!("{{{text}}}")).unwrap() };
    for (a, b) in [
        ("name: data", "name: wal"),
        ("name: x", "name: z"),
        ("name: data", "name: x"),
        ("name: data, subPath: s", "name: data, subPath: t"),
    ] {
        let findings = judge(&parse(&two(a, b)), &parse(&two(b, a)));
        let told: Vec<_> = findings.iter().map(|f| (f.what.as_str(), f.unsure)).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].0.contains("change places") && !told[0].1, "{told:?}");
    }
    let each = |a: &str, b: &str| {
        [("p", a), ("q", b)].map(|(name, volume)| {
            format!(
                "{{name: {name}, image: db, volumeMounts: [{{name: {volume}, mountPath: /d}}]}}"
            )
        })
    };
    let (old, new) = (each("data", "wal"), each("wal", "data"));
    let renamed = [old[0].replace("name: p", "name: r"), old[1].clone()];
    let named = |a: &str, b: &str| {
        format!("containers: [{{name: db, image: db, volumeMounts: [{{name: a, mountPath: /a}}, {{name: b, mountPath: /b}}]}}],
        volumes: [{{name: a, persistentVolumeClaim: {{claimName: {a}}}}}, {{name: b, persistentVolumeClaim: {{claimName: {b}}}}}]")
    };
    let hidden = "containers: [{name: db, image: db, volumeMounts: [{name: data, mountPath: /d}]}], volumes: [{name: data, VOLUME}]";
    try_all_owned(&[
        (
            "two containers swap claims",
            &pod(&[&old[0], &old[1]]),
            &pod(&[&new[0], &new[1]]),
            Denied,
        ),
        (
            "two containers in another order",
            &pod(&[&old[0], &old[1]]),
            &pod(&[&old[1], &old[0]]),
            Nothing,
        ),
        ("one is renamed", &pod(&[&old[0], &old[1]]), &pod(&[&renamed[0], &renamed[1]]), Nothing),
        ("the claims behind two volumes", &named("x", "z"), &named("z", "x"), Denied),
        ("one claim behind both", &named("x", "z"), &named("x", "x"), Denied),
        // A claim template takes the place of a volume of its name.
        (
            "a volume of a template's name",
            &hidden.replace("VOLUME", "emptyDir: {}"),
            &hidden.replace("VOLUME", "persistentVolumeClaim: {claimName: z}"),
            Nothing,
        ),
        (
            "a volume of a template's name is added",
            "containers: [{name: db, image: db, volumeMounts: [{name: data, mountPath: /d}]}]",
            &hidden.replace("VOLUME", "emptyDir: {}"),
            Nothing,
        ),
        (
            "two mounts become one",
            &two("name: data, subPath: s", "name: data, subPath: t"),
            "containers: [{name: db, image: db, volumeMounts: [{name: data, mountPath: /a, subPath: s}]}]",
            Denied,
        ),
        (
            "a writer that keeps a folder and stops to write",
            &pod(&[&old[0]]),
            &pod(&[
                "{name: p, image: db, volumeMounts: [{name: data, mountPath: /d, readOnly: true}]}",
            ]),
            Warned,
        ),
    ]);
}

/// A container whose image is not known to keep data, beside a database that keeps its folder.
#[test]
fn what_moves_beside_a_database_that_stays_is_a_warning() {
    let at = |image: &str, path: &str| {
        format!(
            "{{name: side, image: '{image}', volumeMounts: [{{name: data, mountPath: {path}}}]}}"
        )
    };
    let without = |image: &str| format!("{{name: side, image: '{image}'}}");
    for (image, wanted) in [
        ("thanosio/thanos:v0.35", Warned),
        ("filebrowser/filebrowser:v2", Warned),
        ("alpine:3.20", Warned),
        ("quay.io/prometheus-operator/prometheus-config-reloader:v0.75", Nothing),
        ("rclone/rclone:1.66", Nothing),
        ("wal-g:1", Nothing),
        ("eeacms/rsync:1", Nothing),
        ("redis:7", Denied),
    ] {
        let old = [DB, &at(image, "/data")];
        try_pods(&[
            (image, &old, &[DB, &at(image, "/src")], wanted),
            (image, &old, &[DB, &without(image)], wanted),
        ]);
    }
    // The database itself moves, and the other one stays.
    let moved = "{name: db, image: 'mysql:8', volumeMounts: [{name: data, mountPath: /srv}]}";
    let side = at("alpine:3.20", "/data");
    try_pods(&[("the database", &[DB, &side], &[moved, &side], Denied)]);
}
