//! The certificate that the server shows, and its replacement while the server runs.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{CertificateError, pair, read, validity};

/// So long before the certificate expires the server is no longer ready: the API server keeps
/// calling an endpoint for some seconds after it was found unready.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

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

/// A certificate and its key, from two files that may be replaced at any time, or from memory.
///
/// A volume of a Secret is replaced by swapping a symbolic link, which a watch on the files does not
/// see. So the content is compared, at whatever interval [`ServingCertificate::reload`] is called.
pub struct ServingCertificate {
    files: Option<Files>,
    shown: ArcSwapOption<Shown>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    valid: Range<Timestamp>,
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
            files: Some(Files {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                seen: Mutex::new(Seen::Content(content.0, content.1)),
            }),
            shown: ArcSwapOption::from_pointee(shown),
        })
    }

    /// Shows nothing until [`ServingCertificate::set`] is called, so that no client agrees on TLS.
    pub fn empty() -> Self {
        Self { files: None, shown: ArcSwapOption::empty() }
    }

    /// Shows another certificate from the next connection on. `valid` is the life that it was
    /// made for.
    pub fn set(&self, key: CertifiedKey, valid: Range<Timestamp>) {
        self.shown.store(Some(Arc::new(Shown { key: Arc::new(key), valid })));
    }

    /// Looks at the files again, where there are any. Blocks on the file system.
    pub fn reload(&self, now: Timestamp) -> Reload {
        let Some(files) = &self.files else { return Reload::Unchanged };
        let content =
            read(&files.certificate).and_then(|certificate| Ok((certificate, read(&files.key)?)));
        let now_seen = match &content {
            Ok((certificate, key)) => Seen::Content(certificate.clone(), key.clone()),
            Err(error) => Seen::Unreadable(error.to_string()),
        };
        {
            let mut seen = files.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now_seen {
                return Reload::Unchanged;
            }
            *seen = now_seen;
        }
        let taken =
            content.and_then(|content| Shown::new(&files.certificate, &files.key, &content));
        match taken {
            Ok(new) if new.valid.end <= now && self.expires().is_some_and(|old| old > now) => {
                Reload::Refused(CertificateError::Expired {
                    path: files.certificate.clone(),
                    expired: new.valid.end,
                })
            }
            Ok(new) => {
                self.shown.store(Some(Arc::new(new)));
                Reload::Replaced
            }
            Err(error) => Reload::Refused(error),
        }
    }

    /// When the shown certificate expires; nothing while none is shown.
    pub fn expires(&self) -> Option<Timestamp> {
        self.shown.load().as_ref().map(|shown| shown.valid.end)
    }

    /// When the server stops being ready for the shown certificate: a minute before it expires, and
    /// at most a tenth of its life, so that one that lives for seconds can be used; nothing while
    /// none is shown.
    pub fn unready(&self) -> Option<Timestamp> {
        let shown = self.shown.load();
        let valid = &shown.as_ref()?.valid;
        let life = valid.end.duration_since(valid.start);
        Some(valid.end - (life / 10).clamp(SignedDuration::ZERO, MARGIN))
    }

    /// The file with the certificate; nothing where it lives in memory.
    pub fn certificate(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| files.certificate.as_path())
    }
}

impl fmt::Debug for ServingCertificate {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingCertificate")
            .field("certificate", &self.certificate())
            .field("expires", &self.expires())
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown.load().as_ref().map(|shown| Arc::clone(&shown.key))
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
        let valid = validity(certificate, leaf)?;
        Ok(Self { key: Arc::new(certified), valid })
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
        let shown = || serving.shown.load().as_ref().unwrap().key.cert[0].clone();
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
        assert!(serving.expires().unwrap() > now());
    }

    #[test]
    fn readiness_ends_before_the_certificate_does() {
        let folder = tempfile::tempdir().unwrap();
        let made = dev::ensure(folder.path(), &[], now()).unwrap();
        let serving = ServingCertificate::load(&made.certificate, &made.key).unwrap();
        assert_eq!(
            serving.expires().unwrap() - SignedDuration::from_mins(1),
            serving.unready().unwrap()
        );

        let key = (*serving.shown.load().as_ref().unwrap().key).clone();
        let start: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        for (life, margin) in [(20, 2), (600, 60), (86_400, 60), (-20, 0)] {
            let end = start + SignedDuration::from_secs(life);
            serving.set(key.clone(), start..end);
            let unready = serving.unready().unwrap();
            assert_eq!(end.duration_since(unready), SignedDuration::from_secs(margin), "{life}");
        }
        assert_eq!(ServingCertificate::empty().unready(), None);
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
