//! A server on loopback with real TLS, clients for it, and reviewers that behave and misbehave.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use stateward::certificates::{self, ServingCertificate, dev};
use stateward::health::Health;
use stateward::http_server::Shutdown;
use stateward::telemetry::Metrics;
use stateward::webhook::{BadReview, Config, ReviewRequest, Reviewer, Server, ServerError};
use stateward_core::review::{Answer, Denial, NoVerdict, Outcome, RuleOutcome, WebhookKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than anything takes; only a hang reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// `future`, unless it hangs.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it hangs")
}

/// Waits until `condition` holds.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    soon(async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// What a body asks of [`Tester`].
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    /// Lets all who wait go on.
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    /// Makes those who come from now on wait.
    pub(crate) fn shut(&self) {
        *self.open.lock().unwrap() = false;
    }

    fn wait(&self) {
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_timeout_while(open, PATIENCE, |open| !*open).unwrap());
    }
}

/// Does what the body says: `panic`, `wait` (for the gate), `bad`, `deny`, `large`; else it answers
/// the length of the body.
#[derive(Debug, Default)]
pub(crate) struct Tester {
    /// what `wait` waits for
    pub(crate) gate: Gate,
}

fn reviewed(body: String, outcome: Outcome) -> Answer {
    Answer {
        body: body.into_bytes(),
        allowed: outcome != Outcome::Denied,
        operation: "UPDATE",
        kind: "StatefulSet",
        outcome,
        denials: Vec::new(),
        audited: Vec::new(),
        warned: Vec::new(),
        verdicts: Vec::new(),
        error: None,
    }
}

impl Reviewer for Tester {
    fn review(&self, request: &ReviewRequest<'_>) -> Result<Answer, BadReview> {
        let ReviewRequest { webhook, body, .. } = *request;
        let word = body.split(|byte| *byte == b' ').next().unwrap_or_default();
        match word {
            b"panic" => panic!("as asked"),
            b"wait" => self.gate.wait(),
            b"bad" => return Err(BadReview("the review has\nno uid".to_owned())),
            b"large" => return Ok(reviewed("x".repeat(4 << 20), Outcome::Allowed)),
            b"deny" => {
                let mut denied = reviewed("denied".to_owned(), Outcome::Denied);
                denied.denials.push(Denial {
                    rule: "sts-service-name",
                    object: "StatefulSet db".to_owned(),
                    namespace: "prod".to_owned(),
                    user: "dev".to_owned(),
                    field: "/spec/serviceName".to_owned(),
                    message: "serviceName would change".to_owned(),
                    dry_run: false,
                    kind: "StatefulSet",
                    name: "db".to_owned(),
                    uid: String::new(),
                });
                denied.verdicts.push(("sts-service-name", RuleOutcome::Denied));
                return Ok(denied);
            }
            _ => {}
        }
        Ok(reviewed(format!("{} {}", webhook.endpoint(), body.len()), Outcome::Allowed))
    }

    fn without_verdict(
        &self,
        _: WebhookKind,
        beginning: &[u8],
        reason: NoVerdict,
    ) -> Result<Answer, BadReview> {
        assert!(!beginning.ends_with(b"twice"), "as asked");
        if beginning.starts_with(b"nobody") {
            return Err(BadReview("no uid".to_owned()));
        }
        Ok(reviewed(format!("failed: {}", reason.describe()), Outcome::Error))
    }
}

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) folder: PathBuf,
    pub(crate) shutdown: Shutdown,
    pub(crate) notes: Health,
    pub(crate) reviewer: Arc<Tester>,
    pub(crate) run: JoinHandle<Result<(), ServerError>>,
    _own: tempfile::TempDir,
}

/// A server with its own development certificates.
pub(crate) async fn start(adapt: impl FnOnce(&mut Config)) -> Running {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path().join("certs");
    dev::ensure(&folder, &[], Timestamp::now()).unwrap();
    start_with(own, &folder, adapt).await
}

