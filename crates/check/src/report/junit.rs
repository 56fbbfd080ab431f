//! JUnit XML: one suite per file, or per namespace of a cluster; one case per finding, and one per object
//! without any.

use std::collections::{BTreeMap, BTreeSet};

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::not_judged;
use super::{CheckReport, InputError, ObjectRef, Options, Outcome, RenderError, ReportedFinding};

/// The suite of what belongs to no file and no namespace.
const NO_FILE: &str = "stateward";

fn suite<'r>(file: &'r str, object: &'r ObjectRef) -> &'r str {
    [file, &object.namespace].into_iter().find(|name| !name.is_empty()).unwrap_or(NO_FILE)
}

/// The report as JUnit XML.
///
/// # Errors
/// The serialiser failed.
pub fn render(report: &CheckReport, options: &Options) -> Result<String, RenderError> {
    let mut suites: BTreeMap<&str, Vec<TestCase>> = BTreeMap::new();
    let mut faulty = BTreeSet::new();
    for finding in &report.findings {
        let file = finding.place().map_or("", |place| place.file.as_str());
        faulty.insert((file, finding.object.to_string()));
        suites.entry(suite(file, &finding.object)).or_default().push(found(finding, options));
    }
    for judged in &report.judged {
        let name = judged.object.to_string();
        if !faulty.contains(&(judged.file.as_str(), name.clone())) {
            let case = case(name, "judged", TestCaseStatus::success());
            suites.entry(suite(&judged.file, &judged.object)).or_default().push(case);
        }
    }
    for error in &report.errors {
        suites.entry(&error.file).or_default().push(unreadable(error));
    }
    let not_judged = not_judged::by_object(&report.not_judged);
    for not in &not_judged {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("not judged: {}", not.reason()));
        let case = case(not.object().to_string(), "not judged", status);
        suites.entry(suite(not.file(), not.object())).or_default().push(case);
    }
    let mut document = quick_junit::Report::new(format!("stateward {}", report.subject.command()));
    for (file, cases) in suites {
        let mut suite = TestSuite::new(file);
        suite.add_test_cases(cases);
        document.add_test_suite(suite);
    }
    let mut text = document.to_string()?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn found(finding: &ReportedFinding, options: &Options) -> TestCase {
    let name = if finding.rule.is_empty() {
        finding.object.to_string()
    } else {
        format!("{}: {}", finding.rule, finding.object)
    };
    let mut text = finding.prose();
    if let Some(place) = finding.place() {
        let at = format!("{}:{}:{}", place.file, place.line, place.column);
        text = format!("{at}: {}: {text}", finding.outcome.severity());
    }
    if finding.outcome.level() > options.fail_at {
        let mut case = case(name, &finding.rule, TestCaseStatus::success());
        case.set_system_out(text);
        return case;
    }
    let failed = match finding.outcome {
        Outcome::Error => NonSuccessKind::Error,
        _ => NonSuccessKind::Failure,
    };
    let mut status = TestCaseStatus::non_success(failed);
    status
        .set_message(finding.message.as_str())
        .set_type(finding.outcome.severity())
        .set_description(text);
    case(name, &finding.rule, status)
}

fn unreadable(error: &InputError) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(error.message.as_str()).set_type("error").set_description(error.to_string());
    case(error.file.as_str(), "input", status)
}

fn case(name: impl Into<quick_junit::XmlString>, class: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}
