//! `stateward advise`: which storage fits the systems of manifests.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::ValueEnum;
use stateward_check::advise::{Advice, VolumeAdvice, advise};
use stateward_core::facts::Facts;
use stateward_core::object::Kind;
use stateward_core::yaml::{InputError, printable};

use super::check::select;
use super::input::{Exclude, load};
use super::{Outcome, parallel};

/// Arguments of `stateward advise`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  stateward advise db.yaml\n  \
                        stateward advise --facts facts.json deploy/\n\n\
                        Exit codes:\n  \
                        0  every claim template fits its system, as far as it is known\n  \
                        1  another storage pattern fits better\n  \
                        2  an input could not be read")]
pub struct Args {
    /// Files or folders with manifests, or - for standard input. StorageClasses among them tell the driver
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Facts of a cluster, for its StorageClasses: what `stateward facts export` or
    /// `kubectl get storageclass -o yaml` printed; repeatable
    #[arg(long, value_name = "PATH")]
    pub facts: Vec<PathBuf>,
    /// Policy file whose packs count as well [default: the nearest stateward.yaml]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

/// How advice is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// for people
    Text,
    /// for programs; fields are only ever added
    Json,
}

/// Advises on each set of the manifests.
///
/// # Errors
/// A policy or facts that cannot be read.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let policy = super::policy::find(args.policy.as_deref())?;
    let mut facts =
        if args.facts.is_empty() { Facts::none() } else { super::facts::read(&args.facts)? };
    let files = load(&args.paths, &Exclude::default(), &BTreeSet::new(), &mut std::io::stdin());
    let selection = select(files, parallel::cores());
    let mut errors: Vec<InputError> = selection.errors;
    errors.extend(facts.add_documents(selection.documents.iter().chain(&selection.facts)));
    let mut all = Vec::new();
    for document in &selection.documents {
        if Kind::of_manifest(&document.api_version, &document.kind) != Kind::StatefulSet {
            continue;
        }
        match advise(&document.json, &policy.packs, &facts) {
            Ok(advice) => all.push(advice),
            Err(error) => {
                let at = document.locate(&error.field);
                errors.push(InputError {
                    file: document.file.to_string(),
                    line: at.line,
                    column: at.column,
                    message: error.to_string(),
                });
            }
        }
    }
    for error in &errors {
        super::print_error(&format!("error: {}\n", printable(&error.to_string())));
    }
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&all)? + "\n",
        Format::Text if all.is_empty() => "no StatefulSet to advise on\n".to_owned(),
        Format::Text => all.iter().map(text).collect::<Vec<_>>().join("\n"),
    };
    super::print(&text)?;
    if !errors.is_empty() {
        return Ok(Outcome::Failed);
    }
    let misfit = all.iter().any(|advice| advice.skeleton.is_some());
    Ok(if misfit { Outcome::Findings } else { Outcome::Clean })
}

fn text(advice: &Advice) -> String {
    let Advice { namespace, name, system, volumes, fits, why, skeleton } = advice;
    let place = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
    let mut text = format!("StatefulSet {}\n", printable(&place));
    let mut row = |head: &str, rest: &str| {
        let line = format!("  {head:<9}{}", printable(rest));
        let _ = writeln!(text, "{}", line.trim_end());
    };
    match system {
        None => row("system", "no pack knows it: stateward packs lists those that are known"),
        Some(system) => {
            row("system", &format!("{}, by {}", system.system.title, system.system.recognised_by));
            row("", &system.about);
        }
    }
    if volumes.is_empty() {
        row("storage", "no claim template");
    }
    for volume in volumes {
        row("storage", &said(volume));
    }
    if !fits.is_empty() {
        row("fits", &fits.join(", or "));
    }
    if let Some(why) = why {
        row("why", &format!("{} ({})", why.text, why.source));
    }
    if let Some(skeleton) = skeleton {
        row("instead", "");
        for line in skeleton.lines() {
            let _ = writeln!(text, "    {}", printable(line));
        }
    }
    text
}

/// `data: class fast, AWS EBS, single-writer block: fits`
fn said(volume: &VolumeAdvice) -> String {
    let VolumeAdvice { template, class, driver, pattern, fits } = volume;
    let class = class
        .as_ref()
        .map_or_else(|| "the default class".to_owned(), |class| format!("class {class}"));
    let mut said = format!("{template}: {class}");
    if let Some(driver) = driver {
        let _ = write!(said, ", {driver}");
    }
    let pattern = match pattern {
        Some(pattern) => *pattern,
        None if volume.class.is_none() => "which only --facts tells",
        None => "whose storage is not known: give its StorageClass, or --facts",
    };
    let _ = write!(said, ", {pattern}");
    match fits {
        Some(true) => said += ": fits",
        Some(false) => said += ": does not fit",
        None => {}
    }
    said
}
