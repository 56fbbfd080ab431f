//! Every format over one report by hand, which holds each thing that a report can hold.

use serde_json::Value;
use stateward_check::report::{
    Cause, CheckReport, Checkout, Excerpt, Format, JudgedObject, Level, NotJudged, ObjectRef,
    Options, Outcome, Place, RefusedBy, ReportedFinding, render,
};
use stateward_core::rules::{RULES, Step};
use stateward_core::yaml::InputError;

const NEW: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
spec:
  replicas: 0
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      resources: {requests: {storage: \"10Gi\"}}  # smaller
";

fn object(kind: &str, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: if kind == "StatefulSet" { "apps/v1" } else { "v1" }.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// The text of a file that is known.
fn source(file: &str) -> Option<String> {
    match file {
        "deploy/db.yaml" => Some(NEW.to_owned()),
        "main:deploy/db.yaml" => {
            let before = "#\n".repeat(8);
            Some(format!("{before}      resources: {{requests: {{storage: '20Gi'}}}}\n"))
        }
        "odd ü.yaml" => Some("größe:\n\tx: 日本 # tab \u{1b}[31m\n".to_owned()),
        "long.json" => Some(format!("{{\"k\":\"{}\",\"replicas\":0}}", "ü".repeat(3000))),
        _ => None,
    }
}

fn excerpt(value: Option<&str>, file: &str, line: usize, column: usize) -> Option<Excerpt> {
    let text = source(file)?;
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let (offset, _) = text[start..].char_indices().nth(column - 1)?;
    Excerpt::new(&text, start + offset, value)
}

fn place(value: Option<&str>, file: &str, line: usize, column: usize) -> Place {
    Place {
        excerpt: excerpt(value, file, line, column),
        value: value.map(str::to_owned),
        file: file.to_owned(),
        line,
        column,
        template: None,
        missing: None,
    }
}

fn step(text: &str, command: Option<&str>) -> Step {
    Step { text: text.to_owned(), command: command.map(str::to_owned), ..Step::default() }
}

/// Old and new, refused by Kubernetes.
fn shrink() -> ReportedFinding {
    ReportedFinding {
        rule: "sts-vct-size-shrink".to_owned(),
        outcome: Outcome::Deny,
        operation: "UPDATE",
        object: object("StatefulSet", "shop", "db"),
        field: "/spec/volumeClaimTemplates/0/spec/resources/requests/storage".to_owned(),
        old: Some(place(Some("20Gi"), "main:deploy/db.yaml", 9, 39)),
        new: Some(place(Some("10Gi"), "deploy/db.yaml", 10, 39)),
        message: "StatefulSet shop/db: claim template data would shrink, 20Gi → 10Gi".to_owned(),
        why: "Claims cannot shrink: the 3 existing volumes would stay as they are.".to_owned(),
        remedy: vec![
            step("keep 20Gi in the manifest", None),
            step(
                "or copy the data over",
                Some("kubectl -n shop patch pvc data-db-0 -p '{\"a|b\":\"100%\"}'"),
            ),
        ],
        causes: vec![Cause {
            field: "spec.volumeClaimTemplates[0].spec.resources.requests.storage".to_owned(),
            message: "claim template data would shrink, 20Gi → 10Gi".to_owned(),
        }],
        refused_by: Some(RefusedBy::Kubernetes),
        help: Some("https://wiki/storage · #storage".to_owned()),
        how_to_allow: None,
        loss: None,
    }
}

/// No old side.
fn zero() -> ReportedFinding {
    ReportedFinding {
        rule: "sts-scale-to-zero".to_owned(),
        outcome: Outcome::Warn,
        operation: "CREATE",
        object: object("StatefulSet", "", "db"),
        field: "/spec/replicas".to_owned(),
        old: None,
        new: Some(place(Some("0"), "deploy/db.yaml", 6, 13)),
        message: "StatefulSet db: would be scaled to zero, 3 → 0".to_owned(),
        why: "Every pod stops.".to_owned(),
        remedy: Vec::new(),
        causes: Vec::new(),
        refused_by: None,
        help: None,
        how_to_allow: None,
        loss: None,
    }
}

/// Could not be judged; odd characters everywhere; rendered.
fn odd() -> ReportedFinding {
    ReportedFinding {
        rule: "sts-service-name".to_owned(),
        outcome: Outcome::Error,
        operation: "UPDATE",
        object: object("StatefulSet", "größe", "a|b"),
        field: "/spec/serviceName".to_owned(),
        old: Some(place(None, "rendered, \u{1b}[31mold", 1, 1)),
        new: Some(Place {
            template: Some("chart/templates/db:1.yaml".to_owned()),
            ..place(Some("日本"), "odd ü.yaml", 2, 6)
        }),
        message: "StatefulSet größe/a|b: `100%` of <b> @team \u{1b}[31m#7".to_owned(),
        why: "a_b*c\r\nsecond".to_owned(),
        remedy: vec![step("run ```this```", Some("echo '```' | cat\necho 2"))],
        causes: Vec::new(),
        refused_by: None,
        help: None,
        how_to_allow: None,
        loss: None,
    }
}

fn report() -> CheckReport {
    let judged = |object, file: &str, line| JudgedObject {
        system: None,
        operation: "UPDATE",
        object,
        file: file.to_owned(),
        line,
        exemption: None,
        allowed: Vec::new(),
        allow_faults: Vec::new(),
        exemption_reason: None,
    };
    let mut long = zero();
    long.new = Some(place(Some("0"), "long.json", 1, 3020));
    CheckReport::new(
        vec![
            judged(object("StatefulSet", "shop", "db"), "deploy/db.yaml", 1),
            judged(object("PersistentVolumeClaim", "shop", "data-db-0"), "deploy/db.yaml", 12),
            judged(object("StatefulSet", "größe", "a|b"), "odd ü.yaml", 1),
        ],
        2,
        vec![odd(), long, shrink(), zero()],
        vec![NotJudged {
            rule: "sts-shared-pvc".to_owned(),
            object: object("StatefulSet", "shop", "db"),
            needs: "PersistentVolumeClaim shop/data".to_owned(),
            file: "deploy/db.yaml".to_owned(),
            line: 1,
            template: None,
        }],
        vec![
            InputError {
                file: "deploy/z.yaml".to_owned(),
                line: 3,
                column: 7,
                message: "mapping values are not allowed here: 50%, no | no".to_owned(),
            },
            InputError {
                file: "gone".to_owned(),
                line: 0,
                column: 0,
                message: "no such file or directory".to_owned(),
            },
        ],
    )
}

fn clean() -> CheckReport {
    let mut report = report();
    report.judged.truncate(1);
    CheckReport::new(report.judged, 0, Vec::new(), Vec::new(), Vec::new())
}

fn verbose() -> Options {
    Options { verbose: true, ..Options::default() }
}

fn rendered(format: Format, report: &CheckReport, options: &Options) -> String {
    render(format, report, options).unwrap()
}

#[test]
fn text() {
    insta::assert_snapshot!(rendered(Format::Text, &report(), &verbose()));
}

#[test]
fn text_in_colours() {
    let options = Options { color: true, ..Options::default() };
    let coloured = rendered(Format::Text, &report(), &options);
    assert!(coloured.contains("\u{1b}[1m"), "no style");
    let plain = rendered(Format::Text, &report(), &Options::default());
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    assert!(!plain.contains('\u{1b}'), "an escape of the input reaches the terminal");
    assert!(!coloured.contains("\u{1b}[31m"), "an escape of the input reaches the terminal");
}

#[test]
fn text_counts_what_was_judged_if_nothing_was_found() {
    assert_eq!(
        rendered(Format::Text, &clean(), &Options::default()),
        "1 object judged: nothing found\n"
    );
    assert_eq!(
        rendered(Format::Text, &clean(), &verbose()),
        "judged: UPDATE StatefulSet shop/db (deploy/db.yaml:1)\n1 object judged: nothing found\n"
    );
}

#[test]
fn text_says_where_nothing_was_judged() {
    let mut unjudged = report().not_judged;
    let nothing = CheckReport::new(Vec::new(), 2, Vec::new(), Vec::new(), Vec::new());
    assert_eq!(
        rendered(Format::Text, &nothing, &Options::default()),
        "no StatefulSet or PersistentVolumeClaim to judge; 2 documents skipped\n"
    );
    unjudged.truncate(1);
    let partly = CheckReport::new(clean().judged, 0, Vec::new(), unjudged, Vec::new());
    assert_eq!(
        rendered(Format::Text, &partly, &Options::default()),
        "not judged: StatefulSet shop/db (deploy/db.yaml:1): sts-shared-pvc needs \
         PersistentVolumeClaim shop/data\n1 object judged: nothing found; 1 not judged\n"
    );
    let numbered =
        |line| NotJudged { file: format!("{line}.yaml"), ..partly.not_judged[0].clone() };
    let many = (0..12).map(numbered).collect();
    let mostly = CheckReport::new(clean().judged, 0, Vec::new(), many, Vec::new());
    let short = rendered(Format::Text, &mostly, &Options::default());
    assert_eq!(short.matches("sts-shared-pvc").count(), 10);
    assert!(short.contains("not judged: 2 more, which --verbose lists\n"), "{short}");
    assert_eq!(rendered(Format::Text, &mostly, &verbose()).matches("sts-shared-pvc").count(), 12);
}

#[test]
fn text_labels_what_a_mark_does_not_show() {
    let label = |value: Option<&str>, missing: Option<&str>| {
        let mut finding = zero();
        finding.new = Some(Place {
            missing: missing.map(str::to_owned),
            ..place(value, "deploy/db.yaml", 6, 13)
        });
        finding.outcome = Outcome::Deny;
        let report = CheckReport::new(Vec::new(), 0, vec![finding], Vec::new(), Vec::new());
        let text = rendered(Format::Text, &report, &Options::default());
        let line = text.lines().find(|line| line.contains('^')).unwrap();
        line.rsplit('^').next().unwrap().trim().to_owned()
    };
    assert_eq!(label(Some("0"), None), "");
    assert_eq!(label(None, None), "");
    assert_eq!(label(Some("none"), None), "none");
    assert_eq!(label(None, Some("image")), "image not set");
    assert_eq!(label(Some("1"), Some("replicas")), "replicas not set, which means 1");
    assert_eq!(label(Some(&"x".repeat(100)), None), "", "too long");
}

#[test]
fn findings_stand_by_file_then_line() {
    let places: Vec<(String, usize)> = report()
        .findings
        .iter()
        .map(|f| f.place().map(|p| (p.file.clone(), p.line)).unwrap())
        .collect();
    let expected =
        [("deploy/db.yaml", 6), ("deploy/db.yaml", 10), ("long.json", 1), ("odd ü.yaml", 2)];
    assert_eq!(places, expected.map(|(file, line)| (file.to_owned(), line)));
}

#[test]
fn json() {
    let text = rendered(Format::Json, &report(), &Options::default());
    let value: Value = serde_json::from_str(&text).unwrap();
    for key in ["version", "findings", "notJudged", "errors", "summary"] {
        assert!(value.get(key).is_some(), "{key} is missing");
    }
    assert_eq!(value["findings"][0]["old"], Value::Null);
    assert_eq!(value["findings"][1]["refusedBy"], "kubernetes");
    insta::assert_snapshot!(text);
}

#[test]
fn sarif() {
    let text = rendered(Format::Sarif, &report(), &Options::default());
    let mut log: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &mut log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), RULES.len());
    for (rule, entry) in rules.iter().zip(RULES) {
        assert_eq!(rule["id"], entry.meta.id);
        assert!(rule["help"]["text"].as_str().unwrap().contains("## Why\n"), "{rule}");
        assert!(
            ["error", "warning"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap())
        );
    }
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let location = &result["locations"][0]["physicalLocation"];
        let uri = location["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.is_ascii() && !uri.contains([' ', ':']), "{uri}");
        if let Some(region) = location.get("region") {
            assert!(region["startLine"].as_u64() >= Some(1));
            assert!(region["endColumn"].as_u64() > region["startColumn"].as_u64());
        }
    }
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    // The rules have tests of their own; here only their number would churn.
    run["tool"]["driver"]["rules"] = Value::Null;
    for result in run["results"].as_array_mut().unwrap() {
        result["ruleIndex"] = Value::Null;
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&log).unwrap());
}

