//! Accepting connections, and serving the requests of each.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::Service as _;

use super::shutdown::{Shutdown, Stage};
use super::timed_stream::{ConnectionState, Limits, TimedStream};

/// The largest head of a request, and the size of hyper's read buffer.
const BUFFER: usize = 64 * 1024;
/// The pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the server drains. Then waits up to `drain` for open connections, and
/// returns how many it had to cut off.
///
/// `serve` gets each connection with the tasks of the open ones, and spawns a task for it or drops it.
pub(crate) async fn accept(
    listener: TcpListener,
    shutdown: &Shutdown,
    drain: Duration,
    mut serve: impl FnMut(TcpStream, SocketAddr, &mut JoinSet<()>),
) -> usize {
    let mut connections = JoinSet::new();
    {
        let mut draining = pin!(shutdown.reached(Stage::Draining));
        loop {
            tokio::select! {
                biased;
                () = &mut draining => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => serve(stream, peer, &mut connections),
                    Err(error) => pause(&error).await,
                },
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(drain, all).await.is_ok() {
        return 0;
    }
    let cut = connections.len();
    connections.shutdown().await;
    cut
}

/// A client that has already closed its connection is no error; after any other error, an immediate
/// retry would fail again.
async fn pause(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::error!(%error, "cannot accept connections");
        sleep(ACCEPT_PAUSE).await;
    }
}

/// Serves a connection until it ends, or until it is idle while the server drains. Each request
/// carries the [`ConnectionState`] as an extension.
pub(crate) async fn serve_connection<S>(
    stream: S,
    limits: Limits,
    state: Arc<ConnectionState>,
    shutdown: &Shutdown,
    router: &Router,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|mut request: Request<Incoming>| {
        state.request_begins();
        request.extensions_mut().insert(Arc::clone(&state));
        // A router is always ready.
        let answer = router.clone().call(request);
        let state = &state;
        async move {
            let answer = answer.await;
            state.request_ends();
            Ok::<_, Infallible>(answer.unwrap_or_else(|never| match never {}))
        }
    });
    let timed = TimedStream::new(stream, limits, Arc::clone(&state));
    let mut connection = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(timed), service)
    );
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.reached(Stage::Draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
        state.broke();
    }
}
