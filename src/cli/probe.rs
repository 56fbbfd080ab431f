//! `stateward probe`: asks a webhook in a cluster the way its API server does.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::sign::CertifiedKey;
use serde_json::Value;

use super::Outcome;
use super::connection::Connection;
use super::registered::{self, Shown, Target, Webhook};
use super::serve::{SAMPLE, duration, object_name};
use crate::cluster::{ApiError, Client};

/// The answer to the review of a probe is a few hundred bytes.
const MOST: usize = 64 * 1024;
/// An API server in a container or on another machine reaches its own loopback instead.
const LOOPBACK: &str = "This called a server on this machine. An API server elsewhere, such as that of kind, does not \
                        reach it: `stateward status` asks the API server.\n";
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `stateward probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward probe --webhook-configuration stateward")]
pub struct Args {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Name of both webhook configurations
    #[arg(long, value_name = "NAME", default_value = "stateward", value_parser = object_name)]
    pub webhook_configuration: String,
    /// Connect to this address instead of the one in the configurations
    #[arg(long, value_name = "ADDRESS")]
    pub connect: Option<SocketAddr>,
    /// Client certificate chain in PEM form, for a webhook with --client-ca
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Private key of --client-cert, in PEM form
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// Expect to be rejected without a client certificate. The answers of the webhooks are then not checked
    #[arg(long, conflicts_with = "client_cert")]
    pub turned_away: bool,
    /// How long to retry until both webhooks answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
}

/// Asks both webhooks.
///
/// # Errors
/// No cluster; a certificate that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let certificate = match (&args.client_cert, &args.client_key) {
        (Some(certificate), Some(key)) => Some(registered::load(certificate, key)?),
        _ => None,
    };
    super::runtime()?.block_on(async {
        let client = args.connection.open().await?;
        let start = Instant::now();
        loop {
            let probed = probe(args, certificate.as_ref(), &client);
            let error = match tokio::time::timeout(args.timeout, probed).await {
                Ok(Ok(report)) => {
                    super::print(&report)?;
                    return Ok(Outcome::Clean);
                }
                Ok(Err(error)) => error,
                Err(_) => anyhow::anyhow!("no answer in {:?}", args.timeout),
            };
            if start.elapsed() + PAUSE >= args.timeout {
                // Where the API server does not answer, nothing is known of the webhooks.
                if error.downcast_ref::<ApiError>().is_some() {
                    return Err(error);
                }
                super::print(&format!("{error:#}\n"))?;
                return Ok(Outcome::Findings);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

async fn probe(
    args: &Args,
    certificate: Option<&Arc<CertifiedKey>>,
    client: &Client,
) -> anyhow::Result<String> {
    let mut report = String::new();
    let webhooks = registered::webhooks(client, &args.webhook_configuration).await?;
    let elsewhere = webhooks.iter().any(Webhook::is_loopback) && args.connect.is_none();
    for webhook in webhooks {
        let at = webhook.place()?;
        let start = Instant::now();
        let shown = Arc::new(Shown::new(certificate.cloned()));
        let answered = ask(&webhook, args.connect, &shown).await;
        let _ = match answered {
            Ok(_) if args.turned_away => bail!("{at} answers whoever shows no certificate"),
            Ok((status, body)) => {
                let review: Value = serde_json::from_slice(&body).unwrap_or_default();
                if !status.is_success() || review["response"]["uid"] != "1" {
                    bail!("{at} answered {status}, and no review");
                }
                writeln!(report, "{at} answered in {} ms", start.elapsed().as_millis())
            }
            Err(_) if args.turned_away && shown.was_asked() => writeln!(
                report,
                "{at} turns away whoever shows no certificate; what it answers to others is not seen"
            ),
            Err(error) => {
                let error = match (shown.was_asked(), certificate) {
                    (false, _) => error,
                    (true, None) => error.context("it asks for a certificate (--client-cert)"),
                    (true, Some(_)) => error.context("it may not take the certificate shown"),
                };
                return Err(error.context(format!("{at} does not answer")));
            }
        };
    }
    if elsewhere {
        report.push_str(LOOPBACK);
    }
    Ok(report)
}

/// The answer to one review, from whoever the bundle trusts.
async fn ask(
    webhook: &Webhook,
    connect: Option<SocketAddr>,
    shown: &Arc<Shown>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (target, stream) = webhook.connect(connect, shown).await?;
    let Target { host, path, .. } = &target;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(SAMPLE.as_bytes())))?;
    let answer = sender.send_request(request).await.context("it closed the connection")?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST).collect().await;
    connection.abort();
    let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
    Ok((status, body))
}
