//! Where `serve` finds a cluster that it looks at, and that is to trust it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::{Args, duration};
use crate::certificates::cluster::Options;
use crate::cli::manifests::{Service, is_subdomain};
use crate::facts::cluster::{self, CAN_RESIZE, ClusterFacts};
use crate::facts::{Controller, Facts};

/// Arguments of `serve` about a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// Look at the cluster of this kubeconfig; in a pod, at its own cluster without it
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
    /// The namespace of the controller, which is never judged
    #[arg(
        long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "stateward",
        value_parser = object_name
    )]
    pub system_namespace: String,
    /// Make certificates in a cluster, and put their authority into the webhook configurations
    #[arg(long, requires = "service", conflicts_with_all = ["dev", "tls_cert"])]
    pub cluster_certs: bool,
    /// The Service in front of the webhook
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "cluster_certs")]
    pub service: Option<Service>,
    /// The Secret with the authority, in the namespace of the Service
    #[arg(long, value_name = "NAME", default_value = "stateward-authority", value_parser = object_name)]
    pub authority_secret: String,
    /// The name of both webhook configurations
    #[arg(long, value_name = "NAME", default_value = "stateward", value_parser = object_name)]
    pub webhook_configuration: String,
    /// How often the authority and both configurations are looked at
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub trust_interval: Duration,
    /// How long an authority is valid; the next is made when a third of that is left
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = duration)]
    pub authority_lifetime: Duration,
    /// How long a certificate is valid; the next is made when a third of that is left
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = duration)]
    pub certificate_lifetime: Duration,
}

/// The name of an object.
pub(in crate::cli) fn object_name(text: &str) -> Result<String, String> {
    if is_subdomain(text) { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is no name")) }
}

/// What is said where no cluster is looked at.
pub(super) const NO_CONTROLLER: &str =
    "no controller runs here: requests to grow are recorded, not carried out";

/// How long a connection to the API server may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// What is known where no cluster is looked at. `--dev` shows what would be done, and says that
/// nobody does it; anywhere else nothing is accepted in the name of nobody.
pub(super) fn without(args: &Args) -> Facts {
    let why = "this webhook looks at no cluster (serve --kubeconfig)";
    let controller =
        if args.dev { Controller::NotLooked } else { Controller::Absent(Arc::from(why)) };
    Facts { controller, ..Facts::none() }
}

/// The cluster to look at: that of `--kubeconfig`, else the one this process runs in.
///
/// # Errors
/// A kubeconfig that cannot be read; with `--cluster-certs`, no cluster.
pub(super) async fn connection(args: &Args) -> anyhow::Result<Option<Config>> {
    let cluster = &args.cluster;
    let mut config = if let Some(file) = &cluster.kubeconfig {
        let name = file.display();
        let read = Kubeconfig::read_from(file)
            .with_context(|| format!("cannot read kubeconfig {name}"))?;
        let options =
            KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(read, &options)
            .await
            .with_context(|| format!("kubeconfig {name} leads to no cluster"))?
    } else if cluster.cluster_certs {
        let missing = "no cluster: neither a kubeconfig nor a service account was found";
        Config::infer().await.context(missing)?
    } else if !args.dev && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        match Config::incluster() {
            Ok(config) => config,
            // Certificates from files need no account in the cluster.
            Err(error) => {
                tracing::warn!(%error, "cannot look at the cluster of this pod");
                return Ok(None);
            }
        }
    } else {
        return Ok(None);
    };
    config.connect_timeout = Some(CONNECT);
    Ok(Some(config))
}

/// Starts to look at the cluster; says what becomes of requests to grow.
///
/// # Errors
/// A connection that cannot be set up.
pub(super) async fn facts(args: &Args, config: Config) -> anyhow::Result<(ClusterFacts, String)> {
    let namespace = &args.cluster.system_namespace;
    let url = config.cluster_url.to_string();
    let client = Client::try_from(config).context("cannot set up a connection to the cluster")?;
    let mut options = cluster::Options::new(namespace);
    // A controller of this process writes as the very user that this process is.
    if args.dev {
        match tokio::time::timeout(CONNECT, cluster::own_user(&client)).await {
            Ok(Ok(user)) => options.own_user = user,
            Ok(Err(error)) => tracing::warn!(%error, "the cluster does not say who this is"),
            Err(_) => tracing::warn!(url, "the cluster does not answer"),
        }
    }
    let says = format!(
        "requests to grow are accepted while Lease {namespace}/{CAN_RESIZE} of {url} is renewed"
    );
    Ok((ClusterFacts::start(&client, &options), says))
}

/// What certificates in a cluster are made of, if that was asked for.
///
/// # Errors
/// Lifetimes that do not fit together.
pub(super) fn options(args: &Args) -> anyhow::Result<Option<Options>> {
    let cluster = &args.cluster;
    let Some(service) = &cluster.service else { return Ok(None) };
    // Where --dev stands beside it, the parser does not say this.
    if !cluster.cluster_certs {
        anyhow::bail!("--service is for --cluster-certs");
    }
    let (authority, leaf) = (cluster.authority_lifetime, cluster.certificate_lifetime);
    // An authority must outlive what it signs, also in its last third.
    if leaf * 3 > authority || leaf < Duration::from_secs(3) {
        anyhow::bail!(
            "--certificate-lifetime has to be 3 s at least, and --authority-lifetime three times \
             as long"
        );
    }
    Ok(Some(Options {
        namespace: service.namespace.clone(),
        service: service.name.clone(),
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
        let found = parse("--cluster-certs --service a/web --cert-name 10.0.0.7").unwrap().unwrap();
        assert_eq!((found.namespace.as_str(), found.service.as_str()), ("a", "web"));
        assert_eq!(found.names, ["10.0.0.7"]);
        assert_eq!(found.secret, "stateward-authority");
        assert!(parse("--dev").unwrap().is_none());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(parse("--cluster-certs").unwrap_err().contains("--service"));
        assert!(parse("--dev --service a/b").unwrap_err().contains("--cluster-certs"));
        assert!(parse("--dev --cluster-certs --service a/b").unwrap_err().contains("cannot be"));
        let given = "--cluster-certs --service a/b";
        assert!(parse(&format!("{given} --authority-secret A/b")).unwrap_err().contains("no name"));
        let short = format!("{given} --certificate-lifetime 1h --authority-lifetime 2h");
        assert!(parse(&short).unwrap_err().contains("three times"));
    }
}
