//! GitHub's workflow commands: a line each, shown beside the lines of a pull request.

use super::{CheckReport, NoticeLevel, Options, Outcome, Place, printable};

/// The report as workflow commands; empty where everything was judged and nothing found.
pub fn render(report: &CheckReport, options: &Options) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let command = match finding.outcome {
            Outcome::Deny | Outcome::Error => "error",
            Outcome::Warn => "warning",
        };
        let mut properties = finding.place().map(|at| place(at, options)).unwrap_or_default();
        let title = format!("{} {}", finding.outcome.severity(), finding.rule);
        properties.push(("title", title.trim_end().to_owned()));
        text.push_str(&line(command, &properties, &finding.prose()));
    }
    for error in &report.errors {
        let mut properties = place(&Place::from(error), options);
        properties.push(("title", "error".to_owned()));
        text.push_str(&line("error", &properties, &error.message));
    }
    for notice in report.notices.iter().filter(|notice| notice.level == NoticeLevel::Warning) {
        let properties = place(&Place::from(&notice.input), options);
        text.push_str(&line("warning", &properties, &notice.input.message));
    }
    for not in &report.not_judged {
        let properties = [("title", format!("not judged: {}", not.rule))];
        text.push_str(&line("notice", &properties, &not.notice()));
    }
    for removed in &report.removed {
        let properties = [("title", "removed".to_owned())];
        text.push_str(&line("notice", &properties, &removed.removal_notice()));
    }
    text
}

fn place(place: &Place, options: &Options) -> Vec<(&'static str, String)> {
    // GitHub matches the path with the changed files as it stands.
    let mut properties = vec![("file", options.hosted_file(place))];
    if let Some((line, column)) = place.shown_position() {
        properties.push(("line", line.to_string()));
        properties.push(("col", column.to_string()));
    }
    properties
}

fn line(command: &str, properties: &[(&str, String)], message: &str) -> String {
    let properties: Vec<String> = properties
        .iter()
        .map(|(key, value)| {
            format!("{key}={}", data(value).replace(':', "%3A").replace(',', "%2C"))
        })
        .collect();
    format!("::{command} {}::{}\n", properties.join(","), data(message))
}

/// The percent sign goes first, or the escapes themselves would be escaped.
fn data(text: &str) -> String {
    let text = printable(&text.replace("\r\n", "\n"));
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
