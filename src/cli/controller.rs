//! `stateward controller`: carries resizes out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::SignedDuration;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use stateward_core::policy::{Authorize, Policy};
use stateward_resize::Parameters;

use super::Outcome;
use super::connection::Connection;
use super::serve::{duration, object_name};
use crate::controller::{Cluster, Controller, Intervals, lease};
use crate::http_server::{HealthPort, Pages, Shutdown};
use crate::telemetry::{LogFormat, ResizeMetrics, log};
use crate::webhook::load_policy;

/// Carry out resizes of StatefulSets in a cluster
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  stateward controller --kubeconfig ~/.kube/config")]
pub struct Args {
    /// The cluster
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Name of this instance in Leases [default: the host name, `_` and a unique part]
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// Policy file. The controller reads only resize.authorize [default: the built-in policy]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Address for /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9081")]
    pub listen: SocketAddr,
    /// Intervals and bounds
    #[command(flatten)]
    pub timing: TimingArgs,
    /// Log format
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Log level: error, warn, info, debug, trace, or a filter such as `stateward::controller=debug`
    #[arg(long, value_name = "LEVEL", env = "STATEWARD_LOG", default_value = "info")]
    pub log_level: String,
}

/// The cluster, and stateward's namespace in it.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// The cluster
    #[command(flatten)]
    pub connection: Connection,
    /// Namespace of stateward, which must exist: its Leases are there
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", default_value = "stateward", value_parser = object_name)]
    pub system_namespace: String,
}

/// Every interval and bound of a resize.
#[derive(Clone, Debug, clap::Args)]
pub struct TimingArgs {
    /// Longest time between two reconciles of a set
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub resync: Duration,
    /// Duration of a Lease
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub lease: Duration,
    /// Interval at which a Lease is renewed
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub renew: Duration,
    /// Longest pause after a failed write
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub back_off: Duration,
    /// How long a watch may be silent before it is restarted
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub watch: Duration,
    /// Minimum age of a set's pods and revision before the set is re-created
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub just_changed: Duration,
    /// How long pinning the claims of a set may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub pin_timeout: Duration,
    /// How long after the CREATE of a set no DELETE of it is sent
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub create_quarantine: Duration,
    /// How long a rejected CREATE is retried with the new sizes, before it falls back to the old ones
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub create_asked: Duration,
    /// How long a CREATE must be rejected before `abort --leave-absent` is accepted
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub leave_absent: Duration,
    /// How long a set may be missing before its resize ends
    #[arg(long, value_name = "DURATION", default_value = "600s", value_parser = duration, hide_short_help = true, help_heading = "Resize timing")]
    pub set_gone: Duration,
    /// How many sets are re-created at the same time
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 10,
        hide_short_help = true,
        help_heading = "Resize timing"
    )]
    pub sets_at_once: usize,
}

impl TimingArgs {
    /// The bounds that decisions know, and which right a request needs.
    ///
    /// # Errors
    /// A duration beyond what can be counted.
    pub fn parameters(&self, authorize: Authorize) -> anyhow::Result<Parameters> {
        let signed =
            |duration| SignedDuration::try_from(duration).context("a duration is too long");
        let defaults = Parameters::default();
        Ok(Parameters {
            resync: signed(self.resync)?,
            recreation_resync: defaults.recreation_resync.min(signed(self.resync)?),
            just_changed: signed(self.just_changed)?,
            pin_timeout: signed(self.pin_timeout)?,
            create_quarantine: signed(self.create_quarantine)?,
            create_asked: signed(self.create_asked)?,
            leave_absent: signed(self.leave_absent)?,
            set_gone: signed(self.set_gone)?,
            authorize_claims: authorize == Authorize::Claims,
            ..defaults
        })
    }

    /// The intervals that the driver knows.
    pub fn intervals(&self) -> Intervals {
        let defaults = Intervals::default();
        Intervals {
            lease: self.lease,
            renew: self.renew,
            back_off_limit: self.back_off,
            watch: self.watch,
            recreation_back_off_limit: defaults.recreation_back_off_limit.min(self.back_off),
            touched: self.sets_at_once.max(1),
            ..defaults
        }
    }
}

/// Works until SIGTERM or SIGINT; a set that is away is back before it ends.
///
/// # Errors
/// No cluster is known, or signals cannot be received.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let policy = match &args.policy {
        Some(file) => load_policy(file)?,
        None => Policy::default(),
    };
    let _subscribed = log::start(args.log_format, &args.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    runtime.block_on(async {
        let shutdown = Shutdown::new();
        shutdown.on_signals().context("cannot receive signals")?;
        let health_port = HealthPort::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}", args.listen))?;
        let metrics = ResizeMetrics::default();
        let controller = controller(args, policy.authorize, metrics.clone()).await?;
        let mut registry = Registry::with_prefix("stateward");
        metrics.register(&mut registry);
        let pages = ControllerPages { registry, watchdog: Box::new(controller.watchdog()) };
        let end = Shutdown::new();
        let served = tokio::spawn(health_port.serve(pages, end.clone()));
        controller.run(shutdown.begun()).await;
        end.hurry();
        served.await.context("the health port stopped")?;
        anyhow::Ok(())
    })?;
    Ok(Outcome::Clean)
}

/// The health port of the controller.
struct ControllerPages {
    registry: Registry,
    /// gives the reason that the process must be restarted, if there is one
    watchdog: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Pages for ControllerPages {
    fn stuck(&self) -> Option<String> {
        (self.watchdog)()
    }

    fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

/// The controller that the arguments say.
async fn controller(
    args: &Args,
    authorize: Authorize,
    metrics: ResizeMetrics,
) -> anyhow::Result<Controller> {
    let ClusterArgs { connection, system_namespace } = &args.cluster;
    let cluster = Cluster::new(connection.open().await?);
    let identity = args.identity.clone().unwrap_or_else(lease::identity);
    tracing::info!(identity, namespace = system_namespace, "the resize controller starts");
    let (parameters, intervals) = (args.timing.parameters(authorize)?, args.timing.intervals());
    Ok(Controller::new(cluster, system_namespace, &identity, parameters, intervals, metrics))
}
