//! SARIF 2.1.0, for code scanning.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use stateward_core::rules::{self, Action, Meta};

use super::{
    CheckReport, InputError, NoticeLevel, Options, Outcome, Place, RenderError, ReportedFinding,
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
    full_description: Text,
    help: Help,
    default_configuration: Configuration,
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
    #[serde(rename = "physicalLocation")]
    physical: PhysicalLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text>,
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
        locations: vec![location(&not.place(), options)],
        associated_rule: Some(json!({"id": not.rule})),
    }));
    let mut seen = BTreeMap::new();
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: "stateward",
                    semantic_version: env!("CARGO_PKG_VERSION"),
                    information_uri: env!("CARGO_PKG_REPOSITORY"),
                    rules: rules::RULES.iter().map(|entry| descriptor(entry.meta)).collect(),
                },
            },
            column_kind: "unicodeCodePoints",
            invocations: [Invocation {
                execution_successful: report.errors.is_empty(),
                tool_execution_notifications: notifications,
            }],
            results: report
                .findings
                .iter()
                .map(|finding| result(finding, options, &mut seen))
                .collect(),
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
        full_description: text(first),
        help: Help { text: docs.clone(), markdown: docs },
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

fn result<'a>(
    finding: &'a ReportedFinding,
    options: &Options,
    seen: &mut BTreeMap<u64, u32>,
) -> Finding<'a> {
    let (at, before) = match (&finding.new, &finding.old) {
        (Some(new), old) => (Some(new), old.as_ref()),
        (None, old) => (old.as_ref(), None),
    };
    Finding {
        rule_id: &finding.rule,
        rule_index: rules::RULES.iter().position(|entry| entry.meta.id == finding.rule),
        level: match finding.outcome {
            Outcome::Deny | Outcome::Error => "error",
            Outcome::Warn => "warning",
        },
        message: text(finding.prose()),
        locations: at.map(|place| current_location(place, options)).into_iter().collect(),
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
        properties: json!({
            "operation": finding.operation,
            "object": finding.object,
            "field": finding.field,
            "refusedBy": finding.refused_by,
        }),
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
        location.physical.artifact_location.uri = uri(path);
        location.physical.region = None;
    }
    location
}

fn location(place: &Place, options: &Options) -> Location {
    let region = place.shown_position().map(|(start_line, start_column)| Region {
        start_line,
        start_column,
        end_column: place.excerpt.as_ref().map(|excerpt| start_column + excerpt.chars),
    });
    Location {
        id: None,
        physical: PhysicalLocation {
            artifact_location: ArtifactLocation { uri: uri(&options.hosted_file(place)) },
            region,
        },
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
