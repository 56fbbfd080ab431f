//! The server: bound first, then run until it is told to stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Config;
use super::connection::{accept, drive};
use super::guard::{Limits, Pulse};
use super::health::{Health, Page};
use super::reviewer::Reviewer;
use super::routes::Routes;
use super::shutdown::{Shutdown, Stage};
use super::tls::{self, Tls, TlsError};
use crate::certificates::{Reload, ServingCertificate};
use crate::telemetry::Metrics;

/// Why the server cannot run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// as configured
        address: SocketAddr,
        /// the reason
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A part of the server ended on its own.
    #[error("a part of the server stopped")]
    Stopped(#[source] tokio::task::JoinError),
}

/// A server whose ports are bound and which does not answer yet.
pub struct Server {
    listener: TcpListener,
    health_listener: TcpListener,
    local: SocketAddr,
    health_local: SocketAddr,
    tls: Arc<Tls>,
    config: Config,
    reviewer: Arc<dyn Reviewer>,
    certificate: Arc<ServingCertificate>,
    metrics: Arc<Metrics>,
    health: Health,
}

impl Server {
    /// Binds both ports, so that nothing was started where one of them is taken.
    ///
    /// # Errors
    /// A port that cannot be bound, or TLS that cannot be set up.
    pub async fn bind(
        config: Config,
        reviewer: Arc<dyn Reviewer>,
        certificate: Arc<ServingCertificate>,
        metrics: Arc<Metrics>,
        health: Health,
    ) -> Result<Self, ServerError> {
        let tls = Tls::new(Arc::clone(&certificate), config.client_authority.clone())?;
        let (listener, local) = bind(config.listen).await?;
        let (health_listener, health_local) = bind(config.health_listen).await?;
        if let Some(expires) = certificate.expires() {
            metrics.certificate_expires(expires.as_second());
        }
        Ok(Self {
            listener,
            health_listener,
            local,
            health_local,
            tls: Arc::new(tls),
            config,
            reviewer,
            certificate,
            metrics,
            health,
        })
    }

    /// Where reviews are received.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub fn health_local_addr(&self) -> SocketAddr {
        self.health_local
    }

    /// Serves until `shutdown` is used, then for the grace period, then until nothing is in flight.
    ///
    /// # Errors
    /// A part of the server that ended on its own.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServerError> {
        let Self { config, certificate, metrics, health, tls, .. } = self;
        let page = Arc::new(Page {
            health,
            metrics: Arc::clone(&metrics),
            certificate: Arc::clone(&certificate),
            shutdown: shutdown.clone(),
        });
        let routes = Arc::new(Routes::new(
            config.clone(),
            self.reviewer,
            Arc::clone(&metrics),
            shutdown.clone(),
        ));
        // The health port answers to the very end, so it does not hear of the shutdown itself.
        let end = Shutdown::new();
        let health_port = tokio::spawn(accept(
            self.health_listener,
            end.clone(),
            Duration::ZERO,
            health_connections(&config, page, end.clone()),
        ));
        let reloads = tokio::spawn(poll_certificate(config.certificate_poll, certificate, metrics));
        let clients = tokio::spawn(poll_clients(config.certificate_poll, Arc::clone(&tls)));
        let webhook_port = tokio::spawn(accept(
            self.listener,
            shutdown.clone(),
            config.drain_timeout,
            webhook_connections(tls, routes),
        ));

        let leave = async {
            shutdown.reached(Stage::Leaving).await;
            tracing::info!(
                grace_period = ?config.grace_period,
                "shutting down: unready, still serving"
            );
            tokio::select! {
                () = sleep(config.grace_period) => {}
                () = shutdown.reached(Stage::Draining) => {}
            }
            shutdown.hurry();
        };
        let mut webhook_port = webhook_port;
        let stopped = tokio::select! {
            biased;
            stopped = &mut webhook_port => stopped,
            () = leave => webhook_port.await,
        };
        reloads.abort();
        clients.abort();
        end.hurry();
        let cut = stopped.map_err(ServerError::Stopped)?;
        health_port.await.map_err(ServerError::Stopped)?;
        if cut > 0 {
            tracing::warn!(connections = cut, "cut off connections that did not end in time");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local", &self.local)
            .field("health_local", &self.health_local)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

fn limits(config: &Config) -> Limits {
    Limits { header: config.header_timeout, idle: config.idle_timeout, write: config.write_timeout }
}

/// Connections to the webhook. Beyond the cap some are kept just long enough to say so; beyond
/// those they are dropped unanswered.
fn webhook_connections(
    tls: Arc<Tls>,
    routes: Arc<Routes>,
) -> impl Fn(TcpStream, SocketAddr, usize) -> Option<Connection> {
    let cap = routes.config.max_connections;
    let last = cap + cap / 16 + 1;
    move |stream, peer, open| {
        if open >= cap {
            routes.metrics.shed("connections");
            tracing::debug!(%peer, open, "too many connections");
        }
        (open < last).then(|| {
            let connection =
                webhook_connection(Arc::clone(&tls), stream, Arc::clone(&routes), open >= cap);
            Box::pin(connection) as Connection
        })
    }
}

/// The life of a connection.
type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn webhook_connection(tls: Arc<Tls>, stream: TcpStream, routes: Arc<Routes>, surplus: bool) {
    let metrics = &routes.metrics;
    metrics.connections().inc();
    let _open = Open(metrics);
    // Answers are small and waited for.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(routes.config.handshake_timeout, tls.acceptor().accept(stream)).await
    {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let protocol = error.kind() == io::ErrorKind::InvalidData;
            metrics.handshake_failed(if protocol { "protocol" } else { "closed" });
            tracing::debug!(%error, "TLS was not agreed");
            return;
        }
        Err(_) => {
            metrics.handshake_failed("timeout");
            return;
        }
    };
    if !tls::is_named(stream.get_ref().1.peer_certificates(), &routes.config.client_names) {
        metrics.handshake_failed("client");
        tracing::warn!("turned a client away: its certificate has another name (--client-name)");
        return;
    }
    let pulse = Arc::new(Pulse::new());
    let (handler, heartbeat) = (&routes, &*pulse);
    drive(stream, limits(&routes.config), Arc::clone(&pulse), &routes.shutdown, |request| {
        handler.answer(request, heartbeat, surplus)
    })
    .await;
    metrics.connection_closed(pulse.ended_by());
}

