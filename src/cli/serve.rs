//! `stateward serve`: the webhook.

mod cluster;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stateward_core::change::KubernetesVersion;
use stateward_core::policy::{Authorize, Policy, Resize};
use stateward_core::shell::shell_quote;

pub use self::cluster::ClusterArgs;
pub(super) use self::cluster::object_name;
use super::Outcome;
use super::controller::TimingArgs;
use crate::certificates::cluster::CertificateRotator;
use crate::certificates::{DevCertificates, Made, ServingCertificate, dev};
use crate::cluster::{Events, NamespaceWatch};
use crate::health::Health;
use crate::http_server::Shutdown;
use crate::telemetry::{LogFormat, Metrics, ResizeMetrics, log};
use crate::webhook::{Config, Defaults, ReviewHandler, Server, load_policy};

/// A review on one line for the `curl` line: a set that would be scaled to zero.
pub(super) const SAMPLE: &str = concat!(
    r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","#,
    r#""kind":{"group":"autoscaling","version":"v1","kind":"Scale"},"#,
    r#""resource":{"group":"apps","version":"v1","resource":"statefulsets"},"#,
    r#""subResource":"scale","name":"db","namespace":"default","operation":"UPDATE","#,
    r#""userInfo":{"username":"you"},"#,
    r#""object":{"apiVersion":"autoscaling/v1","kind":"Scale","#,
    r#""metadata":{"name":"db","namespace":"default"},"spec":{"replicas":0}},"#,
    r#""oldObject":{"apiVersion":"autoscaling/v1","kind":"Scale","#,
    r#""metadata":{"name":"db","namespace":"default"},"spec":{"replicas":3}}}}"#,
);

/// File descriptors that are kept for everything but connections to the webhook.
const SPARE_FILES: u64 = 128;

/// Answer the reviews of an API server over HTTPS
#[derive(Clone, Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("certificates").required(true).multiple(true)
        .args(["dev", "tls_cert", "cluster_certs"]),
    after_help = "Example:\n  stateward serve --dev\n  \
                  stateward serve --tls-cert tls.crt --tls-key tls.key --policy stateward.yaml\n  \
                  stateward serve --cluster-certs --service stateward"
)]
pub struct Args {
    /// Run without a cluster, on development certificates that are created once
    #[arg(long)]
    pub dev: bool,
    /// Address for /mutate and /validate
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9443")]
    pub listen: SocketAddr,
    /// Address for /livez, /readyz and /metrics, without TLS
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    pub health_listen: SocketAddr,
    /// Folder for the certificates of --dev
    #[arg(long, help_heading = "TLS", value_name = "FOLDER", default_value = "certs/dev")]
    pub certs_dir: PathBuf,
    /// The cluster
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Also run the resize controller, in the cluster of --kubeconfig
    #[arg(long, help_heading = "Cluster")]
    pub with_controller: bool,
    /// Intervals and bounds of --with-controller
    #[command(flatten)]
    pub timing: TimingArgs,
    /// Extra DNS name or address for a certificate that stateward creates; repeatable
    #[arg(long, help_heading = "TLS", value_name = "NAME")]
    pub cert_name: Vec<String>,
    /// Certificate chain in PEM form, reloaded when it changes
    #[arg(
        long,
        help_heading = "TLS",
        value_name = "FILE",
        requires = "tls_key",
        conflicts_with = "dev"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key in PEM form, reloaded when it changes
    #[arg(
        long,
        help_heading = "TLS",
        value_name = "FILE",
        requires = "tls_cert",
        conflicts_with = "dev"
    )]
    pub tls_key: Option<PathBuf>,
    /// Accept reviews only from clients with a certificate from this CA, in PEM form, reloaded when it
    /// changes. Probes and metrics stay open
    #[arg(long, help_heading = "TLS", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// Accept only client certificates with this name; repeatable
    #[arg(long, help_heading = "TLS", value_name = "NAME", requires = "client_ca")]
    pub client_name: Vec<String>,
    /// Interval at which the certificate files and the policy are checked for changes
    #[arg(long, help_heading = "TLS", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub certificate_poll: Duration,
    /// Policy file, reloaded when it changes [default: the built-in policy]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Time limit for a review, even if the API server would wait longer
    #[arg(long, help_heading = "Limits", value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub review_timeout: Duration,
    /// How long to keep serving after SIGTERM, so that clients can move [default: 10s; with --dev 0s]
    #[arg(long, help_heading = "Limits", value_name = "DURATION", value_parser = duration)]
    pub grace_period: Option<Duration>,
    /// How long open reviews may take after the grace period
    #[arg(long, help_heading = "Limits", value_name = "DURATION", default_value = "15s", value_parser = duration)]
    pub drain_timeout: Duration,
    /// Maximum number of open connections; more are answered with 503
    #[arg(long, help_heading = "Limits", value_name = "COUNT", default_value_t = 1024)]
    pub max_connections: usize,
    /// Maximum number of concurrent reviews; more are answered with 503
    #[arg(long, help_heading = "Limits", value_name = "COUNT", default_value_t = 256)]
    pub max_reviews: usize,
    /// Kubernetes version whose validation is mirrored [default: the cluster's version; without a
    /// cluster 1.36]
    #[arg(long, value_name = "VERSION")]
    pub kubernetes_version: Option<KubernetesVersion>,
    /// Log format
    #[arg(long, help_heading = "Log", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Log level: error, warn, info, debug, trace, or a filter such as `stateward::webhook=debug`
    #[arg(
        long,
        help_heading = "Log",
        value_name = "LEVEL",
        env = "STATEWARD_LOG",
        default_value = "info"
    )]
    pub log_level: String,
}

