//! The alerts, by the real promtool: each fires where it should and stays silent where it should.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Rules, and the cases that they are tested by.
const FILES: [(&str, &str); 2] = [
    ("charts/stateward/files/alerts.yaml", "tests/alerts/cases.yaml"),
    ("charts/stateward/files/alerts-resize.yaml", "tests/alerts/resize-cases.yaml"),
];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("promtool is needed for this test: apt-get install -y prometheus");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}

#[test]
fn promtool_accepts_the_rules() {
    for (rules, _) in FILES {
        promtool(&["check", "rules", rules]);
    }
}

#[test]
fn alerts_fire_when_their_condition_holds() {
    for (_, cases) in FILES {
        promtool(&["test", "rules", cases]);
    }
}

/// The anchor that a code host makes of a headline.
fn anchor(headline: &str) -> String {
    let kept = headline.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn each_alert_is_tested_explained_and_names_the_way_out() {
    for (rules, cases) in FILES {
        explained(rules, cases);
    }
}

fn explained(file: &str, cases_file: &str) {
    let rules: Value = serde_saphyr::from_str(&read(file)).unwrap();
    let cases: Value = serde_saphyr::from_str(&read(cases_file)).unwrap();
    let fired: Vec<&Value> = cases["tests"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|case| case["promql_expr_test"][0]["exp_samples"].as_array().unwrap())
        .collect();
    let runbook = read("docs/runbook.md");
    let anchors: Vec<String> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let mut count = 0;
    for group in rules["groups"].as_array().unwrap() {
        for alert in group["rules"].as_array().unwrap() {
            let name = alert["alert"].as_str().unwrap();
            let quoted = format!("alertname=\"{name}\"");
            let tested = fired.iter().any(|one| one["labels"].as_str().unwrap().contains(&quoted));
            assert!(tested, "{name} fires in no case of {cases_file}");
            let annotations = &alert["annotations"];
            for key in ["summary", "description"] {
                assert!(annotations[key].is_string(), "{name} has no {key}");
            }
            let way_out = annotations["break_glass"].as_str().unwrap_or_default();
            assert!(way_out.contains("stateward.dev/disabled-until"), "{name}: {way_out}");
            let url = annotations["runbook_url"].as_str().unwrap_or_default();
            let (page, at) = url.split_once('#').unwrap();
            assert!(page.ends_with("/docs/runbook.md"), "{name}: {url}");
            assert!(anchors.iter().any(|anchor| anchor == at), "{name}: no {at} in {anchors:?}");
            assert!(runbook.contains(&format!("`{name}`")), "{name} is not in the runbook");
            count += 1;
        }
    }
    assert!(count > 5, "only {count} alerts were found in {file}");
}
