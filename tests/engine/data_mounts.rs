//! `sts-data-mount-removed` by example: an edit of a pod spec, and what is said about it.

use serde_json::{Value, json};
use stateward_core::change::{Change, Circumstances, Operation, Pair};
use stateward_core::facts::Facts;
use stateward_core::object::{Kind, Object};
use stateward_core::rules::{Finding, Findings, by_id};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Denied,
    Warned,
    Nothing,
}

use Said::{Denied, Nothing, Warned};

mod bounds;
mod images;
mod manifests;
mod shadows;
mod side_cars;
mod told;

/// What is tried, the pod spec before and after, and what has to be said.
type Case = (&'static str, &'static str, &'static str, Said);

fn set(pod: &Value) -> Value {
    let template = |name: &str| json!({"metadata": {"name": name}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "replicas": 3,
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": pod},
            "volumeClaimTemplates": [template("data"), template("wal")],
        }
    })
}

fn judge(old: &Value, new: &Value) -> Vec<Finding> {
    judge_sets(&set(old), &set(new))
}

fn judge_sets(old: &Value, new: &Value) -> Vec<Finding> {
    let (old, new) = (old.to_string(), new.to_string());
    let side = |text| Some(Object::decode(text).unwrap());
    let objects = Pair { old: side(&old), new: side(&new) };
    let (operation, kind) = (Operation::Update, Kind::StatefulSet);
    let change = Change::new(operation, kind, "", objects, Circumstances::default()).unwrap();
    let rule = by_id("sts-data-mount-removed").unwrap();
    let check = (rule.compile)(&json!({})).unwrap();
    let mut findings = Findings::new(rule.meta.id);
    check(&change, &Facts::none(), &mut findings).unwrap();
    findings.into_vec()
}

fn said(findings: &[Finding]) -> Said {
    match findings {
        [] => Nothing,
        _ if findings.iter().all(|finding| finding.unsure) => Warned,
        _ => Denied,
    }
}

