//! The health checks of docs/argocd.md and docs/flux.md, run by a real Lua and a real CEL.

use std::path::Path;

use mlua::serde::ser::Options as SerializeOptions;
use mlua::{Lua, LuaOptions, LuaSerdeExt as _, StdLib};
use serde_json::{Value, json};

/// The YAML block of a page that holds `kind`.
fn example(page: &str, kind: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let read = |block: &str| -> Value { serde_saphyr::from_str(block).unwrap() };
    blocks.map(read).find(|block| block["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// Status and message that Argo CD would show.
fn argo(kind: &str, object: &Value) -> (String, String) {
    let config = example("argocd.md", "ConfigMap");
    let script = &config["data"][format!("resource.customizations.health.{kind}")];
    // Argo CD opens no more of the library, and its Lua is 5.1.
    let lua = Lua::new_with(StdLib::TABLE, LuaOptions::default()).unwrap();
    // A null is nil there, and not a value of its own.
    let options =
        SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false);
    lua.globals().set("obj", lua.to_value_with(object, options).unwrap()).unwrap();
    let health: mlua::Value = lua.load(script.as_str().unwrap()).eval().unwrap();
    let health: Value = lua.from_value(health).unwrap();
    let text = |key: &str| health[key].as_str().unwrap().to_owned();
    (text("status"), text("message"))
}

/// A record as its controller writes it.
fn record(phase: &str, state: Option<&str>, conditions: [bool; 4]) -> Value {
    let condition = |(kind, holds): (&str, bool)| {
        json!({"type": kind, "status": if holds { "True" } else { "False" }, "reason": "x",
               "message": "", "observedGeneration": 3, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let kinds = ["Ready", "Reconciling", "Stalled", "Complete"];
    let mut record = json!({
        "apiVersion": "stateward.dev/v1alpha1",
        "kind": "StatefulSetResize",
        "metadata": {"name": "db", "namespace": "shop", "generation": 3},
        "spec": {"targets": {"data": {"storage": "200Gi"}}},
        "status": {
            "phase": phase,
            "observedGeneration": 3,
            "conditions": kinds.into_iter().zip(conditions).map(condition).collect::<Vec<_>>()
        }
    });
    if let Some(state) = state {
        record["status"]["state"] = state.into();
        record["status"]["reason"] = "OfflineOnly".into();
        record["status"]["message"] = "claim data-db-0".into();
    }
    record
}

const LIVE: [bool; 4] = [false, true, false, false];
const STALLED: [bool; 4] = [false, false, true, false];
const COMPLETE: [bool; 4] = [true, false, false, true];
const ABORTED: [bool; 4] = [true, false, false, false];

#[test]
fn argo_cd_shows_the_health_of_a_record() {
    let health = |record: &Value| argo("stateward.dev_StatefulSetResize", record);
    for (phase, state, conditions, status) in [
        ("Growing", None, LIVE, "Progressing"),
        ("ClaimsGrown", Some("Waiting"), LIVE, "Progressing"),
        ("Deleting", None, LIVE, "Progressing"),
        ("ClaimsGrown", Some("Blocked"), STALLED, "Degraded"),
        ("Conflict", Some("Ended"), STALLED, "Degraded"),
        ("Degraded", Some("Ended"), STALLED, "Degraded"),
        ("Complete", None, COMPLETE, "Healthy"),
        ("Aborted", Some("Ended"), ABORTED, "Healthy"),
        ("SomethingNew", None, LIVE, "Progressing"),
    ] {
        let (seen, message) = health(&record(phase, state, conditions));
        assert_eq!(seen, status, "{phase}");
        let rest = if state.is_some() { ": OfflineOnly, claim data-db-0" } else { "" };
        assert_eq!(message, format!("{phase}{rest}"));
    }
    let mut paused = record("Growing", Some("Waiting"), LIVE);
    paused["spec"]["paused"] = true.into();
    assert_eq!(health(&paused).0, "Suspended");
    let mut done = record("Complete", None, COMPLETE);
    done["spec"]["paused"] = true.into();
    assert_eq!(health(&done).0, "Healthy");
    // Not seen yet: what stands there speaks of an earlier request.
    done["metadata"]["generation"] = 4.into();
    assert_eq!(health(&done).0, "Progressing");
    for status in [Value::Null, json!({"phase": "Requested"})] {
        done["status"] = status;
        assert_eq!(health(&done).0, "Progressing");
    }
    let young = json!({"metadata": {"name": "db", "generation": 1}, "spec": {}});
    assert_eq!(health(&young).0, "Progressing");
}

fn set(change: &Value) -> Value {
    let mut set = json!({
        "metadata": {"name": "db", "generation": 4},
        "spec": {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
        "status": {"observedGeneration": 4, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3,
                   "currentRevision": "db-1", "updateRevision": "db-1"}
    });
    json_patch::merge(&mut set, change);
    set
}

const REQUESTED: &str = r#"{"data":"200Gi"}"#;

/// Changes to a healthy set; what Argo CD says to it, and what Flux.
fn sets() -> Vec<(Value, &'static str, &'static str)> {
    let requested =
        json!({"metadata": {"annotations": {"stateward.dev/resize-requested": REQUESTED}}});
    let mut paused = requested.clone();
    paused["metadata"]["annotations"]["stateward.dev/resize-paused"] = "true".into();
    let partition = |updated: u8| {
        json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
               "status": {"updatedReplicas": updated, "updateRevision": "db-2"}})
    };
    vec![
        (json!({}), "Healthy", "Current"),
        (json!({"metadata": {"annotations": {"a": "b"}}}), "Healthy", "Current"),
        (requested, "Progressing", "InProgress"),
        (paused, "Suspended", "InProgress"),
        (json!({"metadata": {"generation": 5}}), "Progressing", "InProgress"),
        (json!({"status": {"readyReplicas": 2}}), "Progressing", "InProgress"),
        (json!({"status": {"readyReplicas": null}}), "Progressing", "InProgress"),
        (json!({"status": {"updateRevision": "db-2"}}), "Progressing", "InProgress"),
        (json!({"spec": {"replicas": 0}, "status": {"readyReplicas": null}}), "Healthy", "Current"),
        (
            json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}},
                   "status": {"updateRevision": "db-2"}}),
            "Healthy",
            "Current",
        ),
        (partition(1), "Healthy", "Current"),
        (json!({"status": {"observedGeneration": null}}), "Progressing", "InProgress"),
    ]
}

