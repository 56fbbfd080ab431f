//! Certificates for development: an authority and a serving certificate, made once and kept, so
//! that a restart keeps a registered webhook working.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{CertificateError, chain, issue, pair, provider, read, validity};

/// How long the authority is valid: 10 years.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 3650);
/// How long the serving certificate is valid: 1 year.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365);
/// The serving certificate is made again this long before it expires: 30 days.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Where the files lie, and what was done.
#[derive(Clone, Debug)]
pub struct DevCertificates {
    /// `ca.crt`: what a client trusts
    pub authority: PathBuf,
    /// `tls.crt`
    pub certificate: PathBuf,
    /// `tls.key`
    pub key: PathBuf,
    /// what was done
    pub made: Made,
}

/// What was done to have certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// nothing: those of last time are good
    Nothing,
    /// the same authority signed another serving certificate, for this reason
    Certificate(String),
    /// authority and serving certificate
    Everything,
}

/// Has `ca.crt`, `ca.key`, `tls.crt` and `tls.key` in `folder`: those of last time while they are
/// valid at `now` for `127.0.0.1`, `::1`, `localhost` and `names`, else new ones.
///
/// # Errors
/// A folder that cannot be used, and files in it that are not ours to replace.
pub fn ensure(
    folder: &Path,
    names: &[String],
    now: Timestamp,
) -> Result<DevCertificates, CertificateError> {
    let names = with_loopback(names)?;
    fs::create_dir_all(folder)
        .map_err(|source| CertificateError::Write { path: folder.to_owned(), source })?;
    // Keys must not be committed, whatever repository this folder is in.
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n")
            .map_err(|source| CertificateError::Write { path: ignore, source })?;
    }
    let _lock = lock(folder)?;
    let path = |name: &str| folder.join(name);
    let (ca, ca_key) = (path("ca.crt"), path("ca.key"));
    let (certificate, key) = (path("tls.crt"), path("tls.key"));

    let new = !both(&ca, &ca_key)?;
    if new {
        if both(&certificate, &key)? {
            return Err(CertificateError::Foreign { path: certificate });
        }
        make_authority(&ca, &ca_key, now)?;
    }
    let authority = Authority::read(&ca, &ca_key, now)?;
    let reason = if both(&certificate, &key)? {
        authority.fault(&certificate, &key, &names, now)?
    } else {
        Some("there was none".to_owned())
    };
    let made = match reason {
        None => Made::Nothing,
        Some(reason) => {
            authority.sign(&certificate, &key, &names, now)?;
            if new { Made::Everything } else { Made::Certificate(reason) }
        }
    };
    Ok(DevCertificates { authority: ca, certificate, key, made })
}

