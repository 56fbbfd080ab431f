//! The binary as a process, and a client of it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) type Connection = SendRequest<Full<Bytes>>;
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub(crate) struct Server {
    child: Child,
    port: u16,
    connector: TlsConnector,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start(binary: &str) -> Self {
        Self::start_with(binary, &[])
    }

    /// `serve --dev` with further arguments.
    pub(crate) fn start_with(binary: &str, more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(binary)
            .args(["serve", "--dev", "--listen=127.0.0.1:0", "--health-listen=127.0.0.1:0"])
            .args(more)
            .args(["--log-level=error", "--certs-dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, rest)) = line.split_once("reviews   https://127.0.0.1:") {
                break rest.split('/').next().unwrap().parse().unwrap();
            }
        };
        // The rest of what it prints has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        let connector = connector(&folder.path().join("ca.crt"));
        Self { child, port, connector, _folder: folder }
    }

    pub(crate) async fn tcp(&self) -> Outcome<TcpStream> {
        Ok(TcpStream::connect(("127.0.0.1", self.port)).await?)
    }

    pub(crate) async fn tls(&self) -> Outcome<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        Ok(self.connector.connect(name, self.tcp().await?).await?)
    }

    pub(crate) async fn connect(&self) -> Outcome<Connection> {
        let (sender, connection) = handshake(TokioIo::new(self.tls().await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// What it holds in memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that it ever held in memory, in KiB.
    pub(crate) fn most_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many files and sockets it has open.
    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone where the test has found that out.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connector(authority: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(stateward::certificates::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Status and body of the answer to a review.
pub(crate) async fn post(connection: &mut Connection, review: Vec<u8>) -> Outcome<(u16, String)> {
    post_to(connection, "/mutate", review).await
}

pub(crate) async fn post_to(
    connection: &mut Connection,
    path: &str,
    review: Vec<u8>,
) -> Outcome<(u16, String)> {
    let request = Request::post(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::from(review))?;
    connection.ready().await?;
    let response = connection.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}