#[test]
fn sarif_fingerprints_survive_moved_lines_and_differ() {
    let fingerprints = |findings: Vec<ReportedFinding>| -> Vec<String> {
        let report = CheckReport::new(Vec::new(), 0, findings, Vec::new(), Vec::new());
        let text = rendered(Format::Sarif, &report, &Options::default());
        let log: Value = serde_json::from_str(&text).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|r| r["partialFingerprints"]["stateward/v1"].to_string()).collect()
    };
    let mut moved = zero();
    moved.new.as_mut().unwrap().line += 1;
    let before = fingerprints(vec![zero(), shrink()]);
    assert_eq!(fingerprints(vec![moved, shrink()]), before);
    assert_ne!(before[0], before[1]);
    let twice = fingerprints(vec![zero(), zero()]);
    assert_ne!(twice[0], twice[1]);
}

#[test]
fn junit() {
    let text = rendered(Format::Junit, &report(), &Options::default());
    let parsed = quick_junit::Report::deserialize_from_str(&text).unwrap();
    let counts = |report: &quick_junit::Report| {
        (report.tests, report.failures, report.errors, report.skipped)
    };
    // Four findings, one object without any, two unreadable inputs, one not judged.
    assert_eq!(counts(&parsed), (8, 1, 3, 1));
    let strict = Options { fail_at: Level::Warning, ..Options::default() };
    let strict = rendered(Format::Junit, &report(), &strict);
    let strict = quick_junit::Report::deserialize_from_str(&strict).unwrap();
    assert_eq!(counts(&strict), (8, 3, 3, 1));
    insta::assert_snapshot!(text);
}

