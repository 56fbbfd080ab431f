//! `stateward probe`: asks a webhook in a cluster the way its API server does.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Outcome;
use super::serve::{SAMPLE, duration, object_name};
use crate::certificates;

const KINDS: [(&str, &str); 2] = [
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
];
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

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    webhooks: Vec<Webhook>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    name: String,
    client_config: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    url: Option<String>,
    service: Option<Service>,
    #[serde(default)]
    ca_bundle: String,
}

#[derive(Deserialize)]
struct Service {
    namespace: String,
    name: String,
    #[serde(default)]
    path: String,
    #[serde(default = "https")]
    port: u16,
}

const fn https() -> u16 {
    443
}

/// Where a webhook is, as its API server sees it.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    path: String,
}

impl Client {
    fn target(&self) -> anyhow::Result<Target> {
        if let Some(service) = &self.service {
            return Ok(Target {
                host: format!("{}.{}.svc", service.name, service.namespace),
                port: service.port,
                path: service.path.clone(),
            });
        }
        let url = self.url.as_deref().context("it has neither url nor service")?;
        let uri: hyper::Uri = url.parse().with_context(|| format!("\"{url}\" is no URL"))?;
        let host = uri.host().with_context(|| format!("\"{url}\" names no host"))?;
        Ok(Target {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or_else(https),
            path: uri.path().to_owned(),
        })
    }
}

/// Asks both webhooks.
///
/// # Errors
/// No cluster.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = kube::Config::infer().await.context("no cluster")?;
        config.default_retry = false;
        let client = kube::Client::try_from(config).context("cannot set up a connection")?;
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

async fn probe(args: &Args, client: &kube::Client) -> anyhow::Result<String> {
    let mut report = String::new();
    for (kind, plural) in KINDS {
        let name = &args.webhook_configuration;
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}/{name}");
        let request = Request::get(path).body(Vec::new())?;
        let found: Configuration =
            client.request(request).await.with_context(|| format!("cannot read {kind} {name}"))?;
        if found.webhooks.is_empty() {
            bail!("{kind} {name} holds no webhook");
        }
        for webhook in found.webhooks {
            let target = webhook.client_config.target()?;
            let Target { host, port, path } = &target;
            let at = format!("{} at {host}:{port}{path}", webhook.name);
            let start = Instant::now();
            ask(&target, &webhook.client_config.ca_bundle, args.connect)
                .await
                .with_context(|| format!("{at} does not answer"))?;
            let _ = writeln!(report, "{at} answered in {} ms", start.elapsed().as_millis());
        }
    }
    Ok(report)
}

/// One review, trusted by the bundle alone.
async fn ask(target: &Target, bundle: &str, connect: Option<SocketAddr>) -> anyhow::Result<()> {
    let Target { host, port, path } = target;
    let mut roots = RootCertStore::empty();
    let pem = STANDARD.decode(bundle).context("its caBundle is not base64")?;
    for authority in CertificateDer::pem_slice_iter(&pem) {
        roots.add(authority.context("its caBundle is not in PEM form")?)?;
    }
    if roots.is_empty() {
        bail!("its caBundle is empty, so the API server trusts nobody");
    }
    let config = ClientConfig::builder_with_provider(certificates::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.clone()).context("its host is no name")?;
    let stream = match connect {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect((host.as_str(), *port)).await,
    };
    let stream = stream.context("cannot connect")?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .context("no TLS that its caBundle trusts")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_that_a_configuration_gives() {
        let target = |client: &str| serde_json::from_str::<Client>(client).unwrap().target();
        let at = |host: &str, port, path: &str| Target {
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        };
        let service = r#"{"service": {"namespace": "a", "name": "b", "path": "/mutate"}}"#;
        assert_eq!(target(service).unwrap(), at("b.a.svc", 443, "/mutate"));
        let url = r#"{"url": "https://127.0.0.1:9443/validate"}"#;
        assert_eq!(target(url).unwrap(), at("127.0.0.1", 9443, "/validate"));
        assert_eq!(target(r#"{"url": "https://[::1]/"}"#).unwrap(), at("::1", 443, "/"));
        assert!(target("{}").is_err());
    }
}
