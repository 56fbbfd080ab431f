//! Certificates in a cluster without another operator, and the trust of its API servers.
//!
//! One authority lies in a Secret. Each replica signs a certificate of its own with it and keeps
//! that in memory; the `caBundle` of both webhook configurations holds the authority and those
//! before it that have not expired. No replica leads: each looks at all of it every few seconds,
//! and puts right what is not.
//!
//! The order of a replacement is what makes it safe. A new authority is stored together with the
//! old ones first; then it is put beside them into both configurations; and only when it has been
//! seen there for a while does a replica show a certificate that it has signed. Each step may be
//! done by any replica, and any of them may stop anywhere in between.
//!
//! A replica reads the configurations before it reads the Secret, and edits only what it has read.
//! So an edit never takes away an authority that was stored after the replica looked.

mod api;
mod authority;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;
use stateward_core::review::WebhookKind;

use self::api::{Api, Configuration, Stored};
use self::authority::{Authority, Bundle, Leaf, Pem};
use super::{CertificateError, ServingCertificate};
use crate::cluster::{ApiError, Client};
use crate::health::Health;
use crate::telemetry::Metrics;

/// So often others may be faster before a look is given up until the next one.
const TRIES: usize = 8;
/// Until the certificate is trusted for the first time, the next look comes sooner.
const SOON: Duration = Duration::from_millis(500);

/// What to make, where to keep it and who is to trust it.
#[derive(Clone, Debug)]
pub struct Options {
    /// the namespace of the Service and of the Secret
    pub namespace: String,
    /// the Service in front of the webhook
    pub service: String,
    /// further DNS names and addresses of the webhook
    pub names: Vec<String>,
    /// the Secret with the authority
    pub secret: String,
    /// the name of both webhook configurations
    pub configuration: String,
    /// how often everything is looked at; a new authority has to be trusted for as long before it
    /// is used
    pub interval: Duration,
    /// how long an authority is valid; another is made when a third of that is left
    pub authority_lifetime: SignedDuration,
    /// how long a certificate is valid; another is made when a third of that is left
    pub certificate_lifetime: SignedDuration,
}

impl Options {
    /// The names that the API server and people use.
    fn dns_names(&self) -> Vec<String> {
        let Self { namespace, service, .. } = self;
        let mut names: Vec<String> = [".svc", ".svc.cluster.local", ""]
            .map(|end| format!("{service}.{namespace}{end}"))
            .into();
        names.extend(self.names.iter().cloned());
        names
    }
}

/// Why a look at the certificates failed.
#[derive(Debug, thiserror::Error)]
enum RotationError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Keeps the certificate of this replica, and the trust in it.
pub struct CertificateRotator {
    options: Options,
    names: Vec<String>,
    api: Api,
    certificate: Arc<ServingCertificate>,
    metrics: Arc<Metrics>,
    health: Health,
    current: Option<Current>,
    /// the authority that both configurations were seen to trust, and since when
    trusted: Option<(CertificateDer<'static>, Instant)>,
    complaint: String,
    ready: bool,
}

/// The certificate in use: when it is due, and who signed it.
struct Current {
    leaf: Leaf,
    authority: Arc<Authority>,
}

impl CertificateRotator {
    /// Nothing is asked yet.
    pub fn new(
        options: Options,
        client: Client,
        certificate: Arc<ServingCertificate>,
        metrics: Arc<Metrics>,
        health: Health,
    ) -> Self {
        let api = Api::new(client, &options.namespace, &options.secret, &options.configuration);
        health.set_trust_problem(Some("the API server was not asked for trust yet".to_owned()));
        metrics.bundle_trusted(false);
        Self {
            names: options.dns_names(),
            options,
            api,
            certificate,
            metrics,
            health,
            current: None,
            trusted: None,
            complaint: String::new(),
            ready: false,
        }
    }

