//! Both webhooks as they are registered in a cluster.

mod shown;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, WebhookClientConfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stateward_core::review::WebhookKind;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(super) use self::shown::{Shown, load};
use crate::certificates;
use crate::cluster::{Client, WebhookConfiguration};

/// A webhook of a configuration.
#[derive(Clone, Debug)]
pub(super) struct Webhook(ValidatingWebhook);

/// The port of https, which the API server calls if a Service names none.
const HTTPS: u16 = 443;

/// Where a webhook is, as its API server sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

fn target(client: &WebhookClientConfig) -> anyhow::Result<Target> {
    if let Some(service) = &client.service {
        let port = service.port.map(u16::try_from).transpose();
        return Ok(Target {
            host: format!("{}.{}.svc", service.name, service.namespace),
            port: port.context("its port is none")?.unwrap_or(HTTPS),
            path: service.path.clone().unwrap_or_default(),
        });
    }
    let url = client.url.as_deref().context("it has neither url nor service")?;
    let uri: hyper::Uri = url.parse().with_context(|| format!("\"{url}\" is no URL"))?;
    let host = uri.host().with_context(|| format!("\"{url}\" names no host"))?;
    Ok(Target {
        host: host.trim_matches(['[', ']']).to_owned(),
        port: uri.port_u16().unwrap_or(HTTPS),
        path: uri.path().to_owned(),
    })
}

fn is_loopback(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The webhooks of both configurations of this name.
///
/// # Errors
/// A configuration that does not exist, holds no webhook or cannot be read.
pub(super) async fn webhooks(client: &Client, name: &str) -> anyhow::Result<Vec<Webhook>> {
    let mut all = Vec::new();
    for webhook in WebhookKind::ALL {
        let kind = webhook.configuration_kind();
        let found = WebhookConfiguration::read(client, webhook, name)
            .await
            .with_context(|| format!("cannot read {kind} {name}"))?;
        let found = found.with_context(|| format!("{kind} {name} does not exist"))?;
        if found.webhooks.is_empty() {
            bail!("{kind} {name} holds no webhook");
        }
        all.extend(found.webhooks.into_iter().map(Webhook));
    }
    Ok(all)
}

impl Webhook {
    /// Its name with the place where the API server looks for it.
    pub(super) fn place(&self) -> anyhow::Result<String> {
        let Target { host, port, path } = target(&self.0.client_config)?;
        Ok(format!("{} at {host}:{port}{path}", self.0.name))
    }

    /// Whether its address leads each machine to itself, and this machine elsewhere than the API server.
    pub(super) fn is_loopback(&self) -> bool {
        target(&self.0.client_config).is_ok_and(|target| is_loopback(&target.host))
    }

    /// The authorities that the API server trusts for it.
    pub(super) fn authorities(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let bundle = self.0.client_config.ca_bundle.as_ref();
        let pem = bundle.map_or(&[][..], |bundle| &bundle.0);
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = all.context("its caBundle is not in PEM form")?;
        if all.is_empty() {
            bail!("its caBundle is empty, so the API server trusts nobody");
        }
        Ok(all)
    }

    /// Connects to it as the API server does, or to another address in its place. A certificate is
    /// shown where it is asked for.
    pub(super) async fn connect(
        &self,
        instead: Option<SocketAddr>,
        shown: &Arc<Shown>,
    ) -> anyhow::Result<(Target, TlsStream<TcpStream>)> {
        let target = target(&self.0.client_config)?;
        let mut roots = RootCertStore::empty();
        for authority in self.authorities()? {
            roots.add(authority)?;
        }
        let config = ClientConfig::builder_with_provider(certificates::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::clone(shown) as Arc<_>);
        let name = ServerName::try_from(target.host.clone()).context("its host is no name")?;
        let stream = match instead {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect((target.host.as_str(), target.port)).await,
        };
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream.context("cannot connect")?)
            .await
            .context("no TLS that its caBundle trusts")?;
        Ok((target, stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_known_in_each_form() {
        for host in ["127.0.0.1", "127.8.0.1", "::1", "localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "host.minikube.internal", "web.a.svc", "::2"] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn finds_the_place_that_a_configuration_gives() {
        let target = |client: &str| target(&serde_json::from_str(client).unwrap());
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
