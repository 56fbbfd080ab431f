//! A plain port with `/livez`, `/readyz` and `/metrics`, for a process without the webhook.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::metrics;

const TEXT: &str = "text/plain; charset=utf-8";
/// More connections than probes and scrapes need wait.
const CONNECTIONS: usize = 64;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// What the port shows.
pub struct Page {
    /// the metrics
    pub registry: Registry,
    /// why the process should be started again, if it should
    pub stuck: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

/// Serves `page` for ever.
pub async fn serve(listener: TcpListener, page: Arc<Page>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let page = Arc::clone(&page);
        tokio::spawn(async move {
            let answer = service_fn(|request| std::future::ready(page.answer(&request)));
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection to the plain port ended");
            }
            drop(permit);
        });
    }
}

impl Page {
    #[expect(clippy::unnecessary_wraps, reason = "hyper asks for a result")]
    fn answer(&self, request: &Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let get = matches!(*request.method(), Method::GET | Method::HEAD);
        let (status, kind, body) = match request.uri().path() {
            _ if !get => {
                (StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered here\n".into())
            }
            "/livez" => match (self.stuck)() {
                None => (StatusCode::OK, TEXT, "ok\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
            },
            "/readyz" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/metrics" => {
                let mut page = String::new();
                match text::encode(&mut page, &self.registry) {
                    Ok(()) => (StatusCode::OK, metrics::CONTENT_TYPE, page),
                    Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, TEXT, String::new()),
                }
            }
            _ => {
                (StatusCode::NOT_FOUND, TEXT, "only /livez, /readyz and /metrics are here\n".into())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(response)
    }
}
