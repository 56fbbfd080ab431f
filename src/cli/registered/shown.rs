//! What a webhook is shown that asks for the certificate of a client.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::certificates;

/// A certificate or none, and whether one was asked for. A server closes the connection on whoever
/// has none, and what it says about it may be lost; that it asked is never lost.
#[derive(Debug, Default)]
pub(in crate::cli) struct Shown {
    certificate: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Shown {
    /// Shows this certificate.
    pub(in crate::cli) fn new(certificate: Option<Arc<CertifiedKey>>) -> Self {
        Self { certificate, asked: AtomicBool::new(false) }
    }

    /// Whether a certificate was asked for so far.
    pub(in crate::cli) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.certificate.clone()
    }

    fn has_certs(&self) -> bool {
        self.certificate.is_some()
    }
}

/// The certificate that these files in PEM form hold.
///
/// # Errors
/// Files that cannot be read, or do not belong together.
pub(in crate::cli) fn load(certificate: &Path, key: &Path) -> anyhow::Result<Arc<CertifiedKey>> {
    let unusable = |path: &Path| format!("cannot use {}", path.display());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.with_context(|| unusable(certificate))?;
    let private = PrivateKeyDer::from_pem_file(key).with_context(|| unusable(key))?;
    let found = CertifiedKey::from_der(chain, private, &certificates::provider())
        .with_context(|| unusable(certificate))?;
    Ok(Arc::new(found))
}
