//! The certificate that the server shows, and its replacement while the server runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{CertificateError, expiry, pair, read};

/// What a look at the files came to.
#[derive(Debug)]
pub enum Reload {
    /// they are as they were
    Unchanged,
    /// the new pair is shown from the next connection on
    Replaced,
    /// they changed and cannot be used; the old pair stays
    Refused(CertificateError),
}

/// A certificate and its key, from two files that may be replaced at any time.
///
/// A volume of a Secret is replaced by swapping a symbolic link, which a watch on the files does not
/// see. So the content is compared, at whatever interval [`ServingCertificate::reload`] is called.
pub struct ServingCertificate {
    certificate: PathBuf,
    key: PathBuf,
    shown: ArcSwap<Shown>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    expires: Timestamp,
}

/// What the files held at the last look, so that a change is judged and logged once.
#[derive(PartialEq, Eq)]
enum Seen {
    Content(Vec<u8>, Vec<u8>),
    Unreadable(String),
}

impl ServingCertificate {
    /// Reads both files.
    ///
    /// # Errors
    /// Files that cannot be read or are not a pair. An expired certificate is none: the server
    /// starts unready and waits for a better one.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let content = (read(certificate)?, read(key)?);
        let shown = Shown::new(certificate, key, &content)?;
        Ok(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            shown: ArcSwap::from_pointee(shown),
            seen: Mutex::new(Seen::Content(content.0, content.1)),
        })
    }

    /// Looks at the files again. Blocks on the file system.
    pub fn reload(&self, now: Timestamp) -> Reload {
        let content =
            read(&self.certificate).and_then(|certificate| Ok((certificate, read(&self.key)?)));
        let now_seen = match &content {
            Ok((certificate, key)) => Seen::Content(certificate.clone(), key.clone()),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now_seen {
                return Reload::Unchanged;
            }
            *seen = now_seen;
        }
        let taken = content.and_then(|content| Shown::new(&self.certificate, &self.key, &content));
        match taken {
            Ok(new) if new.expires <= now && self.expires() > now => {
                Reload::Refused(CertificateError::Expired {
                    path: self.certificate.clone(),
                    expired: new.expires,
                })
            }
            Ok(new) => {
                self.shown.store(Arc::new(new));
                Reload::Replaced
            }
            Err(error) => Reload::Refused(error),
        }
    }

    /// When the shown certificate expires.
    pub fn expires(&self) -> Timestamp {
        self.shown.load().expires
    }

    /// The file with the certificate.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }
}

impl fmt::Debug for ServingCertificate {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate")
            .field("certificate", &self.certificate)
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.load().key))
    }
}

impl Shown {
    fn new(
        certificate: &Path,
        key: &Path,
        content: &(Vec<u8>, Vec<u8>),
    ) -> Result<Self, CertificateError> {
        let certified = pair((certificate, &content.0), (key, &content.1))?;
        let Some(leaf) = certified.cert.first() else {
            return Err(CertificateError::NoCertificate { path: certificate.to_owned() });
        };
        let expires = expiry(certificate, leaf)?;
        Ok(Self { key: Arc::new(certified), expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::dev;

    fn copy(from: &dev::DevCertificates, to: &Path, what: &str) {
        let source = if what == "tls.crt" { &from.certificate } else { &from.key };
        std::fs::copy(source, to.join(what)).unwrap();
    }

    fn now() -> Timestamp {
        Timestamp::now()
    }

    #[test]
    fn half_a_swap_keeps_the_old_pair_and_is_refused_once() {
        let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let first = dev::ensure(folders[0].path(), &[], now()).unwrap();
        let second = dev::ensure(folders[1].path(), &[], now()).unwrap();
        let live = folders[2].path();
        copy(&first, live, "tls.crt");
        copy(&first, live, "tls.key");
        let serving =
            ServingCertificate::load(&live.join("tls.crt"), &live.join("tls.key")).unwrap();
        let shown = || serving.shown.load().key.cert[0].clone();
        let before = shown();
        assert!(matches!(serving.reload(now()), Reload::Unchanged));

        copy(&second, live, "tls.crt");
        assert!(matches!(serving.reload(now()), Reload::Refused(CertificateError::Pair { .. })));
        assert!(matches!(serving.reload(now()), Reload::Unchanged));
        assert_eq!(shown(), before);

        copy(&second, live, "tls.key");
        assert!(matches!(serving.reload(now()), Reload::Replaced));
        assert_ne!(shown(), before);

        std::fs::remove_file(live.join("tls.key")).unwrap();
        assert!(matches!(serving.reload(now()), Reload::Refused(CertificateError::Read { .. })));
        assert!(matches!(serving.reload(now()), Reload::Unchanged));
    }

    #[test]
    fn an_expired_certificate_does_not_replace_a_valid_one() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let past: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
        let expired = dev::ensure(old.path(), &[], past).unwrap();
        let valid = dev::ensure(new.path(), &[], now()).unwrap();
        let serving = ServingCertificate::load(&valid.certificate, &valid.key).unwrap();
        copy(&expired, new.path(), "tls.crt");
        copy(&expired, new.path(), "tls.key");
        assert!(matches!(serving.reload(now()), Reload::Refused(CertificateError::Expired { .. })));
        assert!(serving.expires() > now());
    }

    #[test]
    fn a_swapped_symbolic_link_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["a", "b"] {
            dev::ensure(&folder.path().join(version), &[], now()).unwrap();
        }
        let data = folder.path().join("..data");
        std::os::unix::fs::symlink("a", &data).unwrap();
        let serving =
            ServingCertificate::load(&data.join("tls.crt"), &data.join("tls.key")).unwrap();
        let fresh = folder.path().join("..data_tmp");
        std::os::unix::fs::symlink("b", &fresh).unwrap();
        std::fs::rename(&fresh, &data).unwrap();
        assert!(matches!(serving.reload(now()), Reload::Replaced));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let made = dev::ensure(folder.path(), &[], now()).unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        let said = |certificate: &Path, key: &Path| {
            ServingCertificate::load(certificate, key).unwrap_err().to_string()
        };
        assert!(said(&empty, &made.key).ends_with("empty holds no certificate in PEM form"));
        assert!(
            said(&made.certificate, &empty).ends_with("empty holds no private key in PEM form")
        );
        assert!(said(&made.authority, &made.key).ends_with("cannot be used together"));
        assert!(said(&folder.path().join("none"), &made.key).starts_with("cannot read"));
    }
}