/// A server with the certificates of `folder`.
pub(crate) async fn start_with(
    own: tempfile::TempDir,
    folder: &Path,
    adapt: impl FnOnce(&mut Config),
) -> Running {
    let mut config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        health_listen: "127.0.0.1:0".parse().unwrap(),
        certificate_poll: Duration::from_millis(20),
        grace_period: PATIENCE,
        handshake_timeout: PATIENCE,
        header_timeout: PATIENCE,
        body_timeout: PATIENCE,
        write_timeout: PATIENCE,
        review_timeout: PATIENCE,
        drain_timeout: PATIENCE,
        ..Config::default()
    };
    adapt(&mut config);
    let certificate =
        ServingCertificate::load(&folder.join("tls.crt"), &folder.join("tls.key")).unwrap();
    let reviewer = Arc::new(Tester::default());
    let notes = Health::new();
    let server = Server::bind(
        config,
        Arc::<Tester>::clone(&reviewer),
        Arc::new(certificate),
        Arc::new(Metrics::new()),
        notes.clone(),
    )
    .await
    .unwrap();
    let shutdown = Shutdown::new();
    let (address, health) = (server.local_addr(), server.health_local_addr());
    let run = tokio::spawn(server.run(shutdown.clone()));
    Running {
        address,
        health,
        folder: folder.to_owned(),
        shutdown,
        notes,
        reviewer,
        run,
        _own: own,
    }
}

/// How a client does TLS.
pub(crate) fn client(
    authority: &Path,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(certificates::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) closes: bool,
    pub(crate) headers: hyper::HeaderMap,
}

/// A connection that was made for HTTP.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

impl Running {
    /// TLS as Go does it by default.
    pub(crate) fn client(&self) -> TlsConnector {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        client(&self.folder.join("ca.crt"), &versions, &["http/1.1"])
    }

    pub(crate) async fn tls(&self) -> TlsStream<TcpStream> {
        self.try_tls(&self.client()).await.unwrap()
    }

    pub(crate) async fn try_tls(
        &self,
        client: &TlsConnector,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        soon(client.connect(ServerName::try_from("localhost").unwrap(), stream)).await
    }

    pub(crate) async fn connect(&self) -> Connection {
        http(self.tls().await).await
    }

    /// One POST on its own connection.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Reply {
        post(&mut self.connect().await, path, body).await
    }

    /// A page of the plain port.
    pub(crate) async fn page(&self, path: &str) -> (StatusCode, String) {
        let mut connection = http(TcpStream::connect(self.health).await.unwrap()).await;
        let request = Request::get(path).body(Full::default()).unwrap();
        let reply = send(&mut connection, request).await.unwrap();
        (reply.status, reply.text)
    }

    /// The value of a metric, by the start of its line.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, page) = self.page("/metrics").await;
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Waits until a metric has a value: what ends a connection is counted after its end is seen.
    pub(crate) async fn counts(&self, name: &str, value: f64) {
        until(async || (self.metric(name).await - value).abs() < 0.5).await;
    }

    /// Stops it without a grace period.
    pub(crate) async fn stop(self) {
        self.shutdown.hurry();
        soon(self.run).await.unwrap().unwrap();
    }
}

/// HTTP over a stream.
pub(crate) async fn http<S>(stream: S) -> Connection
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A POST of JSON.
pub(crate) async fn post(connection: &mut Connection, path: &str, body: impl Into<Bytes>) -> Reply {
    try_post(connection, path, body).await.unwrap()
}

pub(crate) async fn try_post(
    connection: &mut Connection,
    path: &str,
    body: impl Into<Bytes>,
) -> hyper::Result<Reply> {
    let request = Request::post(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap();
    send(connection, request).await
}

pub(crate) async fn send(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> hyper::Result<Reply> {
    soon(async {
        connection.ready().await?;
        let response: Response<Incoming> = connection.send_request(request).await?;
        let (head, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        Ok(Reply {
            status: head.status,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
            closes: head.headers.get("connection").is_some_and(|value| value == "close"),
            headers: head.headers,
        })
    })
    .await
}

/// The head of a POST, for requests written by hand.
pub(crate) fn head(extra: &str) -> String {
    format!(
        "POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{extra}\r\n"
    )
}

/// Everything until the server closes; a reset counts as closed.
pub(crate) async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

/// Writes all of it; the server may close before the end.
pub(crate) async fn write(stream: &mut TlsStream<TcpStream>, text: &str) -> std::io::Result<()> {
    soon(async {
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    })
    .await
}
