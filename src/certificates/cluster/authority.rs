//! The authority of a cluster, the leaves that it signs, and the bundle that trusts it. Nothing
//! here reads a clock or asks anybody.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rcgen::{Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;

use crate::certificates::{CertificateError, issue, pair, provider};

/// The subject of every authority made here, by which a bundle shows which ones are ours.
const SUBJECT: &str = "stateward authority";
/// A bundle holds the authority and this many before it: somebody who deletes the Secret again and
/// again does not fill the webhook configurations.
const MOST_PREVIOUS: usize = 7;

/// An authority as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Pem {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Pem {
    /// Makes another authority.
    pub(super) fn make(now: Timestamp, lifetime: SignedDuration) -> Result<Self, CertificateError> {
        let (certificate, key) = issue::authority(SUBJECT, now, lifetime)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// An authority that can sign.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    from: Timestamp,
    until: Timestamp,
}

/// A certificate of this replica, and who signed it.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) key: CertifiedKey,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Authority {
    /// Reads what [`Pem::make`] has made.
    pub(super) fn read(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let (at, key_at) = (Path::new("ca.crt"), Path::new("ca.key"));
        let unusable = |reason: &str| CertificateError::Malformed {
            path: at.to_owned(),
            reason: reason.to_owned(),
        };
        let certified = pair((at, certificate), (key_at, key))?;
        let der = certified.cert.first().ok_or_else(|| unusable("it is empty"))?.clone();
        let (from, until) = {
            let parsed = parse(&der).ok_or_else(|| unusable("it cannot be decoded"))?;
            if !parsed.is_ca() || !is_ours(&parsed) {
                return Err(unusable("it is no authority of stateward"));
            }
            validity(&parsed)
        };
        let pair = KeyPair::from_pem(&String::from_utf8_lossy(key))?;
        let issuer = Issuer::from_ca_cert_der(&der, pair)?;
        Ok(Self { certificate: der, issuer, from, until })
    }

    /// Why another authority is needed, if so. One that is not valid yet was made while a clock was
    /// ahead.
    pub(super) fn fault(&self, now: Timestamp, lifetime: SignedDuration) -> Option<String> {
        if self.from > now {
            return Some(format!("it is valid from {} on only", self.from));
        }
        (self.until <= now + lifetime / 3).then(|| format!("it expires at {}", self.until))
    }

    /// Signs a certificate for these names; it never outlives the authority.
    pub(super) fn sign(
        &self,
        names: &[String],
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Leaf, CertificateError> {
        let until = (now + lifetime).min(self.until);
        let (certificate, key) = issue::leaf(&self.issuer, names, now, until)?;
        let secret = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes())
            .map_err(|_| CertificateError::NoKey { path: "tls.key".into() })?;
        let certified =
            CertifiedKey::from_der(vec![certificate.der().clone()], secret, &provider()).map_err(
                |source| CertificateError::Pair {
                    certificate: "tls.crt".into(),
                    key: "tls.key".into(),
                    source,
                },
            )?;
        Ok(Leaf { key: certified, from: now, until })
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(super) fn expires(&self) -> Timestamp {
        self.until
    }
}

impl fmt::Debug for Authority {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("until", &self.until).finish_non_exhaustive()
    }
}

impl Leaf {
    /// Whether it is time for another: a third of its life is left, or a clock went back.
    pub(super) fn due(&self, now: Timestamp) -> bool {
        now < self.from
            || self.until.duration_since(now) * 3 <= self.until.duration_since(self.from)
    }
}

/// The authorities that API servers are to trust, the one that signs first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bundle(Vec<CertificateDer<'static>>);

impl Bundle {
    /// The certificates in `pem` that can be read; others are left out.
    pub(super) fn read(pem: &[u8]) -> Self {
        Self(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect())
    }

    /// Those of `others` that were made here and have not expired, after `first`.
    pub(super) fn new(
        first: Option<&CertificateDer<'static>>,
        others: &[Self],
        now: Timestamp,
    ) -> Self {
        let mut all: Vec<_> = first.into_iter().cloned().collect();
        let most = all.len() + MOST_PREVIOUS;
        let mut previous: Vec<(Timestamp, &CertificateDer<'static>)> = Vec::new();
        for der in others.iter().flat_map(|bundle| &bundle.0) {
            let Some(parsed) = parse(der).filter(is_ours) else { continue };
            let (from, until) = validity(&parsed);
            if until > now && !previous.contains(&(from, der)) {
                previous.push((from, der));
            }
        }
        // The youngest first; among equals any order that is the same everywhere.
        previous.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| y.as_ref().cmp(x.as_ref())));
        for (_, der) in previous {
            if all.len() < most && !all.contains(der) {
                all.push(der.clone());
            }
        }
        Self(all)
    }

    pub(super) fn trusts(&self, authority: &CertificateDer<'static>) -> bool {
        self.0.contains(authority)
    }

    /// In PEM form.
    pub(super) fn pem(&self) -> String {
        let mut text = String::new();
        for der in &self.0 {
            text.push_str("-----BEGIN CERTIFICATE-----\n");
            let encoded = STANDARD.encode(der);
            for line in encoded.as_bytes().chunks(64) {
                text.push_str(&String::from_utf8_lossy(line));
                text.push('\n');
            }
            text.push_str("-----END CERTIFICATE-----\n");
        }
        text
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    x509_parser::parse_x509_certificate(der).ok().map(|(_, parsed)| parsed)
}

