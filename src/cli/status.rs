//! `stateward status`: whether a cluster is guarded.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use stateward_core::review::WebhookKind;
use stateward_core::review::canary::JUDGES_WITHOUT;
use stateward_core::yaml::printable;

use super::Outcome;
use super::connection::Connection;
use super::registered::{self, Shown, Webhook};
use super::serve::object_name;
use crate::cluster::{CanarySender, Cause, Client, KnownFacts, WebhookConfiguration};

/// How long to try to see the certificate; from outside a cluster it mostly cannot be seen.
const PATIENCE: Duration = Duration::from_secs(3);

/// Arguments of `stateward status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward status")]
pub struct Args {
    /// Which cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Name of both webhook configurations
    #[arg(long, value_name = "NAME", default_value = "stateward", value_parser = object_name)]
    pub webhook_configuration: String,
    /// Namespace for the canary [default: the name of the configurations plus "-canary"; if that does not
    /// exist, default]
    #[arg(long, value_name = "NAMESPACE", value_parser = object_name)]
    pub canary_namespace: Option<String>,
    /// Read the certificate at this address, for example that of `kubectl port-forward`
    #[arg(long, value_name = "ADDRESS")]
    pub connect: Option<SocketAddr>,
}

/// Prints it. Exit code 1 says that changes go through unjudged.
///
/// # Errors
/// No cluster.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    super::runtime()?.block_on(async {
        let client = args.connection.open().await?;
        let (name, namespace) = (&args.webhook_configuration, args.canary_namespace.as_deref());
        let (canary, namespace) = match protection(&client, name, namespace).await {
            Protection::NotInstalled => {
                super::print(&format!("enforcing    no: {NOT_INSTALLED} ({name})\n"))?;
                return Ok(Outcome::Findings);
            }
            Protection::Asked { canary, namespace } => (canary, namespace),
        };
        let facts = canary.as_ref().map(facts).ok();
        let (outcome, enforcing) = enforcing(canary, &namespace);
        let mut report = format!("enforcing    {enforcing}\n");
        for (label, text) in facts.into_iter().flatten() {
            let _ = writeln!(report, "{label:12} {text}");
        }
        for (label, text) in certificates(args, &client, Timestamp::now()).await {
            let _ = writeln!(report, "{label:12} {text}");
        }
        super::print(&report)?;
        Ok(outcome)
    })
}

/// The namespace of a cluster that always exists, for installations without one for canaries.
const ALWAYS: &str = "default";
const NOT_INSTALLED: &str =
    "stateward is not installed: there is no webhook configuration of that name";

/// Whether changes are judged.
pub(super) enum Protection {
    /// neither webhook configuration exists
    NotInstalled,
    /// a canary was sent
    Asked {
        /// what the replicas that refused it know, or why it was not refused
        canary: Result<KnownFacts, Cause>,
        /// where it was sent
        namespace: String,
    },
}

/// Sends a canary into `namespace`. If none is given, it takes the one that the chart makes, or another
/// that certainly exists: it is a dry run, so nothing is made there.
pub(super) async fn protection(
    client: &Client,
    configuration: &str,
    namespace: Option<&str>,
) -> Protection {
    let mut missing = 0;
    for webhook in WebhookKind::ALL {
        let found = WebhookConfiguration::read(client, webhook, configuration).await;
        missing += usize::from(matches!(found, Ok(None)));
    }
    if missing == WebhookKind::ALL.len() {
        return Protection::NotInstalled;
    }
    let send = async |namespace: &str| {
        let (namespace, name) = (namespace.to_owned(), configuration.to_owned());
        CanarySender::new(client.clone(), namespace, name).send().await
    };
    let own = namespace.map_or_else(|| format!("{configuration}-canary"), str::to_owned);
    let canary = send(&own).await;
    if matches!(canary, Err(Cause::NoNamespace { .. })) && namespace.is_none() {
        return Protection::Asked { canary: send(ALWAYS).await, namespace: ALWAYS.to_owned() };
    }
    Protection::Asked { canary, namespace: own }
}

