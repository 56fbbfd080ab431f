//! `stateward drivers`: what is known of storage drivers.

use anyhow::bail;
use clap::ValueEnum;
use stateward_core::drivers::{self, page};
use stateward_core::nearest;

use super::Outcome;
use super::columns::columns;

/// Arguments of `stateward drivers`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward drivers ebs.csi.aws.com")]
pub struct Args {
    /// Provisioner of a StorageClass, or name of a driver; without it, all drivers are listed
    #[arg(value_name = "PROVISIONER")]
    pub provisioner: Option<String>,
    /// Output format of the list
    #[arg(
        short = 'o',
        long,
        value_name = "FORMAT",
        default_value = "text",
        conflicts_with = "provisioner"
    )]
    pub format: Format,
}

/// How drivers are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// a table for people
    Text,
    /// a page with patterns and traps, for documentation
    Markdown,
}

/// Prints them.
///
/// # Errors
/// An unknown provisioner, or standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let text = match (&args.provisioner, args.format) {
        (Some(name), _) => explained(name)?,
        (None, Format::Text) => table(),
        (None, Format::Markdown) => page::patterns(),
    };
    super::print(&text)?;
    Ok(Outcome::Clean)
}

fn table() -> String {
    let heads = page::HEADS.map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heads).chain(page::rows()).collect();
    columns::<String, _>(&rows).join("\n") + "\n"
}

fn explained(name: &str) -> anyhow::Result<String> {
    if let Some(found) = drivers::by_provisioner(name).or_else(|| drivers::by_name(name)) {
        return Ok(page::explain(found));
    }
    let names = drivers::all().iter().flat_map(|driver| {
        let provisioners = driver.provisioners.iter().filter_map(|one| one.name.as_deref());
        provisioners.chain([driver.name.as_str()])
    });
    let mut hint = nearest::hint(name, &names.collect::<Vec<_>>());
    if hint.is_empty() {
        "; stateward drivers lists all".clone_into(&mut hint);
    }
    bail!("nothing is known of driver \"{name}\"{hint}")
}
