//! Every limit and interval of the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Every limit and interval of the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// where reviews are received; port 0 takes a free one. Default: `127.0.0.1:9443`
    pub listen: SocketAddr,
    /// where `/livez`, `/readyz` and `/metrics` are, without TLS. Default: `127.0.0.1:9080`
    pub health_listen: SocketAddr,
    /// the authority of those who may send reviews, in PEM form; the file is read again when it
    /// changes. Default: none, and everybody may. The health port is not concerned
    pub client_authority: Option<PathBuf>,
    /// names of clients, one of which a certificate has to bear as its common name or a DNS name.
    /// Default: none, and any will do
    pub client_names: Vec<String>,
    /// largest body. Default: 7 MiB, which holds an old and a new object of the largest size that
    /// the API server takes, 3 MiB each, and what surrounds them
    pub max_body: usize,
    /// bodies may occupy this much together. Default: 256 MiB; the first 64 KiB of each are not
    /// counted
    pub max_body_memory: usize,
    /// open connections. Default: 4,096
    pub max_connections: usize,
    /// reviews that are judged at a time. Default: 256
    pub max_reviews: usize,
    /// how long a client may take to agree on TLS. Default: 5 s
    pub handshake_timeout: Duration,
    /// how long a client may take to send the head of a request. Default: 5 s
    pub header_timeout: Duration,
    /// how long a client may take to send a body. Default: 10 s
    pub body_timeout: Duration,
    /// how long a client may take to receive what was sent. Default: 10 s
    pub write_timeout: Duration,
    /// how long a connection may stay unused. Default: 150 s; the API server gives up an unused
    /// connection after 90 s, and whoever closes first should be the one that knows about it
    pub idle_timeout: Duration,
    /// how long a review may take, where the API server does not ask for less by `?timeout=`.
    /// Default: 10 s, the API server's own default
    pub review_timeout: Duration,
    /// bodies above this size are judged on a thread of their own, for they may take long.
    /// Default: 256 KiB
    pub offload_above: usize,
    /// how often the certificate files are looked at. Default: 10 s
    pub certificate_poll: Duration,
    /// how long the server goes on after it was told to stop, so that endpoints are updated and
    /// clients move. Default: 10 s
    pub grace_period: Duration,
    /// how long reviews in flight may take after the grace period. Default: 15 s
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9443)),
            health_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9080)),
            client_authority: None,
            client_names: Vec::new(),
            max_body: 7 * 1024 * 1024,
            max_body_memory: 256 * 1024 * 1024,
            max_connections: 4096,
            max_reviews: 256,
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(150),
            review_timeout: Duration::from_secs(10),
            offload_above: 256 * 1024,
            certificate_poll: Duration::from_secs(10),
            grace_period: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(15),
        }
    }
}