#[test]
fn github() {
    let text = rendered(Format::Github, &report(), &verbose());
    for line in text.lines() {
        assert!(
            line.starts_with("::error ")
                || line.starts_with("::warning ")
                || line.starts_with("::notice "),
            "{line}"
        );
    }
    insta::assert_snapshot!(text);
    assert_eq!(rendered(Format::Github, &clean(), &Options::default()), "");
}

#[test]
fn code_hosts_are_told_paths_from_the_root_of_the_repository() {
    let checkout = Checkout {
        root: "/src/repo".into(),
        folder: "apps/shop".into(),
        revision: Some("main".to_owned()),
    };
    let options = Options {
        checkout: Some(checkout),
        link_base: Some("https://git.example/o/r/blob/main".to_owned()),
        ..Options::default()
    };
    let annotations = rendered(Format::Github, &report(), &options);
    assert!(
        annotations.contains("::error file=apps/shop/deploy/db.yaml,line=10,"),
        "{annotations}"
    );
    let template = "::error file=apps/shop/chart/templates/db%3A1.yaml,";
    assert!(annotations.contains(template), "{annotations}");
    let markdown = rendered(Format::Markdown, &report(), &options);
    assert!(markdown.contains("/blob/main/apps/shop/deploy/db.yaml#L10)"), "{markdown}");
    let log = rendered(Format::Sarif, &report(), &options);
    let log: Value = serde_json::from_str(&log).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let shrinks = results.iter().find(|r| r["ruleId"] == "sts-vct-size-shrink").unwrap();
    let uri = |location: &Value| location["physicalLocation"]["artifactLocation"]["uri"].clone();
    assert_eq!(uri(&shrinks["locations"][0]), "apps/shop/deploy/db.yaml");
    assert_eq!(uri(&shrinks["relatedLocations"][0]), "main%3Aapps/shop/deploy/db.yaml");
}