#[track_caller]
fn try_all(cases: &[Case]) {
    let pod = |text: &str| -> Value {
        serde_saphyr::from_str(&format!("{{{text}}}")).unwrap_or_else(|e| panic!("{text}: {e}"))
    };
    let mut wrong = Vec::new();
    for (name, old, new, wanted) in cases {
        let findings = judge(&pod(old), &pod(new));
        if said(&findings) != *wanted {
            let told: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
            wrong.push(format!("{name}: wanted {wanted:?}, said {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const DB: &str = "containers: [{name: db, image: 'postgres:16', volumeMounts: [{name: data, mountPath: /data}]}]";

#[test]
fn a_renamed_container_takes_its_mount_along() {
    let with_side = "containers: [
        {name: db, image: 'postgres:16', volumeMounts: [{name: data, mountPath: /data}]},
        {name: side, image: busybox, volumeMounts: [{name: data, mountPath: /data}]}]";
    try_all(&[
        ("renamed with its mount", DB,
            "containers: [{name: pg, image: 'postgres:17', volumeMounts: [{name: data, mountPath: /data}]}]", Nothing),
        ("renamed, and a side car takes the mount", DB,
            "containers: [{name: pg, image: 'postgres:17'},
                {name: side, image: busybox, volumeMounts: [{name: data, mountPath: /data}]}]", Denied),
        ("the same with the side car first and a mirrored image", DB,
            "containers: [{name: side, image: busybox, volumeMounts: [{name: data, mountPath: /data}]},
                {name: pg, image: 'mirror.example/library/postgres@sha256:00'}]", Denied),
        ("renamed, and a backup of the same image takes the mount", DB,
            "containers: [{name: backup, image: 'postgres:16', command: [pg_dump], volumeMounts: [{name: data, mountPath: /data}]},
                {name: pg, image: 'postgres:16'}]", Denied),
        ("its name is given to a side car that takes the mount", DB,
            "containers: [{name: db, image: busybox, volumeMounts: [{name: data, mountPath: /data}]},
                {name: pg, image: 'postgres:16'}]", Denied),
        ("renamed while a side car keeps the mount", with_side,
            "containers: [{name: pg, image: 'postgres:17'},
                {name: side, image: busybox, volumeMounts: [{name: data, mountPath: /data}]}]", Denied),
        ("renamed to another image at the same path", DB,
            "containers: [{name: main, image: percona, volumeMounts: [{name: data, mountPath: /data}]},
                {name: exporter, image: exporter}]", Nothing),
        ("names swapped", "containers: [
                {name: a, image: postgres, volumeMounts: [{name: data, mountPath: /data}]}, {name: b, image: exporter}]",
            "containers: [{name: a, image: exporter}, {name: b, image: postgres, volumeMounts: [{name: data, mountPath: /data}]}]",
            Nothing),
        ("becomes a side car of init containers", DB,
            "initContainers: [{name: db, image: 'postgres:16', restartPolicy: Always, volumeMounts: [{name: data, mountPath: /data}]}],
             containers: [{name: x, image: x}]", Nothing),
        ("becomes an init container that ends", DB,
            "initContainers: [{name: db, image: 'postgres:16', volumeMounts: [{name: data, mountPath: /data}]}],
             containers: [{name: x, image: x}]", Denied),
        ("removed, another container takes the mount", DB,
            "containers: [{name: x, image: x, volumeMounts: [{name: data, mountPath: /elsewhere}]}]", Denied),
    ]);
}

#[test]
fn another_volume_over_the_data_is_a_loss() {
    let mounts = |mounts: &str, volumes: &str| -> String {
        format!(
            "containers: [{{name: db, image: 'postgres:16', volumeMounts: [{mounts}]}}], volumes: [{volumes}]"
        )
    };
    let data = "{name: data, mountPath: /data}";
    let empty = "{name: e, emptyDir: {}}";
    let cases: Vec<(&str, String, Said)> = vec![
        ("at the path", mounts("{name: e, mountPath: /data}", empty), Denied),
        (
            "at the path with a slash",
            mounts(&format!("{data}, {{name: e, mountPath: /data/}}"), empty),
            Denied,
        ),
        (
            "at the path, listed first",
            mounts(&format!("{{name: e, mountPath: //data}}, {data}"), empty),
            Denied,
        ),
        (
            "below the path",
            mounts(&format!("{data}, {{name: e, mountPath: /data/pgdata}}"), empty),
            Denied,
        ),
        (
            "below, by ..",
            mounts(&format!("{data}, {{name: e, mountPath: /x/../data/base}}"), empty),
            Denied,
        ),
        (
            "a claim below",
            mounts(&format!("{data}, {{name: wal, mountPath: /data/pg_wal}}"), ""),
            Denied,
        ),
        (
            "an ephemeral volume below",
            mounts(&format!("{data}, {{name: e, mountPath: /data/x}}"), "{name: e, ephemeral: {}}"),
            Denied,
        ),
        (
            "another folder of the claim below",
            mounts(&format!("{data}, {{name: data, mountPath: /data/x, subPath: other}}"), ""),
            Denied,
        ),
        (
            "the same folder of the claim below",
            mounts(&format!("{data}, {{name: data, mountPath: /data/x, subPath: x}}"), ""),
            Nothing,
        ),
        (
            "a folder of the node below",
            mounts(
                &format!("{data}, {{name: e, mountPath: /data/x}}"),
                "{name: e, hostPath: {path: /x}}",
            ),
            Warned,
        ),
        (
            "scratch space below",
            mounts(&format!("{data}, {{name: e, mountPath: /data/tmp}}"), empty),
            Nothing,
        ),
        (
            "a file of configuration below",
            mounts(
                &format!("{data}, {{name: e, mountPath: /data/x.conf, subPath: x.conf}}"),
                "{name: e, configMap: {name: c}}",
            ),
            Nothing,
        ),
        (
            "a ConfigMap at the path",
            mounts("{name: e, mountPath: /data}", "{name: e, configMap: {name: c}}"),
            Denied,
        ),
        (
            "beside the path",
            mounts(&format!("{data}, {{name: e, mountPath: /data-2}}"), empty),
            Nothing,
        ),
        ("above the path", mounts(&format!("{data}, {{name: e, mountPath: /}}"), empty), Nothing),
    ];
    let mut wrong = Vec::new();
    let pod = |text: &str| -> Value { serde_saphyr::from_str(&format!("{{{text}}}")).unwrap() };
    for (name, new, wanted) in cases {
        let findings = judge(&pod(DB), &pod(&new));
        if said(&findings) != wanted {
            wrong.push(format!(
                "{name}: {:?}",
                findings.iter().map(|f| &f.what).collect::<Vec<_>>()
            ));
        }
        // What was there already is nobody's news.
        assert_eq!(judge(&pod(&new), &pod(&format!("{new}, hostname: x"))), [], "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn folders_are_compared_as_the_kubelet_expands_them() {
    let by = |env: &str, folder: &str| -> String {
        format!(
            "containers: [{{name: db, image: db, env: [{env}], volumeMounts: [{{name: data, mountPath: /data{folder}}}]}}]"
        )
    };
    let pod = |text: String| -> Value { serde_saphyr::from_str(&format!("{{{text}}}")).unwrap() };
    let (a, b) = ("{name: D, value: a}", "{name: D, value: b}");
    let name = "{name: D, valueFrom: {fieldRef: {fieldPath: metadata.name}}}";
    let name_v1 = "{name: D, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}";
    let uid = "{name: D, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}";
    for (old, new, wanted) in [
        (by(a, ", subPathExpr: $(D)"), by(a, ", subPath: $(D)"), Denied),
        (by(a, ", subPathExpr: $(D)"), by(b, ", subPathExpr: $(D)"), Denied),
        (by(a, ", subPathExpr: $(D)"), by(a, ", subPath: a"), Nothing),
        (by(a, ", subPathExpr: $(D)"), by(b, ", subPathExpr: a"), Nothing),
        (
            by(a, ", subPathExpr: x/$(D)"),
            by("{name: E, value: $(D)}, {name: D, value: a}", ", subPathExpr: x/$(E)"),
            Denied,
        ),
        (
            by(a, ", subPathExpr: x/$(D)"),
            by(&format!("{a}, {{name: E, value: x/$(D)}}"), ", subPathExpr: $(E)"),
            Nothing,
        ),
        (by(name, ", subPathExpr: $(D)"), by(name_v1, ", subPathExpr: $(D)"), Nothing),
        (by(name, ", subPathExpr: $(D)"), by(uid, ", subPathExpr: $(D)"), Denied),
        (by(name, ", subPathExpr: $(D)"), by(a, ", subPathExpr: $(D)"), Denied),
        (by("", ", subPath: x"), by("", ", subPath: ./x/"), Nothing),
        (by("", ", subPath: x"), by("", ""), Denied),
        (by("", ", subPath: ."), by("", ""), Nothing),
        (by("", ""), by("", ", subPath: x"), Denied),
    ] {
        let findings = judge(&pod(old.clone()), &pod(new.clone()));
        assert_eq!(said(&findings), wanted, "{old}\n{new}");
    }
}

#[test]
fn a_claim_behind_a_named_volume_is_data_too() {
    let vw = "containers: [{name: vw, image: vw, volumeMounts: [{name: vol, mountPath: /data}]}],
        volumes: [{name: vol, persistentVolumeClaim: {claimName: vw-data}}]";
    try_all(&[
        ("another claim", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: vol, mountPath: /data}]}],
            volumes: [{name: vol, persistentVolumeClaim: {claimName: vw-data-2}}]", Denied),
        ("emptyDir", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: vol, mountPath: /data}]}],
            volumes: [{name: vol, emptyDir: {}}]", Denied),
        ("ephemeral", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: vol, mountPath: /data}]}],
            volumes: [{name: vol, ephemeral: {volumeClaimTemplate: {}}}]", Denied),
        ("removed", vw, "containers: [{name: vw, image: vw}]", Denied),
        ("moved", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: vol, mountPath: /config}]}],
            volumes: [{name: vol, persistentVolumeClaim: {claimName: vw-data}}]", Denied),
        ("a claim template instead", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: wal, mountPath: /data}]}]", Denied),
        ("renamed with its mount", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: d, mountPath: /data}]}],
            volumes: [{name: d, persistentVolumeClaim: {claimName: vw-data}}]", Nothing),
        ("read-only by the volume", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: vol, mountPath: /data}]}],
            volumes: [{name: vol, persistentVolumeClaim: {claimName: vw-data, readOnly: true}}]", Warned),
        ("read-only by the mount", vw, "containers: [{name: vw, image: vw, volumeMounts: [{name: vol, mountPath: /data, readOnly: true}]}],
            volumes: [{name: vol, persistentVolumeClaim: {claimName: vw-data}}]", Warned),
        ("two volumes of one claim become one", "containers: [{name: vw, image: vw, volumeMounts: [
                {name: a, mountPath: /a}, {name: b, mountPath: /b, subPath: b}]}],
            volumes: [{name: a, persistentVolumeClaim: {claimName: c}}, {name: b, persistentVolumeClaim: {claimName: c}}]",
            "containers: [{name: vw, image: vw, volumeMounts: [
                {name: a, mountPath: /a}, {name: a, mountPath: /b, subPath: b}]}],
            volumes: [{name: a, persistentVolumeClaim: {claimName: c}}]", Nothing),
        ("an emptyDir is no data", "containers: [{name: vw, image: vw, volumeMounts: [{name: e, mountPath: /e}]}], volumes: [{name: e, emptyDir: {}}]",
            "containers: [{name: vw, image: vw}]", Nothing),
    ]);
}

