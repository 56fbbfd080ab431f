//! For a comment on a pull request.

use std::fmt::Write as _;

use stateward_core::loss::Loss;
use stateward_core::rules;

use super::not_judged::{self, Unjudged};
use super::{CheckReport, Options, Place, ReportedFinding, Subject, UnjudgedObject, printable};

/// GitHub takes comments of 65,536 characters. Counted in bytes here, which are never fewer.
const LENGTH: usize = 65_000;
/// What the table may take of it; the details get the rest.
const TABLE_LENGTH: usize = 40_000;
/// Kept free for the notes of what was left out.
const NOTE_LENGTH: usize = 500;

/// The report as Markdown: the worst first, details folded, one line where everything was judged
/// and nothing found.
pub fn render(report: &CheckReport, options: &Options) -> String {
    let mut text = format!("**stateward**: {}\n", escape(&report.headline()));
    if !report.is_clean() {
        findings(report, options, &mut text);
    }
    let not_judged = not_judged::by_object(&report.not_judged);
    folded("not judged", not_judged.iter().map(Unjudged::notice), &mut text);
    folded("removed", report.removed.iter().map(UnjudgedObject::removal_notice), &mut text);
    let notices = report.notices.iter().map(|notice| notice.input.to_string());
    folded("notes on the inputs", notices, &mut text);
    text
}

fn findings(report: &CheckReport, options: &Options, text: &mut String) {
    let mut findings: Vec<&ReportedFinding> = report.findings.iter().collect();
    findings.sort_by_key(|finding| finding.outcome.rank());
    // In a cluster, each message says where.
    let places = matches!(report.subject, Subject::Manifests);
    text.push_str(if places {
        "\n| | What | Where |\n| --- | --- | --- |\n"
    } else {
        "\n| | What |\n| --- | --- |\n"
    });
    let errors = report
        .errors
        .iter()
        .map(|error| row("error", &error.message, Some(&Place::from(error)), options));
    let rows = errors.chain(findings.iter().map(|finding| {
        if places {
            row(finding.outcome.severity(), &finding.message, finding.place(), options)
        } else {
            format!("| {} | {} |\n", finding.outcome.severity(), escape(&finding.message))
        }
    }));
    let left_out = fill(text, rows, TABLE_LENGTH);
    if left_out > 0 {
        let _ = write!(text, "\nThe table leaves out {}, the least bad ones.\n", more(left_out));
    }
    text.push('\n');
    let left_out = fill(text, findings.into_iter().map(details), LENGTH - NOTE_LENGTH);
    if left_out > 0 {
        let _ = write!(
            text,
            "The details of {} are left out here; `stateward {}` prints all of them.\n\n",
            more(left_out),
            report.subject.command()
        );
    }
}

/// A folded list, if it still fits: the first line has its count anyway.
fn folded(title: &str, lines: impl Iterator<Item = String>, text: &mut String) {
    let notes: Vec<String> = lines.map(|line| format!("- {}\n", escape(&line))).collect();
    if !notes.is_empty() && text.len() + notes.concat().len() < LENGTH - NOTE_LENGTH {
        let gap = if text.ends_with("\n\n") { "" } else { "\n" };
        let _ = write!(
            text,
            "{gap}<details><summary>{} {title}</summary>\n\n{}\n</details>\n",
            notes.len(),
            notes.concat()
        );
    }
}

/// Adds `parts` while they fit, and says how many do not.
fn fill(text: &mut String, parts: impl Iterator<Item = String>, length: usize) -> usize {
    let mut left_out = 0;
    for part in parts {
        if left_out > 0 || text.len() + part.len() > length {
            left_out += 1;
        } else {
            text.push_str(&part);
        }
    }
    left_out
}

fn more(number: usize) -> String {
    super::count(number, "finding")
}

fn row(severity: &str, message: &str, place: Option<&Place>, options: &Options) -> String {
    let place = place.map(|place| link(place, options)).unwrap_or_default();
    format!("| {severity} | {} | {place} |\n", escape(message))
}