/// What a replica knows of the cluster, in lines.
fn facts(known: &KnownFacts) -> Vec<(&'static str, String)> {
    let lines = known.unknown.iter();
    let mut lines: Vec<_> =
        lines.map(|why| ("facts", format!("{JUDGES_WITHOUT}{}", printable(why)))).collect();
    if !known.told {
        lines.push(("facts", "a replica of another version does not say what it knows".to_owned()));
    } else if lines.is_empty() {
        lines.push(("facts", "all kinds are known".to_owned()));
    }
    lines
}

fn enforcing(sent: Result<KnownFacts, Cause>, namespace: &str) -> (Outcome, String) {
    match sent {
        Ok(_) => (
            Outcome::Clean,
            format!("yes: both webhooks refused a canary in namespace {namespace}"),
        ),
        Err(cause) if cause.is_unknown() => {
            (Outcome::Failed, format!("unknown: {}", cause.describe()))
        }
        // What holds for this namespace alone is no answer for the cluster.
        Err(cause @ Cause::Selector { .. }) if namespace == ALWAYS => {
            let hint = "name a namespace that is judged with --canary-namespace";
            (Outcome::Failed, format!("unknown: {}; {hint}", cause.describe()))
        }
        Err(cause) => (Outcome::Findings, format!("no: {}", cause.describe())),
    }
}

/// When authority and certificate expire, or why that cannot be seen.
async fn certificates(args: &Args, client: &Client, now: Timestamp) -> Vec<(&'static str, String)> {
    let webhook = match registered::webhooks(client, &args.webhook_configuration).await {
        Ok(mut all) => all.swap_remove(0),
        Err(error) => return vec![("certificate", format!("unknown: {error:#}"))],
    };
    let expiry = |found: anyhow::Result<Timestamp>, hint: &str| match found {
        Ok(until) if until <= now => format!("expired at {until}"),
        Ok(until) => {
            let left = until.duration_since(now);
            match left.as_hours() {
                hours @ 0..48 => format!("expires at {until}, in {hours} h"),
                hours => format!("expires at {until}, in {} days", hours / 24),
            }
        }
        Err(error) => format!("not seen from here: {error:#}{hint}"),
    };
    let authority = webhook.authorities().and_then(|all| {
        let ends: anyhow::Result<Vec<Timestamp>> = all.iter().map(until).collect();
        ends?.into_iter().max().context("there is none")
    });
    let hint = "; each replica has stateward_certificate_expiry_timestamp_seconds in its metrics";
    let clients = Arc::new(Shown::default());
    let certificate = served(&webhook, args.connect, &clients).await;
    let mut all =
        vec![("authority", expiry(authority, "")), ("certificate", expiry(certificate, hint))];
    if clients.was_asked() {
        let text = "it asks for a certificate, so whoever has none is turned away (--client-ca)";
        all.push(("clients", text.to_owned()));
    }
    all
}

/// When the certificate that is shown to a client expires.
async fn served(
    webhook: &Webhook,
    connect: Option<SocketAddr>,
    clients: &Arc<Shown>,
) -> anyhow::Result<Timestamp> {
    let connected = tokio::time::timeout(PATIENCE, webhook.connect(connect, clients)).await;
    let (_, stream) = connected.context("cannot connect")??;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    until(chain.first().context("it shows no certificate")?)
}

fn until(certificate: &CertificateDer<'_>) -> anyhow::Result<Timestamp> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .context("a certificate cannot be decoded")?;
    Ok(Timestamp::from_second(parsed.validity().not_after.timestamp())?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_namespace_that_is_left_out_says_nothing_of_the_cluster() {
        let cause = |namespace: &str| Cause::Selector {
            webhook: "validate.stateward.dev".to_owned(),
            namespace: namespace.to_owned(),
        };
        let (outcome, text) = enforcing(Err(cause(ALWAYS)), ALWAYS);
        assert_eq!(outcome, Outcome::Failed);
        assert!(text.starts_with("unknown: ") && text.ends_with("--canary-namespace"), "{text}");
        let (outcome, text) = enforcing(Err(cause("shop")), "shop");
        assert_eq!(outcome, Outcome::Findings);
        assert!(text.starts_with("no: "), "{text}");
        let known = KnownFacts { told: true, unknown: BTreeSet::new() };
        assert_eq!(facts(&known)[0].1, "all kinds are known");
        let (outcome, text) = enforcing(Ok(known), ALWAYS);
        assert_eq!((outcome, text.contains("in namespace default")), (Outcome::Clean, true));
    }
}
