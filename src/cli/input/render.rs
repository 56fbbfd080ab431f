//! What a command such as `helm template` or `kustomize build` prints.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use stateward_check::layout::KUSTOMIZATIONS;
use stateward_check::report::{Notice, RENDERED};
use stateward_core::yaml::{File, InputError, YamlDocument};

use super::git::{GitError, Repository, ignored};
use super::{Files, Source};

/// How many of its last lines a command that fails is quoted with.
const QUOTED: usize = 10;

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// the shell did not start
    #[error("could not run `{command}`")]
    Start {
        /// the command
        command: String,
        /// why
        source: std::io::Error,
    },
    /// the command failed
    #[error("`{command}`{} ended with {status}{}", at(revision.as_deref()), quoted(message))]
    Failed {
        /// the command
        command: String,
        /// where it ran, `None` for the work tree
        revision: Option<String>,
        /// such as `exit status: 1`
        status: std::process::ExitStatus,
        /// the last lines that it printed to standard error
        message: String,
    },
    /// the revision could not be checked out
    #[error("could not check out the revision to render")]
    Git(#[from] GitError),
    /// no temporary folder
    #[error("could not make a temporary folder")]
    Folder(#[source] std::io::Error),
}

fn at(revision: Option<&str>) -> String {
    revision.map_or_else(String::new, |revision| format!(" at {revision}"))
}

fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(":\n{message}") }
}

/// Runs `command` by `sh -c` in `folder` and reads what it prints.
///
/// # Errors
/// The command does not start, or fails.
pub fn render(command: &str, folder: &Path) -> Result<Files, RenderError> {
    rendered(command, folder, None)
}

/// The same in a temporary checkout of `revision`, in the folder that corresponds to `here`. The
/// checkout is as sparse as the work tree, or what that lacks would look deleted. The work tree and
/// the index stay as they are. A folder that the revision does not have renders to nothing, and so
/// does a command that fails there and names a path that the revision does not have.
///
/// # Errors
/// The revision does not exist, or the command does not start or fails.
pub fn render_revision(command: &str, here: &Path, revision: &str) -> Result<Files, RenderError> {
    let repository = Repository::open(here, revision)?;
    let temporary = tempfile::tempdir().map_err(RenderError::Folder)?;
    let tree = temporary.path().join("tree");
    std::fs::create_dir(&tree).map_err(RenderError::Folder)?;
    let checked_out = repository.check_out(&tree, &temporary.path().join("index"))?;
    let folder = tree.join(&repository.prefix);
    if !folder.is_dir() {
        return Ok(Files::default());
    }
    let mut files = match rendered(command, &folder, Some(revision)) {
        Err(RenderError::Failed { .. }) if let Some(path) = new_path(command, here, &folder) => {
            crate::cli::print_error(&format!(
                "note: {path} is not in {revision}, so every rendered object is judged as new\n"
            ));
            Files::default()
        }
        rendered => rendered?,
    };
    files.notices.extend(checked_out.missing.into_iter().map(|path| {
        let message = "the clone lacks the old commit of this submodule, so the old rendering is made \
                       without its files";
        Notice::warning(InputError {
            file: format!("{revision}:{path}"),
            line: 0,
            column: 0,
            message: message.to_owned(),
        })
    }));
    files.notices.extend(outside_of_sparse_checkout(checked_out.sparse));
    Ok(files)
}

/// Says how many files were not compared, as the work tree lacks them on purpose.
pub fn outside_of_sparse_checkout(files: Vec<String>) -> Option<Notice> {
    let message = "outside of the sparse checkout, and so not compared";
    (!files.is_empty()).then(|| Notice::left_out(".", files, message.to_owned()))
}

