//! GitHub's workflow commands: a line each, shown beside the lines of a pull request.

use super::{CheckReport, Level, NoticeLevel, Options, Place, not_judged, printable};

/// The report as workflow commands; empty where everything was judged and nothing found.
pub fn render(report: &CheckReport, options: &Options) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let command = match finding.outcome.level() {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let mut properties = finding.place().map(|at| place(at, options)).unwrap_or_default();
        let title = format!("{} {}", finding.outcome.severity(), finding.rule);
        properties.push(("title", title.trim_end().to_owned()));
        let prose = said_at(finding.place(), finding.prose(), options);
        text.push_str(&line(command, &properties, &prose));
    }
    for error in &report.errors {
        let at = Place::from(error);
        let mut properties = place(&at, options);
        properties.push(("title", "error".to_owned()));
        let message = said_at(Some(&at), error.message.clone(), options);
        text.push_str(&line("error", &properties, &message));
    }
    for notice in report.notices.iter().filter(|notice| notice.level == NoticeLevel::Warning) {
        let at = Place::from(&notice.input);
        let message = said_at(Some(&at), notice.input.message.clone(), options);
        text.push_str(&line("warning", &place(&at, options), &message));
    }
    for not in not_judged::by_object(&report.not_judged) {
        let mut properties = not.place().map(|at| place(&at, options)).unwrap_or_default();
        properties.push(("title", "not judged".to_owned()));
        text.push_str(&line("notice", &properties, &not.notice()));
    }
    for removed in &report.removed {
        let properties = [("title", "removed".to_owned())];
        text.push_str(&line("notice", &properties, &removed.removal_notice()));
    }
    text
}

/// The annotation for a command that could not run: without one, the pull request shows only that the
/// step failed.
pub fn failure(command: &str, message: &str) -> String {
    line("error", &[("title", format!("stateward {command} could not run"))], message)
}

/// The message; if `place` is in the old revision, it begins with that place.
fn said_at(place: Option<&Place>, message: String, options: &Options) -> String {
    let Some(place) = place.filter(|place| options.is_of_old_revision(place)) else {
        return message;
    };
    let file = options.hosted_file(place);
    match place.shown_position() {
        Some((line, _)) => format!("{file}:{line}: {message}"),
        None => format!("{file}: {message}"),
    }
}

fn place(place: &Place, options: &Options) -> Vec<(&'static str, String)> {
    // An annotation is shown in the new files only, where another line has this number.
    if options.is_of_old_revision(place) {
        return Vec::new();
    }
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
    let gap = if properties.is_empty() { "" } else { " " };
    format!("::{command}{gap}{}::{}\n", properties.join(","), data(message))
}

/// The percent sign goes first, or the escapes themselves would be escaped.
fn data(text: &str) -> String {
    let text = printable(&text.replace("\r\n", "\n"));
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
