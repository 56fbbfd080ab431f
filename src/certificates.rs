//! Serving certificates: read, checked, replaced while the server runs; made for development; and
//! made in a cluster, together with the trust of its API server.

pub mod cluster;
pub mod dev;
mod issue;
pub mod serving;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use thiserror::Error;

pub use self::dev::{DevCertificates, Made};
pub use self::serving::{Reload, ServingCertificate};

/// Why a certificate cannot be used or made.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// the file
        path: PathBuf,
        /// the reason
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// the file or folder
        path: PathBuf,
        /// the reason
        source: io::Error,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate in PEM form", path.display())]
    NoCertificate {
        /// the file
        path: PathBuf,
    },
    /// A file holds no private key.
    #[error("{} holds no private key in PEM form", path.display())]
    NoKey {
        /// the file
        path: PathBuf,
    },
    /// A certificate cannot be decoded.
    #[error("{} is no certificate that can be read: {reason}", path.display())]
    Malformed {
        /// the file
        path: PathBuf,
        /// what the decoder said
        reason: String,
    },
    /// Certificate and key are not a pair.
    #[error("{} and {} cannot be used together", certificate.display(), key.display())]
    Pair {
        /// the file with the certificate
        certificate: PathBuf,
        /// the file with the key
        key: PathBuf,
        /// what is wrong with them
        source: rustls::Error,
    },
    /// The new certificate has expired, the old one has not.
    #[error("the certificate in {} expired at {expired}", path.display())]
    Expired {
        /// the file
        path: PathBuf,
        /// since when
        expired: Timestamp,
    },
    /// One of a pair of files is missing.
    #[error(
        "{} is missing beside {}; delete both to have them made again", missing.display(),
        present.display()
    )]
    Half {
        /// the missing file
        missing: PathBuf,
        /// the file that is there
        present: PathBuf,
    },
    /// The development authority can sign no more.
    #[error(
        "the authority in {} cannot be used: {reason}; delete the folder to have a new one made, \
         then register the new ca.crt with the API server", path.display()
    )]
    Authority {
        /// its certificate
        path: PathBuf,
        /// what is wrong with it
        reason: String,
    },
    /// The serving certificate is not of the authority beside it.
    #[error(
        "{} was not signed by the authority beside it, so it is left alone; delete it and its key \
         to have another made, or name it with --tls-cert and --tls-key", path.display()
    )]
    Foreign {
        /// the serving certificate
        path: PathBuf,
    },
    /// A name is neither a DNS name nor an IP address.
    #[error("\"{name}\" is neither a DNS name nor an IP address")]
    Name {
        /// as given
        name: String,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// The provider of all cryptography, named here so that none has to be set for the process.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

/// The certificates of a PEM file, the serving one first.
fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain =
        CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|error| {
            CertificateError::Malformed { path: path.to_owned(), reason: error.to_string() }
        })?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

/// A pair that was found to match.
fn pair(
    certificate: (&Path, &[u8]),
    key: (&Path, &[u8]),
) -> Result<CertifiedKey, CertificateError> {
    let chain = chain(certificate.0, certificate.1)?;
    let secret = PrivateKeyDer::from_pem_slice(key.1)
        .map_err(|_| CertificateError::NoKey { path: key.0.to_owned() })?;
    CertifiedKey::from_der(chain, secret, &provider()).map_err(|source| CertificateError::Pair {
        certificate: certificate.0.to_owned(),
        key: key.0.to_owned(),
        source,
    })
}

/// From when until when a certificate is valid.
fn validity(path: &Path, der: &CertificateDer<'_>) -> Result<Range<Timestamp>, CertificateError> {
    let malformed = |reason: String| CertificateError::Malformed { path: path.to_owned(), reason };
    let (_, parsed) =
        x509_parser::parse_x509_certificate(der).map_err(|error| malformed(error.to_string()))?;
    let at = |second| Timestamp::from_second(second).map_err(|error| malformed(error.to_string()));
    let validity = parsed.validity();
    Ok(at(validity.not_before.timestamp())?..at(validity.not_after.timestamp())?)
}
