//! Reviews over TLS with HTTP/1.1 keep-alive: the whole decision beside the same server that
//! answers a fixed body.
//!
//! The server has one thread and the clients another. Rounds alternate between the two servers,
//! and the ratio of the medians counts.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints rounded figures"
)]

#[path = "support/ratio.rs"]
mod ratio;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use stateward::certificates::{ServingCertificate, dev};
use stateward::health::Health;
use stateward::http_server::Shutdown;
use stateward::telemetry::Metrics;
use stateward::webhook::{
    BadReview, Cancelled, Config, Defaults, ReviewHandler, ReviewRequest, Reviewer, Server,
};
use stateward_core::change::KubernetesVersion;
use stateward_core::policy::{Policy, Resize};
use stateward_core::review::{Answer, NoVerdict, Outcome, WebhookKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// One connection waits for each answer; several keep the server's thread busy throughout.
const CONNECTIONS: [usize; 2] = [1, 8];
const ROUNDS: usize = 11;
const ROUND: Duration = Duration::from_millis(700);

/// Answers the same body whatever it is asked.
struct Fixed(Vec<u8>);

impl Reviewer for Fixed {
    fn review(&self, _: &ReviewRequest<'_>) -> Result<Answer, BadReview> {
        Ok(Answer {
            body: self.0.clone(),
            allowed: true,
            operation: "UPDATE",
            kind: "StatefulSet",
            outcome: Outcome::Allowed,
            denials: Vec::new(),
            audited: Vec::new(),
            warned: Vec::new(),
            verdicts: Vec::new(),
            error: None,
        })
    }

    fn without_verdict(
        &self,
        _: WebhookKind,
        _: &[u8],
        reason: NoVerdict,
    ) -> Result<Answer, BadReview> {
        Err(BadReview(reason.describe().to_owned()))
    }
}

impl Fixed {
    /// What `judge` answers to `body`.
    fn of(judge: &dyn Reviewer, webhook: WebhookKind, body: &[u8]) -> Result<Self, String> {
        let cancelled = &Cancelled::default();
        let request = ReviewRequest { webhook, body, authenticated: false, cancelled };
        Ok(Self(judge.review(&request).map_err(|error| error.to_string())?.body))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let certificates = dev::ensure(folder.path(), &[], Timestamp::now())?;
    let connector = connector(&certificates.authority)?;
    let policy = Policy::default();
    let defaults = Defaults { resize: Resize::Orchestrate, own_namespace: None };
    let judge: Arc<dyn Reviewer> =
        Arc::new(ReviewHandler::new(policy, defaults, KubernetesVersion::default()));
    let reviews = [
        ("an UPDATE of 12 KB, one label changed", ratio::update_of_12_kb(false)),
        ("an UPDATE of 12 KB, a new image", ratio::update_of_12_kb(true)),
    ];
    let server =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cases = reviews.iter().flat_map(|review| CONNECTIONS.map(|count| (review, count)));
    for ((title, body), count) in cases {
        println!("\n{title}: {} bytes, {count} connections", body.len());
        for webhook in [WebhookKind::Mutating, WebhookKind::Validating] {
            let fixed: Arc<dyn Reviewer> = Arc::new(Fixed::of(&*judge, webhook, body)?);
            let mut sides = Vec::new();
            for reviewer in [fixed, Arc::clone(&judge)] {
                let certificate = Arc::new(ServingCertificate::load(
                    &certificates.certificate,
                    &certificates.key,
                )?);
                let config = Config {
                    listen: ([127, 0, 0, 1], 0).into(),
                    health_listen: ([127, 0, 0, 1], 0).into(),
                    ..Config::default()
                };
                let bound = server.block_on(Server::bind(
                    config,
                    reviewer,
                    certificate,
                    Arc::new(Metrics::new()),
                    Health::new(),
                ))?;
                let address = bound.local_addr();
                server.spawn(bound.run(Shutdown::new()));
                let request = request(webhook, body);
                let mut connections = Vec::new();
                for _ in 0..count {
                    connections.push(client.block_on(connect(&connector, address))?);
                }
                sides.push((request, connections));
            }
            let mut rates = [Vec::new(), Vec::new()];
            let mut costs = [Vec::new(), Vec::new()];
            let mut busy = [Vec::new(), Vec::new()];
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (side, (request, connections)) in sides.iter_mut().enumerate() {
                    let before = (server_cpu(&server)?, thread_cpu()?);
                    let start = Instant::now();
                    let mut taken = client.block_on(round(request, connections))?;
                    let wall = start.elapsed().as_secs_f64();
                    let used = (
                        server_cpu(&server)?.saturating_sub(before.0),
                        thread_cpu()?.saturating_sub(before.1),
                    );
                    rates[side].push(taken.len() as f64 / wall);
                    costs[side].push(used.0.as_secs_f64() / taken.len() as f64 * 1e6);
                    busy[side].push([used.0, used.1].map(|cpu| cpu.as_secs_f64() / wall));
                    times[side].append(&mut taken);
                }
            }
            let [fixed, whole] = rates.map(median);
            println!(
                "  {:<9} fixed body {fixed:>8.0}/s, decision {whole:>8.0}/s: ratio {:.3}",
                webhook.path(),
                whole / fixed
            );
            let [fixed, whole] = costs.map(median);
            println!(
                "            the server's thread: {fixed:.1} µs and {whole:.1} µs of CPU each: \
                 ratio {:.3}",
                fixed / whole
            );
            let sides = ["fixed body", "decision"].into_iter().zip(times).zip(busy);
            for ((name, mut times), busy) in sides {
                let share = |which: usize| {
                    100.0 * median(busy.iter().map(|busy: &[f64; 2]| busy[which]).collect())
                };
                times.sort_unstable();
                let at = |percent: usize| times[(times.len() - 1) * percent / 100];
                println!(
                    "            {name:<10} p50 {:?}, p99 {:?}; busy: server {:.0} %, client {:.0} %",
                    at(50),
                    at(99),
                    share(0),
                    share(1)
                );
            }
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The CPU time of the server's only thread.
fn server_cpu(server: &tokio::runtime::Runtime) -> std::io::Result<Duration> {
    server.block_on(async { tokio::spawn(async { thread_cpu() }).await? })
}

/// The CPU time of this thread.
fn thread_cpu() -> std::io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default();
    Ok(Duration::from_nanos(nanos))
}

fn connector(authority: &std::path::Path) -> Result<TlsConnector, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn connect(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(address.ip());
    connector.connect(name, stream).await
}

/// The head that the API server sends, and the body.
fn request(webhook: WebhookKind, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {}?timeout=3s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-apiserver-admission\r\n\
         Content-Length: {}\r\nAccept: application/json, */*\r\nContent-Type: application/json\r\n\r\n",
        webhook.path(),
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// Sends for one round over all connections; the time of each answer.
async fn round(
    request: &[u8],
    connections: &mut [TlsStream<TcpStream>],
) -> std::io::Result<Vec<Duration>> {
    let start = Instant::now();
    let runs = connections.iter_mut().map(|connection| async move {
        let mut times = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while start.elapsed() < ROUND {
            let sent = Instant::now();
            connection.write_all(request).await?;
            connection.flush().await?;
            answer(connection, &mut buffer).await?;
            times.push(sent.elapsed());
        }
        Ok::<_, std::io::Error>(times)
    });
    Ok(join_all(runs).await?.into_iter().flatten().collect())
}

async fn join_all<F, T>(futures: impl Iterator<Item = F>) -> std::io::Result<Vec<T>>
where
    F: Future<Output = std::io::Result<T>>,
{
    let mut pinned: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(Ok(value)) => *slot = Some(value),
                    std::task::Poll::Ready(Err(error)) => {
                        return std::task::Poll::Ready(Err(error));
                    }
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(Ok(())) }
    })
    .await?;
    Ok(done.into_iter().flatten().collect())
}

/// Reads one answer; its head says how long it is.
async fn answer(connection: &mut TlsStream<TcpStream>, buffer: &mut [u8]) -> std::io::Result<()> {
    let mut filled = 0;
    loop {
        let read = connection.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        if let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200"), "{head}");
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .and_then(|length| length.parse().ok())
                .unwrap_or_default();
            if filled >= end + 4 + length {
                return Ok(());
            }
        }
    }
}
