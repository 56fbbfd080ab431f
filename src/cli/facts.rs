//! `stateward facts`: what a cluster knows, for checks elsewhere.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use stateward_core::facts::{FactKind, Facts, export};
use stateward_core::yaml::{Document, Inputs};

use super::Outcome;
use super::connection::Connection;
use super::input::{Exclude, load};
use super::parallel;

/// Arguments of `stateward facts`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do with facts.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do with facts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the facts of a cluster as one JSON document.
    ///
    /// The document holds claims, volumes, classes, sets, pods that mount claims, snapshots, quotas and
    /// namespaces, with the fields that rules read. It holds no Secrets, environment variables or images.
    /// Save it, then judge manifests with `stateward check --facts FILE`.
    Export(ExportArgs),
}

/// Arguments of `stateward facts export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward facts export > facts.json\n  \
                        stateward check --facts facts.json --old-ref origin/main deploy/")]
pub struct ExportArgs {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Look at this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// Prints them.
///
/// # Errors
/// No cluster, or nothing in it that may be read.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Command::Export(args) = &args.command;
    let namespace = args.namespace.as_deref();
    let facts = of_cluster(&args.connection, namespace)?;
    for why in facts.not_known() {
        super::print_error(&format!("warning: not exported: {why}\n"));
    }
    super::print(&facts.export(namespace)?)?;
    Ok(Outcome::Clean)
}

/// Reads the facts of a cluster, of all namespaces or of one.
///
/// # Errors
/// No cluster. What may not be read in it is unknown.
pub(super) fn of_cluster(
    connection: &Connection,
    namespace: Option<&str>,
) -> anyhow::Result<Facts> {
    super::runtime()?.block_on(async {
        let client = connection.open().await?;
        client.version().await.context("cannot read the cluster")?;
        Ok(client.survey(namespace, &BTreeSet::new()).await.facts)
    })
}

/// Whether this is a file that `stateward facts export` wrote, by its first lines. Only such a file is read
/// an object at a time.
fn is_export(path: &Path) -> std::io::Result<bool> {
    // A pipe is empty once it was read.
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    File::open(path)?.take(256).read_to_end(&mut start)?;
    let start = String::from_utf8_lossy(&start);
    Ok(start.starts_with('{') && start.contains(&format!("\"{}\"", export::KIND)))
}

/// How much of an export is in memory.
const BUFFER: usize = 64 << 10;

/// Reads facts from files: exports, and manifests as `kubectl get -o yaml` prints them.
///
/// # Errors
/// The first file that cannot be read, or that holds no facts.
pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Facts> {
    let mut facts = Facts::none();
    let exclude = Exclude::default();
    let mut files = load(paths, &exclude, &BTreeSet::new(), &mut std::io::stdin());
    let exports = files.take(|path| is_export(path).unwrap_or(false));
    for path in &exports {
        facts
            .import_each(|| Ok(BufReader::with_capacity(BUFFER, File::open(path)?)))
            .map_err(|why| anyhow::anyhow!("cannot read facts: {}: {why}", path.display()))?;
    }
    let parts: Vec<Inputs> = files.read(parallel::cores(), |inputs| inputs);
    let mut found = !exports.is_empty();
    // Objects go into what exports have said of their kinds.
    let is_export = |document: &&Document| document.kind == export::KIND;
    for inputs in &parts {
        if let Some(error) = inputs.errors.iter().chain(&inputs.harmless).next() {
            bail!("cannot read facts: {error}");
        }
        for document in inputs.documents.iter().filter(is_export) {
            facts
                .import(&document.json)
                .map_err(|why| anyhow::anyhow!("cannot read facts: {}: {why}", document.file))?;
            found = true;
        }
    }
    for document in parts.iter().flat_map(|inputs| &inputs.documents) {
        let Some(kind) = FactKind::of_manifest(&document.api_version, &document.kind) else {
            continue;
        };
        found = true;
        facts.insert(kind, &document.namespace, &document.name, &document.json).map_err(|why| {
            anyhow::anyhow!(
                "cannot read facts: {}:{}: {} {}, {why}",
                document.file,
                document.line(),
                document.kind,
                document.name
            )
        })?;
    }
    if !found {
        let names: Vec<_> =
            paths.iter().map(|path: &PathBuf| Path::display(path).to_string()).collect();
        bail!("{} holds no facts: no object of a kind that rules read", names.join(", "));
    }
    Ok(facts)
}
