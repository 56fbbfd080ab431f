//! `stateward probe`: asks a webhook in a cluster the way its API server does.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::Outcome;
use super::registered::{self, Target, Webhook};
use super::serve::{SAMPLE, duration, object_name};
use crate::cluster::Client;

/// The answer to the review of a probe is a few hundred bytes.
const MOST: usize = 64 * 1024;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `stateward probe`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward probe --webhook-configuration stateward")]
pub struct Args {
    /// The name of both webhook configurations
    #[arg(long, value_name = "NAME", default_value = "stateward", value_parser = object_name)]
    pub webhook_configuration: String,
    /// Connect to this address instead of the one that the configurations give
    #[arg(long, value_name = "ADDRESS")]
    pub connect: Option<SocketAddr>,
    /// How long to try until both webhooks answer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub timeout: Duration,
}

/// Asks both webhooks.
///
/// # Errors
/// No cluster.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(None, None).await?;
        let start = Instant::now();
        loop {
            let attempt = tokio::time::timeout(args.timeout, probe(args, &client)).await;
            let error = match attempt {
                Ok(Ok(report)) => {
                    super::print(&report)?;
                    return Ok(Outcome::Clean);
                }
                Ok(Err(error)) => error,
                Err(_) => anyhow::anyhow!("no answer in {:?}", args.timeout),
            };
            if start.elapsed() + PAUSE >= args.timeout {
                super::print(&format!("{error:#}\n"))?;
                return Ok(Outcome::Findings);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

async fn probe(args: &Args, client: &Client) -> anyhow::Result<String> {
    let mut report = String::new();
    for webhook in registered::webhooks(client, &args.webhook_configuration).await? {
        let at = webhook.place()?;
        let start = Instant::now();
        ask(&webhook, args.connect).await.with_context(|| format!("{at} does not answer"))?;
        let _ = writeln!(report, "{at} answered in {} ms", start.elapsed().as_millis());
    }
    Ok(report)
}

/// One review, trusted by the bundle alone.
async fn ask(webhook: &Webhook, connect: Option<SocketAddr>) -> anyhow::Result<()> {
    let (target, stream) = webhook.connect(connect).await?;
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
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !status.is_success() || review["response"]["uid"] != "1" {
        bail!("it answered {status}, and no review");
    }
    Ok(())
}
