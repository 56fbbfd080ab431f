//! The server: bound first, then run until it is told to stop.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Config;
use super::readiness::Readiness;
use super::reviewer::Reviewer;
use super::router::{self, Webhook};
use super::tls::{self, Tls, TlsError};
use crate::certificates::{Reload, ServingCertificate};
use crate::health::Health;
use crate::http_server::{
    ConnectionState, HealthPort, Limits, Shutdown, Stage, accept, serve_connection,
};
use crate::telemetry::Metrics;

/// The reason that the server cannot run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The server cannot listen on an address.
    #[error("cannot listen on {address}")]
    Listen {
        /// the configured address
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

/// A server whose ports are bound but do not answer yet.
pub struct Server {
    listener: TcpListener,
    health_port: HealthPort,
    local: SocketAddr,
    tls: Arc<Tls>,
    config: Config,
    reviewer: Arc<dyn Reviewer>,
    certificate: Arc<ServingCertificate>,
    metrics: Arc<Metrics>,
    health: Health,
}

impl Server {
    /// Binds both ports, and starts nothing if one of them is taken.
    ///
    /// # Errors
    /// A port is taken, or TLS cannot be set up.
    pub async fn bind(
        config: Config,
        reviewer: Arc<dyn Reviewer>,
        certificate: Arc<ServingCertificate>,
        metrics: Arc<Metrics>,
        health: Health,
    ) -> Result<Self, ServerError> {
        let tls = Tls::new(Arc::clone(&certificate), config.client_authority.clone())?;
        let (listener, local) = bind(config.listen).await?;
        let address = config.health_listen;
        let health_port = HealthPort::bind(address)
            .await
            .map_err(|source| ServerError::Listen { address, source })?;
        if let Some(expires) = certificate.expires() {
            metrics.certificate_expires(expires.as_second());
        }
        Ok(Self {
            listener,
            health_port,
            local,
            tls: Arc::new(tls),
            config,
            reviewer,
            certificate,
            metrics,
            health,
        })
    }

    /// The address of `/mutate` and `/validate`.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The address of `/livez`, `/readyz` and `/metrics`.
    pub fn health_local_addr(&self) -> SocketAddr {
        self.health_port.local_addr()
    }

    /// Serves until `shutdown` is used, then for the grace period, then until nothing is in flight.
    ///
    /// # Errors
    /// A part of the server ended on its own.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServerError> {
        let Self { config, certificate, metrics, health, tls, .. } = self;
        let readiness = Readiness {
            health,
            metrics: Arc::clone(&metrics),
            certificate: Arc::clone(&certificate),
            shutdown: shutdown.clone(),
        };
        let webhook =
            Webhook::new(config.clone(), self.reviewer, Arc::clone(&metrics), shutdown.clone());
        // The health port answers to the very end, so its shutdown is another.
        let end = Shutdown::new();
        let health_port = tokio::spawn(self.health_port.serve(readiness, end.clone()));
        let reloads = tokio::spawn(poll_certificate(config.certificate_poll, certificate, metrics));
        let clients = tokio::spawn(poll_clients(config.certificate_poll, Arc::clone(&tls)));
        let (listener, until) = (self.listener, shutdown.clone());
        let mut webhook_port = tokio::spawn(async move {
            let connections = webhook_connections(tls, &webhook);
            accept(listener, &until, config.drain_timeout, connections).await
        });

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
            .field("health_port", &self.health_port)
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

/// Serves connections to the webhook. Connections just beyond the cap are answered 503; those beyond
/// these are dropped.
fn webhook_connections(
    tls: Arc<Tls>,
    webhook: &Arc<Webhook>,
) -> impl FnMut(TcpStream, SocketAddr, &mut JoinSet<()>) + use<> {
    let cap = webhook.config.max_connections;
    let last = cap + cap / 16 + 1;
    let (router, surplus) = (router::router(webhook), router::surplus_router(webhook));
    let webhook = Arc::clone(webhook);
    move |stream, peer, open| {
        let count = open.len();
        if count >= cap {
            webhook.metrics.shed("connections");
            tracing::debug!(%peer, open = count, "too many connections");
        }
        if count < last {
            let router = if count < cap { &router } else { &surplus };
            let (tls, webhook) = (Arc::clone(&tls), Arc::clone(&webhook));
            open.spawn(webhook_connection(tls, stream, webhook, router.clone()));
        }
    }
}

async fn webhook_connection(
    tls: Arc<Tls>,
    stream: TcpStream,
    webhook: Arc<Webhook>,
    router: Router,
) {
    let Webhook { metrics, config, shutdown, .. } = &*webhook;
    metrics.connections().inc();
    let _open = Open(metrics);
    // An answer is small, and the client waits for it.
    let _ = stream.set_nodelay(true);
    let stream = match timeout(config.handshake_timeout, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let protocol = error.kind() == io::ErrorKind::InvalidData;
            metrics.handshake_failed(if protocol { "protocol" } else { "closed" });
            tracing::debug!(%error, "the TLS handshake failed");
            return;
        }
        Err(_) => {
            metrics.handshake_failed("timeout");
            return;
        }
    };
    if !tls::is_named(stream.get_ref().1.peer_certificates(), &config.client_names) {
        metrics.handshake_failed("client");
        tracing::warn!("rejected a client whose certificate has another name (--client-name)");
        return;
    }
    let state = Arc::new(ConnectionState::new());
    let limits = Limits {
        header: config.header_timeout,
        idle: config.idle_timeout,
        write: config.write_timeout,
    };
    serve_connection(stream, limits, Arc::clone(&state), shutdown, &router).await;
    metrics.connection_closed(state.ended_by());
}

/// Counts an open connection until it is dropped.
struct Open<'a>(&'a Metrics);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections().dec();
    }
}

/// Reloads the authority of clients when its file changes.
async fn poll_clients(every: Duration, tls: Arc<Tls>) {
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut complaint = String::new();
    loop {
        ticks.tick().await;
        let reloaded = Arc::clone(&tls);
        match tokio::task::spawn_blocking(move || reloaded.reload()).await {
            Ok(Ok(taken)) => {
                complaint.clear();
                if taken {
                    tracing::info!("loaded the new authority of clients");
                }
            }
            Ok(Err(error)) => {
                let text = format!("{:#}", anyhow::Error::from(error));
                if text != complaint {
                    tracing::error!(error = text, "kept the old authority of clients");
                }
                complaint = text;
            }
            Err(error) => tracing::error!(%error, "cannot read the authority of clients"),
        }
    }
}

/// Reloads the certificate when its files change.
async fn poll_certificate(
    every: Duration,
    certificate: Arc<ServingCertificate>,
    metrics: Arc<Metrics>,
) {
    // A certificate in memory has no files; the part that made it replaces it.
    let Some(path) = certificate.certificate().map(Path::to_owned) else { return };
    let path = path.display();
    let mut ticks = interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let files = Arc::clone(&certificate);
        let reloaded = tokio::task::spawn_blocking(move || files.reload(Timestamp::now())).await;
        match reloaded {
            Ok(Reload::Unchanged) => {}
            Ok(Reload::Replaced) => {
                metrics.certificate_reloaded(true);
                if let Some(expires) = certificate.expires() {
                    metrics.certificate_expires(expires.as_second());
                    tracing::info!(%path, %expires, "loaded the new certificate");
                }
            }
            Ok(Reload::Refused(error)) => {
                metrics.certificate_reloaded(false);
                let error = anyhow::Error::from(error);
                tracing::error!(%path, "kept the old certificate: {error:#}");
            }
            Err(error) => tracing::error!(%error, "cannot read the certificate"),
        }
    }
}
