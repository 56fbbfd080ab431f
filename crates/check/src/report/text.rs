//! For people at a terminal: like a good compiler.

use std::collections::HashSet;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use stateward_core::annotations::ALLOW;

use super::{
    CheckReport, InputError, Notice, NoticeLevel, ObjectRef, Options, Place, ReportedFinding,
    not_judged, printable,
};

/// How many objects without a verdict of each rule are named without being asked for.
const NOT_JUDGED: usize = 10;

/// A longer value is not repeated beside its mark.
const VALUE_LENGTH: usize = 60;

/// The report as text. Its last line counts what was judged and found.
pub fn render(report: &CheckReport, options: &Options) -> String {
    render_with(report, options, |findings, write| findings.into_iter().map(write).collect())
}

/// The same by way of `map`, which applies a function to each finding and keeps their order. A
/// caller that has threads uses them there.
pub fn render_with<'a>(
    report: &'a CheckReport,
    options: &Options,
    map: impl FnOnce(Vec<Shown<'a>>, &(dyn Fn(Shown<'a>) -> String + Sync)) -> Vec<String>,
) -> String {
    let renderer = if options.color { Renderer::styled() } else { Renderer::plain() };
    let mut text = map(shown(report), &|shown| {
        let mut text = renderer.render(&[group(shown.finding, shown.first)]);
        text.push_str("\n\n");
        text
    })
    .concat();
    for error in &report.errors {
        text.push_str(&self::error(error, options.color));
    }
    let warnings = report.notices.iter().filter(|notice| notice.level == NoticeLevel::Warning);
    let warnings: Vec<&Notice> = warnings.collect();
    for warning in &warnings {
        text.push_str(&printable(&format!("warning: {}", warning.input)));
        text.push('\n');
    }
    if !report.errors.is_empty() || !warnings.is_empty() {
        text.push('\n');
    }
    let mut line = |line: String| {
        text.push_str(&printable(&line));
        text.push('\n');
    };
    if options.verbose {
        for judged in &report.judged {
            let mut said = format!(
                "judged: {} {} ({}:{})",
                judged.operation, judged.object, judged.file, judged.line
            );
            if let Some(system) = &judged.system {
                let _ = write!(said, ", as {}: {}", system.title, system.recognised_by);
            }
            if let Some(reason) = judged.exemption_reason {
                said += "; only what Kubernetes refuses, for ";
                said += reason;
            }
            if !judged.allowed.is_empty() {
                said += "; allowed by its annotation: ";
                said += &judged.allowed.join(", ");
            }
            if !judged.allow_faults.is_empty() {
                let _ = write!(said, "; {ALLOW} does not count: ");
                said += &judged.allow_faults.join("; ");
            }
            line(said);
        }
        for notice in report.notices.iter().filter(|notice| notice.level == NoticeLevel::Note) {
            line(format!("note: {}", notice.input));
        }
        for removed in &report.removed {
            line(removed.removal_notice());
        }
        for passed in &report.ignored {
            line(format!("ignored: {} ({}:{})", passed.object, passed.file, passed.line));
        }
    }
    let shown = if options.verbose { usize::MAX } else { NOT_JUDGED };
    let not_judged = not_judged::by_object(&report.not_judged);
    for not in not_judged.iter().take(shown) {
        line(format!("not judged: {}", not.notice()));
    }
    let more = not_judged.len().saturating_sub(shown);
    if more > 0 {
        line(format!("not judged: {more} more, which --verbose lists"));
    }
    // In a pipeline, silence looks as if nothing had run.
    text.push_str(&report.headline());
    text.push('\n');
    text
}

/// A finding that is yet to be written.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    finding: &'a ReportedFinding,
    /// whether it is the first of its object for this reason
    first: bool,
}

/// The findings. The same reason is given once per object, however many fields it is about.
fn shown(report: &CheckReport) -> Vec<Shown<'_>> {
    let mut explained = HashSet::new();
    let findings = report.findings.iter();
    findings
        .map(|finding| {
            let ObjectRef { kind, namespace, name, .. } = &finding.object;
            let first = explained.insert((&finding.rule, kind, namespace, name, &finding.why));
            Shown { finding, first }
        })
        .collect()
}