/// An open connection, until it is dropped.
struct Open<'a>(&'a Metrics);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections().dec();
    }
}

fn health_connections(
    config: &Config,
    page: Arc<Page>,
    end: Shutdown,
) -> impl Fn(TcpStream, SocketAddr, usize) -> Option<Connection> + use<> {
    let (cap, limits) = (config.max_health_connections, limits(config));
    move |stream, _, open| {
        let (page, end) = (Arc::clone(&page), end.clone());
        (open < cap).then(|| {
            Box::pin(async move {
                let answer = |request| std::future::ready(page.answer(&request));
                drive(stream, limits, Arc::new(Pulse::new()), &end, answer).await;
            }) as Connection
        })
    }
}

/// Looks at the authority of clients now and then.
async fn poll_clients(every: Duration, tls: Arc<Tls>) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut complaint = String::new();
    loop {
        ticks.tick().await;
        let looked = Arc::clone(&tls);
        match tokio::task::spawn_blocking(move || looked.reload()).await {
            Ok(Ok(taken)) => {
                complaint.clear();
                if taken {
                    tracing::info!("took the new authority of clients");
                }
            }
            Ok(Err(error)) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                if text != complaint {
                    tracing::error!(error = text, "kept the old authority of clients");
                }
                complaint = text;
            }
            Err(error) => tracing::error!(%error, "cannot look at the authority of clients"),
        }
    }
}

/// Looks at the certificate files now and then.
async fn poll_certificate(
    every: Duration,
    certificate: Arc<ServingCertificate>,
    metrics: Arc<Metrics>,
) {
    // A certificate in memory is replaced by whoever put it there.
    let Some(path) = certificate.certificate().map(Path::to_owned) else { return };
    let path = path.display();
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let files = Arc::clone(&certificate);
        let looked = tokio::task::spawn_blocking(move || files.reload(Timestamp::now())).await;
        match looked {
            Ok(Reload::Unchanged) => {}
            Ok(Reload::Replaced) => {
                metrics.certificate_reloaded(true);
                if let Some(expires) = certificate.expires() {
                    metrics.certificate_expires(expires.as_second());
                    tracing::info!(%path, %expires, "took the new certificate");
                }
            }
            Ok(Reload::Refused(error)) => {
                metrics.certificate_reloaded(false);
                let error = anyhow::Error::from(error);
                tracing::error!(%path, "kept the old certificate: {error:#}");
            }
            Err(error) => tracing::error!(%error, "cannot look at the certificate"),
        }
    }
}
