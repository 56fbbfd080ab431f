//! Every limit and interval of the server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Every limit and interval of the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// address of `/mutate` and `/validate`; port 0 takes a free one. Default: `127.0.0.1:9443`
    pub listen: SocketAddr,
    /// address of `/livez`, `/readyz` and `/metrics`, without TLS. Default: `127.0.0.1:9080`
    pub health_listen: SocketAddr,
    /// the authority that signs the certificates of clients, in PEM form; reloaded when the file
    /// changes. It does not affect the health port. Default: none, and clients need no certificate
    pub client_authority: Option<PathBuf>,
    /// the names that a client's certificate may have, as its common name or a DNS name. Default:
    /// none, and any name is allowed
    pub client_names: Vec<String>,
    /// largest body that is judged. Default: 36 MiB. The API server reads 3 MiB from a client and as
    /// much from its store, and writes one byte of them (`<`) in up to six (`\u003c`)
    pub max_body: usize,
    /// memory that all reviews may hold together, estimated from their bodies. Default: 128 MiB; the
    /// first 128 KiB of each review are not counted
    pub max_memory: usize,
    /// large reviews that are judged at a time. Default: 2
    pub max_large_reviews: usize,
    /// open connections. Default: 1,024
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
    /// how long a connection may stay idle. Default: 150 s; the API server closes an idle connection
    /// after 90 s, and it should be the one that closes, since a request may be under way
    pub idle_timeout: Duration,
    /// how long a review may take, unless `?timeout=` asks for less. Default: 10 s, the API server's
    /// own default
    pub review_timeout: Duration,
    /// bodies above this size are large: they may take long, so a thread of its own judges each, and
    /// they are denied if they miss their deadline. Default: 256 KiB
    pub offload_above: usize,
    /// how often changed certificate files are looked for. Default: 10 s
    pub certificate_poll: Duration,
    /// how long the server still serves after a signal to stop, so that endpoints are updated and
    /// clients move to other replicas. Default: 10 s
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
            max_body: 36 * 1024 * 1024,
            max_memory: 128 * 1024 * 1024,
            max_large_reviews: 2,
            max_connections: 1024,
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
