//! Edits of the pod template after which the process that wrote the data no longer finds it, and
//! edits that only look like that.

use serde_json::{Value, json};
use testbed::Reply;

use crate::lab::{Lab, Tenant, is_denial, set, sets};

/// A container that mounts these volumes at these paths.
fn container(name: &str, mounts: &[(&str, &str)]) -> Value {
    let mounts: Vec<Value> =
        mounts.iter().map(|(name, at)| json!({"name": name, "mountPath": at})).collect();
    json!({"name": name, "image": format!("{name}:1"), "volumeMounts": mounts})
}

/// The container with a member added.
fn with(mut container: Value, key: &str, value: Value) -> Value {
    container[key] = value;
    container
}

/// The container whose first mount has a member added.
fn mounting(mut container: Value, key: &str, value: Value) -> Value {
    container["volumeMounts"][0][key] = value;
    container
}

fn env(name: &str, value: &str) -> Value {
    json!([{"name": name, "value": value}])
}

fn db() -> Value {
    container("db", &[("data", "/data")])
}

fn read_only(name: &str, at: &str) -> Value {
    let mut container = container(name, &[("data", at)]);
    container["volumeMounts"][0]["readOnly"] = json!(true);
    container
}

/// One edit of the pod template: what it is, before, and after.
struct Edit {
    what: &'static str,
    old: Value,
    new: Value,
}

fn edit(what: &'static str, old: Value, new: Value) -> Edit {
    let pods = |value: Value| if value.is_array() { json!({"containers": value}) } else { value };
    Edit { what, old: pods(old), new: pods(new) }
}

impl Edit {
    /// Creates a set with the old pod template and sends the edit as a dry run.
    async fn send(&self, tenant: &Tenant, number: usize) -> Reply {
        let name = format!("s{number}");
        let mut object = set(&name, &tenant.namespace);
        object["spec"]["replicas"] = json!(1);
        let spec = object["spec"]["template"]["spec"].as_object_mut().unwrap();
        spec.extend(self.old.as_object().unwrap().clone());
        let sets = sets(&tenant.namespace);
        let created = tenant.session.create(&sets, object).await.unwrap();
        created.ok().unwrap_or_else(|error| panic!("{}: {error:#}", self.what));
        let change = json!({"spec": {"template": {"spec": self.new}}});
        let path = format!("{sets}/{name}?dryRun=All");
        tenant.session.merge(&path, change).await.unwrap()
    }
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn the_process_that_wrote_the_data_never_loses_its_folder_unnoticed() {
    let empty = |at: &str| {
        json!({"containers": [container("db", &[("data", "/data"), ("e", at)])],
               "volumes": [{"name": "e", "emptyDir": {}}]})
    };
    let expression = |value: &str| {
        json!([with(mounting(db(), "subPathExpr", json!("$(D)")), "env", env("D", value))])
    };
    let literal = json!([with(
        mounting(mounting(db(), "subPathExpr", Value::Null), "subPath", json!("$(D)")),
        "env",
        env("D", "a")
    )]);
    let claim = |source: Value| {
        let mut volume = json!({"name": "v"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        json!({"containers": [container("db", &[("data", "/data"), ("v", "/var/lib/db")])],
               "volumes": [volume]})
    };
    let named = || claim(json!({"persistentVolumeClaim": {"claimName": "x"}}));
    let ephemeral = json!({"ephemeral": {"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}});
    let edits = [
        edit(
            "db is renamed and a side car takes its mount",
            json!([db()]),
            json!([container("pg", &[]), container("side", &[("data", "/data")])]),
        ),
        edit("an emptyDir is mounted over the data", json!([db()]), empty("/data/")),
        edit("an emptyDir is mounted below the data", json!([db()]), empty("/data/pgdata")),
        edit(
            "an emptyDir is mounted over the data by a longer spelling",
            json!([db()]),
            empty("/./data"),
        ),
        edit("another value for subPathExpr", expression("a"), expression("b")),
        edit("subPathExpr becomes a literal subPath", expression("a"), literal),
        edit("another claim", named(), claim(json!({"persistentVolumeClaim": {"claimName": "y"}}))),
        edit("a claim becomes an emptyDir", named(), claim(json!({"emptyDir": {}}))),
        edit("a claim becomes an ephemeral volume", named(), claim(ephemeral)),
        edit("a claim becomes a hostPath", named(), claim(json!({"hostPath": {"path": "/x"}}))),
        edit(
            "PGDATA leaves the claim",
            json!([with(db(), "env", env("PGDATA", "/data/pg"))]),
            json!([with(db(), "env", env("PGDATA", "/var/lib/pg"))]),
        ),
        edit(
            "an argument leaves the claim",
            json!([with(db(), "args", json!(["--storage.tsdb.path=/data"]))]),
            json!([with(db(), "args", json!(["--storage.tsdb.path=/prometheus"]))]),
        ),
        edit(
            "the mount moves to an init container",
            json!([db()]),
            json!({"containers": [container("db", &[])], "initContainers": [container("init", &[("data", "/data")])]}),
        ),
    ];
    let tenant = Lab::shared().await.tenant().await;
    let mut passed = Vec::new();
    for (number, edit) in edits.iter().enumerate() {
        let reply = edit.send(&tenant, number).await;
        if !is_denial(&reply) {
            passed.push(format!(
                "{}: {} {} {:?}",
                edit.what,
                reply.status,
                reply.message(),
                reply.warnings
            ));
        }
    }
    assert!(passed.is_empty(), "not denied: {passed:#?}");
}

#[tokio::test]
#[cfg_attr(without_cluster, ignore = "STATEWARD_TESTBED=skip")]
async fn an_edit_that_leaves_the_data_where_its_writer_finds_it_is_allowed() {
    let two = |side: Value| json!([db(), side]);
    let edits = [
        edit("a backup is removed", two(read_only("backup", "/src")), json!([db()])),
        edit(
            "a backup is renamed",
            two(read_only("backup", "/src")),
            two(read_only("rescue", "/src")),
        ),
        edit(
            "a backup is unmounted",
            two(read_only("backup", "/src")),
            two(container("backup", &[])),
        ),
        edit(
            "a backup mounts elsewhere",
            two(read_only("backup", "/src")),
            two(read_only("backup", "/source")),
        ),
        edit(
            "a log shipper at the same path is removed",
            two(read_only("logs", "/data")),
            json!([db()]),
        ),
        edit("a double slash", json!([container("db", &[("data", "//data")])]), json!([db()])),
        edit("a slash at the end", json!([db()]), json!([container("db", &[("data", "/data/")])])),
        edit(
            "subPath of a dot",
            json!([mounting(db(), "subPath", json!("."))]),
            json!([mounting(db(), "subPath", Value::Null)]),
        ),
        edit(
            "subPath with a dot",
            json!([mounting(db(), "subPath", json!("./x"))]),
            json!([mounting(db(), "subPath", json!("x"))]),
        ),
        edit("another image", json!([db()]), json!([with(db(), "image", json!("db:2"))])),
        edit(
            "a side car with a volume of its own",
            json!([db()]),
            json!({"containers": [db(), container("side", &[("e", "/data")])],
                    "volumes": [{"name": "e", "emptyDir": {}}]}),
        ),
    ];
    let tenant = Lab::shared().await.tenant().await;
    let mut denied = Vec::new();
    for (number, edit) in edits.iter().enumerate() {
        let reply = edit.send(&tenant, number).await;
        if reply.status != 200 {
            denied.push(format!("{}: {} {}", edit.what, reply.status, reply.message()));
        }
    }
    assert!(denied.is_empty(), "not allowed: {denied:#?}");
}
