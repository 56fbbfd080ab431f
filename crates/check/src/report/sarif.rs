//! SARIF 2.1.0, for code scanning.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use stateward_core::rules::{self, Action, Meta};

use super::{
    Check, CheckReport, InputError, NoticeLevel, ObjectRef, Options, Place, RenderError,
    ReportedFinding, Subject,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    /// Ours count characters; the default counts UTF-16 units.
    column_kind: &'static str,
    invocations: [Invocation; 1],
    results: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    information_uri: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_description: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<Help>,
    default_configuration: Configuration,
    #[serde(skip_serializing_if = "Value::is_null")]
    properties: Value,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
struct Help {
    text: String,
    markdown: String,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    tool_execution_notifications: Vec<Notification>,
}

/// What is said about the run and not about a manifest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    level: &'static str,
    message: Text,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    associated_rule: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    rule_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: &'static str,
    message: Text,
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location>,
    partial_fingerprints: BTreeMap<&'static str, String>,
    properties: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u8>,
    #[serde(rename = "physicalLocation", skip_serializing_if = "Option::is_none")]
    physical: Option<PhysicalLocation>,
    #[serde(rename = "logicalLocations", skip_serializing_if = "Vec::is_empty")]
    logical: Vec<LogicalLocation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text>,
}

/// Where something is that is in no file: an object of a cluster.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
}

/// The report as SARIF.
///
/// # Errors
/// The serialiser failed; no report is known that makes it fail.
pub fn render(report: &CheckReport, options: &Options) -> Result<String, RenderError> {
    let mut notifications: Vec<Notification> =
        report.errors.iter().map(|error| unreadable(error, options)).collect();
    notifications.extend(report.notices.iter().map(|notice| Notification {
        level: match notice.level {
            NoticeLevel::Warning => "warning",
            NoticeLevel::Note => "note",
        },
        ..unreadable(&notice.input, options)
    }));
    notifications.extend(report.not_judged.iter().map(|not| Notification {
        level: "note",
        message: text(format!("{} was not judged: needs {}", not.object, not.needs)),
        locations: not.place().iter().map(|place| location(place, options)).collect(),
        associated_rule: (!not.rule.is_empty()).then(|| json!({"id": not.rule})),
    }));
    let mut seen = BTreeMap::new();
    let rules: Vec<Descriptor> = match report.subject {
        Subject::Manifests => rules::RULES.iter().map(|entry| descriptor(entry.meta)).collect(),
        Subject::Cluster { checks, .. } => checks.iter().map(check).collect(),
    };
    let places: HashMap<&str, usize> =
        rules.iter().enumerate().map(|(place, rule)| (rule.id, place)).collect();
    let results: Vec<Finding<'_>> = report
        .findings
        .iter()
        .map(|finding| result(finding, places.get(&*finding.rule).copied(), options, &mut seen))
        .collect();
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "stateward",
                    semantic_version: env!("CARGO_PKG_VERSION"),
                    information_uri: env!("CARGO_PKG_REPOSITORY"),
                    rules,
                },
            },
            column_kind: "unicodeCodePoints",
            invocations: [Invocation {
                execution_successful: report.errors.is_empty(),
                tool_execution_notifications: notifications,
            }],
            results,
        }],
    };
    let mut json = serde_json::to_string_pretty(&log)?;
    json.push('\n');
    Ok(json)
}

fn descriptor(meta: &'static Meta) -> Descriptor {
    let docs = meta.docs.lines().map(|line| line.strip_prefix(' ').unwrap_or(line));
    let docs = docs.collect::<Vec<_>>().join("\n");
    let first = docs.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    Descriptor {
        id: meta.id,
        short_description: text(meta.title),
        full_description: Some(text(first)),
        help: Some(Help { text: docs.clone(), markdown: docs }),
        default_configuration: Configuration {
            level: match meta.default_action(false) {
                Action::Deny => "error",
                Action::Warn => "warning",
                Action::Off => "none",
            },
        },
        properties: json!({"tags": [meta.group.name()]}),
    }
}

fn check(check: &Check) -> Descriptor {
    Descriptor {
        id: check.id,
        short_description: text(check.title),
        full_description: None,
        help: None,
        default_configuration: Configuration { level: check.severity.level().name() },
        properties: Value::Null,
    }
}

