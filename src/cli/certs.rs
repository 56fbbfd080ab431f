//! `stateward certs`: certificates for development.

use std::path::PathBuf;

use super::Outcome;

/// Arguments of `stateward certs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward certs --name stateward.stateward-system.svc")]
pub struct Args {
    /// The folder
    #[arg(long, value_name = "DIR", default_value = "certs/dev")]
    pub dir: PathBuf,

    /// A further DNS name or address that the certificate is for; repeatable
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
}

/// Makes them.
///
/// # Errors
/// They could not be made.
pub fn run(_args: &Args) -> anyhow::Result<Outcome> {
    anyhow::bail!("certs is not part of this build")
}