#[test]
fn a_path_that_is_named_leads_to_the_same_folder() {
    let env = |name: &str, value: &str, path: &str| -> String {
        format!(
            "containers: [{{name: db, image: db, env: [{{name: {name}, value: '{value}'}}], volumeMounts: [{{name: data, mountPath: {path}}}]}}]"
        )
    };
    let args = |args: &str, path: &str| -> String {
        format!(
            "containers: [{{name: db, image: db, args: [{args}], volumeMounts: [{{name: data, mountPath: {path}}}]}}]"
        )
    };
    let command = |command: &str, path: &str| args(command, path).replace("args:", "command:");
    let pod = |text: &str| -> Value { serde_saphyr::from_str(&format!("{{{text}}}")).unwrap() };
    for (old, new, wanted) in [
        (env("PGDATA", "/data/pg", "/data"), env("PGDATA", "/data/db", "/data"), Denied),
        (env("PGDATA", "/data/pg", "/data"), env("PGDATA", "/var/lib/pg", "/data"), Denied),
        (env("PGDATA", "/data/pg", "/data"), env("PGDATA", "/data//pg/.", "/data"), Nothing),
        (env("PGDATA", "/data/pg", "/data"), env("PGDTA", "/data/pg", "/data"), Denied),
        (env("PGDATA", "/data/pg", "/data"), env("X", "y", "/data"), Denied),
        (env("PGDATA", "/data/pg", "/data"), env("PGDATA", "$(POD)", "/data"), Denied),
        (env("PGDATA", "/data/pg", "/data"), env("PGDATA", "/srv/pg", "/srv"), Nothing),
        (env("PGDATA", "/data/pg", "/data"), env("PGDATA", "/srv/other", "/srv"), Denied),
        (env("LOG_DIR", "/data/log", "/data"), env("LOG_DIR", "/log", "/data"), Nothing),
        (env("LOG_DIR", "/data/log", "/data"), env("LOG_DIR", "/srv/log", "/srv"), Denied),
        (env("BACKUPS", "/data/b", "/data"), env("BACKUPS", "/data/c", "/data"), Warned),
        (env("PGDATA", "/elsewhere", "/data"), env("PGDATA", "/data/pg", "/data"), Nothing),
        (
            env("MYSQL_DATADIR", "/data", "/data"),
            env("MYSQL_DATADIR", "/data/mysql", "/data"),
            Denied,
        ),
        (args("--storage.tsdb.path=/p", "/p"), args("--storage.tsdb.path=/data", "/p"), Denied),
        (args("--storage.tsdb.path=/p", "/p"), args("--storage.tsdb.path=/data", "/data"), Nothing),
        (args("--storage.tsdb.path=/p", "/p"), args("--storage.tsdb.path, /p/", "/p"), Nothing),
        (args("--data-dir, /p/x", "/p"), args("--data-dir, /p/y", "/p"), Denied),
        (args("-D, /p", "/p"), args("-D/q", "/p"), Denied),
        (args("--datadir=/p/x", "/p"), args("--datadir=/p/x, --quiet", "/p"), Nothing),
        (args("server, /p", "/p"), args("server, /q", "/p"), Warned),
        (args("server, /p", "/p"), args("server, --quiet, /p", "/p"), Nothing),
        (args("-c, data_directory=/p/x", "/p"), args("-c, data_directory=/p/y", "/p"), Denied),
        (
            command("sh, -c, 'exec db --data-dir=/p/x'", "/p"),
            command("sh, -c, 'exec db --data-dir=/p/y'", "/p"),
            Denied,
        ),
        (
            command("sh, -c, 'exec db --data-dir=/p/x'", "/p"),
            args("--data-dir=/p/x", "/p"),
            Nothing,
        ),
        (args("--config.file=/p/c.yml", "/p"), args("--config.file=/etc/c.yml", "/p"), Nothing),
    ] {
        let findings = judge(&pod(&old), &pod(&new));
        let told: Vec<_> = findings.iter().map(|f| &f.what).collect();
        assert_eq!(said(&findings), wanted, "{old}\n{new}\n{told:?}");
    }
}

