//! Where `serve` finds a cluster that it looks at, and that is to trust it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use stateward_core::change::KubernetesVersion;
use stateward_core::facts::{ControllerState, FactKind, Facts};
use stateward_core::object::names::{is_dns_label, is_dns_subdomain};
use stateward_core::policy::Authorize;
use stateward_resize::CAN_RESIZE;

use super::{Args, duration};
use crate::certificates::cluster::Options;
use crate::cluster::facts::{self, ClusterFacts};
use crate::cluster::{CanarySender, CanaryWatch, Client};
use crate::controller::{Cluster, Controller, lease};
use crate::health::Health;
use crate::telemetry::{Metrics, ResizeMetrics};
use crate::webhook::ReviewHandler;

/// How often it is reported which kinds are not known.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How often the cluster is asked for its version.
const VERSION_INTERVAL: Duration = Duration::from_secs(600);
/// The same after it did not answer.
const VERSION_RETRY: Duration = Duration::from_secs(10);

/// Arguments of `serve` about a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// Kubeconfig of the cluster to read [default in a pod: its own cluster]
    #[arg(long, help_heading = "Cluster", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, help_heading = "Cluster", value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
    /// Namespace of stateward: of its controller, which is never judged, and of --service. There, the
    /// annotation stateward.dev/disabled-until makes stateward allow everything
    #[arg(
        long, help_heading = "Cluster", value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "stateward",
        value_parser = object_name
    )]
    pub system_namespace: String,
    /// Create certificates in the cluster, and put their CA into the webhook configurations
    #[arg(long, help_heading = "TLS", requires = "service", conflicts_with_all = ["dev", "tls_cert"])]
    pub cluster_certs: bool,
    /// Service in front of the webhook, in the namespace of stateward
    #[arg(long, help_heading = "Cluster", value_name = "NAME", conflicts_with = "dev", value_parser = service_name)]
    pub service: Option<String>,
    /// Write an event on the object for each denial
    #[arg(long, help_heading = "Cluster", requires = "service", conflicts_with = "dev")]
    pub events: bool,
    /// Send canaries into this namespace to check that denials take effect. The namespace must be one
    /// that is judged
    #[arg(long, help_heading = "Cluster", value_name = "NAMESPACE", requires = "service", conflicts_with = "dev", value_parser = object_name)]
    pub canary_namespace: Option<String>,
    /// Time between two canaries
    #[arg(long, help_heading = "Cluster", value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub canary_interval: Duration,
    /// Secret with the CA, in the namespace of the Service
    #[arg(long, help_heading = "TLS", value_name = "NAME", default_value = "stateward-authority", value_parser = object_name)]
    pub authority_secret: String,
    /// Name of both webhook configurations
    #[arg(long, help_heading = "Cluster", value_name = "NAME", default_value = "stateward", value_parser = object_name)]
    pub webhook_configuration: String,
    /// Interval at which the CA and both configurations are checked
    #[arg(long, help_heading = "TLS", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub trust_interval: Duration,
    /// Lifetime of the CA, which is replaced when a third of that is left
    #[arg(long, help_heading = "TLS", value_name = "DURATION", default_value = "8760h", value_parser = duration)]
    pub authority_lifetime: Duration,
    /// Lifetime of a certificate, which is replaced when a third of that is left
    #[arg(long, help_heading = "TLS", value_name = "DURATION", default_value = "168h", value_parser = duration)]
    pub certificate_lifetime: Duration,
}

impl ClusterArgs {
    /// What sends canaries, if that was asked for.
    pub(super) fn canary(&self, client: &Client, metrics: &Arc<Metrics>) -> Option<CanaryWatch> {
        let namespace = self.canary_namespace.clone()?;
        let configuration = self.webhook_configuration.clone();
        let sender = CanarySender::new(client.clone(), namespace, configuration);
        // More often than this is load without news.
        let interval = self.canary_interval.max(Duration::from_millis(100));
        Some(CanaryWatch::new(sender, interval, Arc::clone(metrics)))
    }
}

/// The name of an object.
pub(in crate::cli) fn object_name(text: &str) -> Result<String, String> {
    if is_dns_subdomain(text) { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is no name")) }
}

fn service_name(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is no name of a Service; --system-namespace names its namespace"))
    }
}