fn is_ours(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().iter_common_name().any(|name| name.as_str() == Ok(SUBJECT))
}

fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let validity = certificate.validity();
    (at(validity.not_before.timestamp()), at(validity.not_after.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);
    const WEEK: SignedDuration = SignedDuration::from_hours(24 * 7);

    fn days(days: i64) -> Timestamp {
        let start: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        start + SignedDuration::from_hours(24 * days)
    }

    fn made(at: Timestamp) -> (Pem, Authority) {
        let pem = Pem::make(at, YEAR).unwrap();
        let authority = Authority::read(pem.certificate.as_bytes(), pem.key.as_bytes()).unwrap();
        (pem, authority)
    }

    #[test]
    fn an_authority_is_replaced_in_the_last_third_and_after_a_clock_step() {
        let (_, authority) = made(days(0));
        assert_eq!(authority.fault(days(0), YEAR), None);
        assert_eq!(authority.fault(days(243), YEAR), None);
        let expires = Some("it expires at 2027-11-21T00:00:00Z".to_owned());
        assert_eq!(authority.fault(days(244), YEAR), expires);
        let early = authority.fault(days(-1), YEAR).unwrap();
        assert_eq!(early, "it is valid from 2026-11-20T23:00:00Z on only");
    }

    #[test]
    fn a_leaf_is_replaced_in_its_last_third_and_after_a_clock_step() {
        let (_, authority) = made(days(0));
        let leaf = authority.sign(&["a.b.svc".to_owned()], days(1), WEEK).unwrap();
        let due: Vec<bool> = [0, 1, 5, 6, 9].map(|day| leaf.due(days(day))).into();
        assert_eq!(due, [true, false, false, true, true]);
        let last = authority.sign(&["a.b.svc".to_owned()], days(364), WEEK).unwrap();
        assert_eq!(last.until, authority.expires());
    }

    #[test]
    fn keys_of_others_and_leaves_are_no_authority() {
        let ((one, authority), (other, _)) = (made(days(0)), made(days(0)));
        let read = |certificate: &str, key: &str| {
            Authority::read(certificate.as_bytes(), key.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(read(&one.certificate, &other.key), "ca.crt and ca.key cannot be used together");
        assert_eq!(read("", &one.key), "ca.crt holds no certificate in PEM form");
        assert_eq!(read(&one.certificate, ""), "ca.key holds no private key in PEM form");
        let (leaf, key) = issue::leaf(&authority.issuer, &[], days(0), days(1)).unwrap();
        assert!(read(&leaf.pem(), &key.serialize_pem()).contains("no authority of stateward"));
    }

    #[test]
    fn a_bundle_keeps_what_is_ours_and_lives() {
        let (old, oldest) = (made(days(0)).1, made(days(-364)).1);
        let new = made(days(3)).1;
        let foreign = issue::authority("another authority", days(0), YEAR).unwrap().0;
        let found = Bundle(vec![
            oldest.certificate.clone(),
            foreign.der().clone(),
            old.certificate.clone(),
            CertificateDer::from(vec![1, 2, 3]),
            new.certificate.clone(),
        ]);
        let bundle = Bundle::new(Some(&new.certificate), &[found.clone(), found.clone()], days(3));
        assert_eq!(bundle.0, [new.certificate.clone(), old.certificate.clone()]);
        assert!(bundle.trusts(&old.certificate) && !bundle.trusts(foreign.der()));
        // The order does not depend on who looks.
        assert_eq!(Bundle::new(None, &[found], days(0)).0.len(), 3);
        assert_eq!(Bundle::read(bundle.pem().as_bytes()), bundle);
        assert_eq!(Bundle::read(b"junk"), Bundle::default());
    }

    #[test]
    fn a_bundle_does_not_grow_without_end() {
        let many: Vec<_> = (0..12).map(|day| made(days(day)).1.certificate).collect();
        let bundle = Bundle::new(None, &[Bundle(many.clone())], days(12));
        assert_eq!(bundle.0.len(), MOST_PREVIOUS);
        assert_eq!(bundle.0[0], many[11]);
    }
}
