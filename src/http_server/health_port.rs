//! The plain port of the webhook and of the controller: `/livez`, `/readyz` and `/metrics`.
//!
//! Any pod may connect to it, and a probe that fails restarts the process. So a new connection is
//! always accepted: above a limit it takes the place of an older one.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tower_http::catch_panic::CatchPanicLayer;

use super::connection::{accept, serve_connection};
use super::shutdown::Shutdown;
use super::timed_stream::{ConnectionState, Limits};
use crate::telemetry::metrics;

/// The most open connections; probes and scrapes need fewer.
const CONNECTIONS: usize = 64;
/// The most open connections of one address.
const CONNECTIONS_OF_PEER: usize = 16;
/// A probe takes a new connection each time, and Prometheus reconnects.
const LIMITS: Limits = Limits {
    header: Duration::from_secs(5),
    idle: Duration::from_secs(10),
    write: Duration::from_secs(10),
};

/// The contents of the health port.
pub trait Pages: Send + Sync + 'static {
    /// The reason that the process must be restarted, if there is one.
    fn stuck(&self) -> Option<String> {
        None
    }

    /// The lines of `/readyz`.
    ///
    /// # Errors
    /// The lines if the process is not ready.
    fn ready(&self) -> Result<String, String> {
        Ok("ok\n".to_owned())
    }

    /// The metrics in the `OpenMetrics` format.
    ///
    /// # Errors
    /// A metric cannot be encoded, which is a bug in its type.
    fn metrics(&self) -> Result<String, fmt::Error>;
}

/// The health port, which is bound but does not answer yet.
#[derive(Debug)]
pub struct HealthPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl HealthPort {
    /// Binds the port.
    ///
    /// # Errors
    /// The port is taken, or the address is not this machine's.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The bound address.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves `pages` until `end` drains.
    pub async fn serve(self, pages: impl Pages, end: Shutdown) {
        self.serve_router(router(pages), end).await;
    }

    /// Serves other pages under the same limits.
    pub(crate) async fn serve_router(self, router: Router, end: Shutdown) {
        let mut open: Vec<Open> = Vec::new();
        accept(self.listener, &end, Duration::ZERO, |stream, peer, tasks| {
            open.retain(|one| !one.task.is_finished());
            if let Some(victim) = victim(&open, peer.ip()) {
                open.remove(victim).task.abort();
            }
            let state = Arc::new(ConnectionState::new());
            let (router, end, of_task) = (router.clone(), end.clone(), Arc::clone(&state));
            let task = tasks.spawn(async move {
                serve_connection(stream, LIMITS, of_task, &end, &router).await;
            });
            open.push(Open { peer: peer.ip(), state, task });
        })
        .await;
    }
}

/// An open connection.
struct Open {
    peer: IpAddr,
    state: Arc<ConnectionState>,
    task: AbortHandle,
}

/// The place in `open`, the oldest first, of the connection to close for a new one of `peer`: an idle
/// one if there is one, of the address that has the most.
fn victim(open: &[Open], peer: IpAddr) -> Option<usize> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for one in open {
        *counts.entry(one.peer).or_default() += 1;
    }
    let crowded = if counts.get(&peer).is_some_and(|count| *count >= CONNECTIONS_OF_PEER) {
        peer
    } else if open.len() >= CONNECTIONS {
        counts.into_iter().max_by_key(|(_, count)| *count)?.0
    } else {
        return None;
    };
    let idle = open.iter().position(|one| one.peer == crowded && !one.state.is_serving());
    idle.or_else(|| open.iter().position(|one| one.peer == crowded))
}

fn router<P: Pages>(pages: P) -> Router {
    Router::new()
        .route("/livez", get(live::<P>))
        .route("/readyz", get(ready::<P>))
        .route("/metrics", get(show_metrics::<P>))
        .method_not_allowed_fallback(async || {
            (StatusCode::METHOD_NOT_ALLOWED, "this port answers only GET\n")
        })
        .fallback(async || {
            (StatusCode::NOT_FOUND, "this port has only /livez, /readyz and /metrics\n")
        })
        .layer(CatchPanicLayer::new())
        .with_state(Arc::new(pages))
}

async fn live<P: Pages>(State(pages): State<Arc<P>>) -> Response {
    match pages.stuck() {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn ready<P: Pages>(State(pages): State<Arc<P>>) -> Response {
    match pages.ready() {
        Ok(page) => page.into_response(),
        Err(page) => (StatusCode::SERVICE_UNAVAILABLE, page).into_response(),
    }
}

async fn show_metrics<P: Pages>(State(pages): State<Arc<P>>) -> Response {
    match pages.metrics() {
        Ok(page) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "cannot encode a metric\n").into_response(),
    }
}
