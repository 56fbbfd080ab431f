//! TLS for the API server's client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{self, ServingCertificate};

/// The reason that TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// rustls rejects the settings
    #[error("cannot set up TLS")]
    Settings(#[from] rustls::Error),
    /// the authority of clients cannot be read
    #[error("cannot read the authority of clients, {}", .path.display())]
    Read {
        /// the configured file
        path: PathBuf,
        /// the reason
        source: std::io::Error,
    },
    /// the file holds no usable authority
    #[error("the authority of clients, {}, cannot be used: {reason}", .path.display())]
    Authority {
        /// the configured file
        path: PathBuf,
        /// the reason
        reason: String,
    },
}

/// The TLS settings of new connections, which follow the file with the authority of clients.
#[derive(Debug)]
pub(super) struct Tls {
    certificate: Arc<ServingCertificate>,
    clients: Option<PathBuf>,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// the content of the file with the authority of clients
    authority: Vec<u8>,
}

impl Tls {
    /// With `clients`, a client must show a certificate that this authority has signed.
    pub(super) fn new(
        certificate: Arc<ServingCertificate>,
        clients: Option<PathBuf>,
    ) -> Result<Self, TlsError> {
        let authority = clients.as_deref().map(read).transpose()?.unwrap_or_default();
        let config = config(Arc::clone(&certificate), clients.as_deref(), &authority)?;
        let current = Current { config: Arc::new(config), authority };
        Ok(Self { certificate, clients, current: ArcSwap::from_pointee(current) })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }

    /// Reads the authority of clients again; `true` if it has changed. An unusable file leaves the old
    /// authority in force.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        let Some(path) = &self.clients else { return Ok(false) };
        let authority = read(path)?;
        if authority == self.current.load().authority {
            return Ok(false);
        }
        let config = config(Arc::clone(&self.certificate), Some(path), &authority)?;
        self.current.store(Arc::new(Current { config: Arc::new(config), authority }));
        Ok(true)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// TLS 1.2 and 1.3 with HTTP/1.1, the only protocol that the API server uses for webhooks.
fn config(
    certificate: Arc<ServingCertificate>,
    clients: Option<&Path>,
    authority: &[u8],
) -> Result<ServerConfig, TlsError> {
    let provider = certificates::provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable = |reason: String| TlsError::Authority { path: path.to_owned(), reason };
            let mut roots = RootCertStore::empty();
            for one in CertificateDer::pem_slice_iter(authority) {
                let one = one.map_err(|_| unusable("it is not in PEM form".to_owned()))?;
                roots.add(one).map_err(|error| unusable(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(|error| unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // The API server does not resume sessions, and without them each connection sees the current
    // certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Whether the certificate of a client has one of these names, as its common name or a DNS name. An
/// empty list allows any name.
pub(super) fn is_named(chain: Option<&[CertificateDer<'_>]>, names: &[String]) -> bool {
    if names.is_empty() {
        return true;
    }
    let Some(leaf) = chain.and_then(<[_]>::first) else { return false };
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else { return false };
    let known = |name: &str| names.iter().any(|one| one == name);
    parsed.subject().iter_common_name().any(|name| name.as_str().is_ok_and(known))
        || parsed.subject_alternative_name().ok().flatten().is_some_and(|alternative| {
            alternative.value.general_names.iter().any(|name| {
                matches!(name, x509_parser::extensions::GeneralName::DNSName(name) if known(name))
            })
        })
}