/// A server that has started, in words.
#[derive(Clone, Debug)]
pub struct Started {
    /// where reviews are received
    pub address: SocketAddr,
    /// where the plain port is
    pub health_address: SocketAddr,
    /// what becomes of requests to grow, in one line
    pub resize: String,
    /// the development certificates, with `--dev`
    pub dev: Option<DevCertificates>,
    /// when the serving certificate expires; nothing where there is none yet
    pub expires: Option<Timestamp>,
}

/// What the policy at the start says of growth.
#[derive(Clone, Copy, Debug)]
struct Growth {
    /// which right a user needs
    authorize: Authorize,
    /// whether an edit can become a request anywhere
    accepted: bool,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Certificates that cannot be read or made, a policy that is wrong, ports that cannot be opened.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let policy = match &args.policy {
        Some(file) => load_policy(file)?,
        None => Policy::default(),
    };
    let _subscribed = log::start(args.log_format, &args.log_level)?;
    let (source, authorize) = (policy.source.clone(), policy.authorize);
    let (resizes, health) = (ResizeMetrics::default(), Health::new());
    let mut metrics = Metrics::new();
    if args.with_controller {
        resizes.register(metrics.registry_mut());
    }
    let metrics = Arc::new(metrics);
    let mode = if args.dev { Resize::Orchestrate } else { Resize::default() };
    let accepts_growth = policy.accepts_growth(mode);
    let defaults =
        Defaults { resize: mode, own_namespace: Some(args.cluster.system_namespace.clone()) };
    let handler = ReviewHandler::new(policy, defaults, args.kubernetes_version.unwrap_or_default())
        .with_facts(cluster::without(args))
        .with_break_glass(health.break_glass().clone())
        .with_metrics(Arc::clone(&metrics));
    let handler = Arc::new(handler);
    if let Some(file) = args.policy.clone() {
        let (metrics, health) = (Arc::clone(&metrics), health.clone());
        Arc::clone(&handler).follow(file, args.certificate_poll, metrics, health);
    }
    let growth = Growth { authorize, accepted: accepts_growth };
    serve(args, handler, growth, (metrics, resizes), health, |started| {
        // What collects JSON lines reads standard output, too.
        if args.log_format == LogFormat::Json {
            started.log(&source);
        } else {
            super::print(&format!("policy    {source}\n{started}\n"))?;
        }
        Ok(())
    })?;
    Ok(Outcome::Clean)
}

