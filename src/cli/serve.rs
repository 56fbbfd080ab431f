//! `stateward serve`: the admission webhook.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use super::Outcome;
use crate::change::KubernetesVersion;

/// Arguments of `stateward serve`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("certificate").required(true).args(["dev", "tls_cert"]),
    after_help = "Example:\n  stateward serve --dev"
)]
pub struct Args {
    /// Needs no cluster: makes its own certificates, and answers growing claim templates as a
    /// resize
    #[arg(long)]
    pub dev: bool,

    /// Where --dev keeps its certificates
    #[arg(long, value_name = "DIR", default_value = "certs/dev", conflicts_with = "tls_cert")]
    pub certs_dir: PathBuf,

    /// Certificate chain in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Its private key in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Where reviews are answered
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9443")]
    pub listen: SocketAddr,

    /// Where health and metrics are answered, without TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    pub health_listen: SocketAddr,

    /// The policy [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// The version that decides what the API server would refuse
    #[arg(long, value_name = "VERSION", default_value = "1.36")]
    pub kubernetes_version: KubernetesVersion,

    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Which log lines are written, such as "info" or "stateward=debug"
    #[arg(long, value_name = "FILTER", env = "STATEWARD_LOG", default_value = "info")]
    pub log: String,

    /// Reviews judged at one time; more are answered with 503
    #[arg(long, value_name = "NUMBER", default_value = "256")]
    pub max_reviews: usize,

    /// Connections held at one time
    #[arg(long, value_name = "NUMBER", default_value = "4096")]
    pub max_connections: usize,

    /// Seconds for which it keeps serving after SIGTERM, until clients have moved on
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub grace_period: u64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// for people
    Text,
    /// one JSON object per line
    Json,
}

/// Serves until it is told to stop.
///
/// # Errors
/// It could not start.
pub fn run(_args: &Args) -> anyhow::Result<Outcome> {
    anyhow::bail!("serve is not part of this build")
}