fn result<'a>(
    finding: &'a ReportedFinding,
    rule_index: Option<usize>,
    options: &Options,
    seen: &mut BTreeMap<u64, u32>,
) -> Finding<'a> {
    let (at, before) = match (&finding.new, &finding.old) {
        (Some(new), old) => (Some(new), old.as_ref()),
        (None, old) => (old.as_ref(), None),
    };
    Finding {
        rule_id: &finding.rule,
        rule_index,
        level: finding.outcome.level().name(),
        message: text(finding.prose()),
        locations: vec![match at {
            Some(place) => current_location(place, options),
            None => logical_location(&finding.object),
        }],
        related_locations: before
            .map(|place| Location {
                id: Some(1),
                message: Some(text("old")),
                ..location(place, options)
            })
            .into_iter()
            .collect(),
        partial_fingerprints: BTreeMap::from([(
            "stateward/v1",
            fingerprint(finding, options, seen),
        )]),
        properties: if finding.operation.is_empty() {
            json!({"severity": finding.outcome.severity(), "object": finding.object})
        } else {
            json!({
                "operation": finding.operation,
                "object": finding.object,
                "field": finding.field,
                "refusedBy": finding.refused_by,
            })
        },
    }
}

fn unreadable(error: &InputError, options: &Options) -> Notification {
    Notification {
        level: "error",
        message: text(error.message.as_str()),
        // A place of the old revision is no place of a file that is there now.
        locations: Some(Place::from(error))
            .filter(|place| !options.is_of_old_revision(place))
            .map(|place| location(&place, options))
            .into_iter()
            .collect(),
        associated_rule: None,
    }
}

/// Where a finding is shown: for a place of the old revision, the file alone, which has other lines
/// now or is deleted.
fn current_location(place: &Place, options: &Options) -> Location {
    let mut location = location(place, options);
    if options.is_of_old_revision(place) {
        let file = options.hosted_file(place);
        let path = file.split_once(':').map_or(file.as_str(), |(_, path)| path);
        let artifact_location = ArtifactLocation { uri: uri(path) };
        location.physical = Some(PhysicalLocation { artifact_location, region: None });
    }
    location
}

fn logical_location(object: &ObjectRef) -> Location {
    let ObjectRef { kind, namespace, name, .. } = object;
    let parts = [namespace, kind, name].map(|part| percent_encode(part).replace('/', "%2F"));
    let object = LogicalLocation {
        name: name.clone(),
        fully_qualified_name: parts.join("/"),
        kind: "resource",
    };
    Location { id: None, physical: None, logical: vec![object], message: None }
}

fn location(place: &Place, options: &Options) -> Location {
    let region = place.shown_position().map(|(start_line, start_column)| Region {
        start_line,
        start_column,
        end_column: place.excerpt.as_ref().map(|excerpt| start_column + excerpt.chars),
    });
    Location {
        id: None,
        physical: Some(PhysicalLocation {
            artifact_location: ArtifactLocation { uri: uri(&options.hosted_file(place)) },
            region,
        }),
        logical: Vec::new(),
        message: None,
    }
}

fn uri(file: &str) -> String {
    let scheme = if file.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{}", percent_encode(file))
}

/// A path as part of a URI. A colon is escaped too: `main:db.yaml` is no scheme.
pub(super) fn percent_encode(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Names a finding whatever line it stands on, so that an edit above does not make it a new one.
fn fingerprint(
    finding: &ReportedFinding,
    options: &Options,
    seen: &mut BTreeMap<u64, u32>,
) -> String {
    let object = &finding.object;
    let file = finding.place().map(|place| options.hosted_file(place)).unwrap_or_default();
    let parts = [
        finding.rule.as_str(),
        &file,
        &object.api_version,
        &object.kind,
        &object.namespace,
        &object.name,
        &finding.field,
    ];
    let hash = fnv1a(parts.join("\0").as_bytes());
    let same = seen.entry(hash).or_default();
    *same += 1;
    format!("{hash:016x}:{same}")
}

/// FNV-1a: the same in every release, which the standard library does not promise of its hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn text(text: impl Into<String>) -> Text {
    Text { text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_published() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn names_files_as_uris() {
        assert_eq!(uri("a b/ü.yaml"), "a%20b/%C3%BC.yaml");
        assert_eq!(uri("main:db.yaml"), "main%3Adb.yaml");
        assert_eq!(uri("/tmp/a"), "file:///tmp/a");
    }
}
