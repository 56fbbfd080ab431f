//! Everyday edits of real manifests, and edits that lose their data.

use std::path::Path;

use serde_json::{Value, json};

use super::{Said, judge_sets, said};

/// Sets of real manifests that mount claims.
fn sets() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/manifests");
    let mut sets = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            if object["kind"] == "StatefulSet" && !object["spec"]["volumeClaimTemplates"].is_null()
            {
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                sets.push((name, object));
            }
        }
    }
    assert!(sets.len() >= 7, "{}", sets.len());
    sets
}

fn containers(set: &mut Value) -> &mut Vec<Value> {
    set["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap()
}

fn push(value: &mut Value, list: &str, element: Value) {
    match value[list].as_array_mut() {
        Some(list) => list.push(element),
        None => value[list] = json!([element]),
    }
}

fn each(set: &mut Value, edit: impl Fn(&mut Value)) {
    containers(set).iter_mut().for_each(edit);
}

fn add_volume(set: &mut Value, name: &str, kind: &str, source: &Value) {
    push(&mut set["spec"]["template"]["spec"], "volumes", json!({"name": name, kind: source}));
}

type Edit = (&'static str, fn(&mut Value));

const EVERYDAY: &[Edit] = &[
    ("another tag", |set| {
        each(set, |c| {
            let image = c["image"].as_str().unwrap_or_default().to_owned();
            let image = image.split_once('@').map_or(image.clone(), |(image, _)| image.to_owned());
            let name = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
            c["image"] = json!(format!("{}:99", name.map_or(&*image, |(name, _)| name)));
        });
    }),
    ("a mirror", |set| {
        each(set, |c| {
            let image =
                c["image"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
            c["image"] = json!(format!("mirror.example:5000/cache/{image}"));
        });
    }),
    ("a variable", |set| each(set, |c| push(c, "env", json!({"name": "TZ", "value": "UTC"})))),
    ("an argument", |set| each(set, |c| push(c, "args", json!("--quiet")))),
    ("a log folder", |set| {
        each(set, |c| push(c, "env", json!({"name": "LOG_DIR", "value": "/tmp/log"})));
    }),
    ("resources", |set| each(set, |c| c["resources"] = json!({"limits": {"memory": "1Gi"}}))),
    ("another order of mounts", |set| {
        each(set, |c| {
            if let Some(mounts) = c["volumeMounts"].as_array_mut() {
                mounts.reverse();
            }
        });
    }),
    ("another order of containers", |set| containers(set).reverse()),
    ("other names", |set| {
        each(set, |c| c["name"] = json!(format!("{}-x", c["name"].as_str().unwrap_or_default())));
    }),
    ("paths with a slash", |set| {
        each(set, |c| {
            for mount in c["volumeMounts"].as_array_mut().into_iter().flatten() {
                mount["mountPath"] =
                    json!(format!("{}//", mount["mountPath"].as_str().unwrap_or_default()));
            }
        });
    }),
    ("an exporter", |set| {
        containers(set)
            .insert(0, json!({"name": "metrics", "image": "exporter", "args": ["--path=/x"]}));
    }),
    ("a backup", |set| {
        let mounts = containers(set).iter().find_map(|c| c["volumeMounts"].get(0));
        let mut mounts: Vec<Value> = mounts.cloned().into_iter().collect();
        for mount in &mut mounts {
            mount["readOnly"] = json!(true);
        }
        containers(set).push(json!({"name": "backup", "image": "restic", "volumeMounts": mounts}));
    }),
    ("scratch space", |set| {
        add_volume(set, "scratch-x", "emptyDir", &json!({}));
        each(set, |c| push(c, "volumeMounts", json!({"name": "scratch-x", "mountPath": "/tmp/x"})));
    }),
    ("a file of configuration beside the data", |set| {
        add_volume(set, "config-x", "configMap", &json!({"name": "c"}));
        each(set, |c| {
            let path = c["volumeMounts"][0]["mountPath"].as_str().unwrap_or_default();
            let mount =
                json!({"name": "config-x", "mountPath": format!("{path}/x.conf"), "subPath": "x"});
            push(c, "volumeMounts", mount);
        });
    }),
    // Redis writes to the folder in which it starts.
    ("a working directory", |set| {
        each(set, |c| {
            if c["workingDir"].is_null()
                && !c["image"].as_str().is_some_and(|i| i.contains("redis"))
            {
                c["workingDir"] = json!("/");
            }
        });
    }),
];

/// Names of the claim templates of a set.
fn templates(set: &Value) -> Vec<Value> {
    let all = set["spec"]["volumeClaimTemplates"].as_array().unwrap();
    all.iter().map(|template| template["metadata"]["name"].clone()).collect()
}

#[test]
fn everyday_edits_of_real_sets_are_no_loss() {
    let mut wrong = Vec::new();
    for (name, old) in sets() {
        for (edit, apply) in EVERYDAY {
            let mut new = old.clone();
            apply(&mut new);
            for (way, old, new) in [("", &old, &new), (" undone", &new, &old)] {
                let findings = judge_sets(old, new);
                if !findings.is_empty() {
                    let told: Vec<_> = findings.iter().map(|finding| &finding.what).collect();
                    wrong.push(format!("{name}: {edit}{way}: {told:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mounts_of_real_sets_that_leave_are_a_loss() {
    let losses: &[Edit] = &[
        ("unmounted", |set| {
            let templates = templates(set);
            each(set, |c| {
                if let Some(mounts) = c["volumeMounts"].as_array_mut() {
                    mounts.retain(|mount| !templates.contains(&mount["name"]));
                }
            });
        }),
        ("an emptyDir instead", |set| {
            let templates = templates(set);
            add_volume(set, "empty-x", "emptyDir", &json!({}));
            each(set, |c| {
                for mount in c["volumeMounts"].as_array_mut().into_iter().flatten() {
                    if templates.contains(&mount["name"]) {
                        mount["name"] = json!("empty-x");
                    }
                }
            });
        }),
        ("another folder", |set| {
            let templates = templates(set);
            each(set, |c| {
                for mount in c["volumeMounts"].as_array_mut().into_iter().flatten() {
                    if templates.contains(&mount["name"]) {
                        mount["subPath"] = json!("unheard-of");
                    }
                }
            });
        }),
    ];
    for (name, old) in sets() {
        let templates = templates(&old);
        let mounts = old["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
        let mut mounts = mounts.flat_map(|c| c["volumeMounts"].as_array().into_iter().flatten());
        if !mounts.any(|mount| templates.contains(&mount["name"]) && mount["readOnly"] != true) {
            continue;
        }
        for (edit, apply) in losses {
            let mut new = old.clone();
            apply(&mut new);
            assert_eq!(said(&judge_sets(&old, &new)), Said::Denied, "{name}: {edit}");
        }
    }
}