#[test]
fn argo_cd_waits_for_a_resize_and_for_all_that_it_waited_for_before() {
    for (change, status, _) in sets() {
        let (seen, message) = argo("apps_StatefulSet", &set(&change));
        assert_eq!(seen, status, "{change}: {message}");
        if change.to_string().contains("resize-requested") {
            assert!(message.ends_with(&format!(": {REQUESTED}")), "{message}");
        }
    }
    let rolling = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
                         "status": {"updatedReplicas": 1}});
    let (status, message) = argo("apps_StatefulSet", &set(&rolling));
    assert_eq!((&*status, &*message), ("Progressing", "1 of 2 pods are updated"));
    // A manifest may leave out nearly everything.
    assert_eq!(argo("apps_StatefulSet", &json!({"metadata": {"name": "db"}})).0, "Progressing");
}

/// What Flux would make of an object by the expressions: exactly one of them has to hold.
fn flux(object: &Value) -> &'static str {
    let kustomization = example("flux.md", "Kustomization");
    let checks = &kustomization["spec"]["healthCheckExprs"][0];
    assert_eq!(
        (&checks["apiVersion"], &checks["kind"]),
        (&"apps/v1".into(), &"StatefulSet".into())
    );
    let mut context = cel::Context::default();
    for (name, value) in object.as_object().unwrap() {
        context.add_variable(name, value).unwrap();
    }
    let holds = |key: &str| {
        let program = cel::Program::compile(checks[key].as_str().unwrap()).unwrap();
        match program.execute(&context) {
            Ok(cel::Value::Bool(holds)) => holds,
            other => panic!("{key} of {object}: {other:?}"),
        }
    };
    match (holds("inProgress"), holds("current")) {
        (true, _) => "InProgress",
        (false, true) => "Current",
        (false, false) => "Unknown",
    }
}

#[test]
fn flux_waits_for_a_resize_and_for_all_that_it_waited_for_before() {
    for (change, _, status) in sets() {
        assert_eq!(flux(&set(&change)), status, "{change}");
    }
}

#[test]
fn ignored_differences_do_not_cover_sizes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/argocd.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, keep) = text.split_once("**Keep**").unwrap();
    let block = keep.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let keep: Value = serde_saphyr::from_str(block).unwrap();
    let keep = &keep["ignoreDifferences"][0];
    for expression in keep["jqPathExpressions"].as_array().unwrap() {
        let field = expression.as_str().unwrap().rsplit('.').next().unwrap();
        assert!(["apiVersion", "kind", "status"].contains(&field), "{expression}");
    }
    assert_eq!(keep["jsonPointers"], json!(["/spec/replicas"]));
}
