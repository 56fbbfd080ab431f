//! Taking requests, asking the API server, answering.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri};
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{self, connect::Connect};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Config;
use kube::client::ConfigExt as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::fault::{Held, Rule};
use super::{Exchange, Fault, Request, Shared, lock};

// An error cuts the connection.
type Body = BoxBody<Bytes, io::Error>;

/// A certificate of an authority of its own, and that authority.
pub(super) fn certificate() -> Result<(TlsAcceptor, String)> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    let private = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| anyhow::anyhow!("a key that is none: {error}"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)?;
    Ok((TlsAcceptor::from(Arc::new(config)), authority.pem()))
}

/// Serves until the task is aborted, which ends the connections, too.
pub(super) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    config: Config,
    shared: Arc<Shared>,
) {
    let Ok(connector) = config.rustls_https_connector() else { return };
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let (tls, client, shared) = (tls.clone(), client.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| {
                let (client, shared) = (client.clone(), Arc::clone(&shared));
                async move {
                    // A task of its own: who hangs up has still sent its request.
                    tokio::spawn(answer(client, shared, request)).await?
                }
            });
            // An error of the service cuts the connection, which is what it is for.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Forwards one request, unless a fault happens to it; an error cuts the connection.
async fn answer<C>(
    client: legacy::Client<C, Full<Bytes>>,
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> Result<Response<Body>>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let (mut head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let asked = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: body.clone(),
    };
    let entry = shared.enter(&asked);
    let mut uri = shared.upstream.clone().into_parts();
    uri.path_and_query = head.uri.path_and_query().cloned();
    head.uri = Uri::from_parts(uri)?;
    for name in [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    let upstream = http::Request::from_parts(head, Full::new(body));
    let rule = shared.rule(&asked);

    match rule.as_ref().map(|rule| rule.fault) {
        Some(Fault::Before) => {
            strike(rule).await;
            bail!("cut");
        }
        Some(Fault::Refuse(status)) => {
            strike(rule).await;
            shared.log(entry, |exchange| exchange.answered = Some(status));
            return refusal(status);
        }
        Some(Fault::Slow(delay)) => {
            strike(rule.clone()).await;
            tokio::time::sleep(delay).await;
        }
        Some(Fault::Late(delay)) => {
            strike(rule).await;
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                if let Ok(response) = client.request(upstream).await {
                    let status = response.status().as_u16();
                    shared.log(entry, |exchange| exchange.committed = Some(status));
                }
            });
            bail!("cut");
        }
        None | Some(Fault::After | Fault::Hide(_) | Fault::Cut(_)) => {}
    }

    let (mut head, body) = client.request(upstream).await?.into_parts();
    let status = head.status.as_u16();
    for name in [CONNECTION, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    if asked.is_watch() && head.status.is_success() {
        shared.log(entry, |exchange| {
            (exchange.committed, exchange.answered) = (Some(status), Some(status));
        });
        let lives = match rule.as_ref().map(|rule| rule.fault) {
            Some(Fault::Cut(after)) => Some(after),
            _ => None,
        };
        strike(rule.filter(|_| lives.is_some())).await;
        return Ok(Response::from_parts(head, watched(shared, asked, body, lives)));
    }
    // The whole answer first, so that what comes after it comes after it.
    let body = body.collect().await?.to_bytes();
    shared.log(entry, |exchange| exchange.committed = Some(status));
    match rule.as_ref().map(|rule| rule.fault) {
        Some(Fault::After) => {
            strike(rule).await;
            bail!("cut");
        }
        Some(Fault::Hide(told)) => {
            strike(rule).await;
            shared.log(entry, |exchange| exchange.answered = Some(told));
            return refusal(told);
        }
        _ => {}
    }
    shared.log(entry, |exchange| exchange.answered = Some(status));
    Ok(Response::from_parts(head, whole(body)))
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed()
}

async fn strike(rule: Option<Arc<Rule>>) {
    if let Some(rule) = rule {
        rule.strike().await;
    }
}

/// What the API server would say with this status.
fn refusal(status: u16) -> Result<Response<Body>> {
    let code = StatusCode::from_u16(status)?;
    let reason = match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": format!("the proxy of the testbed says {reason}"), "reason": reason, "code": status,
    });
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if status == 429 {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let mut response = Response::new(whole(Bytes::from(body.to_string())));
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The events of a watch, each passed on when nobody holds it back any more; cut when it has lived
/// for as long as it may.
fn watched(
    shared: Arc<Shared>,
    asked: Request,
    mut body: Incoming,
    lives: Option<Duration>,
) -> Body {
    // Without bound, since reading must go on for the times of arrival to be right.
    let begun = Instant::now();
    let (queue, mut frames) = mpsc::unbounded_channel::<(Instant, Frame<Bytes>)>();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            if queue.send((Instant::now(), frame)).is_err() {
                return;
            }
        }
    });
    let (mut out, body) = Channel::new(1);
    tokio::spawn(async move {
        let pass = async {
            while let Some((arrived, frame)) = frames.recv().await {
                shared.wait(&asked, begun, arrived).await;
                if out.send(frame).await.is_err() {
                    return;
                }
            }
        };
        match lives {
            None => pass.await,
            Some(after) => {
                if tokio::time::timeout(after, pass).await.is_err() {
                    out.abort(io::Error::other("cut"));
                }
            }
        }
    });
    body.boxed()
}

impl Shared {
    /// Notes a request; its place in the log.
    fn enter(&self, request: &Request) -> usize {
        let mut log = lock(&self.log);
        log.push(Exchange { request: request.clone(), committed: None, answered: None });
        log.len() - 1
    }

    fn log(&self, entry: usize, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = lock(&self.log).get_mut(entry) {
            change(exchange);
        }
    }

    /// The fault for a request. Each rule counts it, whichever strikes.
    fn rule(&self, request: &Request) -> Option<Arc<Rule>> {
        let rules = lock(&self.rules);
        let taking: Vec<&Arc<Rule>> = rules.iter().filter(|rule| rule.takes(request)).collect();
        taking.first().map(|&rule| Arc::clone(rule))
    }

    /// Returns when nothing holds back an event of this watch that arrived then.
    async fn wait(&self, watch: &Request, begun: Instant, arrived: Instant) {
        let mut released = self.released.subscribe();
        loop {
            let until = {
                let held = lock(&self.held);
                let speaks_of = |held: &&Held| {
                    (held.matches)(watch) && held.before.is_none_or(|before| begun < before)
                };
                let mut mine = held.iter().filter(speaks_of).peekable();
                if mine.peek().is_none() {
                    return;
                }
                // None of the delays counts where one has no end.
                mine.map(|held| held.delay).try_fold(Duration::ZERO, |longest, delay| {
                    delay.map(|delay| longest.max(delay))
                })
            };
            match until {
                Some(delay) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(arrived + delay) => return,
                        _ = released.changed() => {}
                    }
                }
                None => {
                    if released.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