fn group(finding: &ReportedFinding, first: bool) -> Group<'_> {
    let level = match finding.outcome.level() {
        super::Level::Error => Level::ERROR,
        super::Level::Warning => Level::WARNING,
        super::Level::Note => Level::NOTE,
    };
    let severity = level.with_name(finding.outcome.severity());
    let mut group = Group::with_title(severity.primary_title(printable(&finding.message)));
    let both = finding.old.is_some() && finding.new.is_some();
    let sides = [
        (&finding.new, "new", AnnotationKind::Primary),
        (&finding.old, "old", if both { AnnotationKind::Context } else { AnnotationKind::Primary }),
    ];
    for (place, side, kind) in sides {
        let Some(place) = place else { continue };
        group = excerpt(group, place, kind, both.then_some(side));
    }
    if first && !finding.why.is_empty() {
        group = group.element(Level::NOTE.with_name("why").message(printable(&finding.why)));
    }
    if let Some(lost) = finding.lost() {
        group = group.element(Level::NOTE.with_name("lost").message(printable(&lost)));
    }
    if let Some(refusal) = finding.refusal() {
        group = group.element(Level::NOTE.message(refusal));
    }
    if let Some(steps) = finding.steps() {
        group = group.element(Level::HELP.message(printable(&steps)));
    }
    let mut templates: Vec<&str> = [&finding.new, &finding.old]
        .into_iter()
        .flatten()
        .filter_map(|p| p.template.as_deref())
        .collect();
    templates.dedup();
    for template in templates {
        let text = format!("rendered from {template}");
        group = group.element(Level::NOTE.message(printable(&text)));
    }
    let notes = [finding.how_to_allow.clone(), finding.help_note(), finding.more()];
    for note in notes.into_iter().flatten() {
        group = group.element(Level::NOTE.no_name().message(printable(&note)));
    }
    group
}

/// What stands beside a mark: the side, where there are two, and the value where the mark does not
/// show it.
fn label(place: &Place, side: Option<&str>, marked: Option<&str>) -> Option<String> {
    let value = place
        .value
        .as_deref()
        .filter(|value| value.chars().count() <= VALUE_LENGTH && !value.contains(char::is_control));
    let state = match (&place.missing, value) {
        (Some(missing), Some(value)) => Some(format!("{missing} not set, which means {value}")),
        (Some(missing), None) => Some(format!("{missing} not set")),
        (None, Some(value)) => {
            let shown = marked.is_none_or(|marked| marked.trim_matches(['"', '\'']) == value);
            (!shown && !value.is_empty()).then(|| value.to_owned())
        }
        (None, None) => None,
    };
    match (side, state) {
        (Some(side), Some(state)) => Some(printable(&format!("{side}: {state}"))),
        (Some(side), None) => Some(side.to_owned()),
        (None, state) => state.map(|state| printable(&state)),
    }
}

fn excerpt<'a>(
    group: Group<'a>,
    place: &'a Place,
    kind: AnnotationKind,
    side: Option<&str>,
) -> Group<'a> {
    let path = printable(&place.file);
    let shown = place.excerpt.as_ref().and_then(|excerpt| Some((excerpt, excerpt.line.as_ref()?)));
    let Some((excerpt, text)) = shown else {
        let origin = Origin::path(path);
        return group.element(match place.line {
            0 => origin,
            line => origin.line(line).char_column(place.column),
        });
    };
    let label = label(place, side, text.get(excerpt.span.clone()));
    group.element(
        Snippet::source(text)
            .line_start(place.line)
            .path(path)
            .annotation(kind.span(excerpt.span.clone()).label(label)),
    )
}

fn error(error: &InputError, color: bool) -> String {
    let text = printable(&error.to_string()).replace('\n', "\n  ");
    if color {
        let style =
            anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::BrightRed.into()));
        format!("{style}error{style:#}: {text}\n")
    } else {
        format!("error: {text}\n")
    }
}