/// Names are checked before anything is made.
fn with_loopback(names: &[String]) -> Result<Vec<String>, CertificateError> {
    let mut all: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    for name in names {
        if ServerName::try_from(name.as_str()).is_err() {
            return Err(CertificateError::Name { name: name.clone() });
        }
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    Ok(all)
}

/// Two servers that start at once must not both make an authority.
fn lock(folder: &Path) -> Result<File, CertificateError> {
    let path = folder.join(".lock");
    File::create(&path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|source| CertificateError::Write { path, source })
}

/// Whether both files are there; half a pair is an error, since the other half is lost.
fn both(first: &Path, second: &Path) -> Result<bool, CertificateError> {
    let half = |missing: &Path, present: &Path| {
        Err(CertificateError::Half { missing: missing.to_owned(), present: present.to_owned() })
    };
    match (first.exists(), second.exists()) {
        (true, true) => Ok(true),
        (false, false) => Ok(false),
        (true, false) => half(second, first),
        (false, true) => half(first, second),
    }
}

fn make_authority(ca: &Path, ca_key: &Path, now: Timestamp) -> Result<(), CertificateError> {
    let (certificate, key) =
        issue::authority("stateward development authority", now, AUTHORITY_LIFETIME)?;
    write(ca_key, &key.serialize_pem(), 0o600)?;
    write(ca, &certificate.pem(), 0o644)
}

/// Written beside and renamed, so that a reader never sees half a file.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let beside = path.with_extension("new");
    let written = || -> io::Result<()> {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    written().map_err(|source| CertificateError::Write { path: path.to_owned(), source })
}

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn read(ca: &Path, ca_key: &Path, now: Timestamp) -> Result<Self, CertificateError> {
        let (pem, key_pem) = (read(ca)?, read(ca_key)?);
        let unusable = |reason: String| CertificateError::Authority { path: ca.to_owned(), reason };
        pair((ca, &pem), (ca_key, &key_pem)).map_err(|error| match error {
            CertificateError::Pair { source, .. } => unusable(source.to_string()),
            other => other,
        })?;
        let certificate = chain(ca, &pem)?.swap_remove(0);
        let expires = validity(ca, &certificate)?.end;
        if expires <= now + RENEW_BEFORE {
            return Err(unusable(format!("it expires at {expires}")));
        }
        let key = KeyPair::from_pem(&String::from_utf8_lossy(&key_pem))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer })
    }

    /// Why another serving certificate is needed, if so: the check that a client makes, for every
    /// name, and some time ahead.
    fn fault(
        &self,
        certificate: &Path,
        key: &Path,
        names: &[String],
        now: Timestamp,
    ) -> Result<Option<String>, CertificateError> {
        let certified = pair((certificate, &read(certificate)?), (key, &read(key)?))?;
        let malformed =
            |reason: String| CertificateError::Malformed { path: certificate.to_owned(), reason };
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| malformed(error.to_string()))?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| malformed(error.to_string()))?;
        let leaf =
            certified.end_entity_cert().map_err(|error| malformed(error.to_string()))?.clone();
        let at = |time: Timestamp| {
            let seconds = u64::try_from(time.as_second()).unwrap_or_default();
            UnixTime::since_unix_epoch(Duration::from_secs(seconds))
        };
        for name in names {
            let server = ServerName::try_from(name.as_str())
                .map_err(|_| CertificateError::Name { name: name.clone() })?;
            let checked =
                verifier.verify_server_cert(&leaf, &[], &server, &[], at(now + RENEW_BEFORE));
            match checked {
                Ok(_) => {}
                Err(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::UnknownIssuer
                    | rustls::CertificateError::BadSignature,
                )) => return Err(CertificateError::Foreign { path: certificate.to_owned() }),
                Err(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::NotValidForName
                    | rustls::CertificateError::NotValidForNameContext { .. },
                )) => return Ok(Some(format!("{name} was not among its names"))),
                Err(rustls::Error::InvalidCertificate(
                    rustls::CertificateError::Expired
                    | rustls::CertificateError::ExpiredContext { .. },
                )) => {
                    let expires = validity(certificate, &leaf)?.end;
                    return Ok(Some(format!("the old one expires at {expires}")));
                }
                Err(error) => return Err(malformed(error.to_string())),
            }
        }
        Ok(None)
    }

    fn sign(
        &self,
        certificate: &Path,
        key: &Path,
        names: &[String],
        now: Timestamp,
    ) -> Result<(), CertificateError> {
        let (signed, pair) = issue::leaf(&self.issuer, names, now, now + LIFETIME)?;
        write(key, &pair.serialize_pem(), 0o600)?;
        write(certificate, &signed.pem(), 0o644)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn start() -> Timestamp {
        "2026-11-21T00:00:00Z".parse().unwrap()
    }

    fn days(days: i64) -> Timestamp {
        start() + SignedDuration::from_hours(24 * days)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn certificates_are_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = ensure(folder.path(), &names(&["host.example"]), start()).unwrap();
        assert_eq!(first.made, Made::Everything);
        let bytes = || fs::read(&first.certificate).unwrap();
        let before = bytes();
        let second = ensure(folder.path(), &names(&["host.example"]), days(300)).unwrap();
        assert_eq!(second.made, Made::Nothing);
        assert_eq!(bytes(), before);
        for key in ["ca.key", "tls.key"] {
            let mode = fs::metadata(folder.path().join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn the_same_authority_signs_again_for_a_new_name_and_near_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let ca = fs::read(ensure(folder.path(), &[], start()).unwrap().authority).unwrap();
        let named = ensure(folder.path(), &names(&["10.0.0.7"]), start()).unwrap();
        assert_eq!(named.made, Made::Certificate("10.0.0.7 was not among its names".to_owned()));
        let late = ensure(folder.path(), &[], days(340)).unwrap();
        let Made::Certificate(reason) = &late.made else { panic!("{:?}", late.made) };
        assert_eq!(reason, "the old one expires at 2027-11-21T00:00:00Z");
        assert_eq!(ensure(folder.path(), &[], days(340)).unwrap().made, Made::Nothing);
        assert_eq!(fs::read(late.authority).unwrap(), ca);
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        ensure(ours.path(), &[], start()).unwrap();
        let other = ensure(theirs.path(), &[], start()).unwrap();
        fs::copy(&other.certificate, ours.path().join("tls.crt")).unwrap();
        fs::copy(&other.key, ours.path().join("tls.key")).unwrap();
        let error = ensure(ours.path(), &[], start()).unwrap_err();
        assert!(matches!(error, CertificateError::Foreign { .. }), "{error}");

        fs::remove_file(ours.path().join("ca.key")).unwrap();
        let error = ensure(ours.path(), &[], start()).unwrap_err();
        assert!(matches!(error, CertificateError::Half { .. }), "{error}");
    }

    #[test]
    fn an_authority_that_ends_or_lost_its_key_is_refused() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        ensure(folder.path(), &[], start()).unwrap();
        let error = ensure(folder.path(), &[], days(3640)).unwrap_err();
        assert!(error.to_string().contains("it expires at"), "{error}");
        ensure(other.path(), &[], start()).unwrap();
        fs::copy(other.path().join("ca.key"), folder.path().join("ca.key")).unwrap();
        let error = ensure(folder.path(), &[], start()).unwrap_err();
        assert!(matches!(error, CertificateError::Authority { .. }), "{error}");
    }

    #[test]
    fn a_name_that_is_none_is_refused_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let error = ensure(folder.path(), &names(&["a b"]), start()).unwrap_err();
        assert_eq!(error.to_string(), "\"a b\" is neither a DNS name nor an IP address");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
