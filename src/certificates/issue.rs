//! Making certificates: those for development and those for a cluster differ only in names and
//! lifetimes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// Certificates are valid from a little before now, for a clock that is late.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// An authority that signs leaves and nothing else.
pub(super) fn authority(
    name: &str,
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, now + lifetime);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok((params.self_signed(&key)?, key))
}

/// A certificate of a server with these names, and its new key.
pub(super) fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    names: &[String],
    now: Timestamp,
    until: Timestamp,
) -> Result<(Certificate, KeyPair), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "stateward");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, until);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok((params.signed_by(&key, issuer)?, key))
}

fn valid(params: &mut CertificateParams, now: Timestamp, until: Timestamp) {
    let date = |at: Timestamp| {
        let seconds = u64::try_from(at.as_second()).unwrap_or_default();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
    };
    params.not_before = date(now - CLOCK_SKEW);
    params.not_after = date(until);
}
