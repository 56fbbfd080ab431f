//! `stateward review`: judges one AdmissionReview.

use std::path::PathBuf;

use clap::ValueEnum;

use super::Outcome;
use crate::change::KubernetesVersion;

/// Arguments of `stateward review`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward review --endpoint mutate review.json")]
pub struct Args {
    /// The review as JSON; "-" is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,

    /// Answer as this endpoint of the webhook [default: as both, one after the other]
    #[arg(long, value_name = "ENDPOINT")]
    pub endpoint: Option<Endpoint>,

    /// The policy [default: stateward.yaml in this folder or one above it]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The version that decides what the API server would refuse
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    pub kubernetes_version: KubernetesVersion,
}

/// An endpoint of the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Endpoint {
    /// sees each edit before Kubernetes validates it
    Mutate,
    /// sees what survives
    Validate,
}

/// Judges.
///
/// # Errors
/// It could not run.
pub fn run(_args: &Args) -> anyhow::Result<Outcome> {
    anyhow::bail!("review is not part of this build")
}