/// What is said where no cluster is looked at.
pub(super) const NO_CONTROLLER: &str =
    "no cluster is read: nothing tells if a controller carries growth out (--kubeconfig)";

/// What is known where no cluster is looked at. `--dev` shows what would be done, and says that
/// nobody does it; anywhere else nothing is accepted in the name of nobody.
pub(super) fn without(args: &Args) -> Facts {
    let why = "this webhook looks at no cluster (serve --kubeconfig)";
    let controller =
        if args.dev { ControllerState::NotLooked } else { ControllerState::Absent(Arc::from(why)) };
    Facts { controller, ..Facts::none() }
}

/// The cluster to look at: that of `--kubeconfig`, else the one this process runs in.
///
/// # Errors
/// A kubeconfig that cannot be read; with `--service`, no cluster.
pub(super) async fn client(args: &Args) -> anyhow::Result<Option<Client>> {
    let cluster = &args.cluster;
    if cluster.kubeconfig.is_some() || cluster.service.is_some() || args.with_controller {
        let file = cluster.kubeconfig.as_deref();
        return Ok(Some(Client::connect(file, cluster.context.as_deref()).await?));
    }
    if args.dev || std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Ok(None);
    }
    // Certificates from files need no account in the cluster.
    let client = Client::of_pod().inspect_err(|error| {
        tracing::warn!(%error, "cannot look at the cluster of this pod");
    });
    Ok(client.ok())
}

/// Reports the kinds of the cluster whose objects are not known: a right is missing, or a watch was lost.
pub(super) async fn report_unknown(
    handler: Arc<ReviewHandler>,
    health: Health,
    metrics: Arc<Metrics>,
) {
    let mut every = tokio::time::interval(REPORT_INTERVAL);
    loop {
        every.tick().await;
        let Some(unknown) = handler.unknown_facts() else { continue };
        let (kinds, why): (Vec<FactKind>, Vec<String>) = unknown.into_iter().unzip();
        metrics.facts_unknown(&kinds);
        health.set_unknown_facts(why);
    }
}

