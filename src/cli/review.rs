//! `stateward review`: judges one AdmissionReview.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;
use jiff::Timestamp;

use super::Outcome;
use crate::change::KubernetesVersion;
use crate::decide::{Grounds, Stage};
use crate::facts::Facts;
use crate::review;

/// Arguments of `stateward review`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward review --endpoint mutate review.json")]
pub struct Args {
    /// The review as JSON; "-" is standard input
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,

    /// Answer as this endpoint of the webhook [default: as /validate, unless /mutate refuses or
    /// patches]
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
/// A file that cannot be read, a policy that is wrong, a body that is no review.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let body = if args.file.as_os_str() == "-" {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body).context("cannot read standard input")?;
        body
    } else {
        std::fs::read(&args.file)
            .with_context(|| format!("cannot read \"{}\"", args.file.display()))?
    };
    let policy = super::policy::find(args.policy.as_deref())?;
    let grounds = Grounds {
        policy: &policy,
        facts: &Facts::none(),
        kubernetes: args.kubernetes_version,
        now: Timestamp::now(),
    };
    let judge = |stage| {
        review::answer(stage, &body, &grounds)
            .with_context(|| format!("\"{}\"", args.file.display()))
    };
    let answer = match args.endpoint {
        Some(Endpoint::Mutate) => judge(Stage::Mutating)?,
        Some(Endpoint::Validate) => judge(Stage::Validating)?,
        // As in the cluster: what the mutating webhook refuses is never validated.
        None => {
            let first = judge(Stage::Mutating)?;
            if first.allowed && first.outcome != review::Outcome::Patched {
                judge(Stage::Validating)?
            } else {
                first
            }
        }
    };
    let json: serde_json::Value = serde_json::from_slice(&answer.body)?;
    super::print(&format!("{json:#}\n"))?;
    Ok(if answer.allowed { Outcome::Clean } else { Outcome::Findings })
}