fn link(place: &Place, options: &Options) -> String {
    let file = options.hosted_file(place);
    let position = place.shown_position();
    let name = match position {
        Some((line, _)) => format!("{file}:{line}"),
        None => file.clone(),
    };
    let name = code(&name);
    let base = options.link_base.as_ref().filter(|_| !options.is_of_old_revision(place));
    let Some(base) = base else { return name };
    let fragment = position.map(|(line, _)| format!("#L{line}")).unwrap_or_default();
    let path = super::sarif::percent_encode(&file);
    format!("[{name}]({}/{path}{fragment})", base.trim_end_matches('/'))
}

fn details(finding: &ReportedFinding) -> String {
    let mut text = format!(
        "<details><summary>{}: {}</summary>\n\n",
        finding.outcome.severity(),
        html(&finding.message)
    );
    let summary = text.len();
    for (side, place) in [("old", &finding.old), ("new", &finding.new)] {
        let Some(place) = place else { continue };
        let value = place.value.as_deref().map_or_else(|| "not set".to_owned(), code);
        let at = code(&format!("{}:{}:{}", place.file, place.line, place.column));
        let _ = write!(text, "- {side}: {value} at {at}");
        if let Some(template) = &place.template {
            let _ = write!(text, ", rendered from {}", code(template));
        }
        text.push('\n');
    }
    if finding.place().is_some() {
        text.push('\n');
    }
    let why = Some(finding.why.as_str()).filter(|why| !why.is_empty());
    for note in why.into_iter().chain(finding.refusal()) {
        let _ = write!(text, "{}\n\n", escape(note));
    }
    for line in finding.loss.iter().flat_map(Loss::all_lines) {
        let _ = writeln!(text, "- {}", escape(&line));
    }
    if finding.loss.is_some() {
        text.push('\n');
    }
    for (number, step) in finding.remedy.iter().enumerate() {
        let _ = write!(text, "{}. {}", number + 1, escape(&step.text));
        if let Some(command) = &step.command {
            let fence = "`".repeat(longest_run(command).max(2) + 1);
            // As far in as the text of any numbered step, or the list would end here.
            let indent = "    ";
            let command = printable(command).replace('\n', &format!("\n{indent}"));
            let _ = write!(text, ":\n\n{indent}{fence}sh\n{indent}{command}\n{indent}{fence}");
        }
        text.push_str("\n\n");
    }
    for note in finding.how_to_allow.iter().cloned().chain(finding.help_note()) {
        let _ = write!(text, "{}\n\n", escape(&note));
    }
    if finding.more().is_some() {
        let url = rules::page::url(&finding.rule);
        let _ = write!(text, "[{}]({url})\n\n", code(&finding.rule));
    }
    if text.len() == summary {
        return String::new();
    }
    text.push_str("</details>\n\n");
    text
}

/// `text` as a code span that also stands in a table.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    // A space keeps the fence apart from a backtick; Markdown takes it away again.
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    let text = text.replace(char::is_control, " ").replace('|', "\\|");
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// `text` as prose in one line: nothing in it is Markdown, HTML or a mention.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#') {
            escaped.push('\\');
        }
        push_html(&mut escaped, before, c);
        before = c;
    }
    escaped
}

/// `text` within an HTML element, where Markdown is not read.
fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        push_html(&mut escaped, before, c);
        before = c;
    }
    escaped
}

fn push_html(escaped: &mut String, before: char, c: char) {
    match c {
        c if c.is_control() => escaped.push(' '),
        '&' => escaped.push_str("&amp;"),
        '<' => escaped.push_str("&lt;"),
        '>' => escaped.push_str("&gt;"),
        // A word joiner keeps "@name" from calling somebody.
        '@' if !before.is_alphanumeric() => escaped.push_str("@\u{2060}"),
        c => escaped.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_markdown_would_read() {
        assert_eq!(escape("a|b `c` <d> *e* @f x@sha #1\ny"), {
            "a\\|b \\`c\\` &lt;d&gt; \\*e\\* @\u{2060}f x@sha \\#1 y"
        });
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("`a``b"), "``` `a``b ```");
    }
}
