//! `stateward certs`: certificates for development.

use std::path::PathBuf;

use jiff::Timestamp;

use super::Outcome;
use crate::certificates::{Made, dev};

/// Arguments of `stateward certs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward certs --name stateward.stateward-system.svc")]
pub struct Args {
    /// Folder for the files
    #[arg(long, value_name = "DIR", default_value = "certs/dev")]
    pub dir: PathBuf,

    /// Extra DNS name or address for the certificate; repeatable
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
}

/// Makes them.
///
/// # Errors
/// They could not be made.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let made = dev::ensure(&args.dir, &args.names, Timestamp::now())?;
    let what = match &made.made {
        Made::Nothing => "kept what is there".to_owned(),
        Made::Certificate(why) => format!("made a new serving certificate, since {why}"),
        Made::Everything => "made an authority and a serving certificate".to_owned(),
    };
    super::print(&format!("{what}: {}\n", args.dir.display()))?;
    Ok(Outcome::Clean)
}
