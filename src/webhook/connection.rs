//! Accepting connections, and the life of each.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::guard::{Guarded, Limits, Pulse};
use super::routes::Answer;
use super::shutdown::{Shutdown, Stage};

/// Largest head of a request, and what hyper reads at a time.
const BUFFER: usize = 64 * 1024;
/// How long to wait when no connection can be accepted, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the server drains, then waits for those that are open, at most for
/// `drain`. Returns how many were cut off.
pub(super) async fn accept<F>(
    listener: TcpListener,
    shutdown: Shutdown,
    drain: Duration,
    serve: impl Fn(TcpStream, SocketAddr, usize) -> Option<F>,
) -> usize
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    {
        let mut draining = pin!(shutdown.reached(Stage::Draining));
        loop {
            tokio::select! {
                biased;
                () = &mut draining => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(connection) = serve(stream, peer, connections.len()) {
                            connections.spawn(connection);
                        }
                    }
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

/// A client that went away before it was accepted is nothing; else accepting again at once would
/// fail again.
async fn pause(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::error!(%error, "cannot accept connections");
        sleep(ACCEPT_PAUSE).await;
    }
}

/// Serves one connection until it ends, or until it is unused when the server drains.
pub(super) async fn drive<S, H, F>(
    stream: S,
    limits: Limits,
    pulse: Arc<Pulse>,
    shutdown: &Shutdown,
    handler: H,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        pulse.request_begins();
        let answer = handler(request);
        let pulse = &pulse;
        async move {
            let answer = answer.await;
            pulse.request_ends();
            Ok::<_, Infallible>(answer)
        }
    });
    let guarded = Guarded::new(stream, limits, Arc::clone(&pulse));
    let mut connection = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(guarded), service)
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
        tracing::debug!(%error, "a connection broke");
        pulse.broke();
    }
}