#[test]
fn markdown() {
    let base = Some("https://git.example/o/r/blob/main/".to_owned());
    let options = Options { link_base: base, ..Options::default() };
    insta::assert_snapshot!(rendered(Format::Markdown, &report(), &options));
    assert_eq!(
        rendered(Format::Markdown, &clean(), &Options::default()),
        "**stateward**: 1 object judged: nothing found\n"
    );
}

#[test]
fn markdown_fits_in_a_comment() {
    let many: Vec<ReportedFinding> = (0..2_000)
        .map(|number| {
            let mut finding = if number % 2 == 0 { zero() } else { shrink() };
            finding.message = format!("{} number {number}", finding.message);
            finding
        })
        .collect();
    let report = CheckReport::new(Vec::new(), 0, many, Vec::new(), Vec::new());
    let text = rendered(Format::Markdown, &report, &Options::default());
    assert!(text.len() <= 65_000, "{} bytes", text.len());
    let rows = text.lines().filter(|line| line.starts_with("| denied")).count();
    assert!(rows > 100, "{rows} rows");
    assert!(!text.contains("| warning"), "the worst come first");
    assert!(text.contains(&format!("leaves out {} findings", 2_000 - rows)));
    let folded = text.lines().filter(|line| line.starts_with("<details>")).count();
    assert!(folded > 5, "{folded} details");
    assert_eq!(text.matches("</details>").count(), folded);
    assert!(text.contains(&format!("The details of {} findings", 2_000 - folded)));
}