/// `print` is called once both ports are open.
fn serve(
    args: &Args,
    handler: Arc<ReviewHandler>,
    growth: Growth,
    (metrics, resizes): (Arc<Metrics>, ResizeMetrics),
    health: Health,
    print: impl FnOnce(&Started) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    args.ports_are_free()?;
    let dev = args.dev_certificates()?;
    let trust = cluster::options(args)?;
    let certificate = match (&dev, &args.tls_cert, &args.tls_key) {
        _ if trust.is_some() => ServingCertificate::empty(),
        (Some(dev), ..) => ServingCertificate::load(&dev.certificate, &dev.key)?,
        (None, Some(certificate), Some(key)) => ServingCertificate::load(certificate, key)?,
        _ => anyhow::bail!("serve needs --dev, --cluster-certs, or --tls-cert with --tls-key"),
    };
    let certificate = Arc::new(certificate);
    let config = args.config();
    // One more thread than a single processor has, so that deadlines hold while a review computes.
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let served = runtime.block_on(async {
        let shutdown = Shutdown::new();
        shutdown.on_signals().context("cannot receive signals")?;
        let client = cluster::client(args).await?;
        if let (Some(_), Some(client)) = (&args.cluster.service, &client) {
            let (metrics, health) = (Arc::clone(&metrics), health.clone());
            if let Some(options) = trust {
                let (client, certificate) = (client.clone(), Arc::clone(&certificate));
                let (metrics, health) = (Arc::clone(&metrics), health.clone());
                tokio::spawn(
                    CertificateRotator::new(options, client, certificate, metrics, health).run(),
                );
            }
            let namespace = args.cluster.system_namespace.clone();
            let switch = health.break_glass().clone();
            if args.cluster.events {
                let (events, writer) = Events::new(client.clone(), Arc::clone(&metrics));
                handler.set_events(events);
                tokio::spawn(writer.run());
            }
            if let Some(canary) = args.cluster.canary(client, &metrics) {
                tokio::spawn(canary.run());
            }
            let watch = NamespaceWatch::new(client.clone(), namespace, switch, metrics);
            tokio::spawn(watch.run());
        }
        // With --dev and a cluster, too: a person tries the switch before the night that needs it.
        if let (true, Some(client)) = (args.dev, &client) {
            let (namespace, switch) =
                (args.cluster.system_namespace.clone(), health.break_glass().clone());
            let watch =
                NamespaceWatch::new(client.clone(), namespace, switch, Arc::clone(&metrics));
            tokio::spawn(watch.run());
        }
        let controller = cluster::controller(args, client.as_ref(), growth.authorize, resizes)?;
        let controller = controller.map(|controller| {
            let shutdown = shutdown.clone();
            tokio::spawn(async move { controller.run(shutdown.begun()).await })
        });
        let resize = match &client {
            Some(client) => {
                let (facts, says) = cluster::facts(args, client, growth.accepted).await;
                handler.set_cluster_facts(facts);
                tokio::spawn(cluster::report_unknown(
                    Arc::clone(&handler),
                    health.clone(),
                    Arc::clone(&metrics),
                ));
                if args.kubernetes_version.is_none() {
                    tokio::spawn(cluster::follow_version(client.clone(), Arc::clone(&handler)));
                }
                says
            }
            None => cluster::NO_CONTROLLER.to_owned(),
        };
        let server =
            Server::bind(config, handler, Arc::clone(&certificate), metrics, health).await?;
        print(&Started {
            address: server.local_addr(),
            health_address: server.health_local_addr(),
            resize,
            dev,
            expires: certificate.expires(),
        })?;
        server.run(shutdown).await?;
        if let Some(controller) = controller {
            // A set that is away is back before the process ends.
            controller.await.context("the resize controller stopped")?;
        }
        anyhow::Ok(())
    });
    // A review that never ends must not keep the process.
    runtime.shutdown_background();
    served
}

impl Args {
    /// Before any certificate is written.
    fn ports_are_free(&self) -> anyhow::Result<()> {
        let ports = [("--listen", self.listen), ("--health-listen", self.health_listen)];
        for (option, address) in ports {
            std::net::TcpListener::bind(address).with_context(|| {
                format!("cannot listen on {address}; choose another address with {option}")
            })?;
        }
        Ok(())
    }

    fn dev_certificates(&self) -> anyhow::Result<Option<DevCertificates>> {
        if !self.dev {
            return Ok(None);
        }
        let mut names = self.cert_name.clone();
        if !self.listen.ip().is_unspecified() {
            names.push(self.listen.ip().to_string());
        }
        Ok(Some(dev::ensure(&self.certs_dir, &names, Timestamp::now())?))
    }

    fn config(&self) -> Config {
        let defaults = Config::default();
        let grace = if self.dev { Duration::ZERO } else { defaults.grace_period };
        Config {
            listen: self.listen,
            client_authority: self.client_ca.clone(),
            client_names: self.client_name.clone(),
            health_listen: self.health_listen,
            max_connections: affordable(self.max_connections),
            max_reviews: self.max_reviews,
            review_timeout: self.review_timeout,
            certificate_poll: self.certificate_poll,
            grace_period: self.grace_period.unwrap_or(grace),
            drain_timeout: self.drain_timeout,
            ..defaults
        }
    }
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = format!("https://{}", reachable(self.address));
        writeln!(f, "resize    {}", self.resize)?;
        writeln!(f, "reviews   {base}/mutate and {base}/validate")?;
        let health = reachable(self.health_address);
        writeln!(f, "health    http://{health}/readyz, /livez and /metrics")?;
        match &self.dev {
            Some(dev) => {
                let made = match &dev.made {
                    Made::Nothing => "kept from last time".to_owned(),
                    Made::Certificate(why) => {
                        format!("kept; it signed a new serving certificate, since {why}")
                    }
                    Made::Everything => "newly made".to_owned(),
                };
                writeln!(f, "CA file   {} ({made})", dev.authority.display())?;
            }
            None => match self.expires {
                Some(expires) => writeln!(f, "TLS       the certificate expires at {expires}")?,
                None => writeln!(f, "TLS       unready until the API server trusts a certificate")?,
            },
        }
        write!(f, "try       {}", self.curl())
    }
}

