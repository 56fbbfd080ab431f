//! Clients that have to show a certificate.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use stateward::certificates;
use tokio_rustls::TlsConnector;

use crate::harness::{Running, http, start, try_post, until};

const PROTOCOL: &str = "stateward_tls_handshake_failures_total{reason=\"protocol\"}";

/// An authority of clients.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key of a client with this name.
    fn client(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A review by a client with this certificate; nothing where the server does not answer it.
async fn ask(
    server: &Running,
    version: &'static SupportedProtocolVersion,
    shown: Option<&(String, String)>,
) -> Option<StatusCode> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.folder.join("ca.crt")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(certificates::provider())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(chain, key).unwrap()
        }
    };
    // In TLS 1.3 a client hears of a refusal only when it reads.
    let stream = server.try_tls(&TlsConnector::from(Arc::new(config))).await.ok()?;
    let reply = try_post(&mut http(stream).await, "/validate", "{}").await.ok()?;
    Some(reply.status)
}

async fn with_authority(folder: &Path, authority: &Authority, names: &[&str]) -> Running {
    let file = folder.join("clients.crt");
    std::fs::write(&file, &authority.pem).unwrap();
    start(|config| {
        config.client_authority = Some(file);
        config.client_names = names.iter().map(|name| (*name).to_owned()).collect();
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_certificate_of_the_authority_lets_in() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let server = with_authority(folder.path(), &ours, &[]).await;
    for version in [&TLS12, &TLS13] {
        let good = ours.client("kube-apiserver");
        assert_eq!(ask(&server, version, Some(&good)).await, Some(StatusCode::OK));
        assert_eq!(ask(&server, version, Some(&other.client("kube-apiserver"))).await, None);
        assert_eq!(ask(&server, version, None).await, None);
    }
    server.counts(PROTOCOL, 4.0).await;
    // Probes and metrics show none.
    assert_eq!(server.page("/readyz").await, (StatusCode::OK, "ok\n".to_owned()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    let server = with_authority(folder.path(), &ours, &["kube-apiserver", "api"]).await;
    let named = async |name: &str| ask(&server, &TLS13, Some(&ours.client(name))).await;
    assert_eq!(named("kube-apiserver").await, Some(StatusCode::OK));
    assert_eq!(named("api").await, Some(StatusCode::OK));
    assert_eq!(named("kubelet").await, None);
    assert_eq!(named("kube-apiserver2").await, None);
    server.counts("stateward_tls_handshake_failures_total{reason=\"client\"}", 2.0).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_is_taken_while_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    let server = with_authority(folder.path(), &first, &[]).await;
    let (old, new) = (first.client("a"), second.client("a"));
    let file = folder.path().join("clients.crt");
    let write = |text: &str| {
        std::fs::write(folder.path().join("new"), text).unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
    };
    // Both at once, as in a rotation; then the new one alone.
    write(&format!("{}{}", first.pem, second.pem));
    until(async || ask(&server, &TLS13, Some(&new)).await.is_some()).await;
    assert_eq!(ask(&server, &TLS13, Some(&old)).await, Some(StatusCode::OK));
    write(&second.pem);
    until(async || ask(&server, &TLS13, Some(&old)).await.is_none()).await;
    // What is none leaves the last one in force, and lets nobody else in.
    for junk in ["", "junk", "-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n"] {
        write(junk);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(ask(&server, &TLS13, Some(&new)).await, Some(StatusCode::OK), "{junk}");
        assert_eq!(ask(&server, &TLS13, None).await, None, "{junk}");
    }
    server.stop().await;
}