#[test]
fn a_variable_behind_an_argument_is_followed() {
    let pod = |value: &str| -> Value {
        json!({"containers": [{"name": "db", "image": "db", "args": ["--data-dir=$(DIR)/db"],
            "env": [{"name": "DIR", "value": value}],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]})
    };
    assert_eq!(said(&judge(&pod("/data"), &pod("/data/"))), Nothing);
    assert_eq!(said(&judge(&pod("/data"), &pod("/data/x"))), Denied);
    assert_eq!(said(&judge(&pod("/data"), &pod("/x"))), Denied);
}

#[test]
fn a_claim_that_its_writer_still_finds_is_no_loss() {
    let with = |side: &str| -> String { DB.replacen("}]}]", &format!("}}]}}, {side}]"), 1) };
    let reader = with(
        "{name: side, image: busybox, volumeMounts: [{name: data, mountPath: /src, readOnly: true}]}",
    );
    let moved = with(
        "{name: side, image: busybox, volumeMounts: [{name: data, mountPath: /other, readOnly: true}]}",
    );
    let renamed = with(
        "{name: other, image: busybox, volumeMounts: [{name: data, mountPath: /src, readOnly: true}]}",
    );
    let writer = with(
        "{name: shipper, image: fluent, volumeMounts: [{name: data, mountPath: /logs, subPath: pos}]}",
    );
    let spelled = DB.replace("/data}", "/./data//, subPath: ./}");
    let narrowed = DB.replace("/data}", "/data/pgdata, subPath: pgdata}");
    let unclear = DB.replace("/data}", "/data/x, subPath: x}");
    try_all_owned(&[
        ("a reader is removed", &reader, DB, Nothing),
        ("a reader moves", &reader, &moved, Nothing),
        ("a reader is renamed", &reader, &renamed, Nothing),
        ("a reader is added", DB, &reader, Nothing),
        ("a shipper with a folder of its own is removed", &writer, DB, Nothing),
        ("another spelling", DB, &spelled, Nothing),
        ("another spelling, back", &spelled, DB, Nothing),
        ("the root, and its folder at the same path", DB, &narrowed, Nothing),
        ("the folder, and its root at the same path", &narrowed, DB, Nothing),
        ("a folder of an unclear name", DB, &unclear, Warned),
        ("an unclear folder, and its root", &unclear, DB, Nothing),
    ]);
}

#[track_caller]
fn try_all_owned(cases: &[(&str, &str, &str, Said)]) {
    let pod = |text: &str| -> Value { serde_saphyr::from_str(&format!("{{{text}}}")).unwrap() };
    for (name, old, new, wanted) in cases {
        let findings = judge(&pod(old), &pod(new));
        let told: Vec<_> = findings.iter().map(|f| &f.what).collect();
        assert_eq!(said(&findings), *wanted, "{name}: {told:?}");
    }
}
