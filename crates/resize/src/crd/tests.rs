use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use stateward_core::record::{
    ClaimState, ClaimStatus, CompletedRequest, Halt, Phase, Reason, Recreation, Request, Retention,
    RetentionOwner, RevisionName, State, Target,
};

use super::*;

/// A record with every field filled.
fn filled() -> (Spec, Status) {
    let sizes = BTreeMap::from([("data".to_owned(), "20Gi".to_owned())]);
    let spec = Spec {
        targets: BTreeMap::from([("data".to_owned(), Target { storage: "20Gi".to_owned() })]),
        paused: true,
        hold: Some(Phase::ClaimsGrown),
        abort: Some(3),
        leave_absent: true,
    };
    let now = Timestamp::from_second(1_700_000_000).unwrap();
    let mut status = Status {
        phase: Phase::Deleting,
        halt: Some(Halt {
            state: State::Blocked,
            reason: Reason::ForeignFinalizer,
            message: "example.com/keep".to_owned(),
        }),
        request: Some(Request {
            number: 1,
            generation: 2,
            set_uid: "A".to_owned(),
            targets: sizes.clone(),
            withdrawable: true,
        }),
        annotation_targets: sizes,
        recreation: Recreation {
            set_uid: Some("A".to_owned()),
            resource_version: Some("7".to_owned()),
            revision: Some(RevisionName { name: "db-1".to_owned(), uid: "R".to_owned() }),
            retention: Some(Retention::RETAIN),
            retention_asked: Some(Retention::RETAIN),
            deleted_at: Some(now),
            edit_lost: Some("kubectl".to_owned()),
            unwatched: true,
            frozen: Some(4),
            partition: Some(2),
            retention_owners: vec![RetentionOwner {
                manager: "argocd-controller".to_owned(),
                operation: "Apply".to_owned(),
                fields: vec!["whenDeleted".to_owned()],
            }],
            pinned_since: Some(now),
            pin_failures: 1,
            replaced: 1,
            refused_since: Some(now),
            gone_since: Some(now),
            new_uid: Some("B".to_owned()),
            ours: true,
        },
        last_create: Some(now),
        snapshot: Some("c25hcHNob3Q=".to_owned()),
        claims: vec![ClaimStatus {
            name: "data-db-0".to_owned(),
            from: "10Gi".to_owned(),
            target: "20Gi".to_owned(),
            capacity: Some("10Gi".to_owned()),
            state: ClaimState::Growing,
            since: Some(now),
            lowest: Some("10241Mi".to_owned()),
            evicted: Some("P".to_owned()),
        }],
        owner_managed: true,
        results: vec![CompletedRequest {
            phase: Phase::Aborted,
            reason: Reason::Withdrawn,
            at: now,
            generation: 1,
        }],
        ..Status::default()
    };
    status.summarize(2, now);
    (spec, status)
}

fn schema() -> Value {
    crd().pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap().clone()
}

/// The paths of all fields of a value that are named by a schema: keys of maps are left out.
fn fields(value: &Value, schema: &Value, at: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if let Some(values) = schema.get("additionalProperties") {
                    fields(value, values, &format!("{at}/*"), into);
                } else {
                    let at = format!("{at}/{key}");
                    fields(value, &schema["properties"][key], &at, into);
                    into.insert(at);
                }
            }
        }
        Value::Array(list) => {
            for value in list {
                fields(value, &schema["items"], &format!("{at}/*"), into);
            }
        }
        Value::String(_) => assert_eq!(schema["type"], "string", "{at}"),
        Value::Number(_) => assert_eq!(schema["type"], "integer", "{at}"),
        Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{at}"),
        Value::Null => panic!("{at} is null, which the API server drops"),
    }
}

/// The paths of all fields of a schema.
fn known(schema: &Value, at: &str, into: &mut BTreeSet<String>) {
    for (key, field) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        assert!(field["type"].is_string(), "{at} has no type");
        assert!(field["description"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
        known(field, &at, into);
        into.insert(at);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(inner) {
            known(inner, &format!("{at}/*"), into);
        }
    }
}

/// A record with every field has the fields of the schema, with their types, and no other.
#[test]
fn the_schema_is_that_of_the_record() {
    let (spec, status) = filled();
    let object = json!({
        "spec": serde_json::to_value(&spec).unwrap(),
        "status": serde_json::to_value(&status).unwrap(),
    });
    let schema = schema();
    let (mut written, mut in_schema) = (BTreeSet::new(), BTreeSet::new());
    fields(&object, &schema, "", &mut written);
    known(&schema["properties"]["spec"], "/spec", &mut in_schema);
    known(&schema["properties"]["status"], "/status", &mut in_schema);
    in_schema.extend(["/spec".to_owned(), "/status".to_owned()]);
    assert_eq!(written, in_schema);
    assert_eq!(serde_json::from_value::<Spec>(object["spec"].clone()).unwrap(), spec);
    assert_eq!(serde_json::from_value::<Status>(object["status"].clone()).unwrap(), status);
}

/// Nothing but a wrong type makes the API server refuse a status, and nothing is dropped from it.
#[test]
fn a_status_of_another_version_is_kept() {
    fn objects(schema: &Value, at: &str, count: &mut usize) {
        for keyword in schema.as_object().unwrap().keys() {
            let harmless = [
                "type",
                "description",
                "format",
                "properties",
                "items",
                "additionalProperties",
                "x-kubernetes-preserve-unknown-fields",
            ];
            assert!(harmless.contains(&keyword.as_str()), "{at}: {keyword}");
        }
        if let Some(fields) = schema.get("properties") {
            assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], true, "{at}");
            *count += 1;
            for (name, field) in fields.as_object().unwrap() {
                objects(field, &format!("{at}/{name}"), count);
            }
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(inner) = schema.get(inner) {
                objects(inner, at, count);
            }
        }
    }
    let mut count = 0;
    objects(&schema()["properties"]["status"], "/status", &mut count);
    assert_eq!(count, 10, "objects with named fields");
}

#[test]
fn what_people_write_is_judged() {
    let spec = &schema()["properties"]["spec"];
    assert_eq!(spec["properties"]["hold"]["enum"], json!(["ClaimsGrown"]));
    assert!(spec.get("x-kubernetes-preserve-unknown-fields").is_none());
    let target = &spec["properties"]["targets"]["additionalProperties"];
    assert_eq!(target["required"], json!(["storage"]));
    let storage = &target["properties"]["storage"];
    assert!(storage["pattern"].is_string() && storage["maxLength"].is_u64(), "{storage}");
    assert_eq!(storage["x-kubernetes-validations"].as_array().unwrap().len(), 2);
    assert!(spec["properties"]["targets"]["maxProperties"].is_u64());
}

/// Only keywords of structural schemas, at every place.
#[test]
fn formats_are_those_that_the_api_server_knows() {
    let text = crd().to_string();
    for word in ["uint", "nullable", "\"null\"", "$ref", "oneOf", "anyOf", "\"default\""] {
        assert!(!text.contains(word), "{word} in {text}");
    }
}