impl Started {
    /// Logs where the server is reached, for a log that holds nothing but JSON.
    fn log(&self, policy: &str) {
        let base = format!("https://{}", reachable(self.address));
        let health = format!("http://{}", reachable(self.health_address));
        let expires = self.expires.map(|expires| expires.to_string()).unwrap_or_default();
        let resize = &self.resize;
        tracing::info!(policy, resize, reviews = base, health, expires, "serving");
    }

    /// A command that sends a review, as typed into a shell.
    pub fn curl(&self) -> String {
        let trust = match &self.dev {
            // The command is pasted into a second terminal, which may be in another folder.
            Some(dev) => {
                let file = std::path::absolute(&dev.authority);
                let file = file.unwrap_or_else(|_| dev.authority.clone());
                format!("--cacert {}", shell_quote(&file.display().to_string()))
            }
            // Which authority signed the certificate is not known here.
            None => "--insecure".to_owned(),
        };
        format!(
            "curl -sS {trust} -H 'Content-Type: application/json' -d '{SAMPLE}' \
             https://{}/validate",
            reachable(self.address)
        )
    }
}

/// The address that a client on this machine uses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// A duration such as `10s` or `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration =
        text.parse().map_err(|_| format!("\"{text}\" is not a duration such as 10s or 1m30s"))?;
    Duration::try_from(parsed).map_err(|_| format!("\"{text}\" is negative"))
}

/// As many connections as there can be files, after asking for as many files as are allowed:
/// connections beyond that would wait, instead of being turned away.
fn affordable(connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let Some(files) = current else { return connections };
    let most = usize::try_from(files.saturating_sub(SPARE_FILES)).unwrap_or(usize::MAX).max(1);
    if connections > most {
        tracing::warn!(files, connections = most, "lowered the cap on connections to open files");
    }
    connections.min(most)
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

    fn parse(line: &str) -> Result<Args, String> {
        Command::try_parse_from(std::iter::once("serve").chain(line.split_whitespace()))
            .map(|command| command.serve)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn certificates_come_from_one_place() {
        assert!(parse("--dev").unwrap().dev);
        let both = parse("--tls-cert a --tls-key b").unwrap();
        assert_eq!((both.dev, both.tls_key), (false, Some(PathBuf::from("b"))));
        assert!(parse("").unwrap_err().contains("--dev"));
        assert!(parse("--tls-cert a").unwrap_err().contains("--tls-key"));
        assert!(parse("--tls-key a").unwrap_err().contains("--tls-cert"));
        assert!(parse("--dev --tls-cert a --tls-key b").unwrap_err().contains("cannot be used"));
    }

    #[test]
    fn durations_are_named_when_they_are_none() {
        let args = parse("--dev --grace-period 1m30s --review-timeout 500ms").unwrap();
        assert_eq!(args.grace_period, Some(Duration::from_secs(90)));
        assert_eq!(args.config().review_timeout, Duration::from_millis(500));
        assert!(parse("--dev --grace-period soon").unwrap_err().contains("\"soon\" is not"));
        assert!(parse("--dev --grace-period=-3s").unwrap_err().contains("\"-3s\" is negative"));
    }

    #[test]
    fn only_a_cluster_needs_a_grace_period() {
        assert_eq!(parse("--dev").unwrap().config().grace_period, Duration::ZERO);
        let real = parse("--tls-cert a --tls-key b").unwrap().config();
        assert_eq!(real.grace_period, Duration::from_secs(10));
    }

    #[test]
    fn words_of_a_shell_are_quoted_where_needed() {
        assert_eq!(shell_quote("certs/dev/ca.crt"), "certs/dev/ca.crt");
        assert_eq!(shell_quote("my certs/it's"), "'my certs/it'\\''s'");
        assert_eq!(reachable("[::]:9443".parse().unwrap()).to_string(), "[::1]:9443");
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()).to_string(), "127.0.0.1:1");
        assert_eq!(reachable("10.0.0.7:1".parse().unwrap()).to_string(), "10.0.0.7:1");
    }
}
