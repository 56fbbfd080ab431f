//! Where a report goes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::num::NonZero;

use anyhow::Context as _;
use clap::ColorChoice;
use stateward_check::report::{
    CheckReport, Checkout, Format, Formats, Options, Output, github, render, text,
};

use super::parallel;

/// Writes to each of `outputs`, standard output last: an error then stands below it.
///
/// # Errors
/// A file cannot be written.
pub fn write_each<F: Formats>(
    outputs: &[Output<F>],
    mut write: impl FnMut(&Output<F>, &mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (stdout, files): (Vec<&Output<F>>, Vec<&Output<F>>) =
        outputs.iter().partition(|output| output.file.is_none());
    for output in files.into_iter().chain(stdout) {
        let Some(file) = &output.file else {
            let mut out = BufWriter::new(std::io::stdout().lock());
            write(output, &mut out)?;
            out.flush()?;
            continue;
        };
        let mut to_file = || -> anyhow::Result<()> {
            let mut out = BufWriter::new(File::create(file)?);
            write(output, &mut out)?;
            Ok(out.flush()?)
        };
        to_file().with_context(|| format!("cannot write \"{}\"", file.display()))?;
    }
    Ok(())
}

/// Writes the report to each of `outputs`.
///
/// # Errors
/// A file cannot be written.
pub fn write(
    outputs: &[Output],
    report: &CheckReport,
    options: &Options,
    threads: NonZero<usize>,
) -> anyhow::Result<()> {
    write_each(outputs, |output, out| {
        if output.format == Format::Text && output.file.is_none() {
            let text = text::render_with(report, options, |findings, write| {
                parallel::map(findings, threads, write)
            });
            let asked = if options.color { ColorChoice::Always } else { ColorChoice::Never };
            return Ok(print_painted(|_| text, asked)?);
        }
        let options = Options { color: false, ..options.clone() };
        Ok(out.write_all(render(output.format, report, &options)?.as_bytes())?)
    })
}

/// Says where annotations are asked for that there is no report.
pub fn annotate_failure<F: Formats>(command: &str, outputs: &[Output<F>], error: &anyhow::Error) {
    let annotates =
        |output: &Output<F>| output.format.name() == Format::Github.name() && output.file.is_none();
    if outputs.iter().any(annotates) {
        // If standard output is closed, the message on standard error is all there is.
        super::print(&github::failure(command, &format!("{error:#}"))).ok();
    }
}

/// Prints what `render` makes for a terminal with colours, or for one without.
///
/// # Errors
/// Standard output is closed.
pub(super) fn print_painted(
    render: impl FnOnce(bool) -> String,
    asked: ColorChoice,
) -> std::io::Result<()> {
    let color = color(asked);
    let choice = if color { anstream::ColorChoice::Always } else { anstream::ColorChoice::Never };
    // Windows consoles need their colours translated; elsewhere it passes through.
    let mut stdout = anstream::AutoStream::new(std::io::stdout(), choice);
    stdout.write_all(render(color).as_bytes())?;
    stdout.flush()
}

/// Whether standard output gets colours: as asked, or by `NO_COLOR` and the terminal.
pub fn color(asked: ColorChoice) -> bool {
    match asked {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
        }
    }
}

/// Where a file of this revision can be opened, as the pipeline of GitHub or GitLab says.
pub fn link_base(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let github = || {
        let server = variable("GITHUB_SERVER_URL")?;
        let repository = variable("GITHUB_REPOSITORY")?;
        Some(format!("{server}/{repository}/blob/{}", variable("GITHUB_SHA")?))
    };
    let gitlab =
        || Some(format!("{}/-/blob/{}", variable("CI_PROJECT_URL")?, variable("CI_COMMIT_SHA")?));
    github().or_else(gitlab)
}

/// The repository around the working folder, if there is one. It is found without asking git,
/// which refuses a checkout that another user made.
pub fn checkout(revision: Option<String>) -> Option<Checkout> {
    let here = std::env::current_dir().ok()?;
    // A folder in a clone, a file in a work tree beside it and in a submodule.
    let root = here.ancestors().find(|folder| folder.join(".git").exists())?.to_owned();
    let folder = here.strip_prefix(&root).ok()?.to_owned();
    Some(Checkout { root, folder, revision })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_follow_the_pipeline() {
        let with = |variables: &'static [(&str, &str)]| {
            link_base(move |name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned())
            })
        };
        let github = &[
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_SHA", "abc"),
        ];
        assert_eq!(with(github).as_deref(), Some("https://github.com/o/r/blob/abc"));
        assert_eq!(with(&github[..2]), None);
        let gitlab = &[("CI_PROJECT_URL", "https://gitlab.com/o/r"), ("CI_COMMIT_SHA", "abc")];
        assert_eq!(with(gitlab).as_deref(), Some("https://gitlab.com/o/r/-/blob/abc"));
    }

    #[test]
    fn files_get_no_colours() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.txt");
        let outputs = [Output { format: Format::Text, file: Some(file.clone()) }];
        let error = stateward_core::yaml::InputError {
            file: "f".to_owned(),
            line: 1,
            column: 2,
            message: "m".to_owned(),
        };
        let report = CheckReport::new(Vec::new(), 0, Vec::new(), Vec::new(), vec![error]);
        let options = Options { color: true, ..Options::default() };
        write(&outputs, &report, &options, NonZero::<usize>::MIN).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            text,
            "error: f:1:2: m\n\nno StatefulSet or PersistentVolumeClaim to judge: 1 error\n"
        );
        let outputs = [Output { format: Format::Json, file: Some(folder.path().join("no/out")) }];
        let error = write(&outputs, &report, &options, NonZero::<usize>::MIN).unwrap_err();
        assert!(error.to_string().starts_with("cannot write"), "{error}");
    }
}