    /// Looks and repairs, for ever.
    pub async fn run(mut self) {
        loop {
            self.reconcile().await;
            let pause =
                if self.ready { self.options.interval } else { self.options.interval.min(SOON) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn reconcile(&mut self) {
        let mut outcome = self.attempt().await;
        for turn in 1..TRIES {
            if !matches!(outcome, Err(RotationError::Api(ApiError::Conflict { .. }))) {
                break;
            }
            // Replicas that met once should not meet again at once.
            let spread = u64::from(std::process::id() % 7) + 1;
            tokio::time::sleep(Duration::from_millis(spread * turn as u64 * 5)).await;
            outcome = self.attempt().await;
        }
        self.metrics.trust_checked(outcome.is_ok());
        match outcome {
            Ok(problem) => {
                self.complaint.clear();
                self.set_problem(problem);
            }
            Err(error) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                if text != self.complaint {
                    tracing::warn!(error = text, "cannot look after the certificates");
                }
                if !self.ready {
                    self.health.set_trust_problem(Some(text.clone()));
                }
                self.complaint = text;
                self.renew_alone();
            }
        }
    }

    /// One look. Gives what keeps API servers from trusting the certificate in use, if anything.
    async fn attempt(&mut self) -> Result<Option<String>, RotationError> {
        let mut found = Vec::new();
        for webhook in WebhookKind::ALL {
            found.push((webhook, self.api.configuration(webhook).await?));
        }
        self.check_trust(&found);
        let (authority, wanted, now) = self.authority(&found).await?;
        let mut missing = None;
        for (webhook, configuration) in &found {
            let (kind, name) = (webhook.configuration_kind(), &self.options.configuration);
            match configuration {
                None => missing = Some(format!("{kind} {name} does not exist")),
                Some(seen) if seen.found().is_empty() => {
                    missing = Some(format!("{kind} {name} holds no webhook of ours"));
                }
                Some(seen) => {
                    if self.api.trust(*webhook, seen, &wanted).await? {
                        self.trusted = None;
                        self.metrics.bundle_edited(kind);
                        tracing::info!(kind, name, "edited the caBundle");
                    }
                }
            }
        }
        self.replace_if_due(authority, &wanted, now, missing.is_none())?;
        // A configuration that was deleted on purpose does not take the replicas away.
        let missing = missing.filter(|_| !self.ready);
        let untrusted = self
            .current
            .as_ref()
            .is_none_or(|current| !wanted.trusts(current.authority.certificate()))
            .then(|| "the API server does not trust the serving certificate yet".to_owned());
        Ok(missing.or(untrusted))
    }

    /// A configuration that trusts somebody else than us makes the replica unready until it is put
    /// right, even if that fails.
    fn check_trust(&mut self, found: &[(WebhookKind, Option<Configuration>)]) {
        let Some(current) = &self.current else { return };
        let trusts = |(_, seen): &(WebhookKind, Option<Configuration>)| {
            seen.as_ref().is_none_or(|seen| seen.trusts(current.authority.certificate()))
        };
        if !found.iter().all(trusts) {
            if self.ready {
                tracing::warn!("a webhook configuration does not trust the serving certificate");
            }
            self.trusted = None;
            self.set_problem(Some(
                "a webhook configuration does not trust the certificate".to_owned(),
            ));
        }
    }

    /// The authority that is stored, after it was made or replaced where needed; the bundle that
    /// is to be trusted; the time.
    async fn authority(
        &self,
        found: &[(WebhookKind, Option<Configuration>)],
    ) -> Result<(Arc<Authority>, Bundle, Timestamp), RotationError> {
        let (stored, now) = self.api.secret().await?;
        let lifetime = self.options.authority_lifetime;
        let (old, reason) = match stored {
            None => (None, "there was none".to_owned()),
            Some(stored) => match Authority::read(&stored.certificate, &stored.key) {
                Err(error) => (Some(stored), error.to_string()),
                Ok(authority) => {
                    let Some(reason) = authority.fault(now, lifetime) else {
                        let previous = Bundle::read(&stored.previous);
                        let wanted = Bundle::new(Some(authority.certificate()), &[previous], now);
                        self.metrics.authority_expires(authority.expires().as_second());
                        return Ok((Arc::new(authority), wanted, now));
                    };
                    (Some(stored), reason)
                }
            },
        };
        // What replicas show now was signed by what the configurations trust now, even if nobody
        // has stored it any more.
        let mut known: Vec<Bundle> = found
            .iter()
            .filter_map(|(_, seen)| seen.as_ref())
            .flat_map(Configuration::found)
            .collect();
        known.extend(old.iter().map(previous));
        let previous = Bundle::new(None, &known, now);
        let pem = Pem::make(now, lifetime)?;
        self.api.store(old, &pem, &previous).await?;
        let authority = Authority::read(pem.certificate.as_bytes(), pem.key.as_bytes())?;
        let (name, expires) = (&self.options.secret, authority.expires());
        tracing::info!(secret = name, reason, %expires, "made a new authority");
        // Others may have read the configurations in between: look at all of it again.
        Err(ApiError::Conflict { path: format!("Secret {name}") }.into())
    }

    /// Shows another certificate where it is time and the API servers will trust it.
    fn replace_if_due(
        &mut self,
        authority: Arc<Authority>,
        wanted: &Bundle,
        now: Timestamp,
        confirmed: bool,
    ) -> Result<(), CertificateError> {
        let der = authority.certificate();
        let since = match self.trusted.take().filter(|_| confirmed) {
            Some((known, since)) if known == *der => Some(since),
            _ => confirmed.then(Instant::now),
        };
        self.trusted = since.map(|since| (der.clone(), since));
        // What API servers know of a configuration is a little late.
        let settled = since.is_some_and(|since| since.elapsed() >= self.options.interval);
        let due = match &self.current {
            None => confirmed,
            Some(current) if current.authority.certificate() == der => current.leaf.due(now),
            Some(current) => {
                settled || (confirmed && !wanted.trusts(current.authority.certificate()))
            }
        };
        if due { self.sign(authority, now) } else { Ok(()) }
    }

    fn sign(&mut self, authority: Arc<Authority>, now: Timestamp) -> Result<(), CertificateError> {
        let leaf = authority.sign(&self.names, now, self.options.certificate_lifetime)?;
        self.certificate.set(leaf.key.clone(), leaf.from..leaf.until);
        self.metrics.certificate_expires(leaf.until.as_second());
        self.metrics.certificate_reloaded(true);
        tracing::info!(expires = %leaf.until, "shows a new certificate");
        self.current = Some(Current { leaf, authority });
        Ok(())
    }

    /// While the API server cannot be asked, the authority that it is known to trust signs again.
    fn renew_alone(&mut self) {
        let now = Timestamp::now();
        let Some(current) = self.current.as_ref().filter(|current| current.leaf.due(now)) else {
            return;
        };
        let authority = Arc::clone(&current.authority);
        // Near the end of the authority each certificate would be due at once.
        if authority.expires() > current.leaf.until
            && let Err(error) = self.sign(authority, now)
        {
            tracing::error!(%error, "cannot renew the certificate");
        }
    }

    fn set_problem(&mut self, problem: Option<String>) {
        let ready = problem.is_none();
        if ready && !self.ready {
            tracing::info!("both webhook configurations trust the serving certificate");
        }
        self.ready = ready;
        self.metrics.bundle_trusted(ready);
        self.health.set_trust_problem(problem);
    }
}

impl std::fmt::Debug for CertificateRotator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateRotator").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The authorities of a Secret, its own included.
fn previous(stored: &Stored) -> Bundle {
    Bundle::read(&[stored.certificate.as_slice(), b"\n", &stored.previous].concat())
}
