//! The health port under clients that hold its connections.

use std::net::{Ipv4Addr, SocketAddr};

use hyper::StatusCode;
use stateward::http_server::{HealthPort, Pages, Shutdown};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{http, send, soon, start};

struct Nothing;

impl Pages for Nothing {
    fn metrics(&self) -> Result<String, std::fmt::Error> {
        Ok("# EOF\n".to_owned())
    }
}

/// A connection from an address of this machine, as from another pod.
async fn connect_from(host: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 1, 1, host), 0).into()).unwrap();
    soon(socket.connect(to)).await.unwrap()
}

/// The status of a probe on a connection of its own, as a kubelet sends it.
async fn probe(to: SocketAddr) -> StatusCode {
    let mut connection = http(soon(TcpStream::connect(to)).await.unwrap()).await;
    let request = hyper::Request::get("/livez").body(http_body_util::Full::default()).unwrap();
    send(&mut connection, request).await.unwrap().status
}

/// Asks once and keeps the connection.
async fn keep_alive(stream: &mut TcpStream) {
    soon(async {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_get_through_while_one_client_holds_idle_connections() {
    let server = start(|_| {}).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = soon(TcpStream::connect(server.health)).await.unwrap();
        keep_alive(&mut stream).await;
        held.push(stream);
        held.push(soon(TcpStream::connect(server.health)).await.unwrap());
    }
    for _ in 0..10 {
        assert_eq!(probe(server.health).await, StatusCode::OK);
    }
    server.stop().await;
}

/// The port of the controller is the same, without the webhook around it.
#[tokio::test(flavor = "multi_thread")]
async fn probes_get_through_while_many_clients_hold_connections() {
    let port = HealthPort::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, end) = (port.local_addr(), Shutdown::new());
    let served = tokio::spawn(port.serve(Nothing, end.clone()));
    let mut held = Vec::new();
    for host in 1..=100 {
        for part in
            ["", "GET /livez", "GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"]
        {
            let mut stream = connect_from(host, address).await;
            stream.write_all(part.as_bytes()).await.unwrap();
            held.push(stream);
        }
    }
    for _ in 0..10 {
        assert_eq!(probe(address).await, StatusCode::OK);
    }
    end.hurry();
    soon(served).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_in_use_outlives_idle_ones_of_other_clients() {
    let port = HealthPort::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, end) = (port.local_addr(), Shutdown::new());
    let served = tokio::spawn(port.serve(Nothing, end.clone()));
    let mut scraper = connect_from(200, address).await;
    keep_alive(&mut scraper).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(connect_from(1, address).await);
        held.push(connect_from(2, address).await);
        held.push(connect_from(3, address).await);
        held.push(connect_from(4, address).await);
        held.push(connect_from(5, address).await);
    }
    keep_alive(&mut scraper).await;
    end.hurry();
    soon(served).await.unwrap();
}