/// Judges by the version of the cluster, which may be upgraded at any time.
pub(super) async fn follow_version(client: Client, handler: Arc<ReviewHandler>) {
    let (mut known, mut complained) = (None, false);
    loop {
        let pause = match client.version().await {
            Ok(version) => {
                if known.replace(version) != Some(version) {
                    let KubernetesVersion { major, minor } = version;
                    let judged = format!("{major}.{minor}");
                    tracing::info!(version = judged, "judges by the version of the cluster");
                    handler.set_kubernetes(version);
                }
                complained = false;
                VERSION_INTERVAL
            }
            Err(error) => {
                if !complained {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!(error, "the cluster does not say its version");
                    complained = true;
                }
                VERSION_RETRY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// The controller of `--with-controller`.
///
/// # Errors
/// No cluster is known to carry resizes out in.
pub(super) fn controller(
    args: &Args,
    client: Option<&Client>,
    authorize: Authorize,
    metrics: ResizeMetrics,
) -> anyhow::Result<Option<Controller>> {
    if !args.with_controller {
        return Ok(None);
    }
    let client = client.context("--with-controller needs a cluster: give --kubeconfig")?;
    let namespace = &args.cluster.system_namespace;
    let (parameters, intervals) = (args.timing.parameters(authorize)?, args.timing.intervals());
    let cluster = Cluster::new(client.clone());
    let identity = lease::identity();
    Ok(Some(Controller::new(cluster, namespace, &identity, parameters, intervals, metrics)))
}

/// Starts to look at the cluster; says what becomes of requests to grow.
pub(super) async fn facts(
    args: &Args,
    client: &Client,
    accepts_growth: bool,
) -> (ClusterFacts, String) {
    let namespace = &args.cluster.system_namespace;
    let mut options = facts::Options::new(namespace);
    // A controller of this process writes as the very user that this process is.
    if args.dev {
        options.own_user = client.own_user().await.unwrap_or_else(|error| {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(error, "the cluster does not say who this is");
            None
        });
    }
    let says = resize_line(args.with_controller, accepts_growth, namespace);
    (ClusterFacts::start(&client.kube(), &options), says)
}

/// What becomes of edits that grow a claim template, in one line.
fn resize_line(with_controller: bool, accepts_growth: bool, namespace: &str) -> String {
    let lease = format!("Lease {namespace}/{CAN_RESIZE} is renewed");
    match (accepts_growth, with_controller) {
        (true, true) => {
            format!("edits that grow are accepted while {lease}; this process carries them out")
        }
        (true, false) => format!("edits that grow are accepted while {lease}"),
        (false, true) => {
            "the policy rejects edits that grow (resize: reject); this process carries \
                          out `resize apply`"
                .to_owned()
        }
        (false, false) => "the policy rejects edits that grow (resize: reject)".to_owned(),
    }
}

/// What certificates in a cluster are made of, if that was asked for.
///
/// # Errors
/// Lifetimes that do not fit together.
pub(super) fn options(args: &Args) -> anyhow::Result<Option<Options>> {
    let cluster = &args.cluster;
    let Some(service) = cluster.service.as_ref().filter(|_| cluster.cluster_certs) else {
        return Ok(None);
    };
    let (authority, leaf) = (cluster.authority_lifetime, cluster.certificate_lifetime);
    // An authority must outlive what it signs, also in its last third.
    if leaf * 3 > authority || leaf < Duration::from_secs(3) {
        anyhow::bail!(
            "--certificate-lifetime has to be 3 s at least, and --authority-lifetime three times \
             as long"
        );
    }
    Ok(Some(Options {
        namespace: cluster.system_namespace.clone(),
        service: service.clone(),
        names: args.cert_name.clone(),
        secret: cluster.authority_secret.clone(),
        configuration: cluster.webhook_configuration.clone(),
        interval: cluster.trust_interval.max(Duration::from_millis(10)),
        authority_lifetime: SignedDuration::try_from(authority)?,
        certificate_lifetime: SignedDuration::try_from(leaf)?,
    }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        serve: Args,
    }

    fn parse(line: &str) -> Result<Option<Options>, String> {
        Command::try_parse_from(std::iter::once("serve").chain(line.split_whitespace()))
            .map_err(|error| error.to_string())
            .and_then(|command| options(&command.serve).map_err(|error| error.to_string()))
    }

    #[test]
    fn a_service_says_names_and_namespace() {
        let line = "--cluster-certs --system-namespace a --service web --cert-name 10.0.0.7";
        let found = parse(line).unwrap().unwrap();
        assert_eq!((found.namespace.as_str(), found.service.as_str()), ("a", "web"));
        assert_eq!(found.names, ["10.0.0.7"]);
        assert_eq!(found.secret, "stateward-authority");
        assert!(parse("--dev").unwrap().is_none());
        assert!(parse("--tls-cert a --tls-key b --service web").unwrap().is_none());
    }

    #[test]
    fn nothing_is_accepted_in_the_name_of_nobody() {
        let controller = |line: &str| {
            let line = std::iter::once("serve").chain(line.split_whitespace());
            without(&Command::try_parse_from(line).unwrap().serve).controller
        };
        assert_eq!(controller("--dev"), ControllerState::NotLooked);
        assert!(matches!(controller("--tls-cert a --tls-key b"), ControllerState::Absent(_)));
        assert!(parse("--dev --context b").unwrap_err().contains("--kubeconfig"));
        assert!(parse("--dev --system-namespace A/b").unwrap_err().contains("no name"));
    }

    #[test]
    fn the_line_about_growth_agrees_with_the_policy() {
        assert!(
            resize_line(true, true, "guard").contains("accepted while Lease guard/stateward-can")
        );
        for with_controller in [false, true] {
            let line = resize_line(with_controller, false, "guard");
            assert!(line.contains("rejects") && !line.contains("accepted"), "{line}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(parse("--cluster-certs").unwrap_err().contains("--service"));
        let error = parse("--cluster-certs --service a/b").unwrap_err();
        assert!(error.contains("--system-namespace names its namespace"), "{error}");
        assert!(parse("--dev --service b").unwrap_err().contains("cannot be used with"));
        assert!(parse("--dev --cluster-certs --service b").unwrap_err().contains("cannot be"));
        let given = "--cluster-certs --service b";
        assert!(parse(&format!("{given} --authority-secret A/b")).unwrap_err().contains("no name"));
        let short = format!("{given} --certificate-lifetime 1h --authority-lifetime 2h");
        assert!(parse(&short).unwrap_err().contains("three times"));
    }
}
