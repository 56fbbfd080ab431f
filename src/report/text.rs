//! For people at a terminal: like a good compiler.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{InputError, Options, Outcome, Place, Report, ReportedFinding, Sources, printable};

/// A longer line is not drawn, only named. Minified JSON has one line of any length, and each
/// finding in it would walk it anew.
const LINE_LENGTH: usize = 20_000;

/// The report as text; empty where nothing was found.
pub fn render(report: &Report, sources: &Sources, options: &Options) -> String {
    let renderer = if options.color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&renderer.render(&[group(finding, sources)]));
        text.push_str("\n\n");
    }
    for error in &report.errors {
        text.push_str(&self::error(error, options.color));
    }
    if !report.errors.is_empty() {
        text.push('\n');
    }
    if options.verbose {
        let line = |text: &mut String, line: String| {
            text.push_str(&printable(&line));
            text.push('\n');
        };
        for judged in &report.judged {
            line(
                &mut text,
                format!(
                    "judged: {} {} ({}:{})",
                    judged.operation, judged.object, judged.file, judged.line
                ),
            );
        }
        for not in &report.not_judged {
            line(
                &mut text,
                format!("not judged: {}: {} needs {}", not.object, not.rule, not.needs),
            );
        }
    }
    // Silence means clean. What was not judged is not known to be clean, nor is nothing at all.
    let silent = report.is_clean()
        && report.not_judged.is_empty()
        && report.summary.objects > 0
        && !options.verbose;
    if !silent {
        text.push_str(&report.summary.to_string());
        text.push('\n');
    }
    text
}

fn group<'a>(finding: &'a ReportedFinding, sources: &'a Sources) -> Group<'a> {
    let level = match finding.outcome {
        Outcome::Deny | Outcome::Error => Level::ERROR,
        Outcome::Warn => Level::WARNING,
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
        let label = match (&place.value, both) {
            (Some(_), true) => Some(side.to_owned()),
            (Some(_), false) => None,
            (None, true) => Some(format!("{side}: not set")),
            (None, false) => Some("not set".to_owned()),
        };
        group = excerpt(group, place, sources, kind, label);
    }
    if !finding.why.is_empty() {
        group = group.element(Level::NOTE.with_name("why").message(printable(&finding.why)));
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
    if finding.rule.is_empty() {
        return group;
    }
    let more = format!("{rule} · stateward explain {rule}", rule = finding.rule);
    group.element(Level::NOTE.no_name().message(printable(&more)))
}

fn excerpt<'a>(
    group: Group<'a>,
    place: &'a Place,
    sources: &'a Sources,
    kind: AnnotationKind,
    label: Option<String>,
) -> Group<'a> {
    let path = printable(&place.file);
    let mark = sources.mark(place).filter(|mark| mark.line.len() <= LINE_LENGTH);
    let Some(mark) = mark else {
        let origin = Origin::path(path);
        return group.element(match place.line {
            0 => origin,
            line => origin.line(line).char_column(place.column),
        });
    };
    group.element(
        Snippet::source(mark.line)
            .line_start(place.line)
            .path(path)
            .annotation(kind.span(mark.span).label(label)),
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
