//! The schema that editors use, and the example in the documentation.

use std::collections::BTreeSet;

use serde_json::Value;
use stateward_core::policy::{Policy, PolicyFile};
use stateward_core::rules::RULES;

/// The example of docs/policy.md.
fn example() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policy.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Why `value` does not fit: a validator for the part of JSON Schema that ours uses, which knows
/// every keyword in it or fails.
fn check(schema: &Value, root: &Value, value: &Value) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        assert_eq!(schema, &Value::Bool(true));
        return Ok(());
    };
    let number = |of: &Value| {
        of.as_array().unwrap().iter().filter(|s| check(s, root, value).is_ok()).count()
    };
    let ensure = |fits: bool, says: String| if fits { Ok(()) } else { Err(says) };
    for (keyword, of) in keywords {
        match keyword.as_str() {
            "$defs" | "$schema" | "title" | "description" | "default" | "format" => {}
            "$ref" => {
                let target = of.as_str().unwrap().strip_prefix('#').unwrap();
                check(root.pointer(target).unwrap(), root, value)?;
            }
            "anyOf" => ensure(number(of) > 0, format!("{value} fits none"))?,
            "oneOf" => ensure(number(of) == 1, format!("{value} does not fit one"))?,
            "const" => ensure(of == value, format!("{value} is not {of}"))?,
            "enum" => {
                ensure(of.as_array().unwrap().contains(value), format!("{value} is not in {of}"))?;
            }
            "type" => {
                let names = of.as_array().map_or(std::slice::from_ref(of), Vec::as_slice);
                ensure(names.iter().any(|name| is(value, name)), format!("{value} is no {of}"))?;
            }
            "minimum" | "maximum" => {
                let bound = of.as_i64().unwrap();
                // A bound says nothing about what is no number.
                let value = value.as_i64().unwrap_or(bound);
                let fits = if keyword == "minimum" { value >= bound } else { value <= bound };
                ensure(fits, format!("{value} is beyond {bound}"))?;
            }
            "required" => {
                for key in of.as_array().unwrap() {
                    ensure(
                        value.get(key.as_str().unwrap()).is_some(),
                        format!("{key} is missing"),
                    )?;
                }
            }
            "items" => {
                for element in value.as_array().into_iter().flatten() {
                    check(of, root, element)?;
                }
            }
            "properties" => {
                for (key, schema) in of.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(schema, root, value).map_err(|fault| format!("{key}: {fault}"))?;
                    }
                }
            }
            "additionalProperties" => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (key, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(key)) {
                        ensure(of != &Value::Bool(false), format!("{key} is not known"))?;
                        if of.is_object() {
                            check(of, root, value)?;
                        }
                    }
                }
            }
            other => panic!("the schema uses {other}, which this test does not know"),
        }
    }
    Ok(())
}

fn is(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("no type {other}"),
    }
}

fn fits(policy: &str) -> Result<(), String> {
    let schema = PolicyFile::schema();
    check(&schema, &schema, &serde_saphyr::from_str(policy).unwrap())
}

#[test]
fn the_example_is_right_and_complete() {
    let example = example();
    Policy::parse(&example, "docs/policy.md").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fits(&example), Ok(()));
    let schema = PolicyFile::schema();
    let shown: Value = serde_saphyr::from_str(&example).unwrap();
    let keys = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&shown), keys(&schema["properties"]), "a key is missing at the top");
    let scopes = shown["scopes"].as_array().unwrap();
    let in_scopes = |pick: fn(&Value) -> &Value| -> BTreeSet<String> {
        scopes.iter().flat_map(|scope| keys(pick(scope))).collect()
    };
    assert_eq!(in_scopes(|scope| scope), keys(&schema["$defs"]["Scope"]["properties"]));
    assert_eq!(in_scopes(|scope| &scope["match"]), keys(&schema["$defs"]["Match"]["properties"]));
}

#[test]
fn the_schema_names_every_rule_with_its_parameters() {
    let schema = PolicyFile::schema();
    let rules = schema["$defs"]["RuleSettings"]["properties"].as_object().unwrap();
    assert_eq!(rules.len(), RULES.len());
    for entry in RULES {
        let rule = &rules[entry.meta.id];
        assert_eq!(rule["description"], entry.meta.title);
        let defaults = (entry.defaults)();
        let parameters = &rule["anyOf"][2]["properties"]["params"];
        for name in defaults.as_object().unwrap().keys() {
            assert!(parameters["properties"].get(name).is_some(), "{}: {name}", entry.meta.id);
            assert!(!name.contains(|c: char| c.is_uppercase() || c == '_'), "{name}");
        }
        let id = entry.meta.id;
        let text = format!("version: 1\nrules: {{{id}: {{action: warn, params: {defaults}}}}}\n");
        assert_eq!(fits(&text), Ok(()), "{text}");
        Policy::parse(&text, "test").unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

#[test]
fn the_schema_refuses_what_reading_refuses() {
    for policy in [
        "mode: audit\n",
        "version: 2\n",
        "version: 1\nruls: {}\n",
        "version: 1\nmode: enforced\n",
        "version: 1\nscopes: {}\n",
        "version: 1\nallow: {users: dev}\n",
        "version: 1\nrules: {sts-none: off}\n",
        "version: 1\nrules: {sts-selector: of}\n",
        "version: 1\nrules: {sts-selector: {actoin: warn}}\n",
        "version: 1\nrules: {sts-selector: {params: {a: 1}}}\n",
        "version: 1\nrules: {sts-replica-jump: {params: {max-step: x}}}\n",
        "version: 1\nrules: {sts-replica-jump: {params: {max-step: -1}}}\n",
        "version: 1\nscopes: [{match: {kinds: [Deployment]}}]\n",
        "version: 1\nhelp: {phone: '1'}\n",
    ] {
        assert!(fits(policy).is_err(), "{policy}");
        assert!(Policy::parse(policy, "test").is_err(), "{policy}");
    }
}

#[test]
fn the_command_prints_the_schema() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stateward"))
        .args(["policy", "schema"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, PolicyFile::schema());
}