fn rendered(command: &str, folder: &Path, revision: Option<&str>) -> Result<Files, RenderError> {
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| RenderError::Start { command: command.to_owned(), source })?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = printed.trim_end().lines().collect();
        let message = lines[lines.len().saturating_sub(QUOTED)..].join("\n");
        return Err(RenderError::Failed {
            command: command.to_owned(),
            revision: revision.map(str::to_owned),
            status: output.status,
            message,
        });
    }
    let name = match revision {
        Some(revision) => format!("{revision}:{RENDERED}"),
        None => RENDERED.to_owned(),
    };
    let templates = Templates::of(command, folder, &output.stdout);
    let file = Source::Memory(File { name, bytes: output.stdout });
    Ok(Files { sources: vec![file], templates, ..Files::default() })
}

/// The parts of a command that may be paths.
fn words(command: &str) -> impl Iterator<Item = &str> {
    let between = |c: char| c.is_whitespace() || "'\"`=;|&()<>,".contains(c);
    command.split(between).filter(|word| !word.is_empty() && !word.starts_with('-'))
}

/// A path that the command names, and that is in the work tree, but not in the checkout of the old
/// revision. What git ignores is in no revision, and tells nothing.
fn new_path<'c>(command: &'c str, here: &Path, old: &Path) -> Option<&'c str> {
    let new = |word: &&str| {
        let path = Path::new(word);
        path.is_relative() && here.join(path).exists() && !old.join(path).exists()
    };
    let mut words = words(command).filter(new);
    words.find(|word| ignored(here, &[word.into()]).is_ok_and(|ignored| ignored.is_empty()))
}

/// What the manifests of a rendering are made from, as files of the work tree.
#[derive(Debug, Default)]
pub struct Templates {
    /// the file of each template that a `# Source:` comment names
    named: HashMap<String, String>,
    /// the one kustomization that the command names
    kustomization: Option<String>,
}

impl Templates {
    /// Looks for them in the folders that the command names.
    fn of(command: &str, here: &Path, output: &[u8]) -> Self {
        let folders: Vec<&str> = words(command).filter(|word| here.join(word).is_dir()).collect();
        let file = |folder: &str, name: &str| match folder.trim_end_matches('/') {
            "." => name.to_owned(),
            folder => format!("{}/{name}", super::shown(Path::new(folder))),
        };
        let charts: Vec<(&str, String)> = folders
            .iter()
            .filter_map(|folder| Some((*folder, chart_name(&here.join(folder))?)))
            .collect();
        let template = |source: &str| {
            let (chart, path) = source.split_once('/')?;
            let (folder, _) = charts.iter().find(|(_, name)| name == chart)?;
            // A template of a packed chart is no file.
            let is_file = here.join(folder).join(path).is_file();
            Some(file(folder, if is_file { path } else { "Chart.yaml" }))
        };
        let text = String::from_utf8_lossy(output);
        let sources = text.lines().filter_map(|line| line.strip_prefix("# Source: "));
        let mut named = HashMap::new();
        for source in sources.map(str::trim_end) {
            if !named.contains_key(source)
                && let Some(file) = template(source)
            {
                named.insert(source.to_owned(), file);
            }
        }
        let mut kustomizations = folders.iter().filter_map(|folder| {
            let name =
                KUSTOMIZATIONS.into_iter().find(|name| here.join(folder).join(name).is_file())?;
            Some(file(folder, name))
        });
        let kustomization = kustomizations.next().filter(|_| kustomizations.next().is_none());
        Self { named, kustomization }
    }

    /// Names the file of the work tree from which a document is rendered, if it is known.
    pub fn name(&self, template: &mut Option<String>) {
        let known = match template {
            Some(template) => self.named.get(template),
            None => self.kustomization.as_ref(),
        };
        if let Some(known) = known {
            *template = Some(known.clone());
        }
    }
}

/// The name of the chart in a folder, as its templates are called by Helm.
fn chart_name(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("Chart.yaml")).ok()?;
    let chart: Value = serde_json::from_str(YamlDocument::read(&text).ok()?.json()).ok()?;
    chart["name"].as_str().map(str::to_owned)
}
